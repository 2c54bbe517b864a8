"""What a program's constant words hold, without a memory that holds them."""

from __future__ import annotations

import numpy as np

from emulator.image import Image, constant_words
from emulator.jit.accesses import Changing
from emulator.jit.effects import Ints, ranges
from emulator.jit.nodes import Graph
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
        first = self._queue * self.depth + self._address
        rows = self._rows[first[burst] + index * self._stride[burst]]
        out = np.multiply(rows, self.program.machine.lanes, dtype=np.int64)
        out += Region.CONSTANTS.base
        return out

    def _named(self, burst: Ints, index: Ints) -> tuple[Ints, Ints]:
        return self._queue[burst], self._address[burst] + index * self._stride[burst]

    def needed(
        self, graph: Graph, used: Ints, ranges_: list[tuple[int, int, int]], changing: Changing
    ) -> tuple[Ints, Ints]:
        """Of ``listed``, what has to lie in the chip's memory before a run, and those of them that a run changes.

        Args:
            graph, changing: the program's.
            used: MEM read bursts whose words kernels read there.
            ranges_: words (slice, first, last) that they read besides.
        """
        written = (changing.written[:, 1:] != changing.written[:, :-1]).reshape(-1)
        more = [(s * self.depth + low, high - low + 1) for s, low, high in ranges_]
        pieces = (p for tensor in self.program.outputs for p in tensor.pieces)
        more += [(p.slice * self.depth + p.address, p.rows) for p in pieces]
        extra = np.array(more, np.int64).reshape(-1, 2)
        first, stride, count = self._address[used], self._stride[used], graph.length[used]
        first = self._queue[used] * self.depth + first + np.minimum(stride * (count - 1), 0)
        stride = np.abs(stride)
        count = np.where(stride == 0, 1, count)
        sparse = (stride > 1) & (count > 1)
        begin = np.append(first[~sparse], extra[:, 0])
        end = begin + np.append(count[~sparse], extra[:, 1])
        steps = np.bincount(begin, minlength=len(written) + 1)
        wanted = np.cumsum(steps - np.bincount(end, minlength=len(steps)))[:-1] > 0
        single = np.repeat(first[sparse], count[sparse])
        wanted[single + np.repeat(stride[sparse], count[sparse]) * ranges(count[sparse])] = True
        wanted |= written
        listed = self.listed
        return listed[wanted[listed[:, 0]]], listed[written[listed[:, 0]]]
