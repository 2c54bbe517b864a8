"""Memory of kernels: what is allocated, and where results live that one kernel leaves for another."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import numpy as np
import numpy.typing as npt

from emulator.jit.groups import operands, row_maker
from emulator.jit.guarded import guarded
from emulator.jit.nodes import Graph, Kind, Node
from emulator.jit.order import Plan
from emulator.jit.regions import ALIGN, Region

SLACK: Final = 256
"""Bytes behind a buffer that a vector load of its last row may touch."""

Key = tuple[str, int]
"""``("result", burst)``, ``("panel", weights)`` or ``("wide", number)`` of ``Activations``."""


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
    """Addresses of results and panels, for a plan. One buffer serves all, a result's place free again after its last use.

    ``lifetimes`` are the first and the last position of each, ``others`` those of what is no node's result.
    """

    def __init__(
        self, plan: Plan, sizes: dict[Key, int], others: dict[Key, tuple[int, int]]
    ) -> None:
        self.offsets: dict[Key, int] = {}
        self.lifetimes = _lifetimes(plan) | others
        self._top = 0
        self._free: dict[int, list[int]] = {}
        self._allocate(self.lifetimes, sizes)
        self.size = self._top + SLACK

    def address(self, key: Key) -> int:
        """Where a result or panel starts."""
        return Region.RESULTS.base + self.offsets[key]

    def _allocate(self, lifetimes: dict[Key, tuple[int, int]], sizes: dict[Key, int]) -> None:
        starting: dict[int, list[Key]] = {}
        ending: dict[int, list[Key]] = {}
        for key, (first, last) in lifetimes.items():
            starting.setdefault(first, []).append(key)
            ending.setdefault(last, []).append(key)
        for position in sorted({*starting, *ending}):
            for key in starting.get(position, ()):
                size = _size_class(sizes[key] + SLACK)
                free = self._free.setdefault(size, [])
                self.offsets[key] = free.pop() if free else self._top
                if self.offsets[key] == self._top:
                    self._top += size
            for key in ending.get(position, ()):
                self._free[_size_class(sizes[key] + SLACK)].append(self.offsets[key])


def _size_class(size: int) -> int:
    """The next power of two, or three quarters of it."""
    power = max(ALIGN, 1 << (size - 1).bit_length())
    return power * 3 // 4 if power * 3 // 4 >= size and power >= 4 * ALIGN else power


def _lifetimes(plan: Plan) -> dict[Key, tuple[int, int]]:
    """First and last position of each result that is read outside its row or its group, and of each panel."""
    made: dict[Key, int] = {}
    position_of: dict[int, int] = {}
    for position, group in enumerate(plan.groups):
        for node in group:
            position_of[node.id] = position
            key = ("panel", node.weights) if node.kind is Kind.PACK else ("result", node.burst)
            made[key] = min(made.get(key, position), position)
    out: dict[Key, tuple[int, int]] = {}
    for position, group in enumerate(plan.groups):
        for node in group:
            for key in outside(plan.graph, node, position, position_of):
                first, last = out.get(key, (made[key], made[key]))
                out[key] = (first, max(last, position))
    for node in (n for group in plan.groups for n in group):
        key = ("result", node.burst)
        if key in out:  # a burst cut into nodes is being made until the last of them ran
            out[key] = (out[key][0], max(out[key][1], position_of[node.id]))
    return out


def outside(graph: Graph, node: Node, position: int, position_of: dict[int, int]) -> Iterable[Key]:
    """What a node takes from storage."""
    if node.kind is Kind.PACK:
        for burst, _ in graph.weights[node.weights].sources:
            if not graph.is_read(burst):
                yield "result", burst
        yield "panel", node.weights
    if node.kind is Kind.ACC and node.weights in graph.of_weights:
        yield "panel", node.weights
    for operand in operands(graph, node):
        maker = row_maker(graph, node, operand)
        if maker is not None and maker.kind is Kind.VXM and position_of[maker.id] == position:
            continue
        for ref in operand:
            if not graph.is_read(ref.burst):
                yield "result", ref.burst
