"""The ledger: every unit-cycle of a run belongs to a node or to a named cause of idleness, and the books balance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isa.errors import InternalError
from runtime.ledger.causes import NAMES, Binding
from runtime.ledger.columns import Columns, Ints
from runtime.ledger.flow import Flow

UNBALANCED = 981


@dataclass(frozen=True)
class Books:
    """Unit-cycles. ``busy[unit, node]`` and ``idle[unit, cause]``; each row of both together is ``cycles``."""

    units: tuple[str, ...]
    kinds: tuple[str, ...]
    nodes: tuple[str, ...]
    cycles: int
    busy: Ints
    idle: Ints

    def by_kind(self) -> dict[str, tuple[int, Ints, Ints]]:
        """Of each kind of unit: how many there are, their busy cycles by node, their idle cycles by cause."""
        out = {}
        for kind in dict.fromkeys(self.kinds):
            rows = np.array([k == kind for k in self.kinds])
            out[kind] = (int(rows.sum()), self.busy[rows].sum(0), self.idle[rows].sum(0))
        return out


def books_of(c: Columns, flow: Flow, binding: Binding, cycles: int) -> Books:
    """The books of a run of ``cycles`` cycles. Raises InternalError TSP981 if they do not balance."""
    d = c.dispatches
    busy = np.zeros((len(c.units), len(c.program.nodes)), np.int64)
    idle = np.zeros((len(c.units), len(NAMES)), np.int64)
    np.add.at(busy, (d.unit, c.node[d.burst]), d.busy)
    stagger = c.machine.timing("stagger")
    idle[:, NAMES.index("stagger")] = stagger
    end = d.cycle + d.busy
    first = np.ones(len(d.unit), np.bool_)
    first[1:] = d.unit[1:] != d.unit[:-1]
    last = np.roll(first, -1)
    gap = np.where(first, d.cycle, d.cycle - np.roll(end, 1))
    stencil = flow.stencil[d.burst]
    inside = ~first & (stencil == np.roll(stencil, 1))
    cause = np.where(inside, NAMES.index("pace"), binding.cause[stencil])
    cause = np.where(first, NAMES.index("start-up"), cause)
    np.add.at(idle, (d.unit, cause), gap)
    left = cycles - stagger
    np.add.at(idle[:, NAMES.index("drain")], d.unit[last], left - end[last])
    never = np.setdiff1d(np.arange(len(c.units)), d.unit)
    idle[never, NAMES.index("unused")] = left
    books = Books(c.units, c.kinds, c.program.nodes, cycles, busy, idle)
    _balance(books)
    return books


def _balance(books: Books) -> None:
    """Nothing negative, and every unit's cycles add up to the run's."""
    total = books.busy.sum(1) + books.idle.sum(1)
    wrong = np.flatnonzero((total != books.cycles) | (books.idle < 0).any(1))
    if len(wrong):
        unit = books.units[wrong[0]]
        message = f"the books of {unit} come to {total[wrong[0]]} of {books.cycles} cycles"
        raise InternalError(UNBALANCED, message)
