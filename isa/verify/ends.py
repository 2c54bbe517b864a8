"""Where streams are driven and read: single streams at bursts, as progressions of keys that meet where a value is read."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from isa.verify import effects, tags
from isa.verify.context import Context, Ints, ramp


@dataclass(frozen=True)
class Ends:
    """Single streams at bursts, sorted by stream. Dispatch ``k`` has the key ``key + k * step``.

    A key is ``diagonal * positions + place``, ``place`` counting positions downstream. ``tag`` says which byte of which type
    is put, or read.
    """

    bursts: Ints
    stream: Ints
    time: Ints  # of the first dispatch: landing of a put, sight of a read
    place: Ints
    key: Ints
    step: Ints
    count: Ints
    delay: Ints
    tag: Ints

    @staticmethod
    def of(ctx: Context, access: effects.Access, latency: Ints) -> Ends:
        """One entry a burst and stream of ``access``; ``latency`` (a burst) is added to the dispatch's cycle."""
        m = ctx.machine
        n = access.planes
        which = np.repeat(np.arange(len(n)), n)
        stream = ramp(access.stream, np.ones_like(n), n)
        order = np.argsort(stream.astype(np.uint16), kind="stable")  # sorted by its digits
        which, stream = which[order], stream[order]
        bursts, delay = access.bursts[which], access.delay[which]
        place = ctx.position[bursts]
        place = np.where(stream < m.streams, place, m.positions - 1 - place)
        time = ctx.cycle[bursts] + latency[bursts] - delay
        key = (time - m["streams.hop"] * place) * m.positions + place
        step = ctx.interval[bursts] * m.positions
        tag = tags.of(access.dtype[which], (stream - access.stream[which]) % access.width[which])
        return Ends(bursts, stream, time, place, key, step, ctx.count[bursts], delay, tag)

    def part(self, which: Ints) -> Ends:
        """Some of the entries."""
        return Ends(*(getattr(self, f.name)[which] for f in fields(self)))

    def on(self, stream: int) -> Ends:
        """The entries of one stream."""
        return self.part(np.arange(*np.searchsorted(self.stream, (stream, stream + 1))))

    def diagonals(self, ctx: Context) -> tuple[Ints, Ints]:
        """The diagonals of the first and the last dispatch of each entry."""
        low = self.time - ctx.machine["streams.hop"] * self.place
        return low, low + (self.count - 1) * ctx.interval[self.bursts]

    def keys(
        self, which: Ints, skipped: Ints, count: Ints, low: int, bits: int, mark: Ints | int = 0
    ) -> Ints:
        """Keys of ``count`` dispatches of some entries after the first ``skipped``: ``key - low``, then ``bits`` of ``mark``."""
        step = self.step[which]
        base = self.key[which] + skipped * step - low
        return ramp((base << bits) + mark, step << bits, count)
