"""fp16 activations that several passes take: widened once, in however many copies they lie in memory.

What a word holds is known by who wrote it: a write stores instances of a result, and whatever stores the same instances
stores the same bytes.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from emulator.jit.effects import Ints
from emulator.jit.moves import Moves
from emulator.jit.nodes import Kind
from emulator.jit.order import Plan
from emulator.lowering.matrix import activation_pitch
from emulator.lowering.text import Target
from isa.instruction import DType


class Activations:
    """Which passes share widened activations.

    Attributes:
        number: of the ``acc`` nodes that need them: which they take.
        first: of these nodes, those that are the first to take them.
        spans: by number, the first and the last position in the plan.
        sizes: their bytes.
    """

    def __init__(self, plan: Plan, moves: Moves, target: Target, plain: bool) -> None:
        graph = self.graph = plan.graph
        self.plain = plain
        self.number: dict[int, int] = {}
        self.first: set[int] = set()
        self.spans: list[list[int]] = []
        self.sizes: list[int] = []
        self._known: dict[Hashable, int] = {}
        machine = graph.machine
        self._writer = list(np.full((2 * machine.slices, machine.words), -1, np.int32))
        self._rows = 4 * activation_pitch(target)
        self._fetch()
        acc = np.flatnonzero(graph.kind == Kind.ACC)
        fp16 = np.zeros(len(graph.kind), np.bool_)
        fp16[acc] = graph.installs.dtype[graph.weights[acc]] == DType.F16
        fp16 &= ~np.isin(graph.burst, list(moves.bursts))
        stores = np.isin(graph.kind, (Kind.WRITE, Kind.SCATTER)) & (not plain)
        chosen = np.flatnonzero((fp16 | stores) & (plan.position >= 0))
        order = np.argsort(plan.position[chosen], kind="stable")
        takes, where = fp16.tolist(), plan.position.tolist()
        for node in chosen[order].tolist():
            if takes[node]:
                self._take(node, where[node])
            else:
                self._write(node)

    def wanted(self) -> tuple[Ints, Ints]:
        """``sizes`` and ``spans`` ``[n, 2]`` as columns."""
        return np.array(self.sizes, np.int64), np.array(self.spans, np.int64).reshape(-1, 2)

    def _fetch(self) -> None:
        """What is looked at node by node or ref by ref, as lists."""
        graph, refs = self.graph, self.graph.refs
        burst, word = graph.burst, graph.stride[refs.burst]
        nodes = np.arange(len(burst) + 1)
        self._refs = np.searchsorted(refs.node, nodes).tolist()
        begin = graph.args[burst, 0] + graph.first * graph.stride[burst]
        # Of WRITE and SCATTER nodes: slice, first word, stride; of refs the same where they are words.
        self._stored = list(
            zip(
                graph.queue[burst].tolist(),
                begin.tolist(),
                graph.stride[burst].tolist(),
                strict=True,
            )
        )
        address = graph.args[refs.burst, 0] + refs.index * word
        columns = (graph.queue[refs.burst], address, word * refs.step)
        self._words = list(zip(*(c.tolist() for c in columns), strict=True))
        self._made = list(
            zip(*(c.tolist() for c in (refs.burst, refs.part, refs.index, refs.step)), strict=True)
        )
        self._in_place = graph.in_place[refs.burst].tolist()
        self._count, self._kind = graph.count.tolist(), graph.kind.tolist()
        self._window = list(map(tuple, graph.window.tolist()))
        self._range = graph.args[burst, 1].tolist()

    def _take(self, node: int, position: int) -> None:
        """An ``acc`` node at a position."""
        count, found = self._count[node], list[Hashable]()
        if not self.plain:
            found = [self._content(r, count) for r in range(*self._refs[node : node + 2])]
        known = None not in found and bool(found)
        key = (*found, count, self._window[node]) if known else len(self.sizes)
        number = self._known.setdefault(key, len(self.sizes))
        self.number[node] = number
        if number == len(self.sizes):
            self.first.add(node)
            self.sizes.append(self._rows * count)
            self.spans.append([position, position])
        self.spans[number][1] = position

    def _content(self, ref: int, count: int) -> Hashable:
        """What decides the bytes of a plane of activations, as they are now; None if that is not known."""
        if not self._in_place[ref]:
            return None
        slice_, address, step = self._words[ref]
        last = address + step * (count - 1)
        writers = self._writer[slice_][min(address, last) : max(address, last) + 1 : abs(step) or 1]
        number = int(writers[0])
        if writers.tobytes() != writers[:1].tobytes() * len(writers):
            return None
        if number < 0:
            return "before", slice_, address, step
        _, begin, stride = self._stored[number]
        scattered = self._kind[number] == Kind.SCATTER
        if scattered or self._count[number] == 1 or not stride or step % stride:
            return "by", number, address, step
        burst, part, index, every = self._made[self._refs[number]]
        return burst, part, index + every * ((address - begin) // stride), every * (step // stride)

    def _write(self, node: int) -> None:
        """Words that a write or scatter may change."""
        slice_, base, stride = self._stored[node]
        ends, step, more = (base, base + stride * (self._count[node] - 1)), abs(stride) or 1, 0
        if self._kind[node] == Kind.SCATTER:
            step, more = 1, self._range[node]
        self._writer[slice_][min(ends) : max(ends) + more + 1 : step] = node
