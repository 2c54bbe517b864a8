"""Who made what a burst reads: reads joined to puts on their diagonals, progression by progression.

The producer of a read is the put on the same diagonal with the greatest position that is not beyond the reader's. Nearly every
read progression lies wholly on one put progression; those are found with array operations. The others (a producer changes
within the burst, or puts interleave) are followed instance by instance.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from emulator.jit.effects import Effects, Ints
from isa.errors import InternalError

UNRESOLVED: Final = 972
NOWHERE: Final = -(1 << 60)


class Link(NamedTuple):
    """A slot's producer over a run of instances: instance ``start + j`` reads ``index + j * step`` of ``burst``."""

    start: int
    burst: int
    part: int
    index: int  # type: ignore[assignment]  # tuple.index is not used
    step: int


@dataclass(frozen=True)
class Links:
    """Producers of all reads, in the order of ``Effects.reads``.

    ``burst``, ``part``, ``index`` and ``step`` hold for all instances of a read unless it is in ``runs``.
    """

    burst: Ints
    part: Ints
    index: Ints
    step: Ints
    runs: dict[int, list[Link]]

    @cached_property
    def odd(self) -> npt.NDArray[np.bool_]:
        """Which reads are in ``runs``."""
        marked = np.zeros(len(self.burst), np.bool_)
        marked[list(self.runs)] = True
        return marked

    def at(self, reads: Ints, instances: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """Burst, part, index and step of what ``instances`` of reads take."""
        burst, part, step = self.burst[reads], self.part[reads], self.step[reads]
        index = self.index[reads] + instances * step
        for place in np.flatnonzero(self.odd[reads]):
            runs, instance = self.runs[int(reads[place])], int(instances[place])
            run = runs[bisect_right(runs, instance, key=lambda r: r.start) - 1]
            burst[place], part[place], step[place] = run.burst, run.part, run.step
            index[place] = run.index + (instance - run.start) * run.step
        return burst, part, index, step


def join(effects: Effects) -> Links:
    """Link every read; raises ``InternalError`` TSP972 where nothing was put, which a verified program never reads."""
    reads = effects.reads
    puts = effects.puts[np.argsort(effects.puts[:, 2], kind="stable")]
    if len(reads) and not len(puts):
        raise _unresolved(effects, 0)
    first, last, best, unsure = _candidates(reads, puts)
    best = np.maximum(best, 0) if len(puts) else best
    found = puts[best] if len(puts) else np.zeros((0, 6), np.int64)
    links = Links(
        found[:, 0].copy(),
        found[:, 1].copy(),
        (reads[:, 2] - found[:, 2]) // found[:, 3],
        np.where(reads[:, 4] > 1, reads[:, 3] // found[:, 3], 0),
        {},
    )
    for read in np.flatnonzero(unsure):
        runs = _follow(effects, int(read), puts[first[read] : last[read]])
        if len(runs) > 1:
            links.runs[int(read)] = runs
        head = runs[0]
        links.burst[read], links.part[read] = head.burst, head.part
        links.index[read], links.step[read] = head.index, head.step
    return links


def _candidates(reads: Ints, puts: Ints) -> tuple[Any, Any, Ints, Any]:
    """For each read the range of puts that may overlap it, the one that covers it wholly, and whether that is unsure."""
    start = reads[:, 2]
    stop = start + (reads[:, 4] - 1) * reads[:, 3]
    ends = puts[:, 2] + (puts[:, 4] - 1) * puts[:, 3]
    first = np.searchsorted(np.maximum.accumulate(ends), start) if len(puts) else start * 0
    last = np.searchsorted(puts[:, 2], stop, "right") if len(puts) else start * 0
    best = np.full(len(reads), -1)
    whole = np.full(len(reads), NOWHERE)
    partly = np.full(len(reads), NOWHERE)
    left = np.flatnonzero(last > first)
    offset = 0
    while len(left):
        at = first[left] + offset
        put, read = puts[at], reads[left]
        apart = read[:, 2] - put[:, 2]
        overlaps = (put[:, 2] <= stop[left]) & (ends[at] >= start[left])
        overlaps &= put[:, 5] <= read[:, 5]
        overlaps &= apart % np.gcd(put[:, 3], read[:, 3]) == 0
        covers = overlaps & (apart >= 0) & (ends[at] >= stop[left]) & (apart % put[:, 3] == 0)
        covers &= (read[:, 3] % put[:, 3] == 0) | (read[:, 4] == 1)
        better = covers & (put[:, 5] > whole[left])
        best[left[better]], whole[left[better]] = at[better], put[better, 5]
        some = overlaps & ~covers
        partly[left[some]] = np.maximum(partly[left[some]], put[some, 5])
        offset += 1
        left = left[last[left] > first[left] + offset]
    return first, last, best, (best < 0) | (partly > whole)


def _follow(effects: Effects, read: int, puts: Ints) -> list[Link]:
    """A read's runs, instance by instance; ``puts`` are those that may overlap it."""
    _, _, diagonal, interval, count, position = (int(v) for v in effects.reads[read])
    diagonals = diagonal + interval * np.arange(count)
    owner = np.full(count, -1)
    index = np.zeros(count, np.int64)
    for number in np.argsort(-puts[:, 5], kind="stable"):
        _, _, start, step, length, place = (int(v) for v in puts[number])
        if place > position:
            continue
        nth, rest = np.divmod(diagonals - start, step)
        hit = (owner < 0) & (rest == 0) & (nth >= 0) & (nth < length)
        owner[hit], index[hit] = number, nth[hit]
    if (owner < 0).any():
        raise _unresolved(effects, read, int(np.argmax(owner < 0)))
    runs = []
    begin = 0
    for end in [*np.flatnonzero(owner[1:] != owner[:-1]) + 1, count]:
        runs += _even(puts[owner[begin]], index[begin:end], begin)
        begin = int(end)
    return runs


def _even(put: Ints, index: Ints, begin: int) -> list[Link]:
    """Runs of evenly spaced indices of one put."""
    burst, part = int(put[0]), int(put[1])
    steps = np.diff(index)
    if len(steps) == 0 or (steps == steps[0]).all():
        step = int(steps[0]) if len(steps) else 0
        return [Link(begin, burst, part, int(index[0]), step)]
    return [Link(begin + j, burst, part, int(i), 0) for j, i in enumerate(index)]


def _unresolved(effects: Effects, read: int, instance: int = 0) -> InternalError:
    """A read of nothing."""
    burst = effects.program.bursts[int(effects.reads[read, 0])]
    name = effects.machine.queue_names[int(burst["queue"])]
    cycle = int(burst["cycle"]) + instance * int(burst["interval"])
    message = "an operand that nothing produced: run the verifier first"
    return InternalError(UNRESOLVED, message, where=f"cycle {cycle}, {name}")
