"""Nodes that run as one kernel: VXM operations chained row by row, and the writes that take their results.

VXM nodes join the producer of an operand when row j takes exactly its row j; writes join their producer, or each other where
they store planes of one result that comes from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from emulator.jit.effects import Ints
from emulator.jit.nodes import NO_NODE, Bools, Graph, Kind, heads, reads_whole

LIMIT: Final = 160
"""Nodes of a group; code size and compile time grow with it."""
ROWWISE: Final = (Kind.VXM, Kind.WRITE)
SINKS: Final = (Kind.WRITE, Kind.SCATTER, Kind.ACC)


class Groups:
    """A partition of a graph's needed nodes. ``apart`` ``[nodes]`` marks those that must stay alone.

    Attributes:
        of: ``[nodes]``: the number of each node's group; -1 where nothing needs it.
        members, start: the nodes of group ``g`` in order of time are ``members[start[g] : start[g + 1]]``.
        makers, takers, via: as ``Graph.takes`` has them.
        row_makers: ``[operands]``: the node whose row j makes all that row j of the reader takes, or -1.
    """

    def __init__(self, graph: Graph, apart: Bools) -> None:
        self.graph = graph
        self.makers, self.takers, self.via = graph.takes()
        self.row_makers = row_makers(graph)
        self.needed = self._needed()
        label = self._sound(self._joined(apart))
        chosen = np.flatnonzero(self.needed)
        order = np.lexsort((chosen, graph.kind[chosen], graph.time[chosen], label[chosen]))
        self.members = chosen[order]
        begin = heads(label[self.members])
        self.start = np.append(begin, len(self.members))
        self.of = np.full(len(label), -1)
        self.of[self.members] = np.repeat(np.arange(len(begin)), np.diff(self.start))

    def __len__(self) -> int:
        return len(self.start) - 1

    def nodes(self, group: int) -> Ints:
        """A group's nodes in order of time."""
        return self.members[self.start[group] : self.start[group + 1]]

    def _needed(self) -> Bools:
        """Nodes that memory or an accumulator depends on."""
        found = np.isin(self.graph.kind, SINKS)
        makers, takers = self.makers, self.takers
        while True:
            left = ~found[makers]
            makers, takers = makers[left], takers[left]
            new = makers[found[takers]]
            if not len(new):
                return found
            found[new] = True

    def _joined(self, apart: Bools) -> Ints:
        """``[nodes]``: a label that nodes of one group share."""
        graph, refs = self.graph, self.graph.refs
        head = heads(refs.operand)
        node, maker = refs.node[head], self.row_makers
        joins = np.isin(graph.kind[node], ROWWISE) & ~apart[node] & self.needed[node]
        chains = joins & (maker != NO_NODE) & (graph.kind[maker] == Kind.VXM) & ~apart[maker]
        stores = joins & ~chains & (graph.kind[node] == Kind.WRITE)
        at = head[stores & ~graph.in_place[refs.burst[head]]]
        same = (refs.burst[at], refs.index[at], refs.step[at], graph.count[refs.node[at]])
        order = np.lexsort((at, *same))
        beside = np.all([c[order][1:] == c[order][:-1] for c in same], axis=0)
        own = refs.node[at][order]
        pairs = [(node[chains], maker[chains]), (own[1:][beside], own[:-1][beside])]
        left, right = (np.concatenate(side) for side in zip(*pairs, strict=True))
        order = np.argsort(left, kind="stable")
        return united(len(apart), zip(left[order].tolist(), right[order].tolist(), strict=True))

    def _sound(self, label: Ints) -> Ints:
        """Labels, after groups in which an operand is neither a whole row of this turn nor an earlier one's were taken apart."""
        graph, refs = self.graph, self.graph.refs
        inside = np.flatnonzero((self.via >= 0) & (label[self.makers] == label[self.takers]))
        maker, taker, ref = self.makers[inside], self.takers[inside], self.via[inside]
        # Row j reads instance index + j: made in row index + j - first of the maker.
        late = refs.index[ref] >= graph.first[maker]
        late |= (graph.count[taker] > 1) & (refs.step[ref] != 1)
        late &= self.row_makers[refs.operand[ref]] == NO_NODE
        bad = np.zeros(len(label), np.bool_)
        bad[label[taker[late]]] = True
        bad &= np.bincount(label[self.needed], minlength=len(label)) > 1
        return np.where(bad[label], np.arange(len(label)), label)


def row_makers(graph: Graph) -> Ints:
    """``[operands]``: the node whose row j makes all that row j of the reader takes, or -1."""
    refs = graph.refs
    head = heads(refs.operand)
    node, maker = refs.node[head], refs.low[head]
    found = (refs.high[head] - maker == 1) & (maker != node)
    found &= reads_whole(graph) | (graph.kind[node] == Kind.WRITE)
    found &= (refs.step[head] == 1) | (graph.count[node] == 1)
    found &= graph.first[maker] == refs.index[head]
    found &= graph.count[maker] == graph.count[node]
    return np.where(found, maker, NO_NODE)


def united(size: int, pairs: Iterable[tuple[int, int]]) -> Ints:
    """Labels of ``size`` items, of which pairs are united one after the other, unless more than ``LIMIT`` came together."""
    parent, members = list(range(size)), [1] * size

    def find(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for a, b in pairs:
        x, y = find(a), find(b)
        if x != y and members[x] + members[y] <= LIMIT:
            parent[x] = y
            members[y] += members[x]
    label = np.array(parent, np.int64)
    while (label[label] != label).any():
        label = label[label]
    return label
