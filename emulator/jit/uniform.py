"""fp16 sums that come out the same in every lane: chains of passes whose installed columns are all alike.

A *chain* is a pass that starts accumulator rows from zero and those that go on with the same rows. If each of its installs
fills every column with the same constant weights, all columns of a row hold the same number throughout: one panel is
computed, and spread where the chain emits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from emulator.image import Image
from emulator.jit.effects import Ints, distinct
from emulator.jit.nodes import Bools, Graph, Kind
from emulator.jit.weights import Weights
from isa.instruction import DType

Contents = Callable[[Ints, Ints], Image]
START: Final = 2


def uniform_passes(graph: Graph, constant: Bools, words: Contents) -> set[int]:
    """The ``acc`` nodes that belong to such chains.

    Args:
        graph: its nodes are final.
        constant: ``[installs]``: those whose weights are constant.
        words: the bytes ``[..., lanes]`` of instances of MEM read bursts.
    """
    alike = _alike(graph, constant, words)
    acc = np.flatnonzero(graph.kind == Kind.ACC)
    fits = np.isin(graph.weights, alike)
    planes = graph.plane(graph.burst[acc])
    out: set[int] = set()
    for plane in distinct(planes[fits[acc]]):
        nodes = acc[planes == plane]
        for chain in _chains(graph, nodes[np.argsort(graph.time[nodes], kind="stable")]):
            if fits[chain].all():
                out |= set(chain)
    return out


def _alike(graph: Graph, constant: Bools, words: Contents) -> Ints:
    """The constant installs in which all columns of the chip hold the same fp16 weights."""
    installs = graph.installs
    wanted = constant & (installs.dtype == DType.F16) & (installs.columns == graph.machine.lanes)
    numbers = np.flatnonzero(wanted)
    first, last = (
        installs.start[numbers],
        installs.start[numbers + 1] - 1,
    )  # nearly all differ there
    ends = [words(installs.burst[at], installs.index[at]) for at in (first, last)]
    numbers = numbers[(ends[0] == ends[1]).all((1, 2))]
    same = [n for n in numbers.tolist() if _all_alike(installs[n], words)]
    return np.array(same, np.int64)


def _all_alike(weights: Weights, words: Contents) -> bool:
    first = words(weights.burst[:1], weights.index[:1])
    return bool((words(weights.burst[1:], weights.index[1:]) == first).all())


def _chains(graph: Graph, nodes: Ints) -> list[list[int]]:
    """The chains of a plane that have their accumulator rows for themselves from start to end."""
    rows = graph.machine["mxm.acc_rows"]
    burst, first = graph.burst[nodes], graph.first[nodes]
    stride, interval = graph.stride[burst], graph.interval[burst]
    lead = graph.args[burst, 1] + first * stride
    started = graph.args[burst, START].tolist()
    count, time = graph.count[nodes].tolist(), graph.time[nodes].tolist()
    owner, last = np.full(rows, -1), np.full(rows, -1)
    chains: list[list[int]] = []
    touched: list[Ints] = []
    mixed: set[int] = {-1}
    for place, node in enumerate(nodes.tolist()):
        instance = np.arange(count[place])
        own = lead[place] + instance * stride[place]
        times = time[place] + instance * interval[place]
        before = set(owner[own].tolist())
        if (last[own] >= times).any():
            mixed |= before | {len(chains)}
        if started[place]:
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
