"""Going back is exact: whatever the way to a place in a run, the machine there is that of a run that came straight to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emulator.jit import Kernel
from emulator.reference import ReferenceInterpreter
from emulator.reference_units import Streams
from emulator.rewind import Position, Rewinder
from isa.errors import InternalError
from isa.machine import Fact, load_chip, make_machine
from isa.ops.mem import Read, Write
from isa.program import BurstList, Program, pack_constants
from tests.emulator.random_programs import random_inputs, random_program

TINY = load_chip("tiny")


def plain(value: Any) -> Any:
    """Anything a snapshot holds in a form that ``==`` compares by content; functions are left out."""
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tobytes())
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [plain(v) for v in value]
    if callable(value):
        return None
    slots = getattr(value, "__slots__", None) or getattr(value, "__dataclass_fields__", None)
    return [plain(getattr(value, name)) for name in slots] if slots else value


def state(machine: ReferenceInterpreter) -> Any:
    """Everything there is to a machine before a cycle's dispatches."""
    assert machine.dispatched == 0
    memory = machine.memory
    return plain(machine.save()), memory.image.tobytes(), memory.known.tobytes()


@pytest.mark.parametrize("seed", range(20, 32))
def test_back_is_where_a_fresh_run_passes(seed: int) -> None:
    program = random_program(seed, TINY)
    inputs = random_inputs(seed, program)
    fresh = ReferenceInterpreter(program)
    fresh.begin(inputs)
    run = Rewinder(program, inputs)
    while not run.finished:
        run.tick()
    end = run.interpreter.cycle
    wanted = sorted(np.random.default_rng(seed).choice(end + 1, 12, replace=False).tolist())
    passed = {}
    while not fresh.finished:
        if fresh.cycle in wanted:
            passed[fresh.cycle] = state(fresh)
        fresh.tick()
    passed[end] = state(fresh)
    for cycle in [end, *wanted[::-1], *wanted[::3], end]:
        run.seek(cycle)
        assert run.position == Position(cycle)
        assert state(run.interpreter) == passed[cycle]


@pytest.mark.parametrize("seed", range(40, 44))
def test_the_end_is_what_the_jit_computes(seed: int) -> None:
    """After going to and fro: outputs, memory and trace."""
    program = random_program(seed, TINY)
    inputs = random_inputs(seed, program)
    kernel = Kernel(program)
    expected, trace = kernel.run(inputs)
    run = Rewinder(program, inputs)
    for cycle in (400, 100, 1 << 40, 3, 1 << 40):
        run.seek(cycle)
    outputs, counted = run.interpreter.result()
    assert counted == trace
    assert run.interpreter.memory.image.tobytes() == kernel.final_memory.tobytes()
    assert {n: a.tobytes() for n, a in outputs.items()} == {
        n: a.tobytes() for n, a in expected.items()
    }


def test_short_memory_leaves_fewer_checkpoints_and_the_same_machine() -> None:
    program = random_program(50, TINY)
    inputs = random_inputs(50, program)
    rich, poor = Rewinder(program, inputs), Rewinder(program, inputs, 40_000)
    for run in (rich, poor):
        run.seek(1 << 40)
    assert 2 <= len(poor.checkpoints) < len(rich.checkpoints) / 2
    for cycle in (301, 300, 77, 0):
        for run in (rich, poor):
            run.seek(cycle)
        assert state(rich.interpreter) == state(poor.interpreter)


def copies(*bursts: tuple[str, int, Any]) -> Program:
    """A program on ``tiny`` with word 0 of MEM_W0 defined."""
    listed = BurstList()
    for queue, cycle, instr in bursts:
        listed.add(TINY.queue_names.index(queue), cycle, instr)
    segments, data = pack_constants([(0, 0, np.full((1, 32), 7, np.uint8))], 32)
    return Program(TINY, listed.array(), segments, data)


def test_a_place_within_a_cycle() -> None:
    """In cycle 2 two queues dispatch, in the program's order, and in cycle 3 none."""
    word = np.zeros((1, 32), np.uint8)
    bursts = BurstList()
    for queue in (1, 0):
        bursts.add(queue, 2, Read(0, queue))
    segments, data = pack_constants([(0, 0, word), (1, 0, word)], 32)
    run = Rewinder(Program(TINY, bursts.array(), segments, data), {})
    run.seek(2, 1)
    assert run.position == Position(2, 1)
    assert run.dispatch().queue == 1
    assert run.position == Position(2, 2)
    run.seek(2, 0)
    assert run.dispatch().queue == 0
    run.seek(3, 5)
    assert run.position == Position(3, 0)


def test_what_has_no_meaning_stops_there_and_can_be_left() -> None:
    """The word that MEM_W0 reads in cycle 0 passes MEM_E0 in cycle 7 (5, and two positions), not in cycle 8."""
    run = Rewinder(copies(("MEM_W0", 0, Read(0, 0)), ("MEM_E0", 8, Write(1, 0))), {})
    for _ in range(2):
        with pytest.raises(InternalError, match=r"cycle 8, MEM_E0: .*nothing is on E0") as caught:
            run.seek(100)
        assert caught.value.number == 910
        assert run.position == Position(8)
        assert not run.finished
        with pytest.raises(InternalError, match="nothing is on E0"):
            run.tick()
        run.seek(7)
        assert run.fault is None
        seen = run.interpreter.streams.at(0, TINY.mem_position("E", 0))
        assert seen is not None
        assert seen.tolist() == [7] * 32


def test_an_operand_that_nothing_means_is_a_fault_of_the_program() -> None:
    run = Rewinder(copies(("MEM_W0", 0, Read(600, 0))), {})
    with pytest.raises(InternalError, match=r"cycle 0, MEM_W0: read .*no words 600") as caught:
        run.seek(1)
    assert caught.value.number == 915


def test_where_streams_have_values_on_a_chip_whose_positions_are_two_cells_apart() -> None:
    """A value between two positions counts as at the western one, and stands at neither."""
    facts = dict(TINY.facts)
    facts["streams.hop"] = Fact(2, "assumed")
    machine = make_machine(facts, "test")
    streams, west = Streams(machine), machine.streams
    value = np.full((1, machine.lanes), 9, np.uint8)
    streams.put(3, 10, value)
    streams.put(west + 3, 10, value)
    expected = [((3, 10), (west + 3, 10)), ((3, 10), (west + 3, 9)), ((3, 11), (west + 3, 9))]
    for moves, places in enumerate(expected):
        assert [tuple(place) for place in np.argwhere(streams.occupied()).tolist()] == list(places)
        there = [streams.at(*place) is not None for place in places]
        assert there == [moves != 1] * 2
        streams.shift()
