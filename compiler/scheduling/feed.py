"""Feeding an MXM pair: its state, and streams of stored rows that arrive at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compiler.scheduling.core import Core, Stream
from compiler.scheduling.memory import ALWAYS, Copy, Fragment
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
class Feed:
    """A vector stream from memory to an MXM: copy, plane, first stream, cycle of arrival."""

    copy: Copy
    stream: Stream


class Feeder:
    """Reserves and emits streams from memory to the MXM pairs."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.m, self.t = core.machine, core.tables

    def fragment(self, rows: Rows) -> Fragment:
        return self.core.memory.fragment(rows.buffer, rows.chunk, rows.row)

    def travel(self, slice_: int, hemisphere: int) -> int:
        """Positions from a slice to a hemisphere's MXM."""
        return self.core.distance[hemisphere][slice_]

    def ready(self, rows: Rows, hemisphere: int, step: int) -> int:
        """Earliest arrival of a burst of rows at the MXM, ports aside."""
        fragment = self.fragment(rows)
        best = None
        for copy in fragment.all_copies():
            time = max(
                copy.ready(p, rows.row, rows.count, rows.stride, step)
                + self.core.t_read + self.travel(s, hemisphere)
                for p, s in enumerate(copy.slices)
            )  # fmt: skip
            best = time if best is None else min(best, time)
        return ALWAYS if best is None else best

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
        core, h = self.core, pair.hemisphere
        fragment = self.fragment(rows)
        moves = []
        for copy in sorted(fragment.all_copies(), key=lambda c: c.hemisphere != h):
            move, index = self.take_copy(rows, copy, pair, cycle, step)
            if move == 0:
                return Feed(copy, Stream(core.outward(h), index)), 0
            moves.append(move)
        if fragment.buffer.preloaded and len(fragment.copies.get(h, ())) < MAX_COPIES:
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

    def take_copy(
        self, rows: Rows, copy: Copy, pair: Pair, cycle: int, step: int
    ) -> tuple[int, int]:
        """(0, first stream) if a copy's rows can be streamed to arrive in ``cycle``, else (how far to move, 0)."""
        return self.take_copies([(rows, copy)], pair, cycle, step)

    def take_copies(
        self, sources: Sequence[tuple[Rows, Copy]], pair: Pair, cycle: int, step: int
    ) -> tuple[int, int]:
        """The same for rows of several copies on consecutive streams."""
        t, h, count = self.t, pair.hemisphere, sources[0][0].count
        move, index, spans = self.find_copies(sources, pair, cycle, step)
        if not move:
            direction, diagonal = self.diagonal(h, cycle)
            for row, offset in spans:
                t.take(row, cycle + offset, count, step)
            halves, width = self._halves(sources, h), len(spans) // 2
            t.take_stream(direction, halves, index, width, diagonal, count, step)
        return move, index

    def _halves(self, sources: Sequence[tuple[Rows, Copy]], hemisphere: int) -> tuple[int, ...]:
        own = all(copy.hemisphere == hemisphere for _, copy in sources)
        return (hemisphere,) if own else (0, 1)

    def find_copies(
        self, sources: Sequence[tuple[Rows, Copy]], pair: Pair, cycle: int, step: int
    ) -> tuple[int, int, list[tuple[int, int]]]:
        """How far to move until rows of several copies may be streamed; if 0, the first stream, and the ports and banks."""
        h, t, count = pair.hemisphere, self.t, sources[0][0].count
        late, spans = 0, list[tuple[int, int]]()
        for rows, copy in sources:
            offsets = [-self.core.t_read - self.travel(s, h) for s in copy.slices]
            for p, offset in enumerate(offsets):
                ready = copy.ready(p, rows.row, count, rows.stride, step)
                late = max(late, ready - cycle - offset)
            spans += self.core.read_spans(copy, offsets)
        move = t.first(spans, cycle + late, count, step) - cycle
        if move:
            return move, 0, spans
        halves, width = self._halves(sources, h), len(spans) // 2
        direction, diagonal = self.diagonal(h, cycle)
        index = t.pick_stream(direction, halves, diagonal, count, step, width)
        if index is None:
            return t.wait_stream(direction, halves, diagonal, count, step, width), 0, spans
        return 0, index, spans

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
