"""What is prepared for a program is used again when it is intact and of the same program, and only then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emulator.jit import Kernel
from emulator.jit import kernel as kernel_module
from emulator.jit.kernel import identity
from emulator.jit.prepared import Prepared
from emulator.reference import ReferenceInterpreter
from isa.binary import read, write
from isa.machine import load_chip
from isa.program import Program
from tests.emulator.random_programs import random_inputs, random_program
from tests.emulator.test_jit_passes import moved, two_chunks
from tests.emulator.test_jit_uniform import summed

TINY = load_chip("tiny")


@pytest.fixture(autouse=True)
def _small_programs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_module, "WORTH", 0)


def agree(program: Program, seed: int, cache: Path, threads: int = 1) -> Kernel:
    """Run both emulators, compare all of memory."""
    inputs = random_inputs(seed, program)
    reference, kernel = ReferenceInterpreter(program), Kernel(program, threads, cache)
    reference.run(inputs)
    kernel.run(inputs)
    assert (reference.final_memory == kernel.final_memory).all()
    return kernel


@pytest.mark.parametrize("seed", range(800, 808))
def test_second_kernel_is_not_prepared_and_agrees(seed: int, tmp_path: Path) -> None:
    program = random_program(seed, TINY)
    assert agree(program, seed, tmp_path).shapes
    for threads in (1, 3):
        assert not agree(program, seed, tmp_path, threads).shapes


def test_short_cuts_are_kept(tmp_path: Path) -> None:
    for program in (two_chunks(13, 9), moved(20), summed(np.ones(TINY.lanes, np.float16))):
        first, second = (agree(program, 0, tmp_path) for _ in range(2))
        assert first.shapes
        assert not second.shapes
        assert (first._prepared.words == second._prepared.words).all()


def test_other_constants_are_another_program(tmp_path: Path) -> None:
    """One-hot rows are moved; the same rows doubled must not be."""
    one, two = moved(20), moved(20, double=True)
    assert (one.bursts == two.bursts).all()
    agree(one, 0, tmp_path)
    assert agree(two, 0, tmp_path).shapes
    assert identity(replace(one, data=two.data)) == identity(two)


def test_a_file_is_the_program_in_it(tmp_path: Path) -> None:
    program = two_chunks(13, 9)
    write(program, tmp_path / "a.lpu")
    loaded = read(tmp_path / "a.lpu")
    assert loaded.data_digest
    assert identity(loaded) == identity(program)
    assert not replace(loaded).data_digest
    with pytest.raises(ValueError, match="read-only"):
        loaded.data[0, 0] = 1


@pytest.mark.parametrize("damage", ["flip", "cut", "kernels"])
def test_damage_means_preparing_again(damage: str, tmp_path: Path) -> None:
    program = two_chunks(13, 9)
    agree(program, 0, tmp_path)
    (kept,) = tmp_path.glob("*.plan")
    content = kept.read_bytes()
    if damage == "kernels":
        for path in tmp_path.glob("*.o"):
            path.unlink()
    else:
        flipped = content[:200] + bytes([content[200] ^ 1]) + content[201:]
        kept.write_bytes(flipped if damage == "flip" else content[:-8])
    assert agree(program, 0, tmp_path).shapes
    assert kept.read_bytes() == content


def test_only_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_module, "MOST_KEPT", 2)
    for rows in (1, 2, 3, 4):
        Kernel(two_chunks(rows, 9), 1, tmp_path)
    assert len(list(tmp_path.glob("*.plan"))) == 2


def test_bytes_and_back(tmp_path: Path) -> None:
    prepared = Kernel(two_chunks(13, 9), 1, tmp_path)._prepared
    again = Prepared.from_bytes(prepared.to_bytes())
    assert again.to_bytes() == prepared.to_bytes()
    assert again.kernels == prepared.kernels
