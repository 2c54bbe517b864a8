"""The reservation table: which resource is taken in which cycle.

One row a resource, one column a cycle. Memory ports, banks and ALUs are counted in cycles. A stream is counted in *diagonals*:
a value that moves east has constant ``cycle - position``, one that moves west constant ``cycle + position``; each stream has a row
for its western and one for its eastern half, so that a value inside one hemisphere leaves the other free. Hops other than 1
are refused by the scheduler's constructor.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from isa.errors import LimitError
from isa.machine import Machine

EAST, WEST = 0, 1
Ints = npt.NDArray[np.int64]

ONES = b"\1" * 320

MAX_CYCLES = 1 << 24


Span = tuple[int, int, int, int]
"""Row of a resource, first column, number of columns, distance between them."""


class Tables:
    """Rows: read ports, write ports, banks (a slice each, west first), ALUs, streams."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        if machine["streams.hop"] != 1:
            raise LimitError(
                410, "the scheduler places streams that move one position a cycle only"
            )
        slices, self.banks = 2 * machine.slices, machine["mem.banks"]
        self.read, self.write = 0, slices
        self.bank = 2 * slices
        self.alu = self.bank + slices * self.banks
        self.stream = self.alu + machine["vxm.alus"]
        self.rows = self.stream + 4 * machine.streams
        self.margin = 2 * machine.positions
        self._allocate(1 << 14)
        self.journal: list[Span] = []

    def _allocate(self, width: int) -> None:
        """``grid`` and ``cells`` are the same bytes: whole rows at a time are numpy's, one span is found faster in bytes."""
        self.width = width
        self.cells = bytearray(self.rows * width)
        self.grid = np.frombuffer(self.cells, np.uint8).reshape(self.rows, width)

    def reach(self, column: int) -> None:
        """Make sure that ``column`` exists."""
        if column < self.width:
            return
        if column > MAX_CYCLES:
            raise LimitError(411, f"the schedule is longer than {MAX_CYCLES} cycles")
        held, width = self.grid, self.width
        self._allocate(max(column + 1, width * 2))
        self.grid[:, :width] = held

    def free(self, row: int, start: int, count: int, step: int) -> bool:
        """Whether a span is free; one that begins before cycle 0 is not."""
        if start < 0:
            return False
        self.reach(start + count * step)
        first = row * self.width + start
        if step == 1:
            return self.cells.find(1, first, first + count) < 0
        return 1 not in self.cells[first : first + count * step : step]

    def blocked(self, row: int, start: int, count: int, step: int) -> int:
        """How far to move a span so that what blocks it now no longer does; 0 if it is free."""
        if start < 0:
            return -start
        self.reach(start + count * step)
        first = row * self.width + start
        if step == 1:
            return max(first - 1, self.cells.rfind(1, first, first + count)) - first + 1
        return int(1 in self.cells[first : first + count * step : step])

    def take(self, row: int, start: int, count: int, step: int) -> None:
        """Reserve a span and note it in the journal."""
        self.reach(start + count * step)
        first = row * self.width + start
        self.cells[first : first + count * step : step] = (
            ONES[:count] if count <= len(ONES) else b"\1" * count
        )
        self.journal.append((row, start, count, step))

    def undo(self, mark: int = 0) -> None:
        """Give back all reservations since the journal was ``mark`` long."""
        for row, start, count, step in self.journal[mark:]:
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

    def stream_row(self, direction: int, half: int, index: int) -> int:
        """Row of stream ``index`` in a half (0 west, 1 east)."""
        return self.stream + (direction * 2 + half) * self.machine.streams + index

    def diagonal(self, direction: int, cycle: int, position: int) -> int:
        """Column of the diagonal on which something is at ``position`` in ``cycle``."""
        return cycle - position + self.margin if direction == EAST else cycle + position

    def pick_stream(
        self, direction: int, halves: tuple[int, ...], diagonal: int, count: int, step: int,
        width: int, align: int = 0,
    ) -> int | None:  # fmt: skip
        """A free aligned group of ``width`` streams, the first one's index, or None."""
        if diagonal < 0:
            return None
        self.reach(diagonal + count * step)
        n = self.machine.streams
        busy = np.zeros(n, np.bool_)
        for half in halves:
            first = self.stream_row(direction, half, 0)
            busy |= self.grid[first : first + n, diagonal : diagonal + count * step : step].any(
                axis=1
            )
        grain = align or width
        groups = busy.reshape(-1, grain)[:, :width].any(axis=1)
        found = np.flatnonzero(~groups)
        return int(found[0]) * grain if len(found) else None

    def take_stream(
        self, direction: int, halves: tuple[int, ...], index: int, width: int, diagonal: int,
        count: int, step: int,
    ) -> None:  # fmt: skip
        """Reserve a group of streams."""
        for half in halves:
            for i in range(width):
                self.take(self.stream_row(direction, half, index + i), diagonal, count, step)
