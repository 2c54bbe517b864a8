"""Rules about streams: one value at a time is put at one place, and what is read was put.

A value keeps to its diagonal: going east ``cycle - hop * position`` is constant, going west ``cycle + hop * position``.
Counting a westward stream's positions from the east makes both cases one. A reader gets the value of the nearest producer
upstream, its own position included, on its diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from isa.verify import effects, report
from isa.verify.context import (
    MAX_STREAM_VALUES,
    Context,
    Ints,
    between,
    collisions,
    firsts,
    ramp,
    windows,
)

NEAR: Final = 64
"""How many cycles from a missed reader a value is looked for."""


@dataclass(frozen=True)
class Ends:
    """Single streams at bursts, sorted by stream. Dispatch ``k`` has the key ``key + k * step``.

    A key is ``diagonal * positions + place``, ``place`` counting positions downstream.
    """

    bursts: Ints
    stream: Ints
    time: Ints  # of the first dispatch: landing of a put, sight of a read
    place: Ints
    key: Ints
    step: Ints
    count: Ints
    delay: Ints

    @staticmethod
    def of(ctx: Context, access: effects.Access, latency: Ints) -> Ends:
        """One entry a burst and stream of ``access``; ``latency`` (a burst) is added to the dispatch's cycle."""
        m = ctx.machine
        n = access.planes
        which = np.repeat(np.arange(len(n)), n)
        stream = ramp(access.stream, np.ones_like(n), n)
        order = np.argsort(stream, kind="stable")
        which, stream = which[order], stream[order]
        bursts, delay = access.bursts[which], access.delay[which]
        place = ctx.position[bursts]
        place = np.where(stream < m.streams, place, m.positions - 1 - place)
        time = ctx.cycle[bursts] + latency[bursts] - delay
        key = (time - m["streams.hop"] * place) * m.positions + place
        step = ctx.interval[bursts] * m.positions
        return Ends(bursts, stream, time, place, key, step, ctx.count[bursts], delay)

    def part(self, stream: int) -> Ends:
        """The entries of one stream."""
        a, b = np.searchsorted(self.stream, (stream, stream + 1))
        return Ends(*(getattr(self, f.name)[a:b] for f in fields(self)))

    def keys(self, which: Ints, skipped: Ints, count: Ints) -> Ints:
        """Keys of ``count`` dispatches of some entries, after the first ``skipped``."""
        step = self.step[which]
        return ramp(self.key[which] + skipped * step, step, count)


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
    for stream in np.unique(taken.stream):
        _arrivals(ctx, int(stream), made.part(stream), taken.part(stream))


def _double(ctx: Context, made: Ends) -> None:
    group = made.stream * ctx.machine.positions + made.place
    for i, k, j, n in collisions(group, made.time, ctx.interval[made.bursts], made.count):
        a, b = int(made.bursts[i]), int(made.bursts[j])
        name = report.stream_name(ctx.machine, int(made.stream[i]))
        cycle = int(made.time[i]) + k * report.step(ctx, a)
        unit = report.position_name(ctx.machine, int(ctx.position[a]))
        why = f"{name} at {unit} is also driven in cycle {cycle} by {report.other(ctx, a, k)}"
        hint = "use another stream, or move one of them by a cycle"
        report.refuse(ctx, 340, why, where=report.place(ctx, b, n), hint=hint)


def _arrivals(ctx: Context, stream: int, made: Ends, taken: Ends) -> None:
    """Every read of one stream against every put."""
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
            _miss(ctx, stream, made, taken, int(entries[i]), k + int(skipped[reads][i]))


def _miss(ctx: Context, stream: int, made: Ends, taken: Ends, entry: int, k: int) -> None:
    """Refuse one read, with the value that came closest to it."""
    m = ctx.machine
    burst, place = int(taken.bursts[entry]), int(taken.place[entry])
    cycle = int(taken.time[entry]) + k * report.step(ctx, burst)
    name = report.stream_name(m, stream)
    unit = report.position_name(m, int(ctx.position[burst]))
    why = f"nothing is on {name} at {unit} in cycle {cycle}"
    hint = f"put a value on {name} upstream of {unit}"
    wanted = cycle - m["streams.hop"] * place
    low, high = ((wanted + n) * m.positions for n in (-NEAR, NEAR + 1))
    which, skipped, n = between(made.key, made.step, made.count, low, high)
    keys = made.keys(which, skipped, n)
    off = keys // m.positions - wanted
    upstream = np.flatnonzero(keys % m.positions <= place)
    if len(upstream):
        best = upstream[np.lexsort((-keys[upstream], np.abs(off[upstream])))[0]]
        i, repeat, _ = firsts(n, best[None])[0]
        maker, delta = int(made.bursts[which[i]]), int(off[best])
        side = "later" if delta > 0 else "earlier"
        passing = report.other(ctx, maker, repeat + int(skipped[i]))
        why += f"; the value of {passing} passes {report.cycles(abs(delta))} {side}"
        hint = report.shift(delta, report.mnemonic(ctx, maker))
    elif len(made.place) and int(made.place.min()) > place:
        hint = f"{name} is driven downstream of {unit} only; use the other direction"
    report.refuse(ctx, 341, why, where=report.place(ctx, burst, k), hint=hint)
