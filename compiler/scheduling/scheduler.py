"""List scheduling of a `TileGraph`.

Ops become ready when everything they read has been placed. Vector and gather ops are placed at once, at the first free
cycle. Matrix jobs wait in a pool; the pair that is free first takes one that can start soon, short ones and those of high
priority first. A job is placed pass by pass, so that a short one may come in between.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compiler.scheduling.core import CONSTANT_BANK, COPY_BELOW, SMALL_CHIP, Core
from compiler.scheduling.feed import Pair
from compiler.scheduling.gather import GatherPlacer
from compiler.scheduling.matrix import MatrixPlacer, Running, accumulators
from compiler.scheduling.memory import Fragment, Memory
from compiler.scheduling.probes import Probes
from compiler.scheduling.tables import Tables
from compiler.scheduling.urgency import Urgency
from compiler.scheduling.vector import VectorPlacer
from compiler.tiles import Buffer, GatherOp, MatrixJob, Rows, TileGraph, TileOp, VectorOp
from isa.instruction import DType
from isa.machine import Machine

WINDOW = 256
TRIALS = 8
"""How many jobs are tried out before one is chosen, of those whose data is there within ``WINDOW`` cycles of the first: half of
them for their priority, half for their data."""
SLACK = 32
"""Cycles by which a job may start later than the earliest and still go first by program order."""

LOADED_AT_ONCE = 4
"""Runs of rows that load at a time as weights, if they lie in different slices."""

LEAD = 500
"""Cycles of priority that the first rows of a tensor have over its last, found by trying BERT-base at 0 to 2,500."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to make the greedy choices: `LEAD`, `SLACK`, `TRIALS`, `COPY_BELOW`, and where the order of slices begins."""

    lead: int = LEAD
    slack: int = SLACK
    trials: int = TRIALS
    rotation: int = 0
    copy_below: float = COPY_BELOW


@dataclass(frozen=True)
class Placement:
    """Where everything lies. ``fragments`` in order of first use."""

    machine: Machine
    memory: Memory

    def text(self) -> str:
        """One line a copy of a fragment and a weight tile."""
        names = self.machine.queue_names
        lines = []
        for f in self.memory.fragments.values():
            for c in f.all_copies():
                places = " ".join(
                    f"{names[s]}:{a:#06x}" for s, a in zip(c.slices, c.addresses, strict=True)
                )
                span = f"{f.start}:{f.start + f.rows}"
                lines.append(
                    f"%{f.buffer.name}.{f.chunk}[{span}] {f.buffer.dtype.name.lower()} {places}"
                )
        for held in self.memory.tiles.values():
            for tile, place in held:
                pairs = zip(place.slices, place.addresses, strict=True)
                lines.append(
                    f"{tile} x{place.steps} " + " ".join(f"{names[s]}:{a:#06x}" for s, a in pairs)
                )
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Schedule:
    """When everything happens: the bursts, the predicted cycles, and the cycles in which each MXM pair takes rows."""

    machine: Machine
    bursts: npt.NDArray[np.void]
    cycles: int
    matrix_busy: tuple[int, int]
    nodes: tuple[str, ...]

    def text(self) -> str:
        """One line a burst, in order of cycle."""
        from isa.program import decode_args

        lines = [
            f"; {self.cycles} cycles, pairs busy {self.matrix_busy[0]} and {self.matrix_busy[1]}"
        ]
        for b in self.bursts[np.lexsort((self.bursts["queue"], self.bursts["cycle"]))]:
            instr = decode_args(int(b["opcode"]), b["args"])
            repeat = f" x{b['count']} /{b['interval']} +{b['stride']}" if b["count"] > 1 else ""
            name = self.machine.queue_names[int(b["queue"])]
            lines.append(f"@{b['cycle']} {name}: {instr}{repeat}  ; {self.nodes[int(b['node'])]}")
        return "\n".join(lines) + "\n"


class _Writers:
    """Who writes which rows: dependences are read off the operands."""

    def __init__(self) -> None:
        self.found: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)

    def add(self, rows: Rows, op: int) -> None:
        last = rows.row + (rows.count if rows.stride else 1)
        self.found[id(rows.buffer), rows.chunk].append((rows.row, last, op))

    def of(self, rows: Rows) -> set[int]:
        last = rows.row + (rows.count if rows.stride else 1)
        return {
            o
            for a, b, o in self.found.get((id(rows.buffer), rows.chunk), ())
            if a < last and rows.row < b
        }


class _Turns:
    """Rows that load as weights, one job of a node after another, lie in alternate banks: some are written while others are read."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self.jobs: Counter[tuple[int, DType]] = Counter()

    def odd(self, job: MatrixJob) -> set[int]:
        """The buffers that a job is the first to load, if it is the second, fourth or so of its node and type that has any."""
        rows = [load.rows for p in job.passes for load in p.weights.loads]
        fresh = {id(r.buffer) for r in rows if not r.buffer.preloaded} - self.known
        self.known |= fresh
        self.jobs[job.node, job.dtype] += bool(fresh)
        return fresh if self.jobs[job.node, job.dtype] % 2 == 0 else set()


def schedule(
    tiles: TileGraph,
    machine: Machine,
    progress: Progress | None = None,
    variant: Variant = Variant(),
) -> tuple[Placement, Schedule]:
    """Place every op of ``tiles``; raises ``LimitError`` TSP413 when something does not fit."""
    core = Core(
        machine, Tables(machine), Memory(machine), rotation=variant.rotation,
        copy_below=variant.copy_below, weights=_weights(tiles),
    )  # fmt: skip
    run = _Run(core, tiles, variant, progress)
    run.gather.place_tables(op for op in tiles.ops if isinstance(op, GatherOp))
    _place_inputs(core, tiles)
    run.all()
    cycles = core.end + machine.timing("stagger")
    busy = (run.matrix.pairs[0].busy, run.matrix.pairs[1].busy)
    bursts = core.bursts.array()
    result = Schedule(machine, bursts, cycles, busy, tuple(tiles.nodes))
    return Placement(machine, core.memory), result


def _weights(tiles: TileGraph) -> int:
    """Words of all constant weights: two byte planes a column."""
    jobs = (op for op in tiles.ops if isinstance(op, MatrixJob))
    held = {id(tile): tile for job in jobs for p in job.passes if (tile := p.weights.tile)}
    return DType.F16.planes * sum(tile.columns for tile in held.values())


def _place_inputs(core: Core, tiles: TileGraph) -> None:
    """Inputs lie in memory before cycle 0 whether or not something reads them."""
    for buffers in tiles.inputs.values():
        for buffer in buffers:
            for chunk in range(buffer.chunks(core.machine.lanes)):
                fragment = core.memory.fragment(buffer, chunk, 0)
                h = core.rotation % 2
                pool = np.arange(h * core.per, (h + 1) * core.per)
                pool = pool[core.memory.apart(fragment)[pool]]
                pool = core.order(pool[core.memory.room(CONSTANT_BANK)[pool] >= fragment.rows])
                chosen = [int(s) for s in pool[: buffer.dtype.planes]]
                if len(chosen) < buffer.dtype.planes:
                    raise core.full("input", buffer)
                core.place_constant(fragment, h, chosen, CONSTANT_BANK)


def _light(job: MatrixJob) -> bool:
    """A short job between chains of the vector unit: it goes in between the passes of a longer one."""
    tile = job.passes[-1].weights.tile
    return tile is None or tile.name == "ones"


class _Run:
    """One scheduling run: dependences, the ready ops, and the choice among matrix jobs."""

    def __init__(
        self, core: Core, tiles: TileGraph, variant: Variant, progress: Progress | None
    ) -> None:
        self.core, self.tiles, self.variant, self.progress = core, tiles, variant, progress
        self.vector = VectorPlacer(core)
        self.matrix = MatrixPlacer(core)
        self.gather = GatherPlacer(core, self.vector)
        self.probes = Probes(self.matrix, variant.slack)
        self.waiting: list[int] = []
        self.operands: dict[int, int] = {}
        self.next: list[list[int]] = [[] for _ in tiles.ops]
        self.jobs: dict[int, MatrixJob] = {}
        self.stack: tuple[list[Running], list[Running]] = ([], [])
        self.bounds: dict[tuple[int, int], int] = {}
        self.done = 0
        self._dependences()
        self.level = self._levels()
        self.vectors = Urgency(self.level)
        for i in [i for i, count in enumerate(self.waiting) if count == 0]:
            self._offer(i)

    def _dependences(self) -> None:
        writers, turns = _Writers(), _Turns()
        for i, op in enumerate(self.tiles.ops):
            before: set[int] = set()
            for rows in op.reads():
                before |= writers.of(rows)
                self._fragment(rows).users += 1
            for rows in op.writes():
                writers.add(rows, i)
            self._number(op)
            if isinstance(op, MatrixJob):
                self._apart(op)
                for other in turns.odd(op):
                    self.core.memory.generation[other] += 1
            else:
                both = [self._fragment(rows) for rows in (*op.reads(), *op.writes())]
                if isinstance(op, GatherOp):
                    chunks = range(op.table.chunks(self.core.machine.lanes))
                    both += [self.core.memory.fragment(op.table, c, 0) for c in chunks]
                self.core.memory.join(list({id(f): f for f in both}.values()))
            self.waiting.append(len(before))
            for b in before:
                self.next[b].append(i)
        for buffer in self.tiles.outputs.values():
            self._keep(buffer)

    def _fragment(self, rows: Rows) -> Fragment:
        return self.core.memory.fragment(rows.buffer, rows.chunk, rows.row)

    def _number(self, op: TileOp) -> None:
        """Count generations, of matrix operands and of scratch: one more than what a result is computed from."""
        numbers = self.core.memory.generation
        before = [rows.buffer for rows in op.reads() if not rows.buffer.preloaded]
        for rows in op.writes():
            out = rows.buffer
            same = [numbers.get(id(b), 0) for b in before if b.operand == out.operand]
            if not same and out.operand:
                same = [self.operands.get(id(b), 0) for b in before]
            numbers.setdefault(id(out), 1 + max(same, default=-1))
            known = [numbers[id(b)] for b in before if b.operand and id(b) in numbers]
            known += [self.operands[id(b)] for b in before if id(b) in self.operands]
            self.operands.setdefault(id(out), max(known, default=0))

    def _apart(self, job: MatrixJob) -> None:
        """Keep what a job streams apart from where its sums go, and from the weights that load meanwhile.

        Rows that are loaded together are kept apart as well.
        """
        pairs: dict[tuple[int, int], list[Fragment]] = {}
        for p, after in zip(job.passes, [*job.passes[1:], None], strict=True):
            own = self._fragment(p.rows)
            others = [p.emit] if p.emit is not None else []
            if after is not None and after.weights is not p.weights:
                others += [load.rows for load in after.weights.loads]
            for rows in others:
                other = self._fragment(rows)
                pairs[id(own), id(other)] = [own, other]
        if self.core.per > SMALL_CHIP:
            for weights in dict.fromkeys(p.weights for p in job.passes):
                loads = [self._fragment(load.rows) for load in weights.loads]
                for i, own in enumerate(loads):
                    for other in loads[i + 1 : i + LOADED_AT_ONCE]:
                        if own is not other:
                            pairs[id(own), id(other)] = [own, other]
        for pair in pairs.values():
            self.core.memory.join(pair)

    def _keep(self, buffer: Buffer) -> None:
        for chunk in range(buffer.chunks(self.core.machine.lanes)):
            for start in buffer.starts:
                self.core.memory.fragment(buffer, chunk, start).users += 1

    def _offer(self, i: int) -> None:
        op = self.tiles.ops[i]
        if isinstance(op, MatrixJob):
            self.jobs[i] = op
        else:
            self.vectors.offer(i)

    def all(self) -> None:
        """Place everything, pass by pass on the pair that is free first."""
        while self.done < len(self.tiles.ops):
            i = self.vectors.take(idle=not self.jobs and not any(self.stack))
            if i is not None:
                self._place(self.tiles.ops[i])
                self._finish(i)
            else:
                pairs = [p for p in self.matrix.pairs if self.jobs or self.stack[p.hemisphere]]
                self._pass(min(pairs, key=lambda p: p.free))

    def _pass(self, pair: Pair) -> None:
        """The next pass of a pair: of the job that runs there, or of one that starts, maybe in between."""
        stack = self.stack[pair.hemisphere]
        chosen = self._choose(pair, stack[-1] if stack else None)
        if chosen is not None:
            base = accumulators(stack[-1].job) if stack else 0
            stack.append(Running(chosen, self.jobs.pop(chosen), base))
        self.matrix.place(stack[-1], pair)
        if stack[-1].finished:
            self._finish(stack.pop().index)

    def _place(self, op: TileOp) -> None:
        if isinstance(op, VectorOp):
            self.vector.place(op)
        elif isinstance(op, GatherOp):
            self.gather.place(op)

    def _finish(self, i: int) -> None:
        self.vectors.finish(i)
        for n in self.next[i]:
            self.waiting[n] -= 1
            if self.waiting[n] == 0:
                self._offer(n)
        self.done += 1
        if self.progress is not None and self.done % 16 == 0:
            self.progress(self.done, len(self.tiles.ops))

    def _choose(self, pair: Pair, running: Running | None) -> int | None:
        """The matrix job that a pair starts next; None if it goes on with what it runs."""
        jobs = self.jobs
        if running is not None:
            if len(self.stack[pair.hemisphere]) > 1 or _light(running.job):
                return None
            base = accumulators(running.job)
            jobs = {i: j for i, j in jobs.items() if _light(j) and self.matrix.fits(j, base)}
        starts = {i: max(pair.free, self._bound(i, pair.hemisphere)) for i in jobs}
        first = pair.free if running is not None else min(starts.values())
        near = [
            i for i, s in starts.items() if s <= first + (self.variant.slack if running else WINDOW)
        ]
        here = [i for i in near if self.matrix.local(self.jobs[i], pair.hemisphere)] or near
        best = sorted(here, key=lambda i: (-self._rank(i), i))
        half = self.variant.trials // 2
        urgent, rest = best[: self.variant.trials - half], best[self.variant.trials - half :]
        soon = sorted(rest, key=lambda i: (starts[i], -self.level[i], i))[:half]
        tried = [i for i in best if i in (*urgent, *soon)]
        latest = pair.free + self.variant.slack if running is not None else None
        return self.probes.choose(jobs, tried, starts, pair, latest)

    def _rank(self, i: int) -> int:
        """A job's priority beside others; a short one has no lead there: it may go in between later, what it starves may not."""
        return self.level[i] - (self.variant.lead if _light(self.jobs[i]) else 0)

    def _bound(self, i: int, hemisphere: int) -> int:
        """`MatrixPlacer.bound` of a job that waits: all it reads is placed, so nothing changes any more."""
        known = self.bounds.get((i, hemisphere))
        if known is None:
            known = self.bounds[i, hemisphere] = self.matrix.bound(self.jobs[i], hemisphere)
        return known

    def _levels(self) -> list[int]:
        """For each op, the estimated cycles from its start to the end of the program: its priority."""
        level = [0] * len(self.tiles.ops)
        for i in reversed(range(len(level))):
            after = max((level[n] for n in self.next[i]), default=0)
            level[i] = after + self._estimate(self.tiles.ops[i])
        return [n + self._lead(op) for n, op in zip(level, self.tiles.ops, strict=True)]

    def _lead(self, op: TileOp) -> int:
        """Cycles by which the first rows of a tensor go before its last: their long latencies then hide under the rest."""
        rows = op.writes()[-1]
        if isinstance(op, MatrixJob) and op.passes[-1].weights.tile is None:
            return self.variant.lead
        return self.variant.lead - self.variant.lead * rows.row // max(1, rows.buffer.rows)

    def _estimate(self, op: TileOp) -> int:
        """Cycles until the first row of an op's result can be read, roughly, plus its rows."""
        crossing = self.core.machine.positions
        if isinstance(op, MatrixJob):
            return crossing + sum(p.rows.count * self.matrix.cost(op, p) for p in op.passes)
        rows = op.count if isinstance(op, VectorOp) else op.ids.count
        return 2 * crossing + rows
