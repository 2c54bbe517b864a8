"""A program as columns of numpy integers, and the few operations on arithmetic progressions that the rules share.

A burst is a progression: dispatch ``k`` falls in ``cycle + k * interval``. Rules work on bursts where they can, and expand
one queue, slice or stream at a time to integers where they cannot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from isa.errors import VerifyError
from isa.instruction import BY_OPCODE, REGISTRY
from isa.machine import Machine
from isa.program import Program
from isa.verify.report import CAP

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MAX_CYCLE: Final = 1 << 40
MAX_DISPATCHES: Final = 1 << 25
MAX_OF_QUEUE: Final = 1 << 22
MAX_STREAM_VALUES: Final = 1 << 27
"""Limits on a program: cycles; dispatches in all and of one queue; byte planes that they read and put."""
PART: Final = 1 << 22
"""How many values are held at a time."""
_SPAN: Final = MAX_CYCLE << 1


def once(values: Ints) -> Ints:
    """Values in ascending order, each once; ``np.unique`` would import masked arrays first."""
    ordered = np.sort(values, axis=None)
    new = np.ones(len(ordered), np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new]


def ramp(base: Ints, step: Ints, count: Ints) -> Ints:
    """For every ``i`` the ``count[i] >= 1`` values ``base[i] + k * step[i]``, end to end."""
    if not len(base):
        return np.zeros(0, np.int64)
    out = np.repeat(step, count)
    starts = np.cumsum(count) - count
    out[starts] = base
    out[starts[1:]] -= (base + (count - 1) * step)[:-1]
    return np.cumsum(out, out=out)


def firsts(count: Ints, indices: Ints) -> list[tuple[int, int, int]]:
    """For ``indices`` into a ramp, the first of each progression: progression, repeat, and place among ``indices``."""
    if not len(indices):
        return []
    ends = np.cumsum(count)
    owner = np.searchsorted(ends, indices, "right")
    at = np.sort(np.unique(owner, return_index=True)[1])[:CAP]
    k = indices[at] - ends[owner[at]] + count[owner[at]]
    return [(int(o), int(r), int(p)) for o, r, p in zip(owner[at], k, at, strict=True)]


def between(base: Ints, step: Ints, count: Ints, low: int, high: int) -> tuple[Ints, Ints, Ints]:
    """The part of progressions in ``[low, high)``: which have one, its first repeat, and its length."""
    first = np.clip(-((base - low) // step), 0, count)
    end = np.clip(-((base - high) // step), 0, count)
    which = np.flatnonzero(end > first)
    return which, first[which], (end - first)[which]


def windows(
    base: Ints, step: Ints, count: Ints, unit: int = 1, widest: int = _SPAN << 20
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Progressions cut at multiples of ``unit`` into ranges of at most ``PART`` values, each as from ``between``.

    No range is wider than ``widest``, unless ``unit`` is.
    """
    if not len(base):
        return
    low = int(base.min()) // unit * unit
    stack = [(low, int((base + (count - 1) * step).max()) + 1)]
    while stack:
        low, high = stack.pop()
        which, first, n = between(base, step, count, low, high)
        fits = int(n.sum()) <= PART and high - low <= widest
        if fits or high - low <= unit:
            yield which, first, n
        else:
            middle = low + max(unit, (high - low) // 2 // unit * unit)
            stack += [(middle, high), (low, middle)]


def collisions(
    group: Ints, start: Ints, step: Ints, count: Ints
) -> Iterator[tuple[int, int, int, int]]:
    """Values that progressions of one group share: ``(i, k, j, n)`` for value ``k`` of ``i`` and value ``n`` of ``j``.

    Of two progressions one value that they share, and about ``CAP`` in all. Only progressions that overlap another one of
    their group are expanded. Groups below 2**21, values in ``[0, MAX_CYCLE * 1.5)``.
    """
    first = group * _SPAN + start
    order = np.argsort(first, kind="stable")
    first = first[order]
    last = first + ((count - 1) * step)[order]
    overlap = first[1:] <= np.maximum.accumulate(last)[:-1]
    member = np.zeros(len(first), np.bool_)
    member[1:] |= overlap
    member[:-1] |= overlap
    chosen, base = order[member], first[member]
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for which, skipped, n in windows(base, step[chosen], count[chosen]):
        stride = step[chosen[which]]
        for i, k, j, m in _equal(base[which] + skipped * stride, stride, n):
            pair = int(chosen[which[i]]), int(chosen[which[j]])
            found.setdefault(pair, (k + int(skipped[i]), m + int(skipped[j])))
        if len(found) >= CAP:
            break
    for (a, b), (k, m) in found.items():
        yield a, k, b, m


def _equal(base: Ints, step: Ints, count: Ints) -> Iterator[tuple[int, int, int, int]]:
    """Equal values, as ``collisions`` yields them."""
    values = ramp(base, step, count)
    ordered = np.sort(values)
    if not (ordered[1:] == ordered[:-1]).any():
        return
    by_value = np.argsort(values, kind="stable")
    ordered = values[by_value]
    same = np.flatnonzero(ordered[1:] == ordered[:-1])[: CAP * CAP]
    ends = np.cumsum(count)
    i, j = (np.searchsorted(ends, by_value[same + d], "right") for d in (0, 1))
    for at in np.sort(np.unique(i * len(base) + j, return_index=True)[1])[:CAP]:
        a, b = int(i[at]), int(j[at])
        k, n = (int(by_value[same[at] + d]) - int(ends[x] - count[x]) for d, x in ((0, a), (1, b)))
        yield a, k, b, n


@dataclass(frozen=True)
class Dispatches:
    """Every dispatch of some bursts in order of time; ``cycle[i]`` is the ``i``-th dispatch's."""

    bursts: Ints
    count: Ints
    order: Ints | None  # of the ramp's values; None = as they are
    cycle: Ints

    def __len__(self) -> int:
        return len(self.cycle)

    def values(self, base: npt.NDArray[Any], step: Ints | None = None) -> Ints:
        """A per-burst value, advanced by ``step`` with every dispatch if given, for every dispatch."""
        out = np.repeat(base, self.count) if step is None else ramp(base, step, self.count)
        return out if self.order is None else out[self.order]

    def who(self, index: int) -> tuple[int, int]:
        """Burst and repeat of dispatch ``index``."""
        at = np.array([index])
        i, k, _ = firsts(self.count, at if self.order is None else self.order[at])[0]
        return int(self.bursts[i]), k

    def firsts(self, marked: Bools) -> list[tuple[int, int, int]]:
        """The first marked dispatch of each burst: burst, repeat, index; ``CAP`` at most."""
        at = np.flatnonzero(marked)
        found = firsts(self.count, at if self.order is None else self.order[at])
        return [(int(self.bursts[i]), k, int(at[p])) for i, k, p in found]


@dataclass
class Context:
    """A program under verification. All columns int64, one entry a burst."""

    program: Program
    machine: Machine = field(init=False)
    queue: Ints = field(init=False)
    opcode: Ints = field(init=False)
    node: Ints = field(init=False)
    cycle: Ints = field(init=False)
    count: Ints = field(init=False)
    interval: Ints = field(init=False)
    stride: Ints = field(init=False)
    args: Ints = field(init=False)
    refusals: list[VerifyError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.machine = self.program.machine
        for name in ("queue", "opcode", "node", "cycle", "count", "interval", "stride", "args"):
            column = np.ascontiguousarray(self.program.bursts[name], np.int64)
            setattr(self, name, column)

    def __len__(self) -> int:
        return len(self.queue)

    @cached_property
    def opcodes(self) -> Ints:
        """The opcodes that occur."""
        return once(self.opcode)

    @cached_property
    def _bursts_of(self) -> dict[str, Ints]:
        order = np.argsort(self.opcode, kind="stable")
        cuts = np.searchsorted(self.opcode[order], self.opcodes)
        parts = np.split(order, cuts[1:]) if len(self) else []
        codes = (int(c) for c in self.opcodes)
        return {
            BY_OPCODE[c].mnemonic: p for c, p in zip(codes, parts, strict=True) if c in BY_OPCODE
        }

    def bursts(self, *mnemonics: str) -> Ints:
        """Indices of the bursts of some instructions."""
        none = np.zeros(0, np.int64)
        return np.concatenate([none, *(self._bursts_of.get(m, none) for m in mnemonics)])

    def operand(self, mnemonic: str, name: str, bursts: Ints | None = None) -> Ints:
        """Values of one operand over an instruction's bursts (all of them unless given)."""
        names = [o.name for o in REGISTRY[mnemonic].operands]
        chosen = self.bursts(mnemonic) if bursts is None else bursts
        values: Ints = self.args[chosen, names.index(name)]
        return values

    def value(self, burst: int, name: str) -> int:
        """One operand of one burst's first dispatch."""
        names = [o.name for o in BY_OPCODE[int(self.opcode[burst])].operands]
        return int(self.args[burst, names.index(name)])

    @cached_property
    def position(self) -> Ints:
        """Each burst's unit's position."""
        return np.array(self.machine.queue_positions, np.int64)[self.queue]

    @cached_property
    def d_func(self) -> Ints:
        """Cycles from dispatch to result, of each burst."""
        table = np.zeros(int(self.opcode.max(initial=0)) + 1, np.int64)
        for code in self.opcodes:
            key = BY_OPCODE[int(code)].timing
            table[code] = self.machine.timing(key) if key else 0
        return table[self.opcode]

    @cached_property
    def last(self) -> Ints:
        """Cycle of each burst's last dispatch."""
        return self.cycle + (self.count - 1) * self.interval

    def dispatches(self, bursts: Ints) -> Dispatches:
        """All dispatches of some bursts, in order of time."""
        count = self.count[bursts]
        cycle = ramp(self.cycle[bursts], self.interval[bursts], count)
        order = None
        if len(cycle) and (cycle[1:] < cycle[:-1]).any():
            order = np.argsort(cycle, kind="stable")
            cycle = cycle[order]
        return Dispatches(bursts, count, order, cycle)

    def makers(self, bursts: Ints, cycle: Ints, interval: Ints, count: Ints) -> Ints:
        """For progressions of cycles the one burst that dispatches in all of them, where that is plain; else -1.

        ``bursts`` are in order of their cycles, and no two of them dispatch in one cycle.
        """
        none = np.full(len(cycle), -1)
        if not len(bursts):
            return none
        at = np.searchsorted(self.cycle[bursts], cycle, "right") - 1
        burst, step = bursts[at], self.interval[bursts[at]]
        met = (at >= 0) & (cycle + (count - 1) * interval <= self.last[burst])
        met &= ((cycle - self.cycle[burst]) % step == 0) & ((interval % step == 0) | (count == 1))
        return np.where(met, burst, none)
