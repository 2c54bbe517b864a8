"""Rules about streams: one value at a time is put at one place, and what is read was put.

A value keeps to its diagonal: going east ``cycle - hop * position`` is constant, going west ``cycle + hop * position``.
Counting a westward stream's positions from the east makes both cases one. A reader gets the value of the nearest producer
upstream, its own position included, on its diagonal.
"""

from __future__ import annotations

import numpy as np

from isa.verify import effects, missed, report, words
from isa.verify.context import MAX_STREAM_VALUES, Context, collisions, firsts, windows
from isa.verify.ends import Ends


def check(ctx: Context) -> None:
    """Rules 340 and 341."""
    made = Ends.of(ctx, effects.puts(ctx), ctx.d_func)
    taken = Ends.of(ctx, effects.reads(ctx), np.zeros(len(ctx), np.int64))
    values = sum(float(e.count.astype(np.float64).sum()) for e in (made, taken))
    if values > MAX_STREAM_VALUES:
        why = f"{values:.0f} values are read and put; {MAX_STREAM_VALUES} are verified at most"
        report.refuse(ctx, 300, why, where="the program", hint="split it")
        return
    _double(ctx, made)
    told: set[object] = set()
    for stream in np.unique(taken.stream):
        _arrivals(ctx, int(stream), made, taken.part(stream), told)


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


def _arrivals(ctx: Context, stream: int, every: Ends, taken: Ends, told: set[object]) -> None:
    """All reads ``taken`` of one stream against every put; of an operand ``told`` of, nothing more is said."""
    made = every.part(stream)
    own = len(made.key)
    key, step = np.concatenate((made.key, taken.key)), np.concatenate((made.step, taken.step))
    count = np.concatenate((made.count, taken.count))
    for which, skipped, n in windows(key, step, count, ctx.machine.positions):
        puts, reads = which < own, which >= own
        keys = made.keys(which[puts], skipped[puts], n[puts])
        keys.sort()
        entries, n_read = which[reads] - own, n[reads]
        wanted = taken.keys(entries, skipped[reads], n_read)
        at = np.searchsorted(keys, wanted, "right") - 1
        found = at >= 0
        upstream = wanted - np.repeat(taken.place[entries], n_read)
        found[found] = keys[at[found]] >= upstream[found]
        if found.all():
            continue
        for i, k, _ in firsts(n_read, np.flatnonzero(~found)):
            entry, k = int(entries[i]), k + int(skipped[reads][i])
            burst, place, delay = (int(a[entry]) for a in (taken.bursts, taken.place, taken.delay))
            source = missed.operand(ctx, burst, stream, delay)
            if (burst, source) not in told:
                told.add((burst, source))
                start = int(taken.time[entry])
                cycle = start + k * words.step(ctx, burst)
                look = missed.Look(burst, k, stream, place, delay, start, cycle)
                missed.tell(ctx, every, look, source)
