"""What a program's constant words hold, without a memory that holds them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from emulator.image import Image, constant_words
from emulator.jit.accesses import Changing
from emulator.jit.effects import Ints
from emulator.jit.nodes import Graph
from emulator.jit.places import Places
from emulator.jit.regions import Region
from isa.program import Program


class Constants:
    """The rows of ``Program.data`` by word of memory."""

    def __init__(self, program: Program) -> None:
        self.program, machine = program, program.machine
        self.depth = machine.words
        self.listed = constant_words(program)
        self._rows = np.full(2 * machine.slices * machine.words, -1, np.int32)
        self._rows[self.listed[:, 0]] = self.listed[:, 1]
        bursts = program.bursts
        self._address = bursts["args"][:, 0].astype(np.int64)
        self._stride, self._queue = (bursts[n].astype(np.int64) for n in ("stride", "queue"))

    def rows(self, slices: Ints | int, address: Ints) -> Ints:
        """Rows of the constants that words hold; -1 for those that hold none."""
        rows: Ints = self._rows[slices * self.depth + address].astype(np.int64)
        return rows

    def words(self, slices: Ints | int, address: Ints) -> Image:
        """``[..., lanes]``: what words hold before a run; zeros where that is no constant."""
        rows = self.rows(slices, address)
        if not len(self.program.data):
            return np.zeros((*rows.shape, self.program.machine.lanes), np.uint8)
        return np.where((rows >= 0)[..., None], self.program.data[np.maximum(rows, 0)], 0)

    def read(self, burst: Ints, index: Ints) -> Image:
        """``[..., lanes]``: what instances of MEM read bursts read before a run."""
        return self.words(*self._named(burst, index))

    def table(self, slice_: int, low: int, high: int, changing: Changing) -> int | None:
        """Address of the rows that words ``low..high`` hold in all runs, where these lie one behind the other."""
        first, last = changing.variable[slice_, [low, high + 1]]
        rows = self.rows(slice_, np.arange(low, high + 1))
        if first != last or rows[0] < 0 or (np.diff(rows) != 1).any():
            return None
        return int(Region.CONSTANTS.base + rows[0] * self.program.machine.lanes)

    def pointers(self, burst: Ints, index: Ints) -> Ints:
        """Addresses of the constants that instances of MEM read bursts name."""
        rows = self.rows(*self._named(burst, index))
        return Region.CONSTANTS.base + rows * self.program.machine.lanes

    def _named(self, burst: Ints, index: Ints) -> tuple[Ints, Ints]:
        return self._queue[burst], self._address[burst] + index * self._stride[burst]

    def needed(self, graph: Graph, places: Places, changing: Changing) -> tuple[Ints, Ints]:
        """Of ``listed``, what has to lie in the chip's memory before a run, and those of them that a run changes."""
        written = (changing.written[:, 1:] != changing.written[:, :-1]).reshape(-1)
        wanted = written.copy()
        for first, stride, count in self._ranges(graph, places):
            wanted[first + stride * np.arange(count)] = True
        listed = self.listed
        return listed[wanted[listed[:, 0]]], listed[written[listed[:, 0]]]

    def _ranges(self, graph: Graph, places: Places) -> Iterable[tuple[int, int, int]]:
        """``first, stride, count`` of words that kernels or the host read in memory."""
        c = graph.columns
        for burst in places.used:
            first = c["queue"][burst] * self.depth + c["args"][burst][0]
            yield first, c["stride"][burst], c["count"][burst]
        for slice_, low, high in places.ranges:
            yield slice_ * self.depth + low, 1, high - low + 1
        for piece in (p for tensor in self.program.outputs for p in tensor.pieces):
            yield piece.slice * self.depth + piece.address, 1, piece.rows
