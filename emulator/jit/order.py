"""The order in which groups run: after whatever they read, before whatever overwrites it.

Groups are taken apart where that order would be circular: first into single nodes with their memory reads made explicit, then
nodes into halves. Single dispatches in order of time are never circular, so this ends.
"""

from __future__ import annotations

import heapq
from typing import Final

import numpy as np

from emulator.jit.accesses import Changing, accesses
from emulator.jit.clashes import directions, meeting, row_by_row
from emulator.jit.effects import Ints, distinct
from emulator.jit.groups import ROWWISE, Groups
from emulator.jit.nodes import Bools, Graph, reads_in_place
from isa.errors import InternalError

CIRCULAR: Final = 975


class Plan:
    """Groups in a legal order.

    Attributes:
        graph: nodes, after any cuts that were needed.
        groups: the partition; its nodes' makers.
        order: groups in the order to run.
        position: ``[nodes]``: where in that order a node's group is; -1 of nodes that nothing needs.
        divisible: by position, whether rows of a group may run in any order.

    With ``plain``, every node is a group of its own. ``constant`` ``[installs]`` marks weights that need not be packed.
    """

    def __init__(
        self, graph: Graph, changing: Changing, constant: Bools, plain: bool = False
    ) -> None:
        self.graph, self.changing, self.constant, self.plain = graph, changing, constant, plain
        graph.rebuild(constant)
        self.apart = np.zeros(len(graph.kind), np.bool_)
        while True:
            self._prepare()
            order = self._sorted()
            if len(order) == len(self.groups):
                break
            stuck = set(range(len(self.groups))) - set(order)
            self._take_apart(cycles(stuck, self.after))
        self.order = np.array(order, np.int64)
        rank = np.full(len(order) + 1, -1)
        rank[self.order] = np.arange(len(order))
        self.position = rank[self.groups.of]
        self.divisible = (~self.dependent[self.order]).tolist()

    def nodes(self) -> list[list[int]]:
        """The nodes of each group, in the order to run."""
        members, start = self.groups.members.tolist(), self.groups.start.tolist()
        return [members[start[g] : start[g + 1]] for g in self.order.tolist()]

    def _prepare(self) -> None:
        """Groups and what must follow what. Groups whose own rows would clash are taken apart first."""
        graph = self.graph
        while True:
            apart = np.ones_like(self.apart) if self.plain else self.apart
            self.groups = Groups(graph, apart)
            self.dependent = np.zeros(len(self.groups), np.bool_)
            before, after, clashing = self._memory_edges()
            if not len(clashing):
                break
            if self.apart[clashing].all():
                self._cut(clashing)
            else:
                self.apart[clashing] = True
        groups = self.groups
        found = np.flatnonzero(groups.needed[groups.takers])
        makers, takers = groups.of[groups.makers[found]], groups.of[groups.takers[found]]
        self._note_feedback(found[makers == takers])
        both = np.stack([np.append(before, makers), np.append(after, takers)])
        self.after = followers(both[:, both[0] != both[1]], len(groups))

    def _memory_edges(self) -> tuple[Ints, Ints, Ints]:
        """Groups before and groups after that memory asks for; the nodes of pairs that cannot share a group."""
        group = self.groups.of
        every = accesses(self.graph, self.changing, self.groups.needed)
        stays = every.write & (every.stride == 0) & (every.count > 1)  # the last row's write
        self.dependent[group[every.node[stays]]] = True
        i, j = meeting(every)
        x, y = group[every.node[i]], group[every.node[j]]
        own, other = np.flatnonzero(x == y), np.flatnonzero(x != y)
        kept, independent = row_by_row(every.take(i[own]), every.take(j[own]))
        self.dependent[x[own[~independent]]] = True
        clashing = np.append(every.node[i[own[~kept]]], every.node[j[own[~kept]]])
        forth, back = directions(every.take(i[other]), every.take(j[other]))
        x, y = x[other], y[other]
        return np.append(x[forth], y[back]), np.append(y[forth], x[back]), distinct(clashing)

    def _note_feedback(self, inside: Ints) -> None:
        """Rows depend on each other where a node takes an earlier row of its own group."""
        groups, graph = self.groups, self.graph
        maker, taker, ref = groups.makers[inside], groups.takers[inside], groups.via[inside]
        refs = graph.refs
        other = refs.index[ref] != graph.first[maker]
        other |= (refs.step[ref] != 1) & (graph.count[taker] > 1)
        self.dependent[groups.of[taker[other & (ref >= 0)]]] = True

    def _sorted(self) -> list[int]:
        """Groups whose predecessors are all placed: row by row work as soon as it can be, while its operands are in the
        host's caches; then the earliest."""
        first = self.groups.members[self.groups.start[:-1]]
        late = ~np.isin(self.graph.kind[first], ROWWISE)
        rank = np.empty(len(first), np.int64)
        rank[np.lexsort((self.graph.time[first], late))] = np.arange(len(first))
        by_rank, turn = np.argsort(rank).tolist(), rank.tolist()
        waiting = [0] * len(first)
        for group in self.after:
            for g in group:
                waiting[g] += 1
        ready = [turn[g] for g, n in enumerate(waiting) if n == 0]
        heapq.heapify(ready)
        out = []
        while ready:
            g = by_rank[heapq.heappop(ready)]
            out.append(g)
            for h in self.after[g]:
                waiting[h] -= 1
                if waiting[h] == 0:
                    heapq.heappush(ready, turn[h])
        return out

    def _take_apart(self, rings: list[list[int]]) -> None:
        """Make the groups of circular orders smaller."""
        nodes = [self.groups.nodes(g) for ring in rings for g in ring]
        joined = [members for members in nodes if len(members) > 1]
        if joined:
            self.apart[np.concatenate(joined)] = True
        else:
            self._cut(np.concatenate(nodes))

    def _cut(self, nodes: Ints) -> None:
        """Read explicitly what ``nodes`` read in place; where they do not, halve them."""
        graph = self.graph
        reads = reads_in_place(graph, nodes)
        burst, first, half = graph.burst[nodes], graph.first[nodes], graph.count[nodes] // 2
        parted = half > 0
        middle = list(zip(burst[parted].tolist(), (first + half)[parted].tolist(), strict=True))
        if reads:
            graph.copies |= reads
        elif not middle:
            message = "dispatches that wait for each other: run the verifier first"
            raise InternalError(CIRCULAR, message)
        else:
            for b, instance in middle:
                graph.cuts.setdefault(b, set()).add(instance)
        apart = np.flatnonzero(self.apart)
        kept = set(zip(graph.burst[apart].tolist(), graph.first[apart].tolist(), strict=True))
        kept |= set(middle)
        graph.rebuild(self.constant)
        every = zip(graph.burst.tolist(), graph.first.tolist(), strict=True)
        self.apart = np.array([place in kept for place in every], np.bool_)


def followers(edges: Ints, size: int) -> list[list[int]]:
    """What follows each of ``size`` items, by ``[2, n]`` edges from before to after; each once."""
    both = distinct(edges[0] * size + edges[1])
    before, after = both // max(1, size), (both % max(1, size)).tolist()
    cuts = np.searchsorted(before, np.arange(size + 1)).tolist()
    return [after[cuts[i] : cuts[i + 1]] for i in range(size)]


def cycles(nodes: set[int], after: list[list[int]]) -> list[list[int]]:
    """The strongly connected components of more than one node (Tarjan, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    out = []
    for root in sorted(nodes):
        if root in index:
            continue
        work = [(root, iter(f for f in after[root] if f in nodes))]
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
                    work.append((f, iter(g for g in after[f] if g in nodes)))
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
