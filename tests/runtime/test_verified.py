"""A kept certificate spares the verifier's work for the same bytes, and for no others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import isa.verify
from isa.errors import VerifyError
from isa.machine import load_chip
from isa.ops.mem import Read
from isa.program import BurstList, Program, pack_constants
from isa.verify import Certificate, verify
from runtime import verified as module
from runtime.verified import verified

TINY = load_chip("tiny")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "WORTH", 1)
    return tmp_path


def program(value: int = 1, address: int = 0) -> Program:
    """A read of one constant word."""
    bursts = BurstList()
    bursts.add(0, 5, Read(address, 0), 1, 1, 0)
    word = np.full((1, TINY.lanes), value, np.uint8)
    segments, data = pack_constants([(0, 0, word)], TINY.lanes)
    return Program(TINY, bursts.array(), segments, data)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Program]:
    """What the verifier is asked about from now on."""
    asked: list[Program] = []

    def spy(given: Program) -> Certificate:
        asked.append(given)
        return verify(given)

    monkeypatch.setattr(isa.verify, "verify", spy)
    return asked


def test_the_same_bytes_are_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counted(monkeypatch)
    first, again = verified(program()), verified(program())
    assert first == again == verify(program())
    assert len(asked) == 1


def test_other_bytes_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    verified(program())
    asked = counted(monkeypatch)
    verified(program(value=2))
    assert len(asked) == 1
    with pytest.raises(VerifyError):
        verified(program(address=7))
    with pytest.raises(VerifyError):  # a refusal is not kept as anything else
        verified(program(address=7))


def test_another_version_of_the_source_verifies_again(monkeypatch: pytest.MonkeyPatch) -> None:
    verified(program())
    asked = counted(monkeypatch)
    monkeypatch.setattr("emulator.jit.kernel.code", lambda: "another")
    verified(program())
    assert len(asked) == 1


@pytest.mark.parametrize("damage", ["flip", "cut", "open"])
def test_what_is_damaged_or_not_private_is_not_believed(
    damage: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified(program())
    (kept,) = own_cache.rglob("*.certificate")
    content = bytearray(kept.read_bytes())
    if damage == "flip":
        content[-2] ^= 1
        kept.write_bytes(content)
    elif damage == "cut":
        kept.write_bytes(content[:20])
    else:
        kept.parent.chmod(0o777)
    asked = counted(monkeypatch)
    assert verified(program()) == verify(program())
    assert len(asked) == 1


def test_small_programs_are_just_verified(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORTH", 4096)
    verified(program())
    assert not list(own_cache.rglob("*.certificate"))
