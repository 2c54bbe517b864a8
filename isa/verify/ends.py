"""Where streams are driven and read: single streams at bursts, as progressions of keys that meet where a value is read."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from isa.verify import effects
from isa.verify.context import Context, Ints, ramp


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
