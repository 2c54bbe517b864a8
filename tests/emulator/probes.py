"""What is on the streams and in the accumulators, seen in a JIT that shows neither: writes added to a program, to memory that
the chip does not have.

The JIT resolves streams away when it loads a program: there is nothing to look at. But a ``write`` makes a value on a
stream visible. Probes are writes, to words behind those of the chip, that break the rules of ports and so could stand in no
verified program; the JIT does not look at ports. The reference interpreter runs the program as it is, and says what
stands in its stream registers and in its accumulators. Accumulators are emitted behind the program's end, to be seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from emulator.reference import ReferenceInterpreter
from isa.instruction import DType, Source, SourceKind
from isa.machine import Fact, Machine
from isa.ops.mem import Write
from isa.ops.mxm import Accumulate, Activate, InstallWeights, LoadWeights
from isa.ops.vxm import Mov
from isa.program import BurstList, Program, sort_bursts
from tests.emulator.random_board import effects_of

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Probe:
    """``count`` values of a stream as they pass a slice, from ``cycle`` on, ``interval`` cycles apart."""

    slice: int
    stream: int
    cycle: int
    count: int = 1
    interval: int = 1


class Recorder(ReferenceInterpreter):
    """A reference interpreter that notes what passes some probes, and what is on the streams at the end."""

    def __init__(self, program: Program, probes: list[Probe]) -> None:
        super().__init__(program)
        self.probes = probes
        self.awaited: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for number, p in enumerate(probes):
            for k in range(p.count):
                self.awaited[p.cycle + k * p.interval].append((number, k))
        self.seen: dict[tuple[int, int], Bytes] = {}

    def _land(self) -> None:
        super()._land()
        for number, k in self.awaited.get(self.cycle, ()):
            probe = self.probes[number]
            position = self.machine.queue_positions[probe.slice]
            self.seen[number, k] = self.streams.get(probe.stream, 1, position, 0)[0]

    def registers(self) -> Iterator[tuple[Probe, list[Bytes]]]:
        """What stands on the streams after the run, as runs of values that pass the outermost slices from now on.

        All registers but those of outward streams beyond the outermost slice.
        """
        m, hop, regs = self.machine, self.machine["streams.hop"], self.streams
        for stream in range(2 * m.streams):
            east = stream < m.streams
            slice_ = m.mem_queue("E" if east else "W", m.slices - 1)
            here = m.queue_positions[slice_] * hop
            distance = range(here + 1 if east else regs.cells - here)
            rows = [regs._row(stream, here - d if east else here + d) for d in distance]
            known = [bool(regs.known[stream, r]) for r in rows]
            start = 0
            while start < len(rows):
                stop = start
                while stop < len(rows) and known[stop]:
                    stop += 1
                if stop > start:
                    probe = Probe(slice_, stream, self.cycle + start, stop - start)
                    yield probe, [regs.values[stream, r].copy() for r in rows[start:stop]]
                start = stop + 1


def taps(program: Program, before: int) -> list[Probe]:
    """Every value that a program puts on a stream before a cycle, as it passes the next slice."""
    m, found = program.machine, []
    places = np.array([m.queue_positions[s] for s in range(2 * m.slices)])
    for i, burst in enumerate(program.bursts):
        instr = program.instruction(i)
        queue, cycle = int(burst["queue"]), int(burst["cycle"])
        position = m.queue_positions[queue]
        latency = m.timing(instr.timing) if instr.timing else 0
        for first, planes in effects_of(m, instr).puts:
            away = places - position if first < m.streams else position - places
            if not (away >= 0).any():
                continue
            slice_ = int(np.where(away >= 0, away, 1 << 30).argmin())
            begin = cycle + latency + int(away[slice_]) * m["streams.hop"]
            interval = int(burst["interval"])
            count = min(int(burst["count"]), -(-(before - begin) // interval))
            if count > 0:
                found += [Probe(slice_, first + p, begin, count, interval) for p in range(planes)]
    return found


@dataclass(frozen=True)
class Sum:
    """An accumulator row of a plane as it stands after a run, started as a type: ``[4, lanes]`` bytes."""

    plane: int
    row: int
    dtype: DType
    data: Bytes


def sums(run: ReferenceInterpreter) -> list[Sum]:
    """Every accumulator row that a run has started, emitted or not: by plane, type and row."""
    found = []
    for number, plane in enumerate(run.matrix.planes):
        for row, dtype in plane.started.items():
            words = np.ascontiguousarray(plane.state.accumulators[row])
            found.append(Sum(number, row, dtype, words.view(np.uint8).reshape(-1, 4).T.copy()))
    return sorted(found, key=lambda s: (s.plane, s.dtype, s.row))


def emitting(machine: Machine, rows: list[Sum], start: int) -> tuple[BurstList, list[Probe]]:
    """Bursts that from cycle ``start`` on emit accumulator rows as they are, and a probe of each of their byte planes in turn.

    Each row is added to once more: -0 times +0, which leaves every sum as it is (for int8 0 times 0). A plane's rows of one
    type have one column of weights for it, all of them zero, and the vector unit makes both operands.
    """
    bursts, probes = BurstList(), []
    for plane, dtype in sorted({(s.plane, s.dtype) for s in rows}):
        own = [s.row for s in rows if (s.plane, s.dtype) == (plane, dtype)]
        queue = machine.mxm_queue + 3 * plane
        here, outward = machine.queue_positions[queue], 0
        inward = machine.streams
        if here < machine.vxm_position:
            outward, inward = inward, outward
        away = abs(here - machine.vxm_position) * machine["streams.hop"]
        loaded = start + machine.timing("vxm_alu") + away
        installed = loaded + machine.timing("mxm_load")
        sent = installed + machine.timing("mxm_install")
        source = Source(SourceKind.IMMEDIATE).pack()
        sides = {"east": 1} if outward == 0 else {"west": 1}
        bursts.add(machine.vxm_queue, start, Mov(dtype, source, 0, **sides))
        bursts.add(queue, loaded, LoadWeights(dtype, outward, 1, 0, 0))
        bursts.add(queue, installed, InstallWeights(dtype, 0, 1))
        zero = Mov(dtype, source, 0x8000 if dtype is DType.F16 else 0, **sides)
        bursts.add(machine.vxm_queue, start + sent - loaded, zero, len(own))
        send = Activate(dtype, outward, 0, machine["mxm.window"])
        bursts.add(queue + 1, sent, send, len(own))
        slice_ = machine.mem_queue("E" if outward == 0 else "W", machine.slices - 1)
        flight = abs(here - machine.queue_positions[slice_]) * machine["streams.hop"]
        for k, row in enumerate(own):
            at = sent + k + machine["mxm.array_latency"]
            bursts.add(queue + 2, at, Accumulate(dtype, row, 0, 1, inward))
            seen = at + machine.timing("mxm_accumulate") + flight
            probes += [Probe(slice_, inward + p, seen) for p in range(4)]
        start = probes[-1].cycle + 1
    return bursts, probes


@dataclass
class Probed:
    """A program with probes, for the JIT, and where each probe's values come to lie; ``more`` are bursts that it has besides."""

    program: Program
    probes: list[Probe]
    more: BurstList = field(default_factory=BurstList)
    addresses: list[int] = field(default_factory=list)
    whole: Program = field(init=False)

    def __post_init__(self) -> None:
        m = self.program.machine
        bursts = BurstList()
        free: defaultdict[int, int] = defaultdict(lambda: m.words)
        bursts.rows = [*self.program.bursts.tolist(), *self.more.rows]
        for p in self.probes:
            address = free[p.slice]
            free[p.slice] += p.count
            self.addresses.append(address)
            bursts.add(p.slice, p.cycle, Write(address, p.stream), p.count, p.interval, 1)
        size = m["mem.words"]
        banks = -(-max(free.values(), default=m.words) // size)
        facts = {**dict(m.facts), "mem.banks": Fact(banks, "assumed")}
        larger = Machine(tuple(sorted(facts.items())))
        self.whole = replace(self.program, machine=larger, bursts=sort_bursts(bursts.array()))

    def values(self, memory: Bytes, number: int) -> Bytes:
        """``[count, lanes]``: what a probe saw, from the memory after a run."""
        probe, address = self.probes[number], self.addresses[number]
        return memory[probe.slice, address : address + probe.count]
