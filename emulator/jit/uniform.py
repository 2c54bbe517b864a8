"""fp16 sums that come out the same in every lane: chains of passes whose installed columns are all alike.

A *chain* is a pass that starts accumulator rows from zero and those that go on with the same rows. If each of its installs
fills every column with the same constant weights, all columns of a row hold the same number throughout: one panel is
computed, and spread where the chain emits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from emulator.image import Image
from emulator.jit.effects import Ints
from emulator.jit.nodes import Graph, Kind, Node
from emulator.jit.weights import Weights
from isa.instruction import DType

Contents = Callable[[Ints, Ints], Image]
START: Final = 2


def uniform_passes(graph: Graph, constant: Iterable[int], words: Contents) -> set[int]:
    """The ``acc`` nodes, by id, that belong to such chains.

    Args:
        graph: its nodes are final.
        constant: the installs whose weights are constant.
        words: the bytes ``[..., lanes]`` of instances of MEM read bursts.
    """
    alike = {n for n in constant if _alike(graph, graph.weights[n], words)}
    out: set[int] = set()
    if alike:
        for nodes in _by_plane(graph).values():
            for chain in _chains(graph, nodes):
                if all(node.weights in alike for node in chain):
                    out |= {node.id for node in chain}
    return out


def _alike(graph: Graph, weights: Weights, words: Contents) -> bool:
    """Whether all columns of the chip hold the same fp16 weights."""
    if weights.dtype is not DType.F16 or weights.columns != graph.machine.lanes:
        return False
    first = words(weights.burst[:1], weights.index[:1])
    for last in (2, weights.columns):  # nearly all differ in the second column
        if (words(weights.burst[1:last], weights.index[1:last]) != first).any():
            return False
    return True


def _by_plane(graph: Graph) -> dict[int, list[Node]]:
    """The ``acc`` nodes of each matrix plane in order of time."""
    out: dict[int, list[Node]] = {}
    for node in graph.nodes:
        if node.kind is Kind.ACC:
            out.setdefault(graph.plane(node.burst), []).append(node)
    return {plane: sorted(nodes, key=lambda n: n.time) for plane, nodes in out.items()}


def _chains(graph: Graph, nodes: list[Node]) -> list[list[Node]]:
    """The chains of a plane that have their accumulator rows for themselves from start to end."""
    columns, rows = graph.columns, graph.machine["mxm.acc_rows"]
    owner, last = np.full(rows, -1), np.full(rows, -1)
    chains: list[list[Node]] = []
    touched: list[Ints] = []
    mixed: set[int] = {-1}
    for node in nodes:
        burst, instance = node.burst, np.arange(node.count)
        own = columns["args"][burst][1] + (node.first + instance) * columns["stride"][burst]
        times = node.time + instance * columns["interval"][burst]
        before = set(owner[own].tolist())
        if (last[own] >= times).any():
            mixed |= before | {len(chains)}
        if columns["args"][burst][START]:
            owner[own] = len(chains)
            chains.append([node])
            touched.append(own)
        else:
            chain = before.pop() if len(before) == 1 else -1
            if chain >= 0 and np.array_equal(touched[chain], own):
                chains[chain].append(node)
            else:
                mixed |= before | {chain}
        last[own] = times
    return [chain for number, chain in enumerate(chains) if number not in mixed]
