"""What a vector op reads: from which copy, on which streams, straight to the VXM or by way of the SXM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler.scheduling.core import MAX_COPIES, SMALL_ROWS, Core, Stream
from compiler.scheduling.exchange import Crossing, Exchange
from compiler.scheduling.memory import ALWAYS, Copy, Fragment
from compiler.scheduling.ways import Way, way
from compiler.tiles import Rows
from isa.errors import InternalError


@dataclass(slots=True)
class Arrival:
    """One reading of an input: at ``offset`` cycles after the stencil's start it passes the VXM."""

    rows: Rows
    offset: int
    planes: int
    side: int = -1  # the hemisphere to read from where there is a choice; -1: none is better
    copy: Copy | None = None
    stream: Stream | None = None
    crossing: Crossing | None = None  # of rows whose lanes are moved on the way


@dataclass(slots=True)
class Reading:
    """An input's ``count`` rows, a row every ``step`` cycles, and the copies that they can be read from."""

    arrival: Arrival
    fragment: Fragment
    count: int
    step: int
    ways: list[Way]

    @property
    def bound(self) -> int:
        """The start before which no copy has every row."""
        return min((w.since for w in self.ways), default=ALWAYS)


class Inputs:
    """Reserves the readings of vector ops and gathers."""

    def __init__(self, core: Core) -> None:
        self.core, self.t = core, core.tables
        self.exchange = Exchange(core)

    def choose_sides(self, arrivals: Sequence[Arrival]) -> None:
        """Spread what may be read on either side so that neither direction runs out of streams."""
        planes, free = [0, 0], list[Arrival]()
        for a in arrivals:
            sides = self.core.memory.fragment(a.rows.buffer, a.rows.chunk, a.rows.row).copies
            if len(sides) == 1:
                planes[next(iter(sides))] += a.planes
            else:
                free.append(a)
        for a in free:
            a.side = int(planes[1] < planes[0])
            planes[a.side] += a.planes

    def reading(self, a: Arrival, count: int, step: int) -> Reading:
        """What is known of reading an input, wherever its op starts."""
        fragment = self.core.memory.fragment(a.rows.buffer, a.rows.chunk, a.rows.row)
        copies = sorted(fragment.all_copies(), key=lambda c: c.hemisphere != a.side >= 0)
        ways = [self._way(a, copy, step) for copy in copies]
        if not ways and not fragment.buffer.preloaded:
            raise InternalError(920, f"{a.rows} is read before anything writes it")
        return Reading(a, fragment, count, step, ways)

    def _way(self, a: Arrival, copy: Copy, step: int) -> Way:
        offsets = [a.offset - self.travel(a, s) for s in copy.slices]
        return way(self.t, copy, a.rows, offsets, step)

    def travel(self, a: Arrival, slice_: int) -> int:
        """Cycles from the issue of a read to the arrival at the VXM."""
        if a.rows.shift:
            return self.exchange.offset(slice_)
        return self.core.t_read + self.core.from_vxm[slice_]

    def grows(self, reading: Reading) -> bool:
        """Whether the input is a constant that gets one more copy if it cannot be read."""
        few = reading.fragment.rows <= SMALL_ROWS and len(reading.ways) < MAX_COPIES
        return reading.fragment.buffer.preloaded and (few or not reading.ways)

    def take(self, reading: Reading, start: int) -> int:
        """Reserve the reading of one input; 0, or how far to move on if no copy can be read now."""
        moves = []
        for w in reading.ways:
            move = self._take_way(reading, w, start)
            if move == 0:
                return 0
            moves.append(move)
        if self.grows(reading):
            first = self.core.rotation % 2
            for hemisphere in (first, 1 - first):
                if self._place_constant(reading, hemisphere, start):
                    return 0
        return min(moves, default=1)

    def _take_way(self, reading: Reading, w: Way, start: int) -> int:
        core, t, a = self.core, self.t, reading.arrival
        count, step, copy = reading.count, reading.step, w.copy
        move = w.free(t, start, count, step) - start
        if move:
            return move
        direction, halves = core.inward(copy.hemisphere), (copy.hemisphere,)
        diagonal = t.diagonal(direction, start + a.offset, core.vxm)
        index = t.pick_stream(direction, halves, diagonal, count, step, a.planes)
        if index is None:
            return t.wait_stream(direction, halves, diagonal, count, step, a.planes)
        if a.rows.shift:
            arrival = start + a.offset
            a.crossing = self.exchange.take(copy.hemisphere, arrival, a.planes, count, step)
            if a.crossing is None:
                return 1
        t.take_all(w.spans, start, count, step)
        t.take_stream(direction, halves, index, a.planes, diagonal, count, step)
        a.copy, a.stream = copy, Stream(direction, index)
        return 0

    def _place_constant(self, reading: Reading, hemisphere: int, start: int) -> bool:
        """Choose slices for a constant on its first use (or another copy of a small one)."""
        core, a, fragment = self.core, reading.arrival, reading.fragment
        count, step = reading.count, reading.step
        pool = np.arange(hemisphere * core.per, (hemisphere + 1) * core.per)
        every = pool[core.memory.apart(fragment)[pool]]
        for pool, bank in core.roles(every, fragment.buffer):
            cycles = start + a.offset - np.array([self.travel(a, s) for s in pool.tolist()])
            ok = core.candidates(self.t.read, bank, pool, cycles, count, step)
            ok &= core.memory.room(bank)[pool] >= fragment.rows
            planes = fragment.buffer.dtype.planes
            chosen = core.order(pool[ok])[:planes]
            if len(chosen) == planes:
                copy = core.place_constant(fragment, hemisphere, [int(s) for s in chosen], bank)
                reading.ways.append(self._way(a, copy, step))
                return self._take_way(reading, reading.ways[-1], start) == 0
        return False
