"""The reservation table: which resource is taken in which cycle.

One column a cycle. Memory ports and banks have a row of bytes each. ALUs, SXM queues and streams, of which any free one will do,
share rows of bits. A stream is counted in *diagonals*: a value that moves east has constant ``cycle - position``, one that moves west constant
``cycle + position``; each direction has a row for its western and one for its eastern half, so that a value inside one
hemisphere leaves the other free. Hops other than 1 are refused by the scheduler's constructor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from isa.errors import LimitError
from isa.machine import Machine

EAST, WEST = 0, 1
Ints = npt.NDArray[np.int64]

ONES = b"\1" * 320

MAX_CYCLES = 1 << 24
WINDOW = 256
"""Starts that a search looks at in one go."""


Span = tuple[int, int, int, int, int]
"""Row of a resource, first column, number of columns, distance between them, and the bits if it is a row of bits."""


class Tables:
    """Rows of bytes: read ports, write ports, banks (a slice each, west first). Rows of bits: streams, ALUs, SXM queues."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        if machine["streams.hop"] != 1:
            raise LimitError(
                410, "the scheduler places streams that move one position a cycle only"
            )
        slices, self.banks = 2 * machine.slices, machine["mem.banks"]
        self.read, self.write = 0, slices
        self.bank = 2 * slices
        self.rows = self.bank + slices * self.banks
        self.alu = 4  # row of bits, after those of the streams
        self.sxm = 5  # and one a hemisphere
        self.margin = 2 * machine.positions
        self._allocate(1 << 14)
        self.journal: list[Span] = []
        self.groups: dict[int, list[int]] = {}

    def _allocate(self, width: int) -> None:
        """``grid`` and ``cells`` are the same bytes: whole rows at a time are numpy's, one span is found faster in bytes."""
        self.width = width
        self.cells = bytearray(self.rows * width)
        self.grid = np.frombuffer(self.cells, np.uint8).reshape(self.rows, width)
        self.bits = np.zeros((7, width), np.uint32)
        self.bit_rows = list(self.bits)

    def reach(self, column: int) -> None:
        """Make sure that ``column`` exists."""
        if column < self.width:
            return
        if column > MAX_CYCLES:
            raise LimitError(411, f"the schedule is longer than {MAX_CYCLES} cycles")
        grid, bits, width = self.grid, self.bits, self.width
        self._allocate(max(column + 1, width * 2))
        self.grid[:, :width] = grid
        self.bits[:, :width] = bits

    def free(self, row: int, start: int, count: int, step: int) -> bool:
        """Whether a span is free; one that begins before cycle 0 is not."""
        if start < 0:
            return False
        self.reach(start + count * step)
        first = row * self.width + start
        if step == 1:
            return self.cells.find(1, first, first + count) < 0
        return 1 not in self.cells[first : first + count * step : step]

    def first(self, spans: Sequence[tuple[int, int]], start: int, count: int, step: int) -> int:
        """The first cycle ``t`` from ``start`` on in which every span ``(row, t + offset)`` is free."""
        if not spans:
            return start
        offsets = [offset for _, offset in spans]
        start, latest = max(start, -min(offsets)), max(offsets)
        n, zeros = WINDOW + (count - 1) * step, bytes(count)
        while True:
            self.reach(start + latest + n)
            cells, width, busy = self.cells, self.width, 0
            for row, offset in spans:
                at = row * width + start + offset
                if cells.find(1, at, at + n) >= 0:
                    busy |= int.from_bytes(cells[at : at + n], "little")
            move = _run(busy.to_bytes(n, "little"), zeros, step) if busy else 0
            if move >= 0:
                return start + move
            start += WINDOW

    def take(self, row: int, start: int, count: int, step: int) -> None:
        """Reserve a span and note it in the journal."""
        self.reach(start + count * step)
        first = row * self.width + start
        self.cells[first : first + count * step : step] = (
            ONES[:count] if count <= len(ONES) else b"\1" * count
        )
        self.journal.append((row, start, count, step, 0))

    def take_all(self, spans: Sequence[tuple[int, int]], start: int, count: int, step: int) -> None:
        """Reserve every span ``(row, start + offset)``."""
        self.reach(start + max(offset for _, offset in spans) + count * step)
        cells, width, journal = self.cells, self.width, self.journal
        taken, length = ONES[:count] if count <= len(ONES) else b"\1" * count, count * step
        for row, offset in spans:
            first = row * width + start + offset
            cells[first : first + length : step] = taken
            journal.append((row, start + offset, count, step, 0))

    def undo(self, mark: int = 0) -> None:
        """Give back all reservations since the journal was ``mark`` long."""
        for row, start, count, step, bits in self.journal[mark:]:
            if bits:
                self.bit_rows[row][start : start + count * step : step] &= ~np.uint32(bits)
            else:
                first = row * self.width + start
                self.cells[first : first + count * step : step] = bytes(count)
        del self.journal[mark:]

    def commit(self) -> None:
        """Keep what the journal holds."""
        self.journal.clear()

    def mask(self, rows: Ints, starts: Ints, count: int, step: int) -> npt.NDArray[np.bool_]:
        """Which of many spans of one shape are free."""
        self.reach(int(starts.max()) + count * step)
        columns = starts[:, None] + np.arange(count) * step
        ok: npt.NDArray[np.bool_] = ~self.grid[rows[:, None], np.maximum(columns, 0)].any(axis=1)
        return ok & (starts >= 0)

    def clear(
        self, first: int, apart: int, starts: tuple[int, int], rows: int, count: int, step: int
    ) -> npt.NDArray[np.bool_]:
        """The same for ``rows`` rows, ``apart`` rows from each other; ``starts``: the first span's start, and the next one's behind it."""
        start, slope = starts
        latest = start + max(0, slope) * (rows - 1)
        self.reach(latest + count * step)
        if min(start, start + slope * (rows - 1)) < 0:
            every = np.arange(rows)
            return self.mask(first + apart * every, start + slope * every, count, step)
        strides = (apart * self.width + slope, step)
        at = first * self.width + start
        busy = np.ndarray((rows, count), np.uint8, self.cells, at, strides)
        free: npt.NDArray[np.bool_] = np.logical_not(np.logical_or.reduce(busy, axis=1))
        return free

    def diagonal(self, direction: int, cycle: int, position: int) -> int:
        """Column of the diagonal on which something is at ``position`` in ``cycle``."""
        return cycle - position + self.margin if direction == EAST else cycle + position

    def free_starts(
        self, rows: Ints, starts: Ints, moves: int, count: int
    ) -> npt.NDArray[np.bool_]:
        """For many rows, in which of the ``moves`` cycles from its start on a span of ``count`` is free."""
        n = moves + count - 1
        self.reach(int(starts.max()) + n)
        columns = starts[:, None] + np.arange(n)
        busy = self.grid[rows[:, None], np.maximum(columns, 0)] | (columns < 0)
        ends = np.zeros((len(rows), n + 1), np.int32)
        np.cumsum(busy, axis=1, out=ends[:, 1:])
        free: npt.NDArray[np.bool_] = ends[:, count:] == ends[:, :-count]
        return free

    def pick(
        self, rows: Sequence[int], groups: Iterable[int], column: int, count: int, step: int
    ) -> int:
        """The first group of bits that is free in all ``rows`` (neighbours) from ``column`` on; 0 if none is."""
        if column < 0:
            return 0
        self.reach(column + count * step)
        every = self.bits[rows[0] : rows[-1] + 1, column : column + count * step : step]
        busy = int(np.bitwise_or.reduce(every, axis=None))
        for group in groups:
            if not busy & group:
                return group
        return 0

    def wait(
        self, rows: Iterable[int], groups: Sequence[int], column: int, count: int, step: int
    ) -> int:
        """How far to move until `pick` finds a group; at most ``WINDOW``."""
        if column < 0:
            return -column
        n = WINDOW + (count - 1) * step
        self.reach(column + n)
        busy = np.zeros(n, np.uint32)
        for row in rows:
            busy |= self.bit_rows[row][column : column + n]
        zeros, best = bytes(count), WINDOW
        for group in groups:
            found = _run(((busy & np.uint32(group)) != 0).tobytes(), zeros, step)
            best = min(best, found) if found >= 0 else best
        return best

    def take_bits(self, row: int, bits: int, column: int, count: int, step: int) -> None:
        """Reserve a group of bits."""
        self.reach(column + count * step)
        self.bit_rows[row][column : column + count * step : step] |= np.uint32(bits)
        self.journal.append((row, column, count, step, bits))

    def stream_rows(self, direction: int, halves: tuple[int, ...]) -> list[int]:
        """Rows of the streams of a direction in some halves (0 west, 1 east)."""
        return [direction * 2 + half for half in halves]

    def stream_groups(self, width: int) -> list[int]:
        """Aligned groups of ``width`` streams."""
        found = self.groups.get(width)
        if found is None:
            bits = (1 << width) - 1
            found = [bits << i for i in range(0, self.machine.streams, width)]
            self.groups[width] = found
        return found

    def pick_stream(
        self, direction: int, halves: tuple[int, ...], diagonal: int, count: int, step: int,
        width: int,
    ) -> int | None:  # fmt: skip
        """A free aligned group of ``width`` streams, the first one's index, or None."""
        rows, groups = self.stream_rows(direction, halves), self.stream_groups(width)
        found = self.pick(rows, groups, diagonal, count, step)
        return (found & -found).bit_length() - 1 if found else None

    def wait_stream(
        self, direction: int, halves: tuple[int, ...], diagonal: int, count: int, step: int,
        width: int,
    ) -> int:  # fmt: skip
        """How far to move, at least 1, until `pick_stream` may find one."""
        rows, groups = self.stream_rows(direction, halves), self.stream_groups(width)
        return max(1, self.wait(rows, groups, diagonal, count, step))

    def take_stream(
        self, direction: int, halves: tuple[int, ...], index: int, width: int, diagonal: int,
        count: int, step: int,
    ) -> None:  # fmt: skip
        """Reserve a group of streams."""
        bits = ((1 << width) - 1) << index
        for row in self.stream_rows(direction, halves):
            self.take_bits(row, bits, diagonal, count, step)


def _run(busy: bytes, zeros: bytes, step: int) -> int:
    """The first index from which on every ``step``-th byte is zero, ``len(zeros)`` times; -1 if there is none."""
    if step == 1:
        return busy.find(zeros)
    found = [r + step * p for r in range(step) if (p := busy[r::step].find(zeros)) >= 0]
    return min(found, default=-1)
