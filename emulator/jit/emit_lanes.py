"""Gathers, scatters and SXM operations as lane kernels with their descriptors."""

from __future__ import annotations

from typing import Any

import numpy as np

from emulator.jit.accesses import Changing
from emulator.jit.constants import Constants
from emulator.jit.effects import Ints
from emulator.jit.nodes import Graph, Kind
from emulator.jit.places import Places
from emulator.jit.table import Table
from emulator.lowering.lanes import Indexed, Permute, Slide, Spread
from isa.instruction import Instruction
from isa.ops.sxm import Distribute, Rotate, Shift, Transpose
from isa.ops.sxm import Permute as PermuteOp
from isa.program import decode_args


class LaneEmitter:
    """Emits lane kernels into a table; with ``constants``, gathers take theirs from the program's rows and shifts are copies.

    ``ranges`` are the words (slice, first, last) of the chip's memory that gathers read and scatters may change.
    """

    def __init__(
        self,
        graph: Graph,
        places: Places,
        table: Table,
        constants: Constants | None,
        changing: Changing,
    ) -> None:
        self.graph, self.places, self.table = graph, places, table
        self.constants, self.changing = constants, changing
        self.ranges: list[tuple[int, int, int]] = []
        self._tables: dict[Any, int] = {}

    def indexed(self, node: int) -> None:
        """A gather or scatter."""
        graph, burst = self.graph, int(self.graph.burst[node])
        (base, limit), stride = graph.args[burst, :2].tolist(), int(graph.stride[burst])
        start, count = int(graph.first[node]), int(graph.count[node])
        first, last = (base + i * stride for i in (start, start + count - 1))
        slice_, low, high = int(graph.queue[burst]), min(first, last), max(first, last) + limit
        memory = self.places.word(slice_, first)
        held = None
        if self.constants is not None and graph.kind[node] == Kind.GATHER:
            held = self.constants.table(slice_, low, high, self.changing)
        if held is None:
            self.ranges.append((slice_, low, high))
        else:
            memory = held + (first - low) * self.places.lanes
        words = [count, memory, stride * self.places.lanes, limit, *self._read(node)]
        if graph.kind[node] == Kind.SCATTER:  # a later row may replace what an earlier one stored
            self.table.add(Indexed(scatter=True), words)
            return
        words += self._result(node)
        self.table.add(Indexed(scatter=False), words, count * self.places.lanes)

    def exchange(self, node: int) -> None:
        """An SXM operation."""
        burst, count = int(self.graph.burst[node]), int(self.graph.count[node])
        instr = decode_args(int(self.graph.opcode[burst]), self.graph.args[burst].tolist())
        planes, lanes = self._read(node), self.places.lanes
        if isinstance(instr, PermuteOp):
            words = [count, *planes, *self._result(node)]
            self.table.add(Permute(), words, count * lanes)
            return
        if self.constants is not None and isinstance(instr, Shift) and planes[2] == 1:
            self._slide(node, instr.lanes, planes[0], planes[1])
            return
        words = [count, self._map(instr), *planes]
        size = int(self.graph.size[burst])
        for plane in range(size):
            pointer, stride, _ = self._result(node)
            words += [pointer + plane * lanes, stride, 1]
        self.table.add(Spread(size), words, count * size * lanes)

    def _slide(self, node: int, by: int, given: int, step: int) -> None:
        """A shift ``by`` lanes of rows of bytes that lie side by side."""
        lanes, count = self.places.lanes, int(self.graph.count[node])
        kept, (out, pitch, _) = max(0, lanes - abs(by)), self._result(node)
        start, first = (max(0, -by), max(0, by)) if kept else (0, 0)
        words = [count, given + start, step, out, pitch, first, kept]
        self.table.add(Slide(), words, count * lanes)

    def _read(self, node: int) -> list[int]:
        """The places of all byte planes that a node reads."""
        refs = range(*self.places.refs[node : node + 2])
        return [word for ref in refs for word in self.places.plane(ref).words]

    def _result(self, node: int) -> tuple[int, int, int]:
        """A one-byte result's place."""
        return self.places.result[node], int(self.places.pitch[self.graph.burst[node]]), 1

    def _map(self, instr: Instruction) -> int:
        """Address of the table that says which lane each lane takes; one a distinct instruction."""
        key = (type(instr), *instr.args()[2:])
        if key not in self._tables:
            per = self.graph.machine["lanes.per_superlane"]
            self._tables[key] = self.table.kept.add(lane_map(instr, self.places.lanes, per))
        return self._tables[key]


def lane_map(instr: Instruction, lanes: int, width: int) -> Ints:
    """For each output lane, plane by plane: ``plane * 65536 + lane`` of the input, or -1 for zero."""
    lane = np.arange(lanes)
    first, inside = lane // width * width, lane % width
    if isinstance(instr, Shift):
        source = lane - instr.lanes
        return np.where((source >= 0) & (source < lanes), source, -1)
    if isinstance(instr, Rotate):
        return first + (inside - instr.lanes) % width
    if isinstance(instr, Distribute):
        table = instr.low | instr.high << 32
        entries = np.array([(table >> 4 * i & 15) % width for i in range(width)])
        kept = np.array([instr.mask >> i & 1 for i in range(width)])
        return np.where(kept[inside] != 0, first + entries[inside], -1)
    assert isinstance(instr, Transpose)
    return np.concatenate([(inside << 16) + first + plane for plane in range(width)])
