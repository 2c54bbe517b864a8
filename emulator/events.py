"""What a run of the reference interpreter read and wrote, and when: the answer to who made a value and who takes it.

Every dispatch is observed as it happens. A *line* is a place in which one thing stands at a time: a word of memory, an
accumulator row, a column of a weight buffer; the diagonal that a stream's value moves along; an ALU's output of one cycle.
On a line, a read takes what was written last at or before its time.
"""

from __future__ import annotations

from array import array
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from emulator.reference import Dispatch, ReferenceInterpreter, ReferencePort
from isa.instruction import Bytes
from isa.machine import Machine
from isa.ops.mxm import Accumulate, Activation, InstallWeights, LoadWeights
from isa.program import Program


class LineKind(IntEnum):
    """What a line is, and its unit and index."""

    STREAM = 0  # stream, diagonal
    ALU = 1  # ALU, cycle in which it finished
    WORD = 2  # slice, address
    ROW = 3  # plane, accumulator row
    COLUMN = 4  # plane, column of the buffer
    WEIGHTS = 5  # plane, 0: what is installed
    ARRAY = 6  # plane, cycle in which an activation leaves the array


class Line(NamedTuple):
    """See ``LineKind``."""

    kind: LineKind
    unit: int
    index: int  # type: ignore[assignment]  # the manual's word; tuple.index is not used


class Access(IntEnum):
    """What happened on a line; a partial write leaves some of it as it was."""

    READ = 0
    WRITE = 1
    PARTIAL = 2


class Event(NamedTuple):
    """A read or a write: ``time`` is the cycle in which it saw the line, or from which on the line has what it wrote.

    ``cycle`` is that of the dispatch.
    """

    time: int
    access: Access
    burst: int
    step: int
    cycle: int


class Uses(NamedTuple):
    """Who made what is on a line at some time (none: it was there from the start, or nothing is), and who takes it.

    ``writers`` has one, or a full write (if any) and the partial ones behind it, oldest first.
    """

    writers: tuple[Event, ...]
    readers: tuple[Event, ...]


_WIDTH = 7


def diagonal(machine: Machine, stream: int, position: int, cycle: int) -> int:
    """What stays the same along the way of a stream's value."""
    cell = position * machine["streams.hop"]
    return cell - cycle if stream < machine.streams else cell + cycle


class Events:
    """A record that grows; ``uses`` looks things up in it."""

    def __init__(self, program: Program) -> None:
        self._bursts = program.bursts
        self._numbers = array("q")
        self._table: npt.NDArray[np.int64] = np.zeros((0, _WIDTH), np.int64)

    def __len__(self) -> int:
        return len(self._numbers) // _WIDTH

    def add(self, line: Line, time: int, access: Access, burst: int, step: int) -> None:
        """Note one event."""
        self._numbers.extend((*line, time, access, burst, step))

    def forget(self, length: int) -> None:
        """Drop all events but the first ``length``."""
        del self._numbers[length * _WIDTH :]
        self._table = self._table[:length].copy()

    def _rows(self) -> npt.NDArray[np.int64]:
        if len(self._table) != len(self):
            self._table = np.array(self._numbers, np.int64).reshape(-1, _WIDTH)
        return self._table

    def lines(self) -> list[Line]:
        """Every line on which anything happened."""
        found = np.unique(self._rows()[:, :3], axis=0).tolist()
        return [Line(LineKind(kind), unit, index) for kind, unit, index in found]

    def on(self, line: Line) -> list[Event]:
        """What happened on a line, by time; what was written in a cycle stands before what was read in it."""
        table = self._rows()
        found = table[
            (table[:, 0] == line.kind) & (table[:, 1] == line.unit) & (table[:, 2] == line.index)
        ]
        found = found[np.lexsort((found[:, 4] == Access.READ, found[:, 3]))]
        bursts = self._bursts
        return [
            Event(time, Access(access), b, s, int(bursts["cycle"][b] + s * bursts["interval"][b]))
            for _, _, _, time, access, b, s in found.tolist()
        ]

    def uses(self, line: Line, time: int) -> Uses:
        """Who made what was on the line at ``time``, and who takes it until it is replaced."""
        writers: list[Event] = []
        readers: list[Event] = []
        for event in self.on(line):
            if event.access is Access.READ:
                readers.append(event)
            elif event.time <= time:
                if event.access is Access.WRITE:
                    writers.clear()
                writers.append(event)
                readers.clear()
            else:
                break
        return Uses(tuple(writers), tuple(readers))


def _distinct(rows: npt.NDArray[np.int64] | int) -> list[int]:
    return [rows] if isinstance(rows, int) else np.unique(rows).tolist()


class _Watched:
    """A slice's words, telling which of them are looked at."""

    def __init__(self, words: npt.NDArray[np.uint8], port: ObservedPort) -> None:
        self._words, self._port = words, port

    def __getitem__(self, index: Any) -> Any:
        rows = index[0] if isinstance(index, tuple) else index
        queue = self._port.dispatch.queue
        for row in _distinct(rows):
            self._port.saw(Line(LineKind.WORD, queue, row), 0)
        return self._words[index]


class ObservedPort(ReferencePort):
    """A dispatch whose reads and writes are noted."""

    def __init__(
        self, events: Events, owner: ReferenceInterpreter, dispatch: Dispatch, latency: int
    ) -> None:
        self.events = events
        super().__init__(owner, dispatch, latency)
        if owner.machine.queue_kinds[dispatch.queue] == "MEM":
            self.memory: Any = _Watched(self.memory, self)

    def saw(self, line: Line, delay: int) -> None:
        """Note a read of what a line had ``delay`` cycles ago."""
        d = self.dispatch
        self.events.add(line, self.owner.cycle - delay, Access.READ, d.burst, d.step)

    def wrote(self, line: Line, latency: int, access: Access = Access.WRITE) -> None:
        """Note a write that the line has ``latency`` cycles from now on."""
        d = self.dispatch
        self.events.add(line, self.owner.cycle + latency, access, d.burst, d.step)

    def _streams(self, stream: int, planes: int, cycle: int) -> list[Line]:
        along = diagonal(self.machine, stream, self.position, cycle)
        return [Line(LineKind.STREAM, s, along) for s in range(stream, stream + planes)]

    def stream(self, stream: int, planes: int, delay: int = 0) -> Bytes:
        data = super().stream(stream, planes, delay)
        for line in self._streams(stream, planes, self.owner.cycle - delay):
            self.saw(line, delay)
        return data

    def alu(self, index: int, planes: int, delay: int = 0) -> Bytes:
        data = super().alu(index, planes, delay)
        self.saw(Line(LineKind.ALU, index, self.owner.cycle - delay), delay)
        return data

    def put(self, stream: int, data: Bytes) -> None:
        super().put(stream, data)
        for line in self._streams(stream, len(data), self.owner.cycle + self.latency):
            self.wrote(line, self.latency)

    def produce(self, data: Bytes) -> None:
        super().produce(data)
        alu = self.dispatch.queue - self.machine.vxm_queue
        self.wrote(Line(LineKind.ALU, alu, self.owner.cycle + self.latency), self.latency)

    def store(self, address: npt.NDArray[np.int64] | int, data: Bytes) -> None:
        super().store(address, data)
        access = Access.WRITE if isinstance(address, int) else Access.PARTIAL
        for row in _distinct(address):
            self.wrote(Line(LineKind.WORD, self.dispatch.queue, row), self.latency, access)

    def _staged(self, state: Any) -> Any:
        instr, plane = self.dispatch.instr, self.number
        if isinstance(instr, LoadWeights):
            for group in range(instr.groups):
                column = instr.column + group * instr.spread
                self.wrote(Line(LineKind.COLUMN, plane, column), self.latency)
        elif isinstance(instr, InstallWeights):
            for column in range(instr.first, instr.first + instr.columns):
                self.saw(Line(LineKind.COLUMN, plane, column), 0)
            self.wrote(Line(LineKind.WEIGHTS, plane, 0), self.latency)
        return super()._staged(state)

    def activate(self, sent: Activation) -> None:
        super().activate(sent)
        self.saw(Line(LineKind.WEIGHTS, self.number, 0), 0)
        latency = self.machine["mxm.array_latency"]
        self.wrote(Line(LineKind.ARRAY, self.number, self.owner.cycle + latency), latency)

    def products(self) -> Activation | None:
        self.saw(Line(LineKind.ARRAY, self.number, self.owner.cycle), 0)
        instr = self.dispatch.instr
        assert isinstance(instr, Accumulate)
        row = Line(LineKind.ROW, self.number, instr.row)
        if not instr.start:
            self.saw(row, 0)
        self.wrote(row, 1, Access.WRITE if instr.start else Access.PARTIAL)
        return super().products()
