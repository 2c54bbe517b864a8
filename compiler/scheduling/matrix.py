"""The stencil of a matrix pass: weight loads, install, activations, accumulation, writes of the sums.

Each pair (one a hemisphere) runs its passes in the order in which they are placed. Weights of the next pass load while the
present one computes: a load may begin once the previous install is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from compiler.scheduling.core import Core, Ints, Stream
from compiler.scheduling.feed import Feed, Feeder, Pair
from compiler.scheduling.rows import RowLoader
from compiler.scheduling.ways import Way, writing
from compiler.scheduling.weights import TileLoader
from compiler.tiles import MatrixJob, Pass, Weights
from isa.instruction import DType
from isa.ops.mxm import Accumulate, Activate, InstallWeights

PROBES = 64
"""Starts that a probe tries before it settles for a guess."""


@dataclass(slots=True)
class PassTrial:
    """What a trial of a pass has chosen."""

    start: int
    feed: Feed
    emits: list[Stream] = field(default_factory=list)
    places: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)


def accumulators(job: MatrixJob) -> int:
    """Rows of accumulators that a job uses."""
    return max(p.acc + p.rows.count for p in job.passes)


@dataclass(slots=True)
class Running:
    """A job on a pair: its place in the tile graph, the passes placed, and its first accumulator row."""

    index: int
    job: MatrixJob
    base: int = 0
    done: int = 0

    @property
    def finished(self) -> bool:
        """Whether every pass is placed."""
        return self.done == len(self.job.passes)


class MatrixPlacer:
    """Places `MatrixJob`s."""

    def __init__(self, core: Core) -> None:
        self.core, self.feeder = core, Feeder(core)
        self.tiles, self.loader = TileLoader(self.feeder), RowLoader(self.feeder)
        self.m, self.t = core.machine, core.tables
        self.pairs = (Pair(0), Pair(1))
        self.inward = np.array(core.distance)
        self.array = self.m["mxm.array_latency"]
        self.t_acc = self.m.timing("mxm_accumulate")
        self.t_load, self.t_install = self.m.timing("mxm_load"), self.m.timing("mxm_install")

    def bound(self, job: MatrixJob, hemisphere: int) -> int:
        """Cycle before which the first pass cannot start, from the data it needs."""
        first = job.passes[0]
        ready = [self.feeder.ready(first.rows, hemisphere, self.cost(job, first))]
        ready += [
            self.feeder.ready(load.rows, hemisphere, 1) + load.rows.count
            for load in first.weights.loads
        ]
        return max(ready)

    def probe(self, job: MatrixJob, hemisphere: int) -> int:
        """The cycle in which a job's first rows could really enter: its weights and rows are tried out and given back."""
        pair, p = self.pairs[hemisphere], job.passes[0]
        cycle = max(pair.free, self.bound(job, hemisphere))
        if p.weights is not pair.weights or job.dtype is not pair.dtype:
            loader = self.tiles if p.weights.tile else self.loader
            last = loader.probe(job, p.weights, pair)
            cycle = max(cycle, last + self.t_load + self.t_install)
        step = self.cost(job, p)
        for _ in range(PROBES):
            mark = self.core.mark()
            feed, move = self.feeder.take(p.rows, pair, cycle, step)
            self.core.undo(mark)
            if feed is not None:
                break
            cycle += move
        return cycle

    def local(self, job: MatrixJob, hemisphere: int) -> bool:
        """Whether the job's weights need not cross the VXM to a pair."""
        tile = job.passes[-1].weights.tile
        places = self.core.memory.tiles.get(id(tile), []) if tile else []
        sides = {self.core.hemisphere(place.slices[0]) for _, place in places}
        return not sides or hemisphere in sides

    def cost(self, job: MatrixJob, p: Pass) -> int:
        """Cycles a row."""
        return 1 if job.dtype is DType.I8 else -(-p.window // self.m["mxm.fp16_k"])

    def place(self, run: Running, pair: Pair) -> None:
        """Place the next pass of a job on a pair."""
        job, p = run.job, run.job.passes[run.done]
        if p.weights is not pair.weights or job.dtype is not pair.dtype:
            self._install(job, p.weights, pair)
        self._drive(run, p, pair)
        run.done += 1
        if run.finished:
            for rows in job.reads():
                self.core.used(self.feeder.fragment(rows), 0)

    def fits(self, job: MatrixJob, base: int) -> bool:
        """Whether a job finds accumulators from row ``base`` on."""
        return base + accumulators(job) <= self.m["mxm.acc_rows"]

    def _install(self, job: MatrixJob, weights: Weights, pair: Pair) -> None:
        last = (
            self.tiles.load(job, weights, pair)
            if weights.tile
            else self.loader.load(job, weights, pair)
        )
        cycle = max(last + self.t_load, pair.free - self.t_install, pair.installed_at + 1)
        planes = (0, 1) if job.dtype is DType.I8 else (0,)
        for plane in planes:
            queue = self.feeder.queue(pair, plane, 0)
            instr = InstallWeights(int(job.dtype), weights.first, weights.columns)
            self.core.emit(queue, cycle, instr, self.t_install, node=job.node)
        pair.installed_at, pair.weights, pair.dtype = cycle, weights, job.dtype
        pair.free = max(pair.free, cycle + self.t_install)

    def _drive(self, run: Running, p: Pass, pair: Pair) -> None:
        """Place the rows of a pass at the first cycle at which they can be streamed and their sums written."""
        job = run.job
        step = self.cost(job, p)
        targets = self._targets(p, pair)
        cycle = max(pair.free, self.feeder.ready(p.rows, pair.hemisphere, step))
        for _ in self.core.trials(cycle):
            cycle = self._free(p, targets, pair, cycle, step)
            feed, move = self.feeder.take(p.rows, pair, cycle, step)
            if feed is not None:
                trial = PassTrial(cycle, feed)
                if p.emit is None or self._take_emit(job, p, pair, trial, step):
                    self._commit(run, p, pair, trial, step)
                    return
                self.core.undo()
                move = 1
            cycle += move
        raise self.core.full("the sums", p.emit.buffer if p.emit else p.rows.buffer)

    def _targets(self, p: Pass, pair: Pair) -> list[Way]:
        """The copies that exist already of what a pass emits, as ways to write to."""
        if p.emit is None:
            return []
        passing = self._passing(pair.hemisphere, self.array + self.t_acc)
        return writing(self.t, self.feeder.fragment(p.emit), passing)

    def _free(self, p: Pass, targets: list[Way], pair: Pair, cycle: int, step: int) -> int:
        """The first cycle from ``cycle`` on in which rows can be read, and sums written, each for itself."""
        count, h = p.rows.count, pair.hemisphere
        ways = [] if self.feeder.grows(p.rows, h) else self.feeder.all_ways(p.rows, h, step)
        while True:
            at = min((w.free(self.t, cycle, count, step) for w in ways), default=cycle)
            for target in targets:
                at = target.free(self.t, at, count, step)
            if at == cycle:
                return cycle
            cycle = at

    def _take_emit(self, job: MatrixJob, p: Pass, pair: Pair, trial: PassTrial, step: int) -> bool:
        """Reserve result streams and the writes: a quad, or one quad a byte plane for a byte move."""
        assert p.emit is not None
        core, h = self.core, pair.hemisphere
        fragment, count = self.feeder.fragment(p.emit), p.rows.count
        landing = trial.start + self.array + self.t_acc
        both = p.emit.buffer.both
        # Every copy gets every row, also where another job, on the other pair, wrote the first rows.
        hemispheres = tuple(fragment.copies) or ((h, 1 - h) if both else (h,))
        direction = core.inward(h)
        position = 0 if h == 0 else self.m.positions - 1
        diagonal = self.t.diagonal(direction, landing, position)
        halves = (h,) if hemispheres == (h,) else (0, 1)
        for _ in range(2 if job.dtype is DType.I8 else 1):
            index = self.t.pick_stream(direction, halves, diagonal, count, step, 4)
            if index is None:
                return False
            self.t.take_stream(direction, halves, index, 4, diagonal, count, step)
            trial.emits.append(Stream(direction, index))
        cycles = self._passing(h, landing)
        for side in hemispheres:
            places = core.take_writes(fragment, side, cycles, count, step)
            if places is None:
                return False
            trial.places[side] = places
        return True

    def _passing(self, hemisphere: int, landing: int) -> Ints:
        """For every slice, the cycle in which what leaves an MXM in ``landing`` passes it."""
        passing: Ints = landing + self.inward[hemisphere]
        return passing

    def _commit(self, run: Running, p: Pass, pair: Pair, trial: PassTrial, step: int) -> None:
        job, core, count = run.job, self.core, p.rows.count
        core.commit()
        self.feeder.emit(job, p.rows, trial.feed, pair, trial.start, step)
        number = trial.feed.stream.number(self.m)
        for plane in (0, 1) if job.dtype is DType.I8 else (0,):
            act = Activate(int(job.dtype), number, p.first, p.window)
            core.emit(
                self.feeder.queue(pair, plane, 1), trial.start, act, step, count, step, 0, job.node
            )
            out = trial.emits[plane].number(self.m) if trial.emits else 0
            row = run.base + p.acc
            acc = Accumulate(int(job.dtype), row, int(p.start), int(bool(trial.emits)), out)
            cycle = trial.start + self.array
            core.emit(
                self.feeder.queue(pair, plane, 2), cycle, acc, self.t_acc, count, step, 1, job.node
            )
        pair.free = trial.start + count * step
        pair.busy += count * step
        if p.emit is not None:
            self._commit_emit(job, p, pair, trial, step)

    def _commit_emit(
        self, job: MatrixJob, p: Pass, pair: Pair, trial: PassTrial, step: int
    ) -> None:
        assert p.emit is not None
        core, fragment = self.core, self.feeder.fragment(p.emit)
        cycles = self._passing(pair.hemisphere, trial.start + self.array + self.t_acc)
        for side, places in trial.places.items():
            held = fragment.copies.get(side)
            copy = held[0] if held else core.new_copy(fragment, side, places)
            if job.dtype is DType.I8:
                for plane, stream in enumerate(trial.emits):
                    core.emit_writes(
                        fragment,
                        copy,
                        p.emit,
                        cycles,
                        p.rows.count,
                        step,
                        stream,
                        job.node,
                        [plane],
                    )
            else:
                core.emit_writes(
                    fragment, copy, p.emit, cycles, p.rows.count, step, trial.emits[0], job.node
                )
