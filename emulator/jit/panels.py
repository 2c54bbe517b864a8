"""Where packed weights lie, and what it takes to pack them."""

from __future__ import annotations

from typing import Final

import numpy as np

from emulator.jit.constants import Constants
from emulator.jit.effects import Ints
from emulator.jit.nodes import Bools, Graph, Kind
from emulator.jit.regions import ALIGN, Region, aligned
from emulator.jit.table import Table
from emulator.lowering.bytes import COLUMNS
from emulator.lowering.matrix import ZEROS, panel_columns
from emulator.lowering.packing import BLOCK, Pack
from emulator.lowering.text import Target
from isa.instruction import DType

TOLD_BYTES: Final = 16
"""Of what ``Pack`` tells of the zeros of ``ZEROS`` columns."""


class Panels:
    """Packed weights of all installs of a graph.

    Attributes:
        low, k: the first lane of each install that any activation through it uses, and how many from there; 0 where none does.
        wide: columns of a panel: a fixed number for fp16; all of them, in whole blocks, for int8.
        packed: bytes of the panels; what is told of their zeros lies behind.
        size: with that.
        address: where panels of constant weights are; -1 of others until they are placed.
        used: bytes that constant panels take.
    """

    def __init__(self, graph: Graph, target: Target) -> None:
        self.graph, self.target = graph, target
        self.window = graph.machine["mxm.window"]
        installs = graph.installs
        self.low, self.k = _windows(graph)
        fp16 = installs.dtype == DType.F16
        blocks = -(-installs.columns // COLUMNS) * COLUMNS
        self.wide = np.where(fp16, panel_columns(target), blocks)
        self.columns = -(-installs.columns // np.maximum(1, self.wide)) * self.wide
        self.planes = np.where(fp16, DType.F16.planes, 1)
        self.packed = self.columns * self.k * self.planes
        self.size = self.packed + TOLD_BYTES * self.columns // ZEROS
        self.address = np.full(len(installs), -1)
        self.used = 0
        self._shared: dict[bytes, int] = {}

    def pack_constant(self, constant: Bools, constants: Constants, table: Table) -> None:
        """Entries that pack ``constant`` installs which are used; equal ones share a panel. ``table`` runs before the first run."""
        installs = self.graph.installs
        chosen = constant & (self.k > 0)
        at = np.flatnonzero(np.repeat(chosen, installs.columns))
        pointers = constants.pointers(installs.burst[at], installs.index[at])
        steps, end = np.ones_like(pointers), 0
        for number in np.flatnonzero(chosen).tolist():
            own = slice(end, end := end + int(installs.columns[number]))
            facts = (self.low[number], self.k[number], installs.dtype[number])
            given = np.ascontiguousarray(pointers[own, : self.planes[number]])
            key = given.tobytes() + np.array(facts).tobytes()
            if key not in self._shared:
                self._shared[key] = Region.PANELS.base + self.used
                self.used += aligned(int(self.size[number]) + ALIGN)
                self._pack(number, self._shared[key], pointers[own], steps[own], table)
            self.address[number] = self._shared[key]

    def pack(self, number: int, given: tuple[Ints, Ints], table: Table) -> None:
        """An entry that packs an install, whose address is known; ``given`` are pointers and lane strides ``[columns, 2]``."""
        self._pack(number, int(self.address[number]), *given, table)

    def _pack(self, number: int, address: int, pointers: Ints, steps: Ints, table: Table) -> None:
        planes, low, k, wide, columns = (
            int(c[number]) for c in (self.planes, self.low, self.k, self.wide, self.columns)
        )
        pointers, steps = pointers[:, :planes], steps[:, :planes]
        fast = Pack.can_be_fast(self.target, self.window) and bool((steps == 1).all())
        assert columns % BLOCK == 0 or not fast
        where = np.zeros((columns, planes, 2), np.int64)
        where[..., 0] = table.kept.add(np.zeros(table.lanes // 2, np.int64))
        where[: len(pointers), :, 0] = pointers + low * steps
        where[: len(pointers), :, 1] = steps
        told = address + int(self.packed[number])
        words = [columns, k, address, k * wide * planes, table.kept.add(where), wide, told]
        table.add(Pack(planes, fast), words, columns * k)


def _windows(graph: Graph) -> tuple[Ints, Ints]:
    """The lanes of each install that are used: the first, and how many."""
    acc = np.flatnonzero(graph.kind == Kind.ACC)
    low, high = (
        np.full(len(graph.installs), graph.machine.lanes),
        np.zeros(len(graph.installs), int),
    )
    first, lanes = graph.window[acc].T
    np.minimum.at(low, graph.weights[acc], first)
    np.maximum.at(high, graph.weights[acc], first + lanes)
    used = high > low
    return np.where(used, low, 0), np.where(used, high - low, 0)
