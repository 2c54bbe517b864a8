"""Where what is read from memory comes from: the bursts that wrote it, or an input of some type.

A word has the type that the last write before gave it, else that of the input it belongs to. Where data decides which word it
is, nothing is known: neither of a word that a ``scatter`` may touch, nor of what a ``gather`` takes from words that are written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from isa.program import PortTensor
from isa.verify import tags
from isa.verify.accesses import Accesses, range_maximum
from isa.verify.context import MAX_CYCLE, Bools, Context, Ints

NOBODY: Final = -1
CYCLE_BITS: Final = MAX_CYCLE.bit_length() + 1


def declared(ctx: Context, tensors: Iterable[PortTensor]) -> dict[int, Ints]:
    """For each slice with pieces of ``tensors`` the tags ``[words]`` of its words; bytes where two tensors share a word."""
    table: dict[int, Ints] = {}
    for tensor in tensors:
        for p in tensor.pieces:
            words = table.setdefault(p.slice, np.full(ctx.machine.words, tags.NOTHING, np.int64))
            here = words[p.address : p.address + p.rows]
            tag = tags.tag(tensor.dtype, p.plane)
            here[:] = np.where((here == tags.NOTHING) | (here == tag), tag, tags.BYTES)
    return {q: np.where(words == tags.NOTHING, tags.BYTES, words) for q, words in table.items()}


class Writes:
    """Which burst writes an address in which cycle: given in order of cycles, none twice."""

    def __init__(self, address: Ints, cycle: Ints, burst: Ints) -> None:
        order = np.argsort(address.astype(np.uint16), kind="stable")  # linear, in 16 bits
        self.key = np.append(-1, (address << CYCLE_BITS | cycle)[order])
        self.burst = np.append(NOBODY, burst[order])

    def before(self, address: Ints, cycle: Ints) -> Ints:
        """The burst whose write of an address is the last one by a cycle, or ``NOBODY``."""
        start = address << CYCLE_BITS
        at = np.searchsorted(self.key, start | cycle, "right") - 1
        return np.where(self.key[at] >= start, self.burst[at], NOBODY)


@dataclass
class Origins:
    """What bursts that read memory get: ``(writer, reader)`` bursts in ``written``, ``(reader, tag)`` in ``given``.

    ``last[q]`` has for each word of a slice the burst that writes it last, or ``NOBODY``; ``first[q]`` the tag it has before.
    """

    first: dict[int, Ints]
    last: dict[int, Ints] = field(default_factory=dict)
    written: list[tuple[Ints, Ints]] = field(default_factory=list)
    given: list[tuple[Ints, Ints]] = field(default_factory=list)

    def ends(self, ctx: Context, q: int) -> tuple[Ints, Ints]:
        """Of the words of a slice: the tags they have before the first write, and who writes them last."""
        size = ctx.machine.words
        first, last = self.first.get(q), self.last.get(q)
        return (
            np.full(size, tags.BYTES) if first is None else first,
            np.full(size, NOBODY) if last is None else last,
        )

    def add(self, ctx: Context, q: int, read: Accesses, write: Accesses) -> None:
        """Enter the accesses of one slice. Dispatches are in order of time; no two writes take effect in one cycle."""
        size = ctx.machine.words
        first, last = self.ends(ctx, q)
        by, address = write.dispatches.values(write.dispatches.bursts), write.first
        plain = np.arange(len(by)) if write.by_data is None else np.flatnonzero(~write.by_data)
        last[address[plain]] = by[plain]
        if write.by_data is not None:
            loose = covered(size, address[write.by_data], write.reach[write.by_data])
            first[loose], last[loose] = tags.BYTES, NOBODY
        self.first[q], self.last[q] = first, last
        known = (last != NOBODY) | (first != tags.BYTES)
        if not known.any() or not len(read.first):
            return
        fixed = known[read.first]
        if read.by_data is not None:
            fixed &= ~read.by_data
            self._gathered(read, np.flatnonzero(read.by_data), last, first)
        chosen = np.flatnonzero(fixed)
        d = read.dispatches
        own = d.values(np.arange(len(d.bursts)))[chosen]
        partly = np.bincount(own, minlength=len(d.bursts))
        partly = d.bursts[(partly > 0) & (partly < d.count)]
        self.given.append((partly, np.full(len(partly), tags.BYTES)))
        effective = write.dispatches.cycle[plain] + ctx.machine.timing("mem_write")
        writes = Writes(address[plain], effective, by[plain])
        readers, wanted = d.bursts[own], read.first[chosen]
        writer = writes.before(wanted, d.cycle[chosen])
        old = np.flatnonzero(writer == NOBODY)
        self.given.append(distinct(readers[old], first[wanted[old]]))
        by, readers = distinct(writer, readers)
        self.written.append((by[by != NOBODY], readers[by != NOBODY]))

    def _gathered(self, read: Accesses, which: Ints, last: Ints, first: Ints) -> None:
        """What gathers take has a type where all words that they may touch have one from the start."""
        d, known = read.dispatches, (last != NOBODY) | (first != tags.BYTES)
        total, end = np.append(0, np.cumsum(known)), read.first + read.reach + 1
        if (total[end[which]] == total[read.first[which]]).all():
            return
        low, length = read.first[which], read.reach[which] + 1
        least = -range_maximum(-first, low, length)
        most = range_maximum(first, low, length)
        written = range_maximum(last, low, length) != NOBODY
        tag = np.where((least == most) & ~written, most, tags.BYTES)
        self.given.append(distinct(d.values(d.bursts)[which], tag))


def covered(size: int, first: Ints, reach: Ints) -> Bools:
    """Which of ``size`` words are in one of the ranges ``first .. first + reach``."""
    steps = np.zeros(size + 1, np.int64)
    np.add.at(steps, first, 1)
    np.add.at(steps, first + reach + 1, -1)
    inside: Bools = np.cumsum(steps)[:-1] > 0
    return inside


def distinct(a: Ints, b: Ints) -> tuple[Ints, Ints]:
    """Pairs, those dropped that repeat the one before."""
    new = np.ones(len(a), np.bool_)
    new[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    return a[new], b[new]
