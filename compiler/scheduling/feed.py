"""Feeding an MXM pair: its state, and streams of stored rows that arrive at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler.scheduling.core import Core, Stream
from compiler.scheduling.memory import ALWAYS, Copy, Fragment
from compiler.scheduling.ways import Way, way
from compiler.tiles import MatrixJob, Rows, Weights
from isa.errors import InternalError
from isa.instruction import DType

MAX_COPIES = 3
"""Of a constant that is streamed, on one side."""


@dataclass(slots=True)
class Pair:
    """State of a hemisphere's MXM: when it takes the next row, its last install, what is installed."""

    hemisphere: int
    free: int = 0
    installed_at: int = -1
    weights: Weights | None = None
    dtype: DType = DType.F16
    busy: int = 0  # cycles spent on rows


@dataclass(slots=True)
class Readings:
    """Several ways at once, on consecutive streams."""

    since: int
    spans: list[tuple[int, int]]
    sides: set[int]

    @property
    def width(self) -> int:
        """Streams that it takes: one a byte plane."""
        return len(self.spans) // 2

    def halves(self, hemisphere: int) -> tuple[int, ...]:
        """The halves that the streams cross on the way to a hemisphere's MXM."""
        return (0, 1) if self.sides - {hemisphere} else (hemisphere,)


def merged(ways: Sequence[Way]) -> Readings:
    """Ways of one start."""
    every = [span for w in ways for span in w.spans]
    return Readings(max(w.since for w in ways), every, {w.copy.hemisphere for w in ways})


@dataclass(slots=True)
class Feed:
    """A vector stream from memory to an MXM: copy, plane, first stream, cycle of arrival."""

    copy: Copy
    stream: Stream


class Feeder:
    """Reserves and emits streams from memory to the MXM pairs."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.m, self.t = core.machine, core.tables
        self.ways: dict[tuple[int, ...], Way] = {}
        self.listed: dict[tuple[int, int, int], tuple[Rows, list[Way]]] = {}

    def fragment(self, rows: Rows) -> Fragment:
        return self.core.memory.fragment(rows.buffer, rows.chunk, rows.row)

    def travel(self, slice_: int, hemisphere: int) -> int:
        """Positions from a slice to a hemisphere's MXM."""
        return self.core.distance[hemisphere][slice_]

    def way(self, rows: Rows, copy: Copy, hemisphere: int, step: int) -> Way:
        """Streaming rows of a copy to a hemisphere's MXM, all of which are placed; its start is the first row's arrival."""
        key = (id(copy), rows.row, rows.count, rows.stride, hemisphere, step)
        found = self.ways.get(key)
        if found is None:
            distance = self.core.distance[hemisphere]
            offsets = [-self.core.t_read - distance[s] for s in copy.slices]
            found = self.ways[key] = way(self.t, copy, rows, offsets, step)
        return found

    def all_ways(self, rows: Rows, hemisphere: int, step: int) -> list[Way]:
        """From every copy, those of the own side first."""
        fragment, key = self.fragment(rows), (id(rows), hemisphere, step)
        known = self.listed.get(key)
        if known is not None and len(known[1]) == sum(map(len, fragment.copies.values())):
            return known[1]
        copies = sorted(fragment.all_copies(), key=lambda c: c.hemisphere != hemisphere)
        ways = [self.way(rows, copy, hemisphere, step) for copy in copies]
        self.listed[key] = rows, ways
        return ways

    def ready(self, rows: Rows, hemisphere: int, step: int) -> int:
        """Earliest arrival of a burst of rows at the MXM, ports aside."""
        return min((w.since for w in self.all_ways(rows, hemisphere, step)), default=ALWAYS)

    def grows(self, rows: Rows, hemisphere: int) -> bool:
        """Whether the rows are of a constant that gets one more copy if it cannot be read."""
        fragment = self.fragment(rows)
        return fragment.buffer.preloaded and len(fragment.copies.get(hemisphere, ())) < MAX_COPIES

    def diagonal(self, hemisphere: int, cycle: int) -> tuple[int, int]:
        """Direction towards an MXM and the diagonal that arrives there in ``cycle``."""
        direction = self.core.outward(hemisphere)
        position = 0 if hemisphere == 0 else self.m.positions - 1
        return direction, self.t.diagonal(direction, cycle, position)

    def queue(self, pair: Pair, plane: int, role: int) -> int:
        index = pair.hemisphere * self.m["mxm.planes"] + plane
        return self.m.mxm_queue + 3 * index + role

    def take(self, rows: Rows, pair: Pair, cycle: int, step: int) -> tuple[Feed | None, int]:
        """Reserve a stream of rows to arrive at the pair from ``cycle`` on; or None and how far to move."""
        h, moves = pair.hemisphere, []
        for w in self.all_ways(rows, h, step):
            move, index = self.take_ways([w], pair, cycle, rows.count, step)
            if move == 0:
                return Feed(w.copy, Stream(self.core.outward(h), index)), 0
            moves.append(move)
        if self.grows(rows, h):
            fragment = self.fragment(rows)
            return None, 0 if self._place(fragment, pair, cycle, rows.count, step) else 1
        if not moves:
            raise InternalError(920, f"{rows} is read before anything writes it")
        return None, min(moves)

    def _place(self, fragment: Fragment, pair: Pair, cycle: int, count: int, step: int) -> bool:
        """Another copy of a constant on the pair's own side, in slices that are free now."""
        core, h = self.core, pair.hemisphere
        every = np.arange(h * core.per, (h + 1) * core.per)
        for pool, bank in core.roles(every, fragment.buffer):
            travel = np.array([self.travel(int(s), h) for s in pool])
            ok = core.candidates(self.t.read, bank, pool, cycle - core.t_read - travel, count, step)
            chosen = core.order(pool[ok & (core.memory.room(bank)[pool] >= fragment.rows)])
            if len(chosen) >= fragment.buffer.dtype.planes:
                slices = [int(s) for s in chosen[: fragment.buffer.dtype.planes]]
                core.place_constant(fragment, h, slices, bank)
                return True
        return False

    def take_ways(
        self, ways: Sequence[Way], pair: Pair, cycle: int, count: int, step: int
    ) -> tuple[int, int]:
        """(0, first stream) if rows of copies can arrive on consecutive streams in ``cycle``, else (how far to move, 0)."""
        t, h, reading = self.t, pair.hemisphere, merged(ways)
        move, index = self.find(reading, pair, cycle, count, step)
        if not move:
            direction, diagonal = self.diagonal(h, cycle)
            t.take_all(reading.spans, cycle, count, step)
            width, halves = reading.width, reading.halves(h)
            t.take_stream(direction, halves, index, width, diagonal, count, step)
        return move, index

    def find(
        self, reading: Readings, pair: Pair, cycle: int, count: int, step: int
    ) -> tuple[int, int]:
        """How far to move until rows of copies may be streamed, and if 0, the first stream."""
        h, t = pair.hemisphere, self.t
        move = t.first(reading.spans, max(cycle, reading.since), count, step) - cycle
        if move:
            return move, 0
        halves, width = reading.halves(h), reading.width
        direction, diagonal = self.diagonal(h, cycle)
        index = t.pick_stream(direction, halves, diagonal, count, step, width)
        if index is None:
            return t.wait_stream(direction, halves, diagonal, count, step, width), 0
        return 0, index

    def emit(
        self, job: MatrixJob, rows: Rows, feed: Feed, pair: Pair, cycle: int, step: int
    ) -> None:
        """Read bursts of all planes onto consecutive streams."""
        first = feed.stream.number(self.m)
        numbers = list(range(first, first + len(feed.copy.slices)))
        self.emit_planes(job, rows, feed.copy, numbers, pair, cycle, step)

    def emit_planes(
        self, job: MatrixJob, rows: Rows, copy: Copy, numbers: Sequence[int], pair: Pair, cycle: int,
        step: int,
    ) -> None:  # fmt: skip
        """Read bursts, a stream a byte plane, that reach the pair from ``cycle`` on."""
        core, fragment = self.core, self.fragment(rows)
        for p, (s, number) in enumerate(zip(copy.slices, numbers, strict=True)):
            issue = cycle - core.t_read - self.travel(s, pair.hemisphere)
            core.emit_read(copy, p, rows, fragment.start, number, issue, rows.count, step, job.node)
        fragment.last_read = max(fragment.last_read, cycle + rows.count * step)
