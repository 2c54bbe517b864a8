"""int8 passes that only move bytes: every activation a constant row of a few ones, every accumulator row started and emitted.

Such a pass selects rows of the transposed weights, and adds them up where there are several ones. Where nothing but the lowest
byte plane of what it emits is used, and nothing accumulates on those rows later, bytes are copied or added instead: of a sum
modulo 2**32 that plane is the sum modulo 256.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from emulator.jit.accesses import Changing
from emulator.jit.constants import Constants
from emulator.jit.effects import WHOLE, Ints, distinct
from emulator.jit.nodes import Graph
from isa.instruction import DType
from isa.ops.mem import Read
from isa.ops.mxm import Accumulate

START: Final = 2
EMIT: Final = 3
MOST_ONES: Final = 4
"""Ones of a row up to which it counts as few."""


class Moves:
    """The ``acc`` bursts of a graph that move bytes.

    Attributes:
        bursts: their results have one byte a lane.
        lanes: of their nodes: ``[rows, ones]``, the lanes that each activation selects.
    """

    def __init__(self, graph: Graph, constants: Constants, changing: Changing, plain: bool) -> None:
        self.graph, self.constants, self.changing = graph, constants, changing
        self.lanes: dict[int, Ints] = {}
        self._known: dict[tuple[int, ...], Ints | None] = {}
        self.bursts = set() if plain else self._found()

    def _found(self) -> set[int]:
        out = set()
        for burst in sorted(self._candidates()):
            nodes = self.graph.nodes_of(burst)
            selected = {node: self._selected(node) for node in nodes}
            found = {node: lanes for node, lanes in selected.items() if lanes is not None}
            if len(found) == len(nodes):
                out.add(burst)
                self.lanes |= found
        return out

    def _candidates(self) -> set[int]:
        """int8 bursts that start and emit, of which only plane 0 is read and whose accumulators are not used again."""
        graph = self.graph
        bursts, links = graph.program.bursts, graph.links
        args = bursts["args"]
        wanted = (bursts["opcode"] == Accumulate.opcode) & (args[:, 0] == DType.I8)
        wanted &= (args[:, START] != 0) & (args[:, EMIT] != 0)
        wide = set(links.burst[(links.part > 0) & (links.part != WHOLE)].tolist())
        wide |= {r.burst for runs in links.runs.values() for r in runs if 0 < r.part != WHOLE}
        found = set(np.flatnonzero(wanted).tolist()) - wide
        return found - self._accumulated_later(found) if found else found

    def _accumulated_later(self, found: set[int]) -> set[int]:
        """Bursts on whose rows a later burst accumulates, or one that overlaps in time."""
        graph, machine = self.graph, self.graph.machine
        rows = np.flatnonzero(graph.program.bursts["opcode"] == Accumulate.opcode)
        out: set[int] = set()
        for plane in distinct(graph.effects.plane(rows)):
            own = rows[graph.effects.plane(rows) == plane]
            bursts = graph.program.bursts[own]
            order = np.argsort(-bursts["cycle"], kind="stable")
            restarted = np.ones(machine["mxm.acc_rows"], np.bool_)
            after = np.iinfo(np.int64).max
            for number in order:
                b = bursts[number]
                touched = int(b["args"][1]) + int(b["stride"]) * np.arange(int(b["count"]))
                last = int(b["cycle"]) + (int(b["count"]) - 1) * int(b["interval"])
                if int(own[number]) in found and (last >= after or not restarted[touched].all()):
                    out.add(int(own[number]))
                restarted[touched] = bool(b["args"][START])
                after = int(b["cycle"])
        return out

    def _selected(self, node: int) -> Ints | None:
        """The lanes that each activation of an ``acc`` selects, if all are constant rows of as many ones and else zeros."""
        graph, refs = self.graph, self.graph.refs
        ref = int(np.searchsorted(refs.node, node))
        burst = int(refs.burst[ref])
        if graph.opcode[burst] != Read.opcode:
            return None
        stride = int(graph.stride[burst])
        address = int(graph.args[burst, 0] + refs.index[ref] * stride)
        step, (first, lanes) = stride * int(refs.step[ref]), graph.window[node].tolist()
        key = (int(graph.queue[burst]), address, step, int(graph.count[node]), first, lanes)
        if key not in self._known:
            self._known[key] = self._one_hot(*key)
        return self._known[key]

    def _one_hot(
        self, slice_: int, address: int, stride: int, count: int, first: int, lanes: int
    ) -> Ints | None:
        words = address + stride * np.arange(count)
        variable = self.changing.variable[slice_]
        if (variable[words + 1] != variable[words]).any():
            return None
        rows = self.constants.words(slice_, words)[:, first : first + lanes]
        ones = int((rows[:1] != 0).sum())
        alike = bool(((rows != 0).sum(1) == ones).all()) and int(rows.max(initial=0)) == 1
        if not (alike and 1 <= ones <= MOST_ONES):
            return None
        selected: Ints = np.nonzero(rows)[1].reshape(count, ones)
        return selected
