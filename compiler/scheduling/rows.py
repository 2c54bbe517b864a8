"""Loading rows of buffers as weights: operands that the program computes, several rows a cycle where they lie apart."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.scheduling.core import Stream
from compiler.scheduling.feed import Feed, Feeder, Pair
from compiler.scheduling.memory import Copy
from compiler.tiles import Load, MatrixJob, Weights
from isa.errors import InternalError
from isa.instruction import DType
from isa.ops.mxm import LoadWeights


class RowLoader:
    """Places the loads of a `Weights` made of rows."""

    def __init__(self, feeder: Feeder) -> None:
        self.feeder, self.core = feeder, feeder.core
        self.m, self.t = feeder.m, feeder.t
        self.t_load = self.m.timing("mxm_load")

    def load(self, job: MatrixJob, weights: Weights, pair: Pair) -> int:
        """Place all loads one group after another; the last load's cycle."""
        cycle = pair.installed_at + 1
        for group in self._groups(weights.loads, job.dtype, pair):
            for part, at in self._parts(group, pair, cycle):
                feeds, move = self._take(part, pair, at)
                if move:
                    raise InternalError(
                        925, f"{part[0].rows} cannot be read when it was thought to"
                    )
                self._emit(job, part, feeds, pair, at)
                cycle = at + part[0].rows.count
        return cycle - 1

    def probe(self, job: MatrixJob, weights: Weights, pair: Pair) -> int:
        """The cycle of the last load if the rows were loaded now, each group on its own."""
        cycle = pair.installed_at + 1
        for group in self._groups(weights.loads, job.dtype, pair):
            part, at = self._parts(group, pair, cycle)[-1]
            cycle = at + part[0].rows.count
        return cycle - 1

    def _parts(self, group: list[Load], pair: Pair, start: int) -> list[tuple[list[Load], int]]:
        """A group as a whole, or in halves one after the other if those are done sooner: loads, and their first cycle."""
        whole = self._soonest(group, pair, start)
        best, half, count = [(group, whole)], len(group) // 2, group[0].rows.count
        if half == 0 or whole < start + count:
            return best
        for first, second in ((group[:half], group[half:]), (group[half:], group[:half])):
            parts = self._parts(first, pair, start)
            parts += self._parts(second, pair, parts[-1][1] + count)
            if parts[-1][1] < best[-1][1]:
                best = parts
        return best

    def _soonest(self, group: list[Load], pair: Pair, cycle: int) -> int:
        """The first cycle from ``cycle`` on in which a group can be read."""
        sources = [(x.rows, self._copy(x, pair)) for x in group]
        for _ in self.core.trials(cycle):
            move, _, _ = self.feeder.find_copies(sources, pair, cycle, 1)
            if not move:
                return cycle
            cycle += move
        raise self.core.full("the weights", group[0].rows.buffer)

    def _groups(self, loads: Sequence[Load], dtype: DType, pair: Pair) -> list[list[Load]]:
        """Runs of loads of equal length and even column distance, no two of which share a slice."""
        most = self.m["mxm.weight_streams"] // (2 if dtype is DType.F16 else 1)
        groups: list[list[Load]] = []
        for load in loads:
            group = groups[-1] if groups else []
            if group and len(group) < most and self._joins(group, load, pair):
                group.append(load)
            else:
                groups.append([load])
        return [part for group in groups for part in _powers(group)]

    def _joins(self, group: list[Load], load: Load, pair: Pair) -> bool:
        spread = load.column - group[-1].column
        even = len(group) == 1 or spread == group[1].column - group[0].column
        if load.rows.count != group[0].rows.count or not even or spread < 1:
            return False
        taken = {s for x in group for s in self._copy(x, pair).slices}
        return not taken & set(self._copy(load, pair).slices)

    def _copy(self, load: Load, pair: Pair) -> Copy:
        """The copy to read: the pair's own if there is one."""
        copies = self.feeder.fragment(load.rows).all_copies()
        if not copies:
            raise InternalError(920, f"{load.rows} is read before anything writes it")
        return min(copies, key=lambda c: c.hemisphere != pair.hemisphere)

    def _take(self, group: list[Load], pair: Pair, cycle: int) -> tuple[list[Feed], int]:
        """Reserve consecutive streams for a group of loads; or nothing and how far to move."""
        sources = [(x.rows, self._copy(x, pair)) for x in group]
        move, index = self.feeder.take_copies(sources, pair, cycle, 1)
        if move:
            return [], move
        stream = Stream(self.core.outward(pair.hemisphere), index)
        return [Feed(copy, stream) for _, copy in sources], 0

    def _emit(
        self, job: MatrixJob, group: list[Load], feeds: list[Feed], pair: Pair, cycle: int
    ) -> None:
        self.core.commit()
        size, first = len(group), group[0]
        base = feeds[0].stream.number(self.m)
        byte = job.dtype is DType.I8
        for i, (load, feed) in enumerate(zip(group, feeds, strict=True)):
            planes = range(len(feed.copy.slices))
            numbers = [base + (p * size + i if byte else 2 * i + p) for p in planes]
            self.feeder.emit_planes(job, load.rows, feed.copy, numbers, pair, cycle, 1)
        spread = group[1].column - first.column if size > 1 else 1
        for plane in (0, 1) if byte else (0,):
            stream = base + plane * size
            instr = LoadWeights(int(job.dtype), stream, size, first.column, spread)
            queue = self.feeder.queue(pair, plane, 0)
            self.core.emit(queue, cycle, instr, self.t_load, first.rows.count, 1, 1, job.node)


def _powers(group: list[Load]) -> list[list[Load]]:
    """A group cut into runs whose lengths are powers of two, so that their streams align."""
    parts = []
    while group:
        size = 1 << (len(group).bit_length() - 1)
        parts.append(group[:size])
        group = group[size:]
    return parts
