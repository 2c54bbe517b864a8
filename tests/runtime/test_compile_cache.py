"""The cache of programs: a hit only when nothing that decides the bytes has changed, and never an error."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from runtime import compile_cache
from tests.compiler.small_models import model, node


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """x @ w with w in a second file; the cache is on, and empty."""
    monkeypatch.setenv("TSPC_CACHE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    weights = np.linspace(-1, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    made = model([node("MatMul", "x w", "y")], {"x": (2, 32)}, "y", {"w": weights})
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
    path = folder / "m.onnx"
    onnx.save(made, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


def compiled(cli: Any, source: Path, *more: str) -> Any:
    done = cli("compile", source, "-o", source.parent / "out.lpu", "--json", *more)
    assert done.code == 0, done.err
    return done.json


def test_the_second_time_is_a_hit_with_the_same_bytes(cli: Any, source: Path) -> None:
    first = compiled(cli, source)
    bytes_ = (source.parent / "out.lpu").read_bytes()
    (source.parent / "out.lpu").unlink()
    second = compiled(cli, source)
    assert (first["cached"], second["cached"]) == (False, True)
    assert (source.parent / "out.lpu").read_bytes() == bytes_
    changing = ("cached", "seconds")
    assert {k: v for k, v in first.items() if k not in changing} == {
        k: v for k, v in second.items() if k not in changing
    }
    text = cli("compile", source).out
    assert "unchanged since it was compiled: taken from the cache" in text
    assert text.endswith("  not written: -o OUT.lpu writes it\n")


def test_without_the_cache_it_is_compiled(cli: Any, source: Path) -> None:
    compiled(cli, source)
    assert compiled(cli, source, "--no-cache")["cached"] is False
    assert "stages: seconds" in cli("compile", source, "--timing").out


@pytest.mark.parametrize("more", [("--chip", "tsp1-deep"), ("--precision", "strict")])
def test_another_way_to_compile_is_another_program(
    cli: Any, source: Path, more: tuple[str, str]
) -> None:
    compiled(cli, source)
    assert compiled(cli, source, *more)["cached"] is False


def test_weights_in_another_file_count(cli: Any, source: Path) -> None:
    """The same number of bytes, written again with others."""
    compiled(cli, source)
    weights = source.parent / "w.bin"
    before = (source.parent / "out.lpu").read_bytes()
    weights.write_bytes(np.fromfile(weights, np.float32)[::-1].tobytes())
    assert compiled(cli, source)["cached"] is False
    assert (source.parent / "out.lpu").read_bytes() != before


def test_a_model_that_changed_counts(cli: Any, source: Path) -> None:
    compiled(cli, source)
    changed = onnx.load(source, load_external_data=False)
    changed.graph.node[0].name = "renamed"
    source.write_bytes(changed.SerializeToString())
    assert compiled(cli, source)["cached"] is False


def test_other_code_counts(cli: Any, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(cli, source)
    monkeypatch.setattr(compile_cache, "_code", lambda: "another version")
    assert compiled(cli, source)["cached"] is False


def test_a_damaged_entry_is_compiled_again(cli: Any, source: Path, tmp_path: Path) -> None:
    compiled(cli, source)
    folder = tmp_path / "cache" / "tspc" / "programs"
    [program], [entry] = folder.glob("*.lpu"), folder.glob("*.json")
    program.write_bytes(program.read_bytes()[:-1])
    assert compiled(cli, source)["cached"] is False
    entry.write_text("{}")
    assert compiled(cli, source)["cached"] is False
    assert compiled(cli, source)["cached"] is True


def test_a_folder_of_others_is_not_used(cli: Any, source: Path, tmp_path: Path) -> None:
    """What anybody may write to could hold anybody's program."""
    folder = tmp_path / "cache" / "tspc" / "programs"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert compiled(cli, source)["cached"] is False
    assert compiled(cli, source)["cached"] is False
    assert os.listdir(folder) == []


def test_the_longest_unused_goes_first(
    cli: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled(cli, source)
    size = (source.parent / "out.lpu").stat().st_size
    monkeypatch.setattr(compile_cache, "MOST_BYTES", size + size // 2)
    compiled(cli, source, "--precision", "strict")
    folder = tmp_path / "cache" / "tspc" / "programs"
    assert len(list(folder.glob("*.lpu"))) == len(list(folder.glob("*.json"))) == 1
    assert compiled(cli, source)["cached"] is False


def test_a_failure_leaves_nothing(cli: Any, source: Path, tmp_path: Path) -> None:
    shutil.move(source.parent / "w.bin", source.parent / "elsewhere.bin")
    assert cli("compile", source).code == 3
    assert list((tmp_path / "cache" / "tspc" / "programs").iterdir()) == []
