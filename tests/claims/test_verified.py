"""Claim: what the compiler makes is proved to run; and a recount that shares no code with the verifier agrees.

The recount takes every burst apart into single dispatches and counts who has what in which cycle.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from compiler import Compilation
from isa.instruction import DType, Instruction, Source, SourceKind
from isa.ops.mem import Gather, Read, Write
from isa.ops.mxm import Accumulate, Activate, LoadWeights
from isa.ops.sxm import Shift
from isa.ops.vxm import VxmInstruction
from isa.program import Program, decode_args
from isa.verify import verify
from tests.claims.subjects import LAYER, LEGACY_LAYER, SMALL, Subject, demo

SUBJECTS = [demo(1, 1), SMALL, demo(2, 16, "strict"), LEGACY_LAYER]
Build = Callable[[Subject], Compilation]


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatch."""

    queue: int
    cycle: int
    instr: Instruction


def events(program: Program) -> Iterator[Event]:
    """Every dispatch of a program."""
    for index, burst in enumerate(program.bursts):
        plain = program.instruction(index)
        strided = [i for i, o in enumerate(plain.operands) if o.strided]
        for n in range(int(burst["count"])):
            args = list(plain.args())
            for i in strided:
                args[i] += n * int(burst["stride"])
            cycle = int(burst["cycle"]) + n * int(burst["interval"])
            yield Event(int(burst["queue"]), cycle, decode_args(plain.opcode, args))


def puts(program: Program, event: Event) -> Iterator[tuple[int, int]]:
    """``(stream, cycle)`` of every byte plane that a dispatch leaves at its own position."""
    machine, instr = program.machine, event.instr
    found: list[tuple[int, int]] = []
    if isinstance(instr, Read | Gather):
        found = [(instr.stream, 1)]
    elif isinstance(instr, Accumulate) and instr.emit:
        found = [(instr.stream, 4)]
    elif isinstance(instr, Shift):
        found = [(instr.dst, 1)]
    elif isinstance(instr, VxmInstruction):
        planes = instr.result_dtype.planes
        found = [(instr.east - 1, planes)] * bool(instr.east)
        found += [(machine.streams + instr.west - 1, planes)] * bool(instr.west)
    latency = machine.timing(instr.timing) if instr.timing else 0
    for stream, planes in found:
        for plane in range(planes):
            yield stream + plane, event.cycle + latency


def takes(event: Event) -> Iterator[tuple[int, int]]:
    """``(stream, cycle)`` of every byte plane that a dispatch samples at its own position."""
    instr, found = event.instr, list[tuple[int, int, int]]()
    if isinstance(instr, Write):
        found = [(instr.stream, 1, 0)]
    elif isinstance(instr, Shift):
        found = [(instr.src, 1, 0)]
    elif isinstance(instr, Gather):
        found = [(instr.indices, 2, 0)]
    elif isinstance(instr, LoadWeights):
        found = [(instr.stream, instr.groups * DType(instr.dtype).planes, 0)]
    elif isinstance(instr, Activate):
        found = [(instr.stream, DType(instr.dtype).planes, 0)]
    elif isinstance(instr, VxmInstruction):
        for i, name in enumerate("abc"[: instr.arity]):
            source = Source.unpack(getattr(instr, name))
            if source.kind is SourceKind.STREAM:
                found.append((source.index, instr.source_dtype(i).planes, source.delay))
    for stream, planes, delay in found:
        for plane in range(planes):
            yield stream + plane, event.cycle - delay


@pytest.fixture(params=SUBJECTS, ids=str)
def program(request: pytest.FixtureRequest, build: Build) -> Program:
    """A compiled program."""
    return build(request.param).program


def test_verified(program: Program) -> None:
    assert verify(program).instructions == program.instructions


def test_an_encoder_layer_is_verified(build: Build) -> None:
    made = build(LAYER).program
    assert verify(made).instructions == made.instructions


def test_a_queue_dispatches_once_a_cycle_and_a_bank_serves_one(program: Program) -> None:
    """But for a read and a write of a MEM slice, in different banks."""
    words = program.machine["mem.words"]
    slots: Counter[tuple[int, int, str]] = Counter()
    banks: Counter[tuple[int, int, int]] = Counter()
    for e in events(program):
        slots[e.queue, e.cycle, e.instr.port] += 1
        if isinstance(e.instr, Read | Write):
            banks[e.queue, e.cycle, e.instr.address // words] += 1
        elif isinstance(e.instr, Gather):
            low, high = e.instr.base // words, (e.instr.base + e.instr.limit) // words
            banks.update((e.queue, e.cycle, bank) for bank in range(low, high + 1))
    assert max(slots.values()) == 1
    assert max(banks.values()) == 1


def test_every_operand_comes_off_a_stream_that_something_was_put_on(program: Program) -> None:
    """East of a unit ``cycle - position`` of a value stays what it was, west ``cycle + position``; none lands on another."""
    machine = program.machine
    sign = [-1] * machine.streams + [1] * machine.streams  # of the position, by stream
    where = machine.queue_positions
    landed: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for e in events(program):
        for stream, cycle in puts(program, e):
            landed[stream, cycle + sign[stream] * where[e.queue]].append(where[e.queue])
    assert all(len(set(places)) == len(places) for places in landed.values())
    for e in events(program):
        for stream, cycle in takes(e):
            own = where[e.queue]
            sources = landed.get((stream, cycle + sign[stream] * own), [])
            assert any(p <= own if sign[stream] < 0 else p >= own for p in sources), e


def test_alus_and_planes_are_asked_for_what_they_can_do(program: Program) -> None:
    machine = program.machine
    sent, finished = set[tuple[int, int]](), dict[tuple[int, int], int]()
    planes = machine["mxm.planes"]
    for e in events(program):
        if isinstance(e.instr, Activate):
            sent.add((e.queue - machine.mxm_queue, e.cycle + machine["mxm.array_latency"]))
            assert e.instr.first + e.instr.rows <= machine.lanes
        elif isinstance(e.instr, VxmInstruction):
            alu = e.queue - machine.vxm_queue
            finished[alu, e.cycle + machine.timing("vxm_alu")] = e.instr.result_dtype.planes
            assert not e.instr.large or alu < machine["vxm.large_alus"]
    for e in events(program):
        if isinstance(e.instr, Accumulate):
            queue = e.queue - machine.mxm_queue
            assert (queue - 1, e.cycle) in sent
            assert e.instr.row < machine["mxm.acc_rows"]
            assert e.instr.dtype == DType.I8 or queue // 3 % planes == 0
        elif isinstance(e.instr, VxmInstruction):
            for i, name in enumerate("abc"[: e.instr.arity]):
                source = Source.unpack(getattr(e.instr, name))
                if source.kind is SourceKind.ALU:
                    expected = e.instr.source_dtype(i).planes
                    assert finished[source.index, e.cycle - source.delay] == expected


def test_the_program_ends_when_the_last_effect_is_there(program: Program) -> None:
    machine, end = program.machine, 0
    for e in events(program):
        takes_effect = max(1, machine.timing(e.instr.timing) if e.instr.timing else 0)
        if isinstance(e.instr, Activate) and e.instr.dtype == DType.F16:
            takes_effect = -(-e.instr.rows // machine["mxm.fp16_k"])
        end = max(end, e.cycle + takes_effect)
    assert end + machine.timing("stagger") == verify(program).cycles
