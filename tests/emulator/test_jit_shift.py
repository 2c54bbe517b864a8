"""Shifts: a copy of a piece of each row where its bytes lie side by side, a table of lanes elsewhere; the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emulator.jit import Kernel
from emulator.lowering.lanes import Slide, Spread
from emulator.reference import ReferenceInterpreter
from isa.instruction import DType
from isa.machine import load_chip
from isa.ops.mem import Read, Write
from isa.ops.sxm import Shift
from isa.ops.vxm import Mov
from isa.program import Program
from isa.verify import verify
from tests.emulator.jit_programs import Build, Bytes, stream

TINY = load_chip("tiny")
ROWS, TIME, OUT = 7, 60, 5
DISTANCES = [0, 1, -1, 5, -16, TINY.lanes - 1, 1 - TINY.lanes, TINY.lanes, -TINY.lanes, 511, -512]


def given() -> Bytes:
    """``[rows, lanes]`` bytes, none of them zero."""
    return np.random.RandomState(1).randint(1, 256, (ROWS, TINY.lanes), np.uint8)


def moved(rows: Bytes, by: int) -> Bytes:
    """Each lane's byte ``by`` lanes up, one after the other."""
    out = np.zeros_like(rows)
    for lane in range(TINY.lanes):
        if 0 <= lane + by < TINY.lanes:
            out[:, lane + by] = rows[:, lane]
    return out


def program(by: int, computed: bool) -> Program:
    """Rows of memory, or byte 1 of what the VXM gives, through the SXM and back to memory."""
    b = Build(TINY)
    position = TINY.queue_positions[TINY.sxm_queue]
    if computed:
        for plane in range(2):
            b.constant(plane, 0, given())
            b.mem(plane, TINY.vxm_position, TIME, Read(0, b.inward + plane), ROWS)
        b.unit(TINY.vxm_queue, TIME, Mov(DType.F16, stream(b.inward), west=1), ROWS)
        hops = abs(position - TINY.vxm_position) * TINY["streams.hop"]
        source, at = b.outward + 1, TIME + TINY.timing("vxm_alu") + hops
    else:
        b.constant(0, 0, given())
        source, at = b.outward, TIME
        b.mem(0, position, at, Read(0, source), ROWS)
    b.unit(TINY.sxm_queue, at, Shift(source, b.inward + 9, by), ROWS)
    b.mem(OUT, position, at + TINY.timing("sxm_shift"), Write(40, b.inward + 9), ROWS)
    return b.program()


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("by", DISTANCES)
def test_every_byte_moves_as_far_as_it_is_told(
    by: int, computed: bool, plain: bool, tmp_path: Path
) -> None:
    made = program(by, computed)
    verify(made)
    reference = ReferenceInterpreter(made)
    reference.run({})
    out = TINY.mem_queue("W", OUT)
    assert (reference.final_memory[out, 40 : 40 + ROWS] == moved(given(), by)).all()
    for threads in (1, 2):
        kernel = Kernel(made, threads, tmp_path, plain)
        for _ in range(2):
            kernel.run({})
            assert (kernel.final_memory == reference.final_memory).all()
    (shape,) = (s for s in kernel.shapes if isinstance(s, Slide | Spread))
    assert isinstance(shape, Spread if plain or computed else Slide)
