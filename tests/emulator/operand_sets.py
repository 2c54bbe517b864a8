"""One instruction on a thousand operand sets: a program that feeds it and stores what it makes, and what its definition says.

A set is what one lane takes: 320 lanes times four dispatches. Vector operations come from their declarations alone; memory
and exchange instructions too, their streams found by executing them on nothing. A new instruction needs nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from isa.fields import field_range
from isa.instruction import Bytes, DType, Instruction, Kind, Operand, Source, SourceKind
from isa.machine import Fact, Machine, load_chip
from isa.ops.mem import Read, Write
from isa.ops.mxm import Accumulate, Activate, InstallWeights, LoadWeights, PlaneState
from isa.ops.vxm import VxmInstruction, to_planes
from isa.program import BurstList, Program, pack_constants
from tests.emulator.random_board import effects_of
from tests.emulator.random_values import random_values

ROWS: Final = 4
WINDOW: Final = 32
"""Words of a slice that a memory instruction under test may touch."""
RESULT: Final = 16
"""First stream of a vector operation's result, in both directions: none that it reads."""
GAP: Final = 64
"""Cycles between dispatches of different fields."""


def wide_chip() -> Machine:
    """``tiny`` with the 320 lanes of the published chip."""
    facts = dict(load_chip("tiny").facts)
    for name, value in (
        ("lanes.superlanes", 20),
        ("lanes.per_superlane", 16),
        ("mem.words", 64),
        ("mem.slices", 20),
        ("mxm.window", 16),
        ("mxm.fp16_k", 160),
    ):
        facts[name] = Fact(value, "assumed")
    facts["chip.name"] = Fact("wide", "assumed")
    return Machine(tuple(sorted(facts.items())))


WIDE: Final = wide_chip()


@dataclass
class Direct:
    """The ``Port`` of one dispatch: given streams, a slice's memory, and whatever the instruction makes."""

    streams: dict[int, Bytes]
    memory: npt.NDArray[np.uint8]
    machine: Machine = WIDE
    position: int = 0
    plane: Any = None
    made: dict[int, Bytes] = field(default_factory=dict)
    sent: Any = None

    def stream(self, stream: int, planes: int, delay: int = 0) -> Bytes:
        assert not delay
        return np.stack([self.streams[stream + p] for p in range(planes)])

    def alu(self, index: int, planes: int, delay: int = 0) -> Bytes:
        raise NotImplementedError

    def put(self, stream: int, data: Bytes) -> None:
        self.made.update({stream + p: plane for p, plane in enumerate(data)})

    def produce(self, data: Bytes) -> None:
        del data

    def store(self, address: npt.NDArray[np.int64] | int, data: Bytes) -> None:
        lanes = np.arange(self.machine.lanes)
        wide = address
        if not isinstance(address, int):
            wide = np.repeat(address, self.machine["lanes.per_superlane"])
        self.memory[wide, lanes] = data[0]

    def activate(self, sent: Any) -> None:
        self.sent = sent

    def products(self) -> Any:
        return self.sent


@dataclass
class Trial:
    """A program under construction, and the words that it must leave behind."""

    machine: Machine = WIDE
    bursts: BurstList = field(default_factory=BurstList)
    constants: list[tuple[int, int, Bytes]] = field(default_factory=list)
    expected: list[tuple[int, int, Bytes]] = field(default_factory=list)
    reading: dict[int, int] = field(default_factory=dict)
    writing: dict[int, int] = field(default_factory=dict)

    def program(self) -> Program:
        """All of it."""
        segments, data = pack_constants(self.constants, self.machine.lanes)
        return Program(self.machine, self.bursts.array(), segments, data)

    def _place(
        self, stream: int, position: int, used: dict[int, int], rows: int, *, upstream: bool
    ) -> tuple[int, int]:
        """The least used slice on that side of a position, and how many words of a bank are taken by now."""
        east = (stream < self.machine.streams) == upstream
        places = self.machine.queue_positions[: 2 * self.machine.slices]
        fit = [s for s, p in enumerate(places) if p != position and (p < position) == east]
        found = min(fit, key=lambda s: used.get(s, 0))
        used[found] = used.get(found, 0) + rows
        return found, used[found]

    def supply(
        self, stream: int, position: int, cycle: int, rows: Bytes, interval: int = 1
    ) -> None:
        """``[rows, lanes]`` pass a position on a stream from a cycle on; kept in bank 0, from its end down."""
        m = self.machine
        slice_, taken = self._place(stream, position, self.reading, len(rows), upstream=True)
        address = m["mem.words"] - taken
        self.constants.append((slice_, address, rows))
        hops = abs(m.queue_positions[slice_] - position) * m["streams.hop"]
        start = cycle - hops - m.timing("mem_read")
        self.bursts.add(slice_, start, Read(address, stream), len(rows), interval, 1)

    def keep(self, stream: int, position: int, cycle: int, rows: Bytes, interval: int = 1) -> None:
        """Store what lands there, and expect it to be ``rows``: in bank 1."""
        m = self.machine
        slice_, taken = self._place(stream, position, self.writing, len(rows), upstream=False)
        address = 2 * m["mem.words"] - taken
        start = cycle + abs(m.queue_positions[slice_] - position) * m["streams.hop"]
        self.bursts.add(slice_, start, Write(address, stream), len(rows), interval, 1)
        self.expected.append((slice_, address, rows))


def vector_trial(variant: dict[str, Any], cls: type[Instruction], seed: int) -> Trial:
    """A VXM operation on random lanes, a third of them special, its result driven both ways."""
    rng, trial = np.random.RandomState(seed), Trial()
    here, cycle = WIDE.vxm_position, 60
    fields = {k: int(v) for k, v in variant.items() if k != "name"}
    names = "abc"[: cls.arity]
    fields |= {n: Source(SourceKind.STREAM, 4 * i).pack() for i, n in enumerate(names)}
    fields |= {"east": 1 + RESULT, "west": 1 + RESULT}
    instr = cls(**fields)
    assert isinstance(instr, VxmInstruction)
    rows = []
    for i in range(cls.arity):
        values = random_values(rng, instr.source_dtype(i), (ROWS, WIDE.lanes), 0.33)
        for p, plane in enumerate(_byte_planes(values)):
            trial.supply(4 * i + p, here, cycle, plane)
        rows.append(values)
    trial.bursts.add(WIDE.vxm_queue, cycle, instr, ROWS)
    with np.errstate(all="ignore"):
        results = [instr.compute(*(values[k] for values in rows)) for k in range(ROWS)]
    exact = [to_planes(np.ascontiguousarray(r, instr.result_dtype.numpy)) for r in results]
    landing = cycle + WIDE.timing("vxm_alu")
    for p in range(instr.result_dtype.planes):
        plane = np.stack([planes[p] for planes in exact])
        trial.keep(RESULT + p, here, landing, plane)
        trial.keep(WIDE.streams + RESULT + p, here, landing, plane)
    return trial


def move_trial(cls: type[Instruction], seed: int) -> Trial:
    """A memory or exchange instruction, each of four dispatches with other fields, bytes and lane numbers at random."""
    rng, trial = np.random.RandomState(seed), Trial()
    memory = rng.randint(0, 256, (WIDE.words, WIDE.lanes)).astype(np.uint8)
    queue = WIDE.mem_queue("W", 0) if cls.unit == "MEM" else WIDE.queue_kinds.index("SXM")
    queue += WIDE["sxm.queues"] if cls.unit == "SXM" else 0
    here = WIDE.queue_positions[queue]
    if cls.unit == "MEM":
        trial.constants.append((queue, 0, memory[:WINDOW].copy()))
    for k in range(ROWS):
        instr = _fields(rng, cls, k)
        cycle = 60 + k * GAP
        found = effects_of(WIDE, instr)
        streams = {}
        for first, planes, _ in found.reads:
            lanes = rng.randint(0, 256, (planes, WIDE.lanes)).astype(np.uint8)
            if planes == 2:  # numbers of lanes or words, some out of range
                few = rng.rand(WIDE.lanes) < 0.8
                lanes[1, few] = rng.randint(0, 2, few.sum())
                lanes[0, few & (lanes[1] == 0)] %= WINDOW
            for p in range(planes):
                streams[first + p] = lanes[p]
                trial.supply(first + p, here, cycle, lanes[p : p + 1])
        direct = Direct(streams, memory, position=here)
        instr.execute(direct)
        trial.bursts.add(queue, cycle, instr)
        landing = cycle + WIDE.timing(instr.timing)
        for stream, plane in direct.made.items():
            trial.keep(stream, here, landing, plane[None].copy())
    if cls.unit == "MEM":
        trial.expected.append((queue, 0, memory[:WINDOW]))
    return trial


def matrix_trial(dtype: DType, special: float, seed: int) -> Trial:
    """All columns loaded and installed, then two passes of four activations: the second adds to the first and is emitted.

    ``special`` of the values are edge cases and as many arbitrary bits.
    """
    rng, trial, m = np.random.RandomState(seed), Trial(), WIDE
    queue, here = m.mxm_queue + 3 * m["mxm.planes"], m.positions - 1
    direct, planes = Direct({}, np.zeros((0, 0), np.uint8), plane=PlaneState(m)), dtype.planes
    groups = 16 // planes
    loads = m.lanes // groups
    weights = _byte_planes(random_values(rng, dtype, (m.lanes, m.lanes), special))
    for g in range(groups):
        for p in range(planes):
            rows = weights[p, g * loads : (g + 1) * loads]
            trial.supply(g * planes + p, here, 100, rows)
    for column in range(loads):
        load = LoadWeights(dtype, 0, groups, column, loads)
        direct.streams = {
            g * planes + p: weights[p, g * loads + column]
            for g in range(groups)
            for p in range(planes)
        }
        load.execute(direct)
    trial.bursts.add(queue, 100, LoadWeights(dtype, 0, groups, 0, loads), loads, 1, 1)
    install, cycle = InstallWeights(dtype, 0, m.lanes), 100 + loads + m.timing("mxm_load")
    install.execute(direct)
    trial.bursts.add(queue, cycle, install)
    interval = -(-m.lanes // m["mxm.fp16_k"]) if dtype is DType.F16 else 1
    for last in (False, True):
        cycle += 40
        sent = Activate(dtype, 0, 0, m.lanes)
        total = Accumulate(dtype, 0, int(not last), int(last), m.streams + 16)
        given = _byte_planes(random_values(rng, dtype, (ROWS, m.lanes), special))
        for p in range(planes):
            trial.supply(p, here, cycle, given[p], interval)
        out = []
        for k in range(ROWS):
            direct.streams = {p: given[p, k] for p in range(planes)}
            sent.execute(direct)
            Accumulate(dtype, k, *total.args()[2:]).execute(direct)
            out.append([direct.made.get(m.streams + 16 + p) for p in range(4)])
        trial.bursts.add(queue + 1, cycle, sent, ROWS, interval)
        then = cycle + m["mxm.array_latency"]
        trial.bursts.add(queue + 2, then, total, ROWS, interval, 1)
    landing = then + m.timing("mxm_accumulate")
    for p in range(4):
        rows = np.array([row[p] for row in out])
        trial.keep(m.streams + 16 + p, here, landing, rows, interval)
    return trial


def _byte_planes(values: npt.NDArray[Any]) -> Bytes:
    """``[planes, rows, lanes]`` of ``[rows, lanes]`` values."""
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(*values.shape, values.itemsize)
    return np.ascontiguousarray(raw.transpose(2, 0, 1))


def _fields(rng: np.random.RandomState, cls: type[Instruction], k: int) -> Instruction:
    """Numbers at random, first and second at their extremes; streams that are read go outward, others come back."""
    groups = (0, 16, WIDE.streams, WIDE.streams + 16)
    names = [o.name for o in cls.operands if o.kind is Kind.STREAM]
    blank = cls(**{o.name: 0 for o in cls.operands} | dict(zip(names, groups, strict=False)))
    puts = {s for s, _ in effects_of(WIDE, blank).puts}
    outward, back = [0, 16], [WIDE.streams, WIDE.streams + 16]
    fields = {n: (back if getattr(blank, n) in puts else outward).pop(0) + 0 for n in names}
    for o in cls.operands:
        if o.kind is not Kind.STREAM:
            fields[o.name] = _number(rng, o, cls, k)
    return cls(**fields)


def _number(rng: np.random.RandomState, o: Operand, cls: type[Instruction], k: int) -> int:
    low, high = field_range(o, WIDE) if cls.unit != "MEM" else (0, WINDOW // 2 - 1)
    value = low + int(rng.randint(0, high - low + 1, dtype=np.int64))
    return (low, high, value, value)[k]
