"""What of the memory rules holds by a look at bursts alone; ``memory`` and ``origins`` look at each dispatch of the rest.

Slices are cut into pieces of which a read or write whose addresses go up or down by one, or stay, covers all or nothing. Where
the writes of a piece come one behind the other, a read that is not under way together with one finds what the last before it
wrote; nor is there a question where both run equally fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from isa.verify.accesses import touched
from isa.verify.context import MAX_CYCLE, Bools, Context, Ints, ramp
from isa.verify.tags import BYTES

SPAN: Final = MAX_CYCLE << 1
MOST_PIECES: Final = 1 << 20


@dataclass(frozen=True)
class Settled:
    """``reads`` marks, by burst, those all of whose words are defined when they are read.

    ``written`` has for them ``(writer, reader)``, ``given`` ``(reader, tag)``, as ``origins.Origins`` wants it.
    """

    reads: Bools
    written: tuple[Ints, Ints]
    given: tuple[Ints, Ints]


@dataclass(frozen=True)
class _Parts:
    """Parts of bursts in pieces: which burst, which piece, and when its first and last dispatch there counts."""

    burst: Ints
    piece: Ints
    start: Ints
    end: Ints

    def take(self, rows: Ints) -> _Parts:
        """Some of them."""
        return _Parts(self.burst[rows], self.piece[rows], self.start[rows], self.end[rows])


def settle(ctx: Context, initial: dict[int, Bools], declared: dict[int, Ints]) -> Settled:
    """Look at the MEM bursts of a program whose fields hold.

    Args:
        ctx: the program.
        initial: for slices, the words that are defined before cycle 0.
        declared: for slices, the tags that words have before they are written.
    """
    before = _before(ctx, initial, declared)
    width = before.shape[1]
    dense = (np.abs(ctx.stride) <= 1) | (ctx.count == 1)
    bursts = ctx.bursts("read", "write", "scatter")
    low, end = (np.zeros(len(ctx), np.int64) for _ in range(2))
    low[bursts], end[bursts] = _words(ctx, bursts, width)
    read, write = ctx.bursts("read"), ctx.bursts("write")
    loose = np.concatenate([write[~dense[write]], ctx.bursts("scatter")])
    read, write = read[dense[read]], write[dense[write]]
    flat = before.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = [a[b] for a in (low, end) for b in (read, write, loose)]
    marked = np.zeros(len(flat) + 1, np.bool_)
    for some in (changes, *edges):
        marked[some] = True
    cuts = np.flatnonzero(marked)
    if len(cuts) > MOST_PIECES:
        none = np.zeros(0, np.int64)
        return Settled(np.zeros(len(ctx), np.bool_), (none, none), (none, none))
    number = np.cumsum(marked) - 1
    looks = _parts(ctx, read, cuts, number, low, end, 0)
    writes = _parts(ctx, write, cuts, number, low, end, ctx.machine.timing("mem_write"))
    writes = writes.take(np.lexsort((writes.start, writes.piece)))
    unsure = np.zeros(len(cuts) + 1, np.bool_)
    unsure[_parts(ctx, loose, cuts, number, low, end, 0).piece] = True
    crowded = (writes.piece[1:] == writes.piece[:-1]) & (writes.start[1:] <= writes.end[:-1])
    unsure[writes.piece[1:][crowded]] = True
    writer, known = _writers(ctx, looks, writes)
    first = flat[np.append(cuts, 0)[looks.piece]]
    known &= ~unsure[looks.piece] & ((writer >= 0) | (first >= 0))
    bad = np.zeros(len(ctx), np.bool_)
    bad[looks.burst[~known]] = True
    reads = np.zeros(len(ctx), np.bool_)
    reads[read] = ~bad[read]
    sure = reads[looks.burst]
    by, old = sure & (writer >= 0), sure & (writer < 0)
    return Settled(reads, (writer[by], looks.burst[by]), (looks.burst[old], first[old]))


def _before(ctx: Context, initial: dict[int, Bools], declared: dict[int, Ints]) -> Ints:
    """``[slices, words + 1]``: the tag of each word before it is written, -1 of one that is not defined then."""
    out = np.full((2 * ctx.machine.slices, ctx.machine.words + 1), -1, np.int64)
    for q, words in initial.items():
        out[q, :-1][words] = BYTES
        if q in declared:
            out[q, :-1][words] = declared[q][words]
    return out


def _words(ctx: Context, bursts: Ints, width: int) -> tuple[Ints, Ints]:
    """The first word that some bursts may touch, and the word behind the last, as ``slice * width + address``."""
    first, reach, _ = touched(ctx, bursts)
    far = (ctx.count[bursts] - 1) * ctx.stride[bursts]
    place = ctx.queue[bursts] * width + first
    return place + np.minimum(far, 0), place + np.maximum(far, 0) + reach + 1


def _parts(
    ctx: Context, bursts: Ints, cuts: Ints, number: Ints, low: Ints, end: Ints, latency: int
) -> _Parts:
    """Bursts piece by piece; ``latency`` is how much later than dispatched a dispatch counts.

    ``low`` and ``end`` are among ``cuts``; ``number`` is the index there of each word that is one.
    """
    begin = number[low[bursts]]
    n = number[end[bursts]] - begin
    which = np.repeat(bursts, n)
    piece = ramp(begin, np.ones_like(begin), n)
    skipped, rest = cuts[piece] - low[which], end[which] - np.append(cuts, 0)[piece + 1]
    back, stays = ctx.stride[which] < 0, (ctx.stride[which] == 0) | (ctx.count[which] == 1)
    before = np.where(stays, 0, np.where(back, rest, skipped)).astype(np.int64)
    after = np.where(stays, 0, np.where(back, skipped, rest)).astype(np.int64)
    interval, counts = ctx.interval[which], ctx.cycle[which] + latency
    start: Ints = np.add(counts, before * interval)
    stop: Ints = np.subtract(ctx.last[which] + latency, after * interval)
    return _Parts(which, piece, start, stop)


def _writers(ctx: Context, looks: _Parts, writes: _Parts) -> tuple[Ints, Bools]:
    """For each look the burst whose write of these words is the last before, or -1; and whether that holds for all of them."""
    if not len(writes.burst):
        return np.full(len(looks.burst), -1), np.ones(len(looks.burst), np.bool_)
    key = writes.piece * SPAN + writes.start
    at = np.searchsorted(key, looks.piece * SPAN + looks.end, "right") - 1
    there = (at >= 0) & (writes.piece[at] == looks.piece)
    done = writes.end[at] <= looks.start
    a, b = looks.burst, writes.burst[at]
    pace = (ctx.stride[a] == ctx.stride[b]) & (ctx.interval[a] == ctx.interval[b])
    pace &= (ctx.stride[a] != 0) & (ctx.count[a] > 1) & (ctx.count[b] > 1)
    behind = pace & (writes.start[at] <= looks.start)
    ahead = there & ~done & pace & ~behind
    at = np.where(ahead, at - 1, at)
    there &= (at >= 0) & (writes.piece[at] == looks.piece)
    done = np.where(ahead, ~there | (writes.end[at] <= looks.start), done | behind)
    return np.where(there, writes.burst[at], -1), done | ~there
