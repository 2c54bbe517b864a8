"""With every optimisation off, and for any number of threads, the JIT computes the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.jit import Kernel
from emulator.lowering.bytes import Move
from emulator.lowering.rows import Shape
from emulator.reference import ReferenceInterpreter
from isa.machine import load_chip
from tests.emulator.random_programs import random_inputs, random_program
from tests.emulator.test_jit_passes import moved, two_chunks

TINY = load_chip("tiny")


@pytest.mark.parametrize("seed", range(700, 716))
def test_plain_and_fused_and_reference_agree_on_random_programs(seed: int, tmp_path: Path) -> None:
    program = random_program(seed, TINY)
    inputs = random_inputs(seed, program)
    reference = ReferenceInterpreter(program)
    expected, _ = reference.run(inputs)
    for threads, plain in ((1, True), (1, False), (1 + seed % 4, True), (4 - seed % 4, False)):
        kernel = Kernel(program, threads, tmp_path, plain=plain)
        outputs, _ = kernel.run(inputs)
        assert (reference.final_memory == kernel.final_memory).all(), (threads, plain)
        assert [v.tobytes() for v in outputs.values()] == [v.tobytes() for v in expected.values()]


def test_plain_runs_every_burst_by_itself(tmp_path: Path) -> None:
    for program in (two_chunks(13, 9), moved(20)):
        reference, kernel = ReferenceInterpreter(program), Kernel(program, 1, tmp_path, plain=True)
        reference.run({})
        kernel.run({})
        assert (reference.final_memory == kernel.final_memory).all()
        assert Move() not in kernel.shapes
        rows = [s for s in kernel.shapes if isinstance(s, Shape)]
        assert max(len(s.operations) + len(s.outputs) for s in rows) <= 2
        assert not len(kernel._prepared.once)
