"""Gathers take constants from the program's rows where no run changes them, and from the chip's memory elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emulator.jit import Kernel
from emulator.jit.regions import SHIFT, Region
from emulator.lowering.lanes import Indexed
from emulator.reference import ReferenceInterpreter
from isa.machine import load_chip
from isa.ops.mem import Gather, Read, Write
from isa.program import Program
from isa.verify import verify
from tests.emulator.jit_programs import Build

TINY = load_chip("tiny")
ROWS, BASE, SIZE = 6, 40, 30
INDEX, OTHER, TABLE, OUT = 0, 2, 3, 5
"""Slices of the west side, from the vector unit outward."""
TIME = 60


def gathered(limit: int, overwritten: bool = False, cut: int = 0) -> Program:
    """Rows of a table by random numbers, some of them beyond ``limit``.

    ``overwritten``: a word of the table is written before; ``cut``: from this word on the table lies elsewhere in the data.
    """
    rng, b = np.random.RandomState(limit), Build(TINY)
    here, queue = TINY.mem_position("W", TABLE), TINY.mem_queue("W", TABLE)
    index = np.zeros((2, ROWS, TINY.lanes), np.uint8)
    index[0] = rng.randint(0, 2 * SIZE, (ROWS, TINY.lanes))
    index[1, 0] = 1
    b.constant(TABLE, BASE, rng.randint(0, 256, (SIZE, TINY.lanes), np.uint8))
    if overwritten:
        b.constant(OTHER, 0, rng.randint(0, 256, (1, TINY.lanes), np.uint8))
        b.mem(OTHER, here, 20, Read(0, b.outward + 8), 1)
        b.mem(TABLE, here, 20, Write(BASE + 3, b.outward + 8), 1)
    for plane in range(2):
        b.constant(INDEX + plane, 0, index[plane])
        b.mem(INDEX + plane, here, TIME, Read(0, b.outward + 2 + plane), ROWS)
    b.bursts.add(queue, TIME, Gather(BASE, limit, b.outward + 2, b.outward + 6), ROWS)
    done = TIME + TINY.timing("mem_gather")
    b.mem(OUT, here, done, Write(0, b.outward + 6), ROWS)
    return apart(b.program(), queue, cut) if cut else b.program()


def apart(program: Program, slice_: int, cut: int) -> Program:
    """The program with the rows of a slice's only segment from ``cut`` on behind all others."""
    (at,) = np.flatnonzero(program.segments["slice"] == slice_)
    segments = np.insert(program.segments, at + 1, program.segments[at])
    first = int(segments["first"][at])
    segments["count"][at] = cut
    rest = segments[at + 1 : at + 2]
    rest["address"] += cut
    rest["count"] -= cut
    rest["first"] = len(program.data)
    data = np.concatenate([program.data, program.data[first + cut : first + SIZE]])
    return replace(program, segments=segments, data=data)


def source(program: Program, cache: Path, plain: bool = False) -> Region:
    """Where the gather of a program takes its words, once both emulators agree."""
    verify(program)
    reference = ReferenceInterpreter(program)
    reference.run({})
    for threads in (1, 2):
        kernel = Kernel(program, threads, cache, plain)
        kernel.run({})
        kernel.run({})
        assert (reference.final_memory == kernel.final_memory).all()
    (entry,) = (i for i, s in enumerate(kernel.shapes) if isinstance(s, Indexed))
    prepared = kernel._prepared
    return Region(int(prepared.words[prepared.entries[entry, 1] + 1]) >> SHIFT)


@pytest.mark.parametrize("limit", [0, 7, SIZE - 1])
def test_a_constant_table_is_read_where_it_lies(limit: int, tmp_path: Path) -> None:
    assert source(gathered(limit), tmp_path) is Region.CONSTANTS


def test_a_table_that_is_written_is_read_in_memory(tmp_path: Path) -> None:
    assert source(gathered(SIZE - 1, overwritten=True), tmp_path) is Region.CHIP
    assert source(gathered(2, overwritten=True), tmp_path) is Region.CONSTANTS


def test_a_table_in_pieces_is_read_in_memory(tmp_path: Path) -> None:
    assert source(gathered(SIZE - 1, cut=9), tmp_path) is Region.CHIP
    assert source(gathered(8, cut=9), tmp_path) is Region.CONSTANTS


def test_plain_reads_memory(tmp_path: Path) -> None:
    assert source(gathered(7), tmp_path, plain=True) is Region.CHIP
