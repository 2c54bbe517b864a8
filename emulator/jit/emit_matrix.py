"""Matrix passes: weights packed at run time, accumulations, and what leaves the accumulators."""

from __future__ import annotations

import numpy as np

from emulator.jit.activations import Activations
from emulator.jit.effects import ranges
from emulator.jit.emit_rows import Emitted
from emulator.jit.moves import Moves
from emulator.jit.nodes import Graph, Kind
from emulator.jit.panels import Panels
from emulator.jit.places import Places
from emulator.jit.regions import Region, aligned
from emulator.jit.table import Table
from emulator.lowering.bytes import Move, MultiplyBytes
from emulator.lowering.matrix import Multiply
from emulator.lowering.packing import Pack
from emulator.lowering.widening import Widen
from isa.instruction import DType


class MatrixEmitter:
    """Emits the matrix unit's kernels.

    ``uniform`` are the nodes of ``uniform_passes``; ``sums`` the bytes that SUMS needs.
    """

    def __init__(
        self,
        graph: Graph,
        places: Places,
        table: Table,
        panels: Panels,
        moves: Moves,
        uniform: set[int],
        activations: Activations,
        plain: bool,
    ) -> None:
        self.graph, self.places, self.table, self.panels = graph, places, table, panels
        self.moves, self.uniform, self.activations = moves, uniform, activations
        self.window = graph.machine["mxm.window"]
        rows = graph.machine["mxm.acc_rows"]
        self.pitch = aligned(4 * graph.machine.lanes + ALIGN_BYTES)
        self.sums = 2 * graph.machine["mxm.planes"] * rows * self.pitch
        self._multiply = Multiply(
            self.window, not plain and Pack.can_be_fast(panels.target, self.window)
        )
        self._fetch(rows)

    def _fetch(self, rows: int) -> None:
        """What is looked at node by node or install by install, as lists."""
        graph, panels, installs = self.graph, self.panels, self.graph.installs
        burst = graph.burst
        dtype, row, start, emit = graph.args[burst, :4].T
        stride = graph.stride[burst]
        row = graph.plane(burst) * rows + row + graph.first * stride
        base = Region.SUMS.base + row * self.pitch
        columns = (
            graph.weights,
            graph.count,
            base,
            stride * self.pitch,
            start,
            graph.window[:, 0],
            graph.window[:, 1],
        )
        self._passes = list(zip(*(c.tolist() for c in columns), strict=True))
        self._emits = ((emit != 0) & (np.array(self.places.result) >= 0)).tolist()
        self._dtype, self._moved = dtype.tolist(), np.isin(burst, list(self.moves.bursts)).tolist()
        told = panels.address + panels.packed
        gap = panels.k * panels.wide * panels.planes
        facts = (
            installs.first,
            installs.dtype,
            installs.columns,
            panels.address,
            panels.low,
            panels.wide,
            gap,
            told,
        )
        self._weights = list(zip(*(f.tolist() for f in facts), strict=True))
        packs = np.flatnonzero(graph.kind == Kind.PACK)
        numbers = graph.weights[packs]
        count = installs.columns[numbers]
        column = np.repeat(installs.start[numbers], count) + ranges(count)
        sources = (installs.burst[column], installs.part[column], installs.index[column])
        self._pointers, self._steps = self.places.planes(*sources)
        self._begin = dict(zip(packs.tolist(), (np.cumsum(count) - count).tolist(), strict=True))

    def pack(self, node: int) -> None:
        """Weights packed in every run."""
        number = self._passes[node][0]
        own = slice(self._begin[node], self._begin[node] + self._weights[number][2])
        self.panels.pack(number, (self._pointers[own], self._steps[own]), self.table)

    def accumulate(self, node: int) -> Emitted | None:
        """An ``acc`` run; what it emits, if anything takes that."""
        if self._moved[node]:
            self._move(node)
            return None
        self._products(node)
        if not self._emits[node]:
            return None
        _, _, base, pitch, *_ = self._passes[node]
        return Emitted(node, base, pitch, DType(self._dtype[node]), node in self.uniform)

    def outlives(self, node: int, position: int) -> bool:
        """Whether a node's result is used behind a position."""
        return int(self.places.storage.last[self.graph.burst[node]]) > position

    def _products(self, node: int) -> None:
        number, rows, base, pitch, start, lane, lanes = self._passes[node]
        column, dtype, columns, panel, low, wide, gap, told = self._weights[number]
        above = lane - low
        if dtype == DType.I8:
            pointer, stride, step = self.places.plane(self.places.refs[node]).words
            words = [rows, lanes, columns, panel + above * wide, wide, base + 4 * column, pitch]
            words += [start, base, column, pointer + lane * step, stride, step]
            self.table.add(MultiplyBytes(), words, rows * lanes * columns)
            return
        if node in self.uniform:
            columns, start = wide, 2 * start
        activations = self._widened(node, rows, lane, lanes)
        words = [rows, lanes, columns, panel + 2 * above * wide, gap, base + 4 * column, pitch]
        words += [start, base, column, activations, told, above]
        work = max(rows, LEAST_ROWS) * lanes * columns // 16
        self.table.add(self._multiply, words, work)

    def _widened(self, node: int, rows: int, lane: int, lanes: int) -> int:
        """Where a pass finds its activations; the first pass that takes them has them made."""
        address = int(self.places.storage.wide[self.activations.number[node]])
        if node in self.activations.first:
            layout, given = self.places.activations(node)
            sizes = [size for size, _ in layout.planes] or [2]
            words = [rows, lanes, address]
            for (pointer, stride), size in zip(given, sizes, strict=True):
                words += [pointer + lane * size, stride]
            self.table.add(Widen(layout, self.window), words, rows * lanes)
        return address

    def _move(self, node: int) -> None:
        """A pass that only selects bytes."""
        target = self.places.result[node]
        if target < 0:
            return
        number, rows, _, _, _, lane, _ = self._passes[node]
        column, _, columns, panel, low, wide, _, _ = self._weights[number]
        selected = self.moves.lanes[node]
        words = [rows, self.table.kept.add(selected), panel + (lane - low) * wide, wide, target]
        words += [int(self.places.pitch[self.graph.burst[node]]), column, columns]
        self.table.add(Move(selected.shape[1]), words, rows * columns)


LEAST_ROWS = 6
"""A product of fewer rows takes about as long as one of so many: it waits for its weights."""
ALIGN_BYTES = 256
"""Room behind an accumulator row for the last panel's columns, and to keep rows off one cache set."""
