"""Rules about streams: one value at a time is put at one place, and what is read was put.

A value keeps to its diagonal: going east ``cycle - hop * position`` is constant, going west ``cycle + hop * position``.
Counting a westward stream's positions from the east makes both cases one. A reader gets the value of the nearest producer
upstream, its own position included, on its diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from isa.verify import effects, report
from isa.verify.context import Context, Ints, collisions, firsts, ramp

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

    def keys(self, part: slice) -> Ints:
        """Keys of all dispatches of some entries."""
        return ramp(self.key[part], self.step[part], self.count[part])


def check(ctx: Context) -> None:
    """Rules 340 and 341."""
    made = Ends.of(ctx, effects.puts(ctx), ctx.d_func)
    taken = Ends.of(ctx, effects.reads(ctx), np.zeros(len(ctx), np.int64))
    _double(ctx, made)
    streams = np.arange(2 * ctx.machine.streams + 1)
    put_at, read_at = np.searchsorted(made.stream, streams), np.searchsorted(taken.stream, streams)
    for s in streams[:-1]:
        reads = slice(read_at[s], read_at[s + 1])
        if reads.start < reads.stop:
            _arrivals(ctx, int(s), made, slice(put_at[s], put_at[s + 1]), taken, reads)


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


def _arrivals(
    ctx: Context, stream: int, made: Ends, puts: slice, taken: Ends, reads: slice
) -> None:
    """Every read of one stream against every put."""
    keys = made.keys(puts)
    keys.sort()
    wanted = taken.keys(reads)
    at = np.searchsorted(keys, wanted, "right") - 1
    floor = wanted - np.repeat(taken.place[reads], taken.count[reads])
    found = at >= 0
    found[found] = keys[at[found]] >= floor[found]
    if found.all():
        return
    for i, k, _ in firsts(taken.count[reads], np.flatnonzero(~found)):
        _miss(ctx, stream, made, puts, taken, reads.start + i, k)


def _miss(
    ctx: Context, stream: int, made: Ends, puts: slice, taken: Ends, entry: int, k: int
) -> None:
    """Refuse one read, with the value that came closest to it."""
    m = ctx.machine
    burst, place = int(taken.bursts[entry]), int(taken.place[entry])
    cycle = int(taken.time[entry]) + k * report.step(ctx, burst)
    name = report.stream_name(m, stream)
    unit = report.position_name(m, int(ctx.position[burst]))
    why = f"nothing is on {name} at {unit} in cycle {cycle}"
    hint = f"put a value on {name} upstream of {unit}"
    keys = made.keys(puts)
    diagonal, wanted = keys // m.positions, cycle - m["streams.hop"] * place
    upstream = keys - diagonal * m.positions <= place
    near = np.flatnonzero(upstream & (np.abs(diagonal - wanted) <= NEAR))
    if len(near):
        off = diagonal[near] - wanted
        best = near[np.lexsort((-keys[near], np.abs(off)))[0]]
        delta = int(diagonal[best]) - wanted
        i, repeat, _ = firsts(made.count[puts], best[None])[0]
        maker = int(made.bursts[puts.start + i])
        side = "later" if delta > 0 else "earlier"
        why += f"; the value of {report.other(ctx, maker, repeat)} passes {report.cycles(abs(delta))} {side}"
        hint = report.shift(delta, report.mnemonic(ctx, maker))
    elif len(keys) and not upstream.any():
        hint = f"{name} is driven downstream of {unit} only; use the other direction"
    report.refuse(ctx, 341, why, where=report.place(ctx, burst, k), hint=hint)
