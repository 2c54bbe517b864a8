"""Nodes that run as one kernel: VXM operations chained row by row, and the writes that take their results.

A *group* is a list of nodes in order of time. VXM nodes join the producer of an operand when row j takes exactly its row j;
writes join their producer, or each other where they store planes of one result that comes from elsewhere.
"""

from __future__ import annotations

from typing import Final

from emulator.jit.effects import WHOLE
from emulator.jit.nodes import Graph, Kind, Node, Ref
from isa.instruction import SourceKind

LIMIT: Final = 160
"""Nodes of a group; code size and compile time grow with it."""
ROWWISE: Final = (Kind.VXM, Kind.WRITE)


class Groups:
    """A partition of a graph's needed nodes. ``apart`` holds nodes that must stay alone."""

    def __init__(self, graph: Graph, apart: set[int]) -> None:
        self.graph = graph
        self.apart = apart
        self.needed = needed_nodes(graph)
        self._parent = list(range(len(graph.nodes)))
        self._size = [1] * len(graph.nodes)
        self._join()
        self.members: dict[int, list[Node]] = {}
        for node in graph.nodes:
            if node.id in self.needed:
                self.members.setdefault(self.find(node.id), []).append(node)
        for root, nodes in list(self.members.items()):
            if len(nodes) > 1 and not self._sound(nodes):
                del self.members[root]
                for node in nodes:
                    self._parent[node.id] = node.id
                    self.members[node.id] = [node]
            else:
                nodes.sort(key=lambda n: (n.time, n.kind, n.id))
        self.of = [self.find(n) for n in range(len(graph.nodes))]

    def find(self, node: int) -> int:
        """The group of a node."""
        parent = self._parent
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    def _unite(self, a: Node, b: Node) -> None:
        x, y = self.find(a.id), self.find(b.id)
        if x != y and self._size[x] + self._size[y] <= LIMIT:
            self._parent[x] = y
            self._size[y] += self._size[x]

    def _join(self) -> None:
        graph, seen = self.graph, dict[tuple[Ref, int], Node]()
        for node in graph.nodes:
            if node.kind not in ROWWISE or node.id in self.apart or node.id not in self.needed:
                continue
            for operand in operands(graph, node):
                maker = row_maker(graph, node, operand)
                if maker is not None and maker.kind is Kind.VXM and maker.id not in self.apart:
                    self._unite(node, maker)
                elif node.kind is Kind.WRITE and not graph.is_read(operand[0].burst):
                    key = (operand[0]._replace(part=0), node.count)
                    self._unite(node, seen.setdefault(key, node))

    def _sound(self, nodes: list[Node]) -> bool:
        """Whether every operand from inside the group is a whole row of this or an earlier row's turn."""
        inside = {n.id for n in nodes}
        for node in nodes:
            for operand in operands(self.graph, node):
                makers = {
                    m.id
                    for r in operand
                    if not self.graph.is_read(r.burst)
                    for m in self.graph.covering(*span(r, node.count))
                }
                if not makers & inside or row_maker(self.graph, node, operand) is not None:
                    continue
                if not all(self._earlier_row(node, r) for r in operand):
                    return False
        return True

    def _earlier_row(self, node: Node, ref: Ref) -> bool:
        """Whether row j of ``node`` reads something made before row j of the group is done."""
        if self.graph.is_read(ref.burst):
            return True
        makers = self.graph.covering(*span(ref, node.count))
        if node.count > 1 and ref.step != 1:
            return all(self.find(m.id) != self.find(node.id) for m in makers)
        # Row j reads instance index + j: made in row index + j - maker.first.
        return all(self.find(m.id) != self.find(node.id) or ref.index < m.first for m in makers)


def span(ref: Ref, count: int) -> tuple[int, int, int]:
    """Burst, lowest and highest instance that a node's operand reads."""
    return ref.burst, ref.index, ref.index + ref.step * (count - 1)


def operands(graph: Graph, node: Node) -> list[tuple[Ref, ...]]:
    """A node's refs, operand by operand."""
    if node.operands is None:
        node.operands = _operands(graph, node)
    return node.operands


def _operands(graph: Graph, node: Node) -> list[tuple[Ref, ...]]:
    if node.kind is not Kind.VXM:
        return [(r,) for r in node.refs]
    cls, args = graph.classes[node.burst], graph.columns["args"][node.burst]
    names = [o.name for o in cls.operands]
    planes = (1, 2, 4, 2, 4)[args[0]]
    out, at = [], 0
    for number in range(cls.arity):
        kind = args[names.index("abc"[number])] & 3
        size = 1 if number == 2 or kind == SourceKind.ALU else planes
        if kind in (SourceKind.STREAM, SourceKind.ALU):
            out.append(node.refs[at : at + size])
            at += size
    return out


def whole(graph: Graph, operand: tuple[Ref, ...]) -> bool:
    """Whether an operand is all of one result, byte plane by byte plane."""
    first = operand[0]
    if graph.is_read(first.burst):
        return False
    if first.part == WHOLE:
        return True
    if len(operand) != graph.size[first.burst]:
        return False
    return all(r == first._replace(part=p) for p, r in enumerate(operand))


def row_maker(graph: Graph, node: Node, operand: tuple[Ref, ...]) -> Node | None:
    """The node whose row j makes all that row j of ``node`` takes as this operand, if there is one."""
    found = node.row_makers
    if operand not in found:
        found[operand] = _row_maker(graph, node, operand)
    return found[operand]


def _row_maker(graph: Graph, node: Node, operand: tuple[Ref, ...]) -> Node | None:
    first = operand[0]
    if graph.is_read(first.burst) or not (node.kind is Kind.WRITE or whole(graph, operand)):
        return None
    makers = graph.covering(*span(first, node.count))
    if len(makers) != 1 or makers[0] is node:
        return None
    maker = makers[0]
    steady = first.step == 1 or node.count == 1
    same = maker.first == first.index and maker.count == node.count
    return maker if steady and same else None


def needed_nodes(graph: Graph) -> set[int]:
    """Nodes that memory or an accumulator depends on."""
    sinks = (Kind.WRITE, Kind.SCATTER, Kind.ACC)
    stack = [n for n in graph.nodes if n.kind in sinks]
    found = {n.id for n in stack}
    while stack:
        node = stack.pop()
        for maker in makers(graph, node):
            if maker.id not in found:
                found.add(maker.id)
                stack.append(maker)
    return found


def makers(graph: Graph, node: Node) -> list[Node]:
    """The nodes whose results a node takes."""
    out: list[Node] = []
    for ref in node.refs:
        if not graph.is_read(ref.burst):
            out += graph.covering(*span(ref, node.count))
    if node.kind is Kind.ACC and node.weights in graph.of_weights:
        out.append(graph.of_weights[node.weights])
    if node.kind is Kind.PACK:
        weights = graph.weights[node.weights]
        for burst, instances in weights.sources:
            if not graph.is_read(burst):
                out += graph.covering(burst, int(instances[0]), int(instances[-1]))
    return out
