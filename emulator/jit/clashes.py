"""What order memory asks for: pairs of accesses that touch a word, at least one a write, and which goes first.

Of two such accesses to a word the earlier goes first; a write that takes effect in the cycle of a read precedes it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from emulator.jit.accesses import Accesses
from emulator.jit.effects import Ints, distinct, ranges
from emulator.jit.nodes import Bools, heads

SLICE: Final = 1 << 24
"""More than the words of a slice."""


def meeting(every: Accesses) -> tuple[Ints, Ints]:
    """Pairs that may touch one word, at least one a write, the one that starts first in front; each pair once.

    A pair is left out where a chain of others asks for the same order: slices are cut into pieces of which a densely running
    access covers all or nothing. A write that covers a piece, and starts when all before it there are done, stands for those
    as soon as it is done itself.
    """
    piece, access = _pieces(every)
    order = np.lexsort((access, ~every.write[access], every.time[access], piece))
    piece, access = piece[order], access[order]
    time, last, write = every.time[access], every.last[access], every.write[access]
    place, begins = np.arange(len(piece)), np.zeros(len(piece), np.bool_)
    begins[heads(piece)] = True
    covers = (every.width == 1) & ((np.abs(every.stride) == 1) | (every.count == 1))
    stands = begins | (write & covers[access] & (time > _latest(piece, last)))
    until = np.maximum.accumulate(np.where(stands, place, 0))
    before = np.where(begins, place, until[np.maximum(place - 1, 0)])
    done = (last[before] < time) | ((last[before] == time) & write[before])
    return _pairs(access, np.where(done, before, before[before]), write)


def _pieces(every: Accesses) -> tuple[Ints, Ints]:
    """The pieces of slices that accesses touch: numbers of pieces and of accesses."""
    low, end = (every.slice * SLICE + word for word in (every.low, every.high + 1))
    cuts = distinct(np.concatenate([low, end]))
    first = np.searchsorted(cuts, low)
    n = np.searchsorted(cuts, end) - first
    access = np.repeat(np.arange(len(n)), n)
    return first[access] + ranges(n), access


def _latest(piece: Ints, last: Ints) -> Ints:
    """The greatest ``last`` in front of each place within its piece; negative where there is none."""
    apart = piece * (int(last.max(initial=0)) + 2)
    reached = np.maximum.accumulate(last + apart)
    return np.append(-1, reached[:-1])[: len(piece)] - apart


def _pairs(access: Ints, start: Ints, write: Bools) -> tuple[Ints, Ints]:
    """Each place with all from its ``start`` on in front of it, or with the writes among those if it is a read."""
    place, writes = np.arange(len(access)), np.flatnonzero(write)
    earlier: Ints = np.cumsum(write) - write
    low = np.where(write, start, earlier[start])
    n = np.where(write, place, earlier) - low
    later = np.repeat(place, n)
    found = low[later] + ranges(n)
    plain = write[later]
    found[~plain] = writes[found[~plain]]
    both = distinct(access[found] * len(access) + access[later])
    return both // max(1, len(access)), both % max(1, len(access))


def directions(x: Accesses, y: Accesses) -> tuple[Bools, Bools]:
    """Whether some access of ``x`` must precede one of ``y``, and the other way round, pair by pair. ``x`` start first."""
    forth = (x.last < y.time) | ((x.last == y.time) & x.write)
    back = np.zeros_like(forth)
    even, apart, meet = _in_step(x, y)
    even &= ~forth
    # Instance i of x and i - apart of y meet, always equally long after one another.
    lead = y.time - x.interval * apart - x.time
    first = (lead > 0) | ((lead == 0) & x.write)
    left = np.flatnonzero(~forth & ~even)
    forth |= even & meet & first
    back |= even & meet & ~first
    for pair in left.tolist():
        collide, earlier = _meetings(x, y, pair)
        forth[pair], back[pair] = (collide & earlier).any(), (collide & ~earlier).any()
    return forth, back


def row_by_row(x: Accesses, y: Accesses) -> tuple[Bools, Bools]:
    """Whether doing both a row at a time keeps their order, and whether rows are then independent of each other.

    Within a row, reads come before writes, and writes in no particular order. ``x`` start first.
    """
    even, apart, meet = _in_step(x, y)
    lead = y.time - x.interval * apart - x.time
    earlier = (lead > 0) | ((lead == 0) & x.write)
    x_first = (apart < 0) | ((apart == 0) & y.write)
    kept = ~meet | ((x_first == earlier) & ~(x.write & y.write & (apart == 0)))
    independent = ~meet | (kept & (apart == 0))
    for pair in np.flatnonzero(~even).tolist():
        kept[pair], independent[pair] = _rows(x, y, pair)
    return kept, independent


def _in_step(x: Accesses, y: Accesses) -> tuple[Bools, Ints, Bools]:
    """Which pairs go equally fast; then by how many instances ``y`` is ahead in addresses, and whether they meet."""
    even = (x.stride == y.stride) & (x.stride != 0) & (x.interval == y.interval)
    even &= (x.width == 1) & (y.width == 1)
    apart, rest = np.divmod(y.address - x.address, np.where(even, x.stride, 1))
    return even, apart, (rest == 0) & (-y.count < apart) & (apart < x.count)


def _meetings(x: Accesses, y: Accesses, pair: int) -> tuple[Bools, Bools]:
    """``[x.count, y.count]``: whether instances touch a common word, and whether x's goes first."""
    i, j = np.arange(x.count[pair])[:, None], np.arange(y.count[pair])[None, :]
    a, b = x.address[pair] + x.stride[pair] * i, y.address[pair] + y.stride[pair] * j
    collide = (a <= b + y.width[pair] - 1) & (b <= a + x.width[pair] - 1)
    s, t = x.time[pair] + x.interval[pair] * i, y.time[pair] + y.interval[pair] * j
    return collide, (s < t) | ((s == t) & x.write[pair])


def _rows(x: Accesses, y: Accesses, pair: int) -> tuple[bool, bool]:
    """``row_by_row`` of a single pair."""
    collide, earlier = _meetings(x, y, pair)
    if not collide.any():
        return True, True
    i, j = np.arange(x.count[pair])[:, None], np.arange(y.count[pair])[None, :]
    if x.write[pair] and y.write[pair] and (collide & (i == j)).any():
        return False, False
    x_first = (i < j) | ((i == j) & y.write[pair])
    return bool((x_first == earlier)[collide].all()), not bool((collide & (i != j)).any())
