"""Memory of kernels: what is allocated, and where results live that one kernel leaves for another."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Final

import numpy as np
import numpy.typing as npt

from emulator.jit.effects import Ints
from emulator.jit.guarded import guarded
from emulator.jit.nodes import NO_NODE, Kind
from emulator.jit.order import Plan
from emulator.jit.regions import ALIGN, Region

SLACK: Final = 256
"""Bytes behind a buffer that a vector load of its last row may touch."""

NEVER: Final = -1


def zeroed_arena(size: int, huge: bool = True) -> npt.NDArray[np.uint8]:
    """Zeroed bytes and ``SLACK`` more, ``guarded``; they take memory when they are first written.

    Of huge pages where the system has them, which takes a tenth of the faults; not for what is written here and there.
    """
    return guarded(size + SLACK, huge)[:size]


def return_memory() -> None:
    """Give memory that is free inside the process back to the system, where the C library can: preparing leaves much."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


class Storage:
    """Addresses of results, panels and widened activations, for a plan. One buffer serves all, a place free again after its
    last use.

    Attributes:
        results: ``[bursts]``: where a burst's result starts; -1 of bursts whose result nothing outside their group takes.
        panels: ``[installs]``: where weights are that a run packs; -1 of others.
        wide: where widened activations are, by number.
        last: ``[bursts]``: the last position at which a result is used.
    """

    def __init__(self, plan: Plan, results: Ints, panels: Ints, wide: Ints, spans: Ints) -> None:
        """``results``, ``panels``, ``wide`` are bytes; ``spans`` ``[wide, 2]`` the first and the last position of use."""
        self._top = 0
        self._free: dict[int, list[int]] = {}
        lifetimes = np.concatenate([*_lifetimes(plan), spans])
        self.last = lifetimes[: len(results), 1]
        sizes = np.concatenate([results, panels, wide])
        cuts = np.cumsum([len(results), len(panels)])
        self.results, self.panels, self.wide = np.split(self._allocate(lifetimes, sizes), cuts)
        self.size = self._top + SLACK

    def _allocate(self, lifetimes: Ints, sizes: Ints) -> Ints:
        """Address of everything that lives."""
        out = np.full(len(sizes), NEVER)
        alive = np.flatnonzero(lifetimes[:, 1] != NEVER)
        first, last = lifetimes[alive].T
        ends = alive[np.argsort(last, kind="stable")]
        starts = alive[np.argsort(first, kind="stable")].tolist()
        leaving, place = list(zip(ends.tolist(), lifetimes[ends, 1].tolist(), strict=True)), 0
        begin, size, where = lifetimes[:, 0].tolist(), sizes.tolist(), out.tolist()
        for key in starts:
            while leaving[place][1] < begin[key]:
                gone = leaving[place][0]
                self._free[_size_class(size[gone] + SLACK)].append(where[gone])
                place += 1
            wanted = _size_class(size[key] + SLACK)
            free = self._free.setdefault(wanted, [])
            where[key] = free.pop() if free else self._top
            if where[key] == self._top:
                self._top += wanted
        out[:] = where
        return np.where(out == NEVER, NEVER, out + Region.RESULTS.base)


def _size_class(size: int) -> int:
    """The next power of two, or three quarters of it."""
    power = max(ALIGN, 1 << (size - 1).bit_length())
    return power * 3 // 4 if power * 3 // 4 >= size and power >= 4 * ALIGN else power


def _lifetimes(plan: Plan) -> tuple[Ints, Ints]:
    """First and last position of the result of each burst that is read outside its row or its group, and of each panel; else -1."""
    graph, position, groups = plan.graph, plan.position, plan.groups
    refs, bursts = graph.refs, len(graph.opcode)
    maker = groups.row_makers[refs.operand]
    inside = (maker != NO_NODE) & (graph.kind[maker] == Kind.VXM)
    inside &= position[maker] == position[refs.node]
    taken = np.flatnonzero(~inside & ~graph.in_place[refs.burst] & (position[refs.node] >= 0))
    pack, packed, _ = graph.packed
    packs = np.flatnonzero((position[pack] >= 0) & ~graph.in_place[packed])
    burst = np.append(refs.burst[taken], packed[packs])
    when = np.append(position[refs.node[taken]], position[pack[packs]])
    results = np.full((bursts, 2), NEVER)
    np.maximum.at(results[:, 1], burst, when)
    # A burst cut into nodes is being made until the last of them ran.
    live = np.flatnonzero((position >= 0) & (graph.burst >= 0))
    live = live[results[graph.burst[live], 1] != NEVER]
    results[graph.burst[live], 0] = len(groups)
    np.minimum.at(results[:, 0], graph.burst[live], position[live])
    np.maximum.at(results[:, 1], graph.burst[live], position[live])
    panels = np.full((len(graph.installs), 2), NEVER)
    made = np.flatnonzero((graph.kind == Kind.PACK) & (position >= 0))
    panels[graph.weights[made], 0] = position[made]
    used = np.flatnonzero(graph.kind == Kind.ACC)
    used = used[graph.packs[graph.weights[used]] != NO_NODE]
    np.maximum.at(panels[:, 1], graph.weights[used], position[used])
    return results, panels
