"""The order in which groups run: after whatever they read, before whatever overwrites it.

Groups are taken apart where that order would be circular: first into single nodes with their memory reads made explicit, then
nodes into halves. Single dispatches in order of time are never circular, so this ends.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final

from emulator.jit.accesses import Access, Accesses, Changing, directions, ordered, row_by_row
from emulator.jit.groups import ROWWISE, Groups, makers
from emulator.jit.nodes import Graph, Kind, Node
from isa.errors import InternalError

CIRCULAR: Final = 975


class Plan:
    """Groups in a legal order.

    Attributes:
        graph: nodes, after any cuts that were needed.
        groups: lists of nodes, each one kernel, in the order to run.
        divisible: by position, whether rows of a group may run in any order.

    With ``plain``, every node is a group of its own.
    """

    def __init__(
        self, graph: Graph, changing: Changing, constant: Iterable[int], plain: bool = False
    ) -> None:
        self.graph, self.changing, self.plain = graph, changing, plain
        self.apart: set[int] = set()
        self.constant = set(constant)
        while True:
            self._prepare()
            order = self._sorted()
            stuck = set(self.members) - set(order)
            if not stuck:
                break
            self._take_apart(cycles(stuck, self.after))
        self.groups = [self.members[g] for g in order]
        self.divisible = [g not in self.dependent for g in order]

    def _prepare(self) -> None:
        """Groups and what must follow what. Groups whose own rows would clash are taken apart first."""
        graph = self.graph
        while True:
            if not graph.of_weights:
                numbers = range(len(graph.weights))
                graph.add_packs(n for n in numbers if n not in self.constant)
            apart = {n.id for n in graph.nodes} if self.plain else self.apart
            groups = Groups(graph, apart)
            accesses = Accesses(graph, self.changing)
            found = [a for n in graph.nodes if n.id in groups.needed for a in accesses.of(n)]
            self.members, self.group_of = groups.members, groups.of
            self.after: dict[int, set[int]] = {g: set() for g in groups.members}
            self.dependent: set[int] = set()
            clashes = self._memory_edges(found)
            if not clashes:
                break
            if all(n in self.apart for n in clashes):
                self._cut([graph.nodes[n] for n in clashes])
            else:
                self.apart |= clashes
        for nodes in self.members.values():
            for node in nodes:
                for maker in makers(graph, node):
                    self._edge(maker, node)

    def _memory_edges(self, found: list[Access]) -> set[int]:
        """Edges that memory asks for; the nodes of pairs that cannot share a group."""
        nodes, clashes = self.graph.nodes, set[int]()
        for a in found:
            if a.write and a.stride == 0 and a.count > 1:  # the last row's write stays
                self.dependent.add(self.group_of[a.node])
        for x, y in ordered(found):
            g, h = self.group_of[x.node], self.group_of[y.node]
            if g == h:
                kept, independent = row_by_row(x, y)
                if not kept:
                    clashes |= {x.node, y.node}
                if not independent:
                    self.dependent.add(g)
                continue
            forth, back = directions(x, y)
            if forth:
                self._edge(nodes[x.node], nodes[y.node])
            if back:
                self._edge(nodes[y.node], nodes[x.node])
        return clashes

    def _edge(self, before: Node, after: Node) -> None:
        g, h = self.group_of[before.id], self.group_of[after.id]
        if g != h:
            self.after[g].add(h)
        elif before.id == after.id or before.kind is not Kind.WRITE:
            self._note_feedback(g, before, after)

    def _note_feedback(self, group: int, before: Node, after: Node) -> None:
        """Rows depend on each other where a node takes an earlier row of its own group."""
        if group in self.dependent:
            return
        for ref in after.refs:
            inside = ref.burst == before.burst and not self.graph.is_read(ref.burst)
            if inside and (ref.index != before.first or (ref.step != 1 and after.count > 1)):
                self.dependent.add(group)

    def _sorted(self) -> list[int]:
        """Groups whose predecessors are all placed: row by row work as soon as it can be, while its operands are in the
        host's caches; then the earliest."""
        waiting = dict.fromkeys(self.members, 0)
        for followers in self.after.values():
            for g in followers:
                waiting[g] += 1
        start = {
            g: (nodes[0].kind not in ROWWISE, nodes[0].time) for g, nodes in self.members.items()
        }
        ready = [(start[g], g) for g, n in waiting.items() if n == 0]
        heapq.heapify(ready)
        out = []
        while ready:
            _, g = heapq.heappop(ready)
            out.append(g)
            for h in self.after[g]:
                waiting[h] -= 1
                if waiting[h] == 0:
                    heapq.heappush(ready, (start[h], h))
        return out

    def _take_apart(self, rings: list[list[int]]) -> None:
        """Make the groups of circular orders smaller."""
        nodes = [n for ring in rings for g in ring for n in self.members[g]]
        joined = [
            n.id
            for ring in rings
            for g in ring
            if len(self.members[g]) > 1
            for n in self.members[g]
        ]
        if joined:
            self.apart.update(joined)
            return
        self._cut(nodes)

    def _cut(self, nodes: list[Node]) -> None:
        """Read explicitly what ``nodes`` read in place; where they do, halve them."""
        graph = self.graph
        reads = {r.burst for n in nodes for r in n.refs if graph.is_read(r.burst)}
        for n in nodes:
            if n.kind is Kind.PACK:
                weights = graph.weights[n.weights]
                reads |= {int(b) for b in set(weights.burst.ravel().tolist()) if graph.is_read(b)}
        if reads:
            graph.copies |= reads
        elif all(n.count == 1 for n in nodes):
            raise InternalError(
                CIRCULAR, "dispatches that wait for each other: run the verifier first"
            )
        else:
            for n in nodes:
                if n.count > 1:
                    graph.cuts.setdefault(n.burst, set()).add(n.first + n.count // 2)
        kept = {(graph.nodes[i].burst, graph.nodes[i].first) for i in self.apart}
        kept |= {(n.burst, n.first + n.count // 2) for n in nodes if n.count > 1}
        graph.rebuild()
        self.apart = {n.id for n in graph.nodes if (n.burst, n.first) in kept}


def cycles(nodes: set[int], after: dict[int, set[int]]) -> list[list[int]]:
    """The strongly connected components of more than one node (Tarjan, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    out = []
    for root in sorted(nodes):
        if root in index:
            continue
        work = [(root, iter(sorted(after[root] & nodes)))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, followers = work[-1]
            for f in followers:
                if f not in index:
                    index[f] = low[f] = len(index)
                    stack.append(f)
                    on_stack.add(f)
                    work.append((f, iter(sorted(after[f] & nodes))))
                    break
                if f in on_stack:
                    low[node] = min(low[node], index[f])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    ring: list[int] = []
                    while not ring or ring[-1] != node:
                        ring.append(stack.pop())
                        on_stack.discard(ring[-1])
                    if len(ring) > 1:
                        out.append(ring)
    return out
