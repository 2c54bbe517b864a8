"""Every write of a program by word and time, and which of them each read sees."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from runtime.ledger.columns import Columns, Ints, ramp

_TIME = 36
_ADDRESS = 16


class Words:
    """Writes, by slice, address and the cycle from which the word can be read.

    Slices below 2**11, addresses below 2**16, cycles below 2**36. Rows of accumulators may be given slices of their own.
    """

    def __init__(self, columns: Columns) -> None:
        self.c = columns
        self._parts: list[Ints] = [np.zeros((3, 0), np.int64)]

    def write(self, bursts: Ints, slices: Ints, base: Ints, latency: int) -> None:
        """The bursts write a word a dispatch, readable ``latency`` cycles later."""
        burst, key, cycle = self._expanded(bursts, slices, base)
        self._parts.append(np.stack([key + latency, burst, cycle]))

    @cached_property
    def table(self) -> Ints:
        """``[3, writes]``: key, burst, cycle of dispatch; sorted by key."""
        table = np.concatenate(self._parts, 1)
        ordered: Ints = table[:, np.argsort(table[0], kind="stable")]
        return ordered

    @property
    def ready(self) -> Ints:
        """Of each row of the table, the cycle from which the word can be read."""
        ready: Ints = self.table[0] & ((1 << _TIME) - 1)
        return ready

    def between(self, slice_: int, address: int, count: int) -> slice:
        """The rows of the table that write one of ``count`` words from ``address`` on."""
        low = ((slice_ << _ADDRESS) | address) << _TIME
        first, end = np.searchsorted(self.table[0], [low, low + (count << _TIME)])
        return slice(int(first), int(end))

    def seen(self, bursts: Ints, slices: Ints, base: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """Of each read that sees a write: burst, cycle, row of the table, and how long the word had been readable."""
        burst, key, cycle = self._expanded(bursts, slices, base)
        keys = self.table[0]
        at = np.searchsorted(keys, key, "right") - 1
        some = np.flatnonzero(at >= 0)
        some = some[keys[at[some]] >> _TIME == key[some] >> _TIME]
        return burst[some], cycle[some], at[some], key[some] - keys[at[some]]

    def _expanded(self, bursts: Ints, slices: Ints, base: Ints) -> tuple[Ints, Ints, Ints]:
        """Burst, key and cycle of every dispatch."""
        c, n = self.c, self.c.count[bursts]
        address = ramp(base, c.stride[bursts], n)
        cycle = ramp(c.cycle[bursts], c.interval[bursts], n)
        key = ((np.repeat(slices, n) << _ADDRESS | address) << _TIME) | cycle
        return np.repeat(bursts, n), key, cycle
