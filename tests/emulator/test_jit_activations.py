"""fp16 activations that several passes take are widened once: only where they are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emulator.lowering.matrix import Multiply
from isa.instruction import DType
from isa.machine import load_chip
from isa.ops.mem import Read, Write
from isa.program import Program
from tests.emulator.jit_programs import Build, byte_planes
from tests.emulator.test_jit_passes import agree

TINY = load_chip("tiny")
LANES = TINY.lanes


def loaded_and_written(given: list[int], copied: list[int]) -> Program:
    """A row in slices ``given`` and another, copied into slices ``copied`` at the same address, each through the same weights."""
    rng, b = np.random.RandomState(0), Build(TINY)
    w, x, y = (rng.randn(n, LANES).astype(np.float16) for n in (LANES, 1, 1))
    for plane, (held, to) in enumerate(zip(given, copied, strict=True)):
        b.constant(8 + plane, 0, byte_planes(w)[plane])
        b.constant(held, 0, byte_planes(x)[plane])
        b.constant(6 + plane, 32, byte_planes(y)[plane])
        at, stream = TINY.mem_position("W", to), b.inward + plane
        b.mem(6 + plane, at, 60, Read(32, stream), 1)
        b.mem(to, at, 60, Write(0, stream), 1)
    time = 300
    b.weights(time, DType.F16, [8, 9], 0, LANES)
    for n, slices in enumerate((given, copied)):
        done = b.product(time, DType.F16, slices, 0, 1, LANES)
        b.store(done, b.matrix, b.inward + 4, [4, 5, 10, 11], 40 + n, 1)
        time += 40
    return b.program()


def test_a_slice_is_no_write(tmp_path: Path) -> None:
    """The first pass takes what was loaded into slices 0 and 1; the second, at the same address, what nodes 0 and 1 wrote.

    Nodes are numbered by burst, and reads are none: the first two are the writes into slices 2 and 3.
    """
    program = loaded_and_written([0, 1], [2, 3])
    nodes = program.bursts[program.bursts["opcode"] != Read.opcode]
    assert nodes["opcode"][:2].tolist() == [Write.opcode] * 2
    assert nodes["queue"][:2].tolist() == [2, 3]
    kernel = agree(program, tmp_path)
    assert any(isinstance(shape, Multiply) for shape in kernel.shapes)
