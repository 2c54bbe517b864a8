"""Compiled kernels on disk: used when intact, made again when not, never trusted where others can write."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.jit.cache import ObjectCache, default_directory
from emulator.jit.host import this_host
from emulator.jit.library import Library
from emulator.lowering.rows import Input, Output, Shape, Source
from emulator.lowering.vector import Op
from isa.errors import InternalError
from isa.instruction import DType
from isa.machine import load_chip

TINY = load_chip("tiny")
OP = Op("add", DType.F32, DType.I8, False)
ADD = Shape((Input(4),), ((OP, (Source("i", 0), Source("i", 0))),), 0, (Output(Source("o", 0)),))


class Broken:
    """A shape whose text is no LLVM IR."""

    def source(self, target: object) -> str:
        return f"not IR, whatever {type(target).__name__} says"


def library(cache: ObjectCache | None) -> Library:
    host = this_host()
    return Library(host, host.target(TINY), cache)


def test_second_library_compiles_nothing(tmp_path: Path) -> None:
    first, second = (library(ObjectCache(tmp_path / "kernels")) for _ in range(2))
    assert first.address(ADD)
    assert second.address(ADD)
    assert (first.compiled, second.compiled) == (1, 0)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_damaged_entry_is_compiled_again(damage: str, tmp_path: Path) -> None:
    library(ObjectCache(tmp_path)).address(ADD)
    (entry,) = tmp_path.glob("*.o")
    content = entry.read_bytes()
    flipped = content[:100] + bytes([content[100] ^ 1]) + content[101:]
    entry.write_bytes({"flip": flipped, "cut": content[:-1], "empty": b""}[damage])
    again = library(ObjectCache(tmp_path))
    assert again.address(ADD)
    assert again.compiled == 1
    assert entry.read_bytes() == content


def test_directory_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    cache = ObjectCache(shared)
    cache.put("key", b"code")
    assert not cache.usable
    assert cache.get("key") is None
    assert not list(shared.iterdir())


def test_new_directory_is_private(tmp_path: Path) -> None:
    assert ObjectCache(tmp_path / "a" / "b").usable
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0


def test_no_directory_means_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    unusable = library(ObjectCache(tmp_path / "file"))
    assert unusable.address(ADD)
    assert unusable.compiled == 1


def test_default_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_directory() == tmp_path / "tspc" / "kernels"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_directory() == tmp_path / ".cache" / "tspc" / "kernels"


def test_invalid_text_is_an_internal_error() -> None:
    with pytest.raises(InternalError, match="TSP970"):
        library(None).address(Broken())
