"""Matrix passes: weights packed once or at run time, accumulations, and what leaves the accumulators."""

from __future__ import annotations

import numpy as np

from emulator.jit.activations import Activations
from emulator.jit.constants import Constants
from emulator.jit.effects import Ints
from emulator.jit.emit_rows import Emitted, RowEmitter
from emulator.jit.moves import Moves
from emulator.jit.nodes import Graph, Node
from emulator.jit.places import Places
from emulator.jit.regions import ALIGN, Region, aligned
from emulator.jit.table import Table
from emulator.jit.weights import Weights
from emulator.lowering.bytes import COLUMNS, Move, MultiplyBytes
from emulator.lowering.matrix import ZEROS, Multiply, panel_columns
from emulator.lowering.packing import BLOCK, Pack
from emulator.lowering.text import Target
from emulator.lowering.widening import Widen
from isa.instruction import DType


class MatrixEmitter:
    """Emits the matrix unit's kernels.

    ``windows`` is, for each install, the lanes ``[first, end)`` that any activation through it uses; ``uniform`` the nodes of
    ``uniform_passes``. ``sums`` and ``panels`` are the bytes that SUMS and PANELS need.
    """

    def __init__(
        self,
        graph: Graph,
        places: Places,
        rows: RowEmitter,
        target: Target,
        windows: Ints,
        constants: Constants,
        moves: Moves,
        uniform: set[int],
        activations: Activations,
        plain: bool,
    ) -> None:
        self.graph, self.places, self.rows, self.target = graph, places, rows, target
        self.windows = windows
        self.window = graph.machine["mxm.window"]
        lanes, count = graph.machine.lanes, graph.machine["mxm.acc_rows"]
        self.acc_pitch = aligned(4 * lanes + ALIGN_BYTES)
        self.sums = 2 * graph.machine["mxm.planes"] * count * self.acc_pitch
        self.activations = activations
        self.skips = not plain and Pack.can_be_fast(target, self.window)
        self.constants, self.moves, self.uniform = constants, moves, uniform
        self.panels = 0
        self._panels: dict[int, int] = {}
        self._shared: dict[bytes, int] = {}

    def pack(self, number: int, table: Table, target: int) -> None:
        """An entry that packs weights ``number`` into ``target``."""
        weights = self.graph.weights[number]
        given = self.places.planes(weights.burst, weights.part, weights.index)
        shape, words, pointers = self._packing(number, *given)
        words[4] = table.kept.add(pointers)
        words[2], words[6] = target, target + self._told(number)
        table.add(shape, words, words[0] * words[1])

    def constant(self, number: int, table: Table) -> None:
        """Weights packed once, at load; equal ones share a panel. ``table`` runs before the first run."""
        weights = self.graph.weights[number]
        pointers = self.constants.pointers(weights.burst, weights.index)
        shape, words, pointers = self._packing(number, pointers, np.ones_like(pointers))
        key = pointers.tobytes() + self.windows[number].tobytes() + bytes([weights.dtype])
        if key not in self._shared:
            self._shared[key] = Region.PANELS.base + self.panels
            words[2], words[4] = self._shared[key], table.kept.add(pointers)
            words[6] = words[2] + self._told(number)
            self.panels += aligned(panel_size(weights, self.windows[number], self.target) + ALIGN)
            table.add(shape, words, words[0] * words[1])
        self._panels[number] = self._shared[key]

    def accumulate(self, node: Node, table: Table) -> Emitted | None:
        """An ``acc`` run; what it emits, if anything takes that."""
        if node.burst in self.moves.bursts:
            self._move(node, table)
            return None
        graph, c = self.graph, self.graph.columns
        dtype, row, start, emit, _ = c["args"][node.burst][:5]
        stride = c["stride"][node.burst]
        plane = graph.plane(node.burst)
        first = plane * graph.machine["mxm.acc_rows"] + row + node.first * stride
        base = Region.SUMS.base + first * self.acc_pitch
        pitch = stride * self.acc_pitch
        self._products(node, table, base, pitch, start)
        if not emit or node.burst not in self.rows.stored:
            return None
        return Emitted(node, base, pitch, DType(dtype), node.id in self.uniform)

    def _products(self, node: Node, table: Table, base: int, pitch: int, start: int) -> None:
        weights = self.graph.weights[node.weights]
        first_lane, lanes = self._lanes(node)
        low = int(self.windows[node.weights, 0])
        panel = self._panel(node.weights)
        planes, wide = weights.dtype.planes, panel_width(weights, self.target)
        panel += (first_lane - low) * wide * planes
        k = int(self.windows[node.weights, 1]) - low
        column = base + 4 * weights.first
        columns = weights.columns
        if node.id in self.uniform:
            columns, start = wide, 2 * start
        rest = [column, pitch, start, base, weights.first]
        if weights.dtype is DType.I8:
            given = self.places.plane(node.refs[0])
            pointer, stride, step = given.words
            words = [node.count, lanes, weights.columns, panel, wide, *rest]
            words += [pointer + first_lane * step, stride, step]
            table.add(MultiplyBytes(), words, node.count * lanes * weights.columns)
            return
        wide_rows = self._widened(node, table, first_lane, lanes)
        words = [node.count, lanes, columns, panel, k * wide * planes, *rest, wide_rows]
        words += [self._panel(node.weights) + self._told(node.weights), first_lane - low]
        work = max(node.count, LEAST_ROWS) * lanes * columns // 16
        table.add(Multiply(self.window, self.skips), words, work)

    def _told(self, number: int) -> int:
        """Bytes from the start of packed fp16 weights to what is told of their zeros."""
        return packed_size(self.graph.weights[number], self.windows[number], self.target)

    def _widened(self, node: Node, table: Table, first_lane: int, lanes: int) -> int:
        """Where a pass finds its activations; the first pass that takes them has them made."""
        first, where = self.activations.first[node.id], ("wide", self.activations.number[node.id])
        address = self.places.storage.address(where)
        if first:
            layout, given = self.places.operand(node.refs)
            sizes = [size for size, _ in layout.planes] or [2]
            words = [node.count, lanes, address]
            for (pointer, stride), size in zip(given, sizes, strict=True):
                words += [pointer + first_lane * size, stride]
            table.add(Widen(layout, self.window), words, node.count * lanes)
        return address

    def _move(self, node: Node, table: Table) -> None:
        """A pass that only selects bytes."""
        if node.burst not in self.rows.stored:
            return
        weights = self.graph.weights[node.weights]
        first_lane, _ = self._lanes(node)
        selected = self.moves.lanes[node.burst, node.first]
        wide = panel_width(weights, self.target)
        panel = self._panel(node.weights)
        panel += (first_lane - int(self.windows[node.weights, 0])) * wide
        target = self.places.result(node.burst, node.first)
        words = [node.count, table.kept.add(selected), panel, wide, target]
        words += [self.places.pitch(node.burst), weights.first, weights.columns]
        table.add(Move(selected.shape[1]), words, node.count * weights.columns)

    def _lanes(self, node: Node) -> tuple[int, int]:
        """First lane and lanes of the activations' window."""
        return self.graph.activation_window(node)

    def _panel(self, number: int) -> int:
        if number in self._panels:
            return self._panels[number]
        return self.places.storage.address(("panel", number))

    def _packing(self, number: int, pointers: Ints, steps: Ints) -> tuple[Pack, list[int], Ints]:
        """Kernel, descriptor (destination and table left out) and table of columns, from where their planes lie."""
        weights = self.graph.weights[number]
        low, high = (int(v) for v in self.windows[number])
        k, planes = high - low, weights.dtype.planes
        wide = panel_width(weights, self.target)
        fast = Pack.can_be_fast(self.target, self.window) and bool((steps == 1).all())
        columns = -(-weights.columns // wide) * wide
        lanes = self.graph.machine.lanes
        table = np.zeros((columns, planes, 2), np.int64)
        table[..., 0] = self.rows.table.kept.add(np.zeros(lanes // 2, np.int64))
        table[: weights.columns, :, 0] = pointers + low * steps
        table[: weights.columns, :, 1] = steps
        gap = k * wide * planes
        assert columns % BLOCK == 0 or not fast
        return Pack(planes, fast), [columns, k, 0, gap, 0, wide, 0], table


LEAST_ROWS = 6
"""A product of fewer rows takes about as long as one of so many: it waits for its weights."""
ALIGN_BYTES = 256
"""Room behind an accumulator row for the last panel's columns, and to keep rows off one cache set."""


def panel_width(weights: Weights, target: Target) -> int:
    """Columns of a panel: a fixed number for fp16; all of them, in whole blocks, for int8."""
    if weights.dtype is DType.F16:
        return panel_columns(target)
    return -(-weights.columns // COLUMNS) * COLUMNS


def panel_size(weights: Weights, window: Ints, target: Target) -> int:
    """Bytes of packed weights of which the lanes ``[window[0], window[1])`` are used, and of what is told of their zeros."""
    told = 16 * -(-weights.columns // panel_width(weights, target)) * panel_width(weights, target)
    return packed_size(weights, window, target) + told // ZEROS


def packed_size(weights: Weights, window: Ints, target: Target) -> int:
    """The same without that."""
    wide = panel_width(weights, target)
    k = int(window[1] - window[0])
    return -(-weights.columns // wide) * wide * k * weights.dtype.planes
