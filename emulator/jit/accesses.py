"""Which words each node reads and writes, and when.

Words are numbered a slice; the accumulator rows of matrix plane ``p`` are slice ``2 * slices + p``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from emulator.jit.effects import Ints
from emulator.jit.nodes import Bools, Graph, Kind, heads
from isa.ops.mem import Scatter, Write
from isa.program import Program


class Accesses(NamedTuple):
    """``count`` accesses of ``width`` words from ``address`` on, each ``stride`` further, ``interval`` cycles apart. Columns."""

    node: Ints
    slice: Ints
    address: Ints
    stride: Ints
    width: Ints
    time: Ints
    interval: Ints
    count: Ints  # type: ignore[assignment]  # tuple.count is not used
    write: Bools

    @property
    def low(self) -> Ints:
        """The lowest word."""
        low: Ints = self.address + np.minimum(0, self.stride * (self.count - 1))
        return low

    @property
    def high(self) -> Ints:
        """The highest word."""
        reach = np.maximum(0, self.stride * (self.count - 1))
        high: Ints = self.address + reach + self.width - 1
        return high

    @property
    def last(self) -> Ints:
        """When the last of the accesses happens."""
        return self.time + self.interval * (self.count - 1)

    def take(self, rows: Ints) -> Accesses:
        """Some of them."""
        columns: list[Any] = [column[rows] for column in self]
        return Accesses(*columns)


class Changing:
    """Which words a program writes, and which also change from run to run."""

    def __init__(self, program: Program) -> None:
        machine, bursts = program.machine, program.bursts
        shape = (2 * machine.slices, machine.words + 1)
        steps = np.zeros(shape, np.int64)
        for opcode in (Write.opcode, Scatter.opcode):
            rows = bursts[bursts["opcode"] == opcode]
            reach = (rows["count"] - 1) * rows["stride"]
            low = rows["args"][:, 0] + np.minimum(reach, 0)
            high = rows["args"][:, 0] + np.maximum(reach, 0)
            if opcode == Scatter.opcode:
                high += rows["args"][:, 1]
            np.add.at(steps, (rows["queue"], low), 1)
            np.add.at(steps, (rows["queue"], high + 1), -1)
        self.written = _counts(steps)
        pieces = [p for tensor in program.inputs for p in tensor.pieces]
        for p in pieces:
            steps[p.slice, p.address] += 1
            steps[p.slice, p.address + p.rows] -= 1
        self.variable = _counts(steps)

    def writes(self, slice_: int, low: int, high: int) -> bool:
        """Whether the program writes any of the words ``low..high``."""
        row = self.written[slice_]
        return bool(row[high + 1] != row[low])


def _counts(steps: Ints) -> Ints:
    """``[slices, words + 1]``: how many words below each are covered by any interval."""
    covered = np.cumsum(steps, 1)[:, :-1] > 0
    out = np.zeros(steps.shape, np.int64)
    np.cumsum(covered, 1, out=out[:, 1:])
    return out


def accesses(graph: Graph, changing: Changing, needed: Bools) -> Accesses:
    """The accesses of a graph's needed nodes that matter for their order: not those of words that nobody writes."""
    refs = graph.refs
    ref = np.flatnonzero(graph.in_place[refs.burst])
    count = graph.count[refs.node[ref]]
    copy = np.flatnonzero(graph.kind == Kind.COPY)
    parts = [
        _read(graph, refs.node[ref], refs.burst[ref], refs.index[ref], refs.step[ref], count),
        _read(graph, copy, graph.burst[copy], graph.first[copy], copy * 0 + 1, graph.count[copy]),
        _read(graph, *_packed(graph)),
        _ports(graph),
        _accumulators(graph),
    ]
    every = Accesses(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    every = every.take(np.flatnonzero(needed[every.node]))
    words = every.slice < len(changing.written)
    row = np.where(words, every.slice, 0)
    low, high = (np.where(words, word, 0) for word in (every.low, every.high))
    written = changing.written[row, high + 1] != changing.written[row, low]
    return every.take(np.flatnonzero(~words | every.write | written))


def _read(graph: Graph, node: Ints, burst: Ints, index: Ints, step: Ints, count: Ints) -> Accesses:
    """Reading MEM read bursts' words in place, as of the cycles in which the burst is dispatched."""
    step = np.where(count > 1, step, 0)
    stride, interval = graph.stride[burst], graph.interval[burst]
    address = graph.args[burst, 0] + index * stride
    time = graph.cycle[burst] + index * interval
    width, write = np.ones_like(node), np.zeros(len(node), np.bool_)
    return Accesses(
        node, graph.queue[burst], address, stride * step, width, time, interval * step, count, write
    )


def _packed(graph: Graph) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """What PACK nodes read in place, as ``_read`` wants it: one progression a burst where that is evenly spaced."""
    node, burst, index = (c[graph.in_place[graph.packed[1]]] for c in graph.packed)
    begin = heads(np.cumsum(np.diff(node, prepend=-1) | np.diff(burst, prepend=-1) != 0))
    length = np.diff(np.append(begin, len(node)))
    own = np.repeat(np.arange(len(begin)), length)
    step = np.zeros_like(begin)
    several = length > 1
    step[several] = index[begin[several] + 1] - index[begin[several]]
    even = index == index[begin][own] + (np.arange(len(node)) - begin[own]) * step[own]
    uneven = np.bincount(own[~even], minlength=len(begin)) > 0
    one, each = begin[~uneven], np.flatnonzero(uneven[own])
    rows = np.append(one, each)
    single = np.zeros_like(each)
    steps, counts = np.append(step[~uneven], single), np.append(length[~uneven], single + 1)
    return node[rows], burst[rows], index[rows], steps, counts


def _ports(graph: Graph) -> Accesses:
    """Writes, gathers and scatters; a gather or scatter may touch all of its range each time."""
    node = np.flatnonzero(np.isin(graph.kind, (Kind.WRITE, Kind.GATHER, Kind.SCATTER)))
    burst, kind = graph.burst[node], graph.kind[node]
    stride, count = graph.stride[burst], graph.count[node]
    address = graph.args[burst, 0] + graph.first[node] * stride
    width = np.where(kind == Kind.WRITE, 1, graph.args[burst, 1] + 1)
    return Accesses(
        node,
        graph.queue[burst],
        address,
        stride,
        width,
        graph.time[node],
        graph.interval[burst],
        count,
        kind != Kind.GATHER,
    )


def _accumulators(graph: Graph) -> Accesses:
    """The accumulator rows of ``acc`` nodes."""
    node = np.flatnonzero(graph.kind == Kind.ACC)
    burst = graph.burst[node]
    stride, width = graph.stride[burst], np.ones_like(node)
    address = graph.args[burst, 1] + graph.first[node] * stride
    place = 2 * graph.machine.slices + graph.plane(burst)
    time, interval = graph.time[node], graph.interval[burst]
    return Accesses(
        node, place, address, stride, width, time, interval, graph.count[node], width > 0
    )
