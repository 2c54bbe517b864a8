"""A gather whose range moves on: each dispatch is held against the memory as it then is; what it reads is what it says."""

from __future__ import annotations

import numpy as np
import pytest

from emulator.jit import Kernel
from emulator.reference import ReferenceInterpreter
from isa.errors import VerifyError
from isa.machine import Machine, load_chip
from isa.ops.mem import Gather, Read, Scatter, Write
from isa.program import BurstList, Program, pack_constants
from isa.verify import verify

START = 20
TINY = load_chip("tiny")


def strided(
    machine: Machine, count: int, stride: int, *, scatter: bool = False, write: int = -1
) -> Program:
    """``MEM_W0`` gathers or scatters from base 0, limit 3, with indices 0, 1, 2, 3 and 9 in its superlanes.

    Words 0..9 and 256..259 of ``MEM_W0`` are constants. ``write`` is the cycle of a write to its second bank.
    """
    index = np.zeros((1, machine.lanes), np.uint8)
    width = machine["lanes.per_superlane"]
    index[0, ::width] = [0, 1, 2, 9][: machine["lanes.superlanes"]]
    words = np.arange(10, dtype=np.uint8)[:, None] + np.zeros(machine.lanes, np.uint8)
    constants = [(0, 0, words), (0, 256, words[:4] + 100), (1, 0, index), (2, 0, index * 0)]
    bursts = BurstList()
    near, latency = machine["streams.hop"], machine.timing("mem_read")
    bursts.add(1, START - latency - near, Read(0, 0), count)
    bursts.add(2, START - latency - 2 * near, Read(0, 1), count)
    if scatter:
        bursts.add(3, START - latency - 3 * near, Read(0, 8), count)
        constants.append((3, 0, words[:1] + 77))
    instr = Scatter(0, 3, 0, 8) if scatter else Gather(0, 3, 0, 8)
    bursts.add(0, START, instr, count, 1, stride)
    if not scatter:
        landing = START + machine.timing("mem_gather")
        east = machine.mem_queue("E", 0)
        bursts.add(east, landing + 2 * near, Write(0, 8), count, 1, 1)
    if write >= 0:
        bursts.add(0, write, Write(300, 0))
    segments, data = pack_constants(constants, machine.lanes)
    return Program(machine, bursts.array(), segments, data)


@pytest.mark.parametrize("scatter", [False, True])
def test_the_range_moves_with_every_repeat(scatter: bool) -> None:
    program = strided(TINY, 4, 2, scatter=scatter)
    cycles = verify(program).cycles
    reference, kernel = ReferenceInterpreter(program), Kernel(program)
    assert reference.run({})[1].cycles == kernel.run({})[1].cycles == cycles
    assert (reference.final_memory == kernel.final_memory).all()
    lanes = slice(None, None, TINY["lanes.per_superlane"])
    if scatter:
        found = kernel.final_memory[0, :10, lanes]
        expected = np.repeat(np.arange(10)[:, None], 4, 1)
        for k in range(4):
            for superlane, index in enumerate((0, 1, 2, 3)):
                expected[2 * k + index, superlane] = 77
    else:
        found = kernel.final_memory[TINY.mem_queue("E", 0), :4, lanes]
        expected = 2 * np.arange(4)[:, None] + np.array([0, 1, 2, 3])
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("count", "stride", "write", "rule"),
    [
        (5, 2, -1, 333),  # the fifth may touch words 8 .. 11, and nothing defines 10
        (4, 200, -1, 306),
        (2, -1, -1, 305),
        (2, 256, START + 1, 330),
    ],
)
def test_a_range_is_refused_where_a_repeat_leaves_what_is_there(
    count: int, stride: int, write: int, rule: int
) -> None:
    with pytest.raises(VerifyError) as caught:
        verify(strided(TINY, count, stride, write=write))
    assert caught.value.number == rule


def test_a_bank_is_free_before_a_range_comes_to_it() -> None:
    """Only the second repeat touches the bank that the write goes to, a cycle after it."""
    assert verify(strided(TINY, 2, 256, write=START)).cycles
