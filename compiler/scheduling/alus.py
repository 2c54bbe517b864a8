"""Which ALU runs which step of a chain: found for many starts at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compiler.scheduling.tables import WINDOW, Tables

Bits = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Want:
    """An ALU for ``count`` dispatches, ``step`` cycles apart, from ``offset`` cycles after the chain's start on."""

    large: bool
    offset: int
    count: int
    step: int

    def meets(self, other: Want) -> bool:
        """Whether one ALU cannot do both; those of several dispatches have the same ``step``."""
        a, b = (self, other) if self.offset <= other.offset else (other, self)
        apart, step = b.offset - a.offset, max(a.step, b.step)
        return apart <= (a.count - 1) * a.step and apart % (step if a.count > 1 else 1) == 0


class Chain:
    """The ALUs of a chain wherever it starts: each step takes the first free one of its kind, in order of steps.

    Only large ALUs can do what wants one; what does not takes a small one if there is any.
    """

    def __init__(self, tables: Tables, wants: Sequence[Want], large: int) -> None:
        self.tables, self.wants = tables, wants
        self.large = np.uint32((1 << large) - 1)
        self.small = np.uint32((1 << tables.machine["vxm.alus"]) - 1) & ~self.large
        self.earlier = [
            [i for i, other in enumerate(wants[:at]) if want.meets(other)]
            for at, want in enumerate(wants)
        ]
        self.base, self.fits = 0, np.zeros(0, np.bool_)
        self.taken: list[Bits] = []

    def first(self, start: int) -> int:
        """The first start, from ``start`` on, at which every step finds an ALU."""
        while True:
            if not 0 <= start - self.base < len(self.fits):
                self._look(start)
            left = self.fits[start - self.base :]
            move = int(left.argmax())
            if left[move]:
                return start + move
            start += len(left)

    def at(self, start: int) -> list[int]:
        """The ALU of each step, for a start that `first` gave."""
        return [int(bits[start - self.base]).bit_length() - 1 for bits in self.taken]

    def _look(self, base: int) -> None:
        """Find out about ``WINDOW`` starts."""
        free = {
            shape: self._free(base, *shape) for shape in {(w.count, w.step) for w in self.wants}
        }
        self.base, self.taken = base, []
        self.fits = np.ones(WINDOW, np.bool_)
        every = np.zeros(WINDOW, np.uint32)
        for want, earlier in zip(self.wants, self.earlier, strict=True):
            left = free[want.count, want.step][want.offset : want.offset + WINDOW]
            if len(earlier) == len(self.taken):
                left = left & ~every
            else:
                for i in earlier:
                    left = left & ~self.taken[i]
            mine = left & self.large
            if not want.large:
                small = left & self.small
                mine = np.where(small, small, mine)
            self.fits &= mine != 0
            self.taken.append(mine & -mine)
            every |= self.taken[-1]

    def _free(self, base: int, count: int, step: int) -> Bits:
        """For each cycle from ``base`` on, the ALUs that are free for so many dispatches from then on."""
        cycles = 1 + max(w.offset for w in self.wants) + WINDOW
        end = base + cycles + (count - 1) * step
        self.tables.reach(end)
        busy, done = self.tables.bit_rows[self.tables.alu][base:end], 1
        while done < count:
            more = min(done, count - done) * step
            busy = busy[:-more] | busy[more:]
            done += more // step
        return ~busy
