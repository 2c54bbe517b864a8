"""fp16 activations that several passes take: widened once, in however many copies they lie in memory.

What a word holds is known by who wrote it: a write stores instances of a result, and whatever stores the same instances
stores the same bytes.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from emulator.jit.moves import Moves
from emulator.jit.nodes import Kind, Node, Ref
from emulator.jit.order import Plan
from emulator.jit.storage import Key
from emulator.lowering.matrix import activation_pitch
from emulator.lowering.text import Target
from isa.instruction import DType


class Activations:
    """Which passes share widened activations.

    Attributes:
        number: of the ``acc`` nodes that need them, by id: which they take.
        first: by id, whether a node is the first to take them.
        lifetimes: by ``("wide", number)``, the first and the last position in the plan.
        sizes: their bytes.
    """

    def __init__(self, plan: Plan, moves: Moves, target: Target, plain: bool) -> None:
        self.graph, self.plain = plan.graph, plain
        self.number: dict[int, int] = {}
        self.first: dict[int, bool] = {}
        self.lifetimes: dict[Key, tuple[int, int]] = {}
        self.sizes: dict[Key, int] = {}
        self._known: dict[Hashable, int] = {}
        machine = self.graph.machine
        self._writer = list(np.full((2 * machine.slices, machine.words), -1, np.int32))
        row = 4 * activation_pitch(target)
        for position, nodes in enumerate(plan.groups):
            node = nodes[0]
            if node.kind is Kind.ACC:
                fp16 = self.graph.weights[node.weights].dtype is DType.F16
                if fp16 and node.burst not in moves.bursts:
                    self._take(node, position, row * node.count)
            elif not plain:
                for member in nodes:
                    if member.kind in (Kind.WRITE, Kind.SCATTER):
                        self._write(member)

    def _take(self, node: Node, position: int, size: int) -> None:
        """An ``acc`` node at a position."""
        found = () if self.plain else tuple(self._content(r, node.count) for r in node.refs)
        known = None not in found and bool(found)
        key = (found, node.count, self.graph.activation_window(node)) if known else len(self.sizes)
        number = self._known.setdefault(key, len(self.sizes))
        where = ("wide", number)
        self.number[node.id], self.first[node.id] = number, where not in self.sizes
        self.sizes[where] = size
        self.lifetimes[where] = self.lifetimes.get(where, (position, position))[0], position

    def _content(self, ref: Ref, count: int) -> Hashable:
        """What decides the bytes of a plane of activations, as they are now; None if that is not known."""
        graph, c = self.graph, self.graph.columns
        if not graph.is_read(ref.burst):
            return None
        step = c["stride"][ref.burst]
        slice_, address = c["queue"][ref.burst], c["args"][ref.burst][0] + ref.index * step
        step *= ref.step
        last = address + step * (count - 1)
        writers = self._writer[slice_][min(address, last) : max(address, last) + 1 : abs(step) or 1]
        number = int(writers[0])
        if writers.tobytes() != writers[:1].tobytes() * len(writers):
            return None
        if number < 0:
            return slice_, address, step
        writer = graph.nodes[number]
        stride = c["stride"][writer.burst]
        if writer.kind is Kind.SCATTER or writer.count == 1 or not stride or step % stride:
            return writer.id, address, step
        (given,) = writer.refs
        apart = (address - c["args"][writer.burst][0]) // stride - writer.first
        index, every = given.index + given.step * apart, given.step * (step // stride)
        return given.burst, given.part, index, every

    def _write(self, node: Node) -> None:
        """Words that a write or scatter may change."""
        c, burst = self.graph.columns, node.burst
        base, stride = c["args"][burst][0] + node.first * c["stride"][burst], c["stride"][burst]
        ends, step, more = (base, base + stride * (node.count - 1)), abs(stride) or 1, 0
        if node.kind is Kind.SCATTER:
            step, more = 1, c["args"][burst][1]
        self._writer[c["queue"][burst]][min(ends) : max(ends) + more + 1 : step] = node.id
