"""Gathers, scatters and SXM operations as lane kernels with their descriptors."""

from __future__ import annotations

from typing import Any

import numpy as np

from emulator.jit.accesses import Changing
from emulator.jit.constants import Constants
from emulator.jit.effects import Ints
from emulator.jit.nodes import Graph, Kind, Node
from emulator.jit.places import Places
from emulator.jit.table import Table
from emulator.lowering.lanes import Indexed, Permute, Spread
from isa.instruction import Instruction
from isa.ops.sxm import Distribute, Rotate, Shift, Transpose
from isa.ops.sxm import Permute as PermuteOp
from isa.program import decode_args


class LaneEmitter:
    """Emits lane kernels into a table; with ``constants``, gathers take theirs from the program's rows."""

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
        self._tables: dict[Any, int] = {}

    def indexed(self, node: Node) -> None:
        """A gather or scatter."""
        c, burst = self.graph.columns, node.burst
        (base, limit), stride = c["args"][burst][:2], c["stride"][burst]
        first, last = (base + i * stride for i in (node.first, node.first + node.count - 1))
        slice_, low, high = c["queue"][burst], min(first, last), max(first, last) + limit
        memory = self.places.word(slice_, first)
        held = None
        if self.constants is not None and node.kind is Kind.GATHER:
            held = self.constants.table(slice_, low, high, self.changing)
        if held is None:
            self.places.ranges.append((slice_, low, high))
        else:
            memory = held + (first - low) * self.places.lanes
        words = [node.count, memory, stride * self.places.lanes, limit]
        for ref in node.refs:
            words += self.places.plane(ref).words
        if node.kind is Kind.SCATTER:  # a later row may replace what an earlier one stored
            self.table.add(Indexed(scatter=True), words)
            return
        words += self._result(node)
        self.table.add(Indexed(scatter=False), words, node.count * self.places.lanes)

    def exchange(self, node: Node) -> None:
        """An SXM operation."""
        instr = decode_args(
            self.graph.columns["opcode"][node.burst], self.graph.columns["args"][node.burst]
        )
        planes = [w for ref in node.refs for w in self.places.plane(ref).words]
        if isinstance(instr, PermuteOp):
            words = [node.count, *planes, *self._result(node)]
            self.table.add(Permute(), words, node.count * self.places.lanes)
            return
        words = [node.count, self._map(instr), *planes]
        lanes = self.places.lanes
        count = self.graph.size[node.burst]
        for plane in range(count):
            pointer, stride, _ = self._result(node)
            words += [pointer + plane * lanes, stride, 1]
        self.table.add(Spread(count), words, node.count * count * lanes)

    def _result(self, node: Node) -> tuple[int, int, int]:
        """A one-byte result's place."""
        pitch = self.places.pitch(node.burst)
        return self.places.result(node.burst, node.first), pitch, 1

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
