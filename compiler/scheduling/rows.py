"""Loading rows of buffers as weights: operands that the program computes, several rows a cycle where they lie apart."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.scheduling.core import Stream
from compiler.scheduling.feed import Feeder, Pair, merged
from compiler.scheduling.memory import Copy
from compiler.scheduling.ways import Way
from compiler.tiles import Load, MatrixJob, Weights
from isa.errors import InternalError
from isa.instruction import DType
from isa.ops.mxm import LoadWeights


@dataclass(frozen=True, slots=True)
class Item:
    """Rows that are loaded, and from which copy."""

    load: Load
    way: Way


Group = list[Item]
"""Loaded side by side."""


class RowLoader:
    """Places the loads of a `Weights` made of rows."""

    def __init__(self, feeder: Feeder) -> None:
        self.feeder, self.core = feeder, feeder.core
        self.m, self.t = feeder.m, feeder.t
        self.t_load = self.m.timing("mxm_load")
        self.grouped: dict[tuple[int, int], list[Group]] = {}

    def load(self, job: MatrixJob, weights: Weights, pair: Pair) -> int:
        """Place all loads one group after another; the last load's cycle."""
        cycle = pair.installed_at + 1
        for group in self._groups(weights, job.dtype, pair):
            for part, at in self._parts(group, pair, cycle):
                count = part[0].load.rows.count
                move, index = self.feeder.take_ways([x.way for x in part], pair, at, count, 1)
                if move:
                    raise InternalError(
                        925, f"{part[0].load.rows} cannot be read when it was thought to"
                    )
                stream = Stream(self.core.outward(pair.hemisphere), index)
                self._emit(job, part, stream, pair, at)
                cycle = at + count
        return cycle - 1

    def probe(self, job: MatrixJob, weights: Weights, pair: Pair) -> int:
        """The cycle of the last load if the rows were loaded now, each group on its own."""
        cycle = pair.installed_at + 1
        for group in self._groups(weights, job.dtype, pair):
            part, at = self._parts(group, pair, cycle)[-1]
            cycle = at + part[0].load.rows.count
        return cycle - 1

    def _parts(self, group: Group, pair: Pair, start: int) -> list[tuple[Group, int]]:
        """A group as a whole, or in halves one after the other if those are done sooner: loads, and their first cycle."""
        whole = self._soonest(group, pair, start)
        best, half, count = [(group, whole)], len(group) // 2, group[0].load.rows.count
        if half == 0 or whole <= start + count:
            return best
        for first, second in ((group[:half], group[half:]), (group[half:], group[:half])):
            parts = self._parts(first, pair, start)
            if parts[-1][1] + count < best[-1][1]:
                parts += self._parts(second, pair, parts[-1][1] + count)
                if parts[-1][1] < best[-1][1]:
                    best = parts
        return best

    def _soonest(self, group: Group, pair: Pair, cycle: int) -> int:
        """The first cycle from ``cycle`` on in which a group can be read."""
        reading, count = merged([x.way for x in group]), group[0].load.rows.count
        for _ in self.core.trials(cycle):
            move, _ = self.feeder.find(reading, pair, cycle, count, 1)
            if not move:
                return cycle
            cycle += move
        raise self.core.full("the weights", group[0].load.rows.buffer)

    def _groups(self, weights: Weights, dtype: DType, pair: Pair) -> list[Group]:
        """Runs of loads of equal length and even column distance, no two of which share a slice."""
        key = (id(weights), pair.hemisphere)
        if key not in self.grouped:
            most = self.m["mxm.weight_streams"] // (2 if dtype is DType.F16 else 1)
            groups: list[Group] = []
            for load in weights.loads:
                item = Item(
                    load, self.feeder.way(load.rows, self._copy(load, pair), pair.hemisphere, 1)
                )
                group = groups[-1] if groups else []
                if group and len(group) < most and _joins(group, item):
                    group.append(item)
                else:
                    groups.append([item])
            self.grouped[key] = [part for group in groups for part in _powers(group)]
        return self.grouped[key]

    def _copy(self, load: Load, pair: Pair) -> Copy:
        """The copy to read: the pair's own if there is one."""
        copies = self.feeder.fragment(load.rows).all_copies()
        if not copies:
            raise InternalError(920, f"{load.rows} is read before anything writes it")
        return min(copies, key=lambda c: c.hemisphere != pair.hemisphere)

    def _emit(self, job: MatrixJob, group: Group, streams: Stream, pair: Pair, cycle: int) -> None:
        self.core.commit()
        size, first = len(group), group[0].load
        base = streams.number(self.m)
        byte = job.dtype is DType.I8
        for i, item in enumerate(group):
            planes = range(len(item.way.copy.slices))
            numbers = [base + (p * size + i if byte else 2 * i + p) for p in planes]
            self.feeder.emit_planes(job, item.load.rows, item.way.copy, numbers, pair, cycle, 1)
        spread = group[1].load.column - first.column if size > 1 else 1
        for plane in (0, 1) if byte else (0,):
            stream = base + plane * size
            instr = LoadWeights(int(job.dtype), stream, size, first.column, spread)
            queue = self.feeder.queue(pair, plane, 0)
            self.core.emit(queue, cycle, instr, self.t_load, first.rows.count, 1, 1, job.node)


def _joins(group: Group, item: Item) -> bool:
    """Whether a load can come with a group, on streams beside it."""
    first, load = group[0].load, item.load
    spread = load.column - group[-1].load.column
    even = len(group) == 1 or spread == group[1].load.column - first.column
    if load.rows.count != first.rows.count or not even or spread < 1:
        return False
    taken = {s for x in group for s in x.way.copy.slices}
    return not taken & set(item.way.copy.slices)


def _powers(group: Group) -> list[Group]:
    """A group cut into runs whose lengths are powers of two, so that their streams align."""
    parts = []
    while group:
        size = 1 << (len(group).bit_length() - 1)
        parts.append(group[:size])
        group = group[size:]
    return parts
