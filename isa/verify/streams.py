"""Rules about streams: one value at a time is put at one place, and what is read was put.

A value keeps to its diagonal: going east ``cycle - hop * position`` is constant, going west ``cycle + hop * position``.
Counting a westward stream's positions from the east makes both cases one. A reader gets the value of the nearest producer
upstream, its own position included, on its diagonal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from isa.verify import effects, missed, report, words
from isa.verify.context import (
    MAX_CYCLE,
    MAX_STREAM_VALUES,
    Context,
    Ints,
    collisions,
    firsts,
    once,
    windows,
)
from isa.verify.ends import Ends

NOBODY: Final = -1
WIDEST: Final = 1 << 62
MOST_PUTS: Final = 64
"""Puts that are held against a read, each as a whole, before each of its values is looked at."""
SPAN: Final = MAX_CYCLE << 2
"""More than the diagonals of a stream."""


@dataclass(frozen=True)
class Meetings:
    """Which reads get the values of which puts: as many triples of an entry of ``taken``, its repeat, and an entry of ``made``.

    For every further repeat that gets its value from another entry of ``made`` there is another triple.
    """

    made: Ends
    taken: Ends
    reader: Ints
    repeat: Ints
    maker: Ints


def check(ctx: Context) -> Meetings | None:
    """Rules 340 and 341; who gets what from whom, unless that is too much to look at."""
    made = Ends.of(ctx, effects.puts(ctx), ctx.d_func)
    taken = Ends.of(ctx, effects.reads(ctx), np.zeros(len(ctx), np.int64))
    values = sum(float(e.count.astype(np.float64).sum()) for e in (made, taken))
    if values > MAX_STREAM_VALUES:
        why = f"{values:.0f} values are read and put; {MAX_STREAM_VALUES} are verified at most"
        report.refuse(ctx, 300, why, where="the program", hint="split it")
        return None
    _double(ctx, made)
    told: set[object] = set()
    maker = _whole(ctx, made, taken)
    met, rest = np.flatnonzero(maker != NOBODY), np.flatnonzero(maker == NOBODY)
    found = [(met, np.zeros_like(met), maker[met])]
    for stream in once(taken.stream[rest]):
        found += _arrivals(ctx, made, taken, rest[taken.stream[rest] == stream], told)
    return Meetings(made, taken, *(np.concatenate(part) for part in zip(*found, strict=True)))


def _double(ctx: Context, made: Ends) -> None:
    """Rule 340, told once of two bursts."""
    group = made.stream * ctx.machine.positions + made.place
    told = set()
    for i, k, j, n in collisions(group, made.time, ctx.interval[made.bursts], made.count):
        a, b = int(made.bursts[i]), int(made.bursts[j])
        if (a, b) in told:
            continue
        told.add((a, b))
        stream, position = int(made.stream[j]), int(ctx.position[a])
        driven = missed.operand(ctx, b, stream, 0, driven=True)
        cycle = int(made.time[i]) + k * words.step(ctx, a)
        why = (
            f"puts a value on {driven.part(ctx, stream)} at position {position} in cycle {cycle}, "
        )
        why += f"and so does {report.other(ctx, a, k, b)}"
        late = (int(ctx.d_func[x]) for x in (b, a))
        hint = report.separate(ctx, b, a, *late) + ", or use another stream"
        report.refuse_burst(ctx, 340, b, why, instance=n, hint=hint, at=driven.name(ctx))


def _whole(ctx: Context, made: Ends, taken: Ends) -> Ints:
    """For each read the put that all of its values are of, where that is plain without a look at each; else ``NOBODY``.

    It is plain of the nearest put upstream, alone there, whose first to last diagonal takes in some that are read, if it has
    all those that the read asks for.
    """
    found = np.full(len(taken.key), NOBODY)
    if not len(made.key):
        return found
    low, high = (made.stream * SPAN + d for d in made.diagonals(ctx))
    first, last = (taken.stream * SPAN + d for d in taken.diagonals(ctx))
    order = np.argsort(low, kind="stable")
    at = np.searchsorted(np.maximum.accumulate(high[order]), first)
    end = np.searchsorted(low[order], last, "right")
    nearest = np.full(len(found), NOBODY)
    read = np.arange(len(found))
    for _ in range(MOST_PUTS):
        read = read[at[read] < end[read]]
        if not len(read):
            break
        put = order[at[read]]
        seen = (high[put] >= first[read]) & (nearest[read] <= made.place[put])
        seen &= made.place[put] <= taken.place[read]
        put, now = put[seen], read[seen]
        whole = (
            (low[put] <= first[now]) & (last[now] <= high[put]) & (nearest[now] < made.place[put])
        )
        whole &= (taken.step[now] % made.step[put] == 0) | (taken.count[now] == 1)
        whole &= (first[now] - low[put]) * ctx.machine.positions % made.step[put] == 0
        found[now], nearest[now] = np.where(whole, put, NOBODY), made.place[put]
        at[read] += 1
    found[read] = NOBODY
    return found


def _near(ctx: Context, made: Ends, taken: Ends, reads: Ints) -> Ints:
    """The puts on the stream of ``reads`` that share diagonals with some of them."""
    stream = taken.stream[reads[0]]
    puts = np.arange(*np.searchsorted(made.stream, (stream, stream + 1)))
    low, high = made.part(puts).diagonals(ctx)
    first, last = taken.part(reads).diagonals(ctx)
    order = np.argsort(first, kind="stable")
    before = np.searchsorted(first[order], high, "right") - 1
    furthest = np.maximum.accumulate(last[order])
    return puts[(before >= 0) & (furthest[before] >= low)]


def _arrivals(
    ctx: Context, every: Ends, reads: Ends, chosen: Ints, told: set[object]
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """The ``chosen`` reads, all of one stream, against all puts, as ``Meetings``.

    The lowest ``bits`` of a key name the put that it is of. Of an operand ``told`` of, nothing more is said.
    """
    near = _near(ctx, every, reads, chosen)
    made, taken = every.part(near), reads.part(chosen)
    own = len(near)
    bits = own.bit_length()
    key, step = np.concatenate((made.key, taken.key)), np.concatenate((made.step, taken.step))
    count = np.concatenate((made.count, taken.count))
    for which, skipped, n in windows(key, step, count, ctx.machine.positions, 1 << 62 - bits):
        puts, looks = which < own, which >= own
        entries, n_read, before = which[looks] - own, n[looks], skipped[looks]
        low = int((key[which] + skipped * step[which]).min(initial=WIDEST))
        keys = made.keys(which[puts], skipped[puts], n[puts], low, bits, which[puts])
        keys.sort()
        wanted = taken.keys(entries, before, n_read, low, bits)
        at = np.searchsorted(keys, wanted + own, "right") - 1
        got = np.append(keys, 0)[at]
        found = (at >= 0) & (got >= wanted - np.repeat(taken.place[entries] << bits, n_read))
        maker = np.where(found, got & (1 << bits) - 1, NOBODY)
        end = np.cumsum(n_read)
        new = np.ones(len(maker), np.bool_)
        np.not_equal(maker[1:], maker[:-1], out=new[1:])
        new[end[:-1]] = True
        head = np.flatnonzero(new & found)
        i = np.searchsorted(end, head, "right")
        yield chosen[entries[i]], before[i] + head - (end - n_read)[i], near[maker[head]]
        if not found.all():
            for e, k, _ in firsts(n_read, np.flatnonzero(~found)):
                _missed(ctx, every, taken, int(entries[e]), k + int(before[e]), told)


def _missed(ctx: Context, made: Ends, taken: Ends, entry: int, k: int, told: set[object]) -> None:
    """Rule 341: repeat ``k`` of a read finds nothing."""
    fields = (taken.stream, taken.bursts, taken.place, taken.delay)
    stream, burst, place, delay = (int(a[entry]) for a in fields)
    source = missed.operand(ctx, burst, stream, delay)
    if (burst, source) not in told:
        told.add((burst, source))
        start = int(taken.time[entry])
        cycle = start + k * words.step(ctx, burst)
        missed.tell(ctx, made, missed.Look(burst, k, stream, place, delay, start, cycle), source)
