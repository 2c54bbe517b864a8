"""Which words each node reads and writes, when, and what order that asks for.

Words are numbered a slice; the accumulator rows of matrix plane ``p`` are slice ``2 * slices + p``. Of two accesses to a word,
at least one a write, the earlier goes first; a write that takes effect in the cycle of a read precedes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from emulator.jit.effects import Ints
from emulator.jit.nodes import Graph, Kind, Node
from isa.machine import Machine
from isa.ops.mem import Scatter, Write
from isa.program import Program

BUCKET: Final = 7
"""Accesses are looked up by ``address >> BUCKET``."""


class Access(NamedTuple):
    """``count`` accesses of ``width`` words from ``address`` on, each ``stride`` further, ``interval`` cycles apart."""

    node: int
    slice: int
    address: int
    stride: int
    width: int
    time: int
    interval: int
    count: int  # type: ignore[assignment]  # tuple.count is not used
    write: bool

    low: int
    high: int
    last: int

    @classmethod
    def of(
        cls, node: int, slice_: int, address: int, stride: int, width: int, time: int, interval: int,
        count: int, write: bool
    ) -> Access:  # fmt: skip
        """With the lowest and highest word, and when the last access happens."""
        reach = stride * (count - 1)
        low, high = address + min(0, reach), address + max(0, reach) + width - 1
        last = time + interval * (count - 1)
        return cls(
            node, slice_, address, stride, width, time, interval, count, write, low, high, last
        )


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


class Accesses:
    """The accesses of a graph's nodes that matter for their order."""

    def __init__(self, graph: Graph, changing: Changing) -> None:
        self.graph, self.changing = graph, changing
        self.machine: Machine = graph.machine
        self.read_latency = 0
        self.columns = graph.columns

    def of(self, node: Node) -> Iterator[Access]:
        """The accesses of one node."""
        graph, kind = self.graph, node.kind
        for ref in set(node.refs):
            if graph.is_read(ref.burst):
                yield from self._read(node.id, ref.burst, ref.index, ref.step, node.count)
        if kind is Kind.COPY:
            yield from self._read(node.id, node.burst, node.first, 1, node.count)
        elif kind in (Kind.WRITE, Kind.GATHER, Kind.SCATTER):
            yield self._port(node)
        elif kind is Kind.ACC:
            row, stride = self._arg(node, 1), self.columns["stride"][node.burst]
            plane = 2 * self.machine.slices + graph.plane(node.burst)
            interval = self.columns["interval"][node.burst]
            row += node.first * stride
            yield Access.of(
                node.id, plane, row, stride, 1, node.time, interval, node.count, write=True
            )
        elif kind is Kind.PACK:
            weights = graph.weights[node.weights]
            for burst, instances in weights.sources:
                if graph.is_read(burst):
                    for first, step, count in progressions(instances):
                        yield from self._read(node.id, burst, first, step, count)

    def _arg(self, node: Node, index: int) -> int:
        return int(self.columns["args"][node.burst][index])

    def _read(self, node: int, burst: int, index: int, step: int, count: int) -> Iterator[Access]:
        """Reading a MEM read burst's words in place, as of the cycles in which the burst is dispatched."""
        c = self.columns
        slice_, stride, interval = c["queue"][burst], c["stride"][burst], c["interval"][burst]
        address = c["args"][burst][0] + index * stride
        step = step if count > 1 else 0
        time = c["cycle"][burst] + index * interval
        access = Access.of(
            node, slice_, address, stride * step, 1, time, interval * step, count, write=False
        )
        if self.changing.writes(slice_, access.low, access.high):
            yield access

    def _port(self, node: Node) -> Access:
        """A write, gather or scatter; a gather or scatter may touch all of its range each time."""
        c, burst = self.columns, node.burst
        writes = node.kind is not Kind.GATHER
        address, stride, width = self._arg(node, 0), c["stride"][burst], 1
        if node.kind is not Kind.WRITE:
            width = self._arg(node, 1) + 1
        address += node.first * stride
        interval = c["interval"][burst]
        return Access.of(
            node.id,
            c["queue"][burst],
            address,
            stride,
            width,
            node.time,
            interval,
            node.count,
            writes,
        )


def progressions(values: Ints) -> list[tuple[int, int, int]]:
    """Sorted numbers as ``first, step, count``: one progression where they are evenly spaced, else one each."""
    steps = np.diff(values)
    if len(steps) == 0:
        return [(int(values[0]), 0, 1)]
    if (steps == steps[0]).all():
        return [(int(values[0]), int(steps[0]), len(values))]
    return [(int(v), 0, 1) for v in values]


def ordered(accesses: list[Access]) -> Iterator[tuple[Access, Access]]:
    """Pairs of accesses that may touch one word, at least one a write, the one that starts first in front.

    A pair is left out where a chain of others already asks for the same order.
    """
    accesses.sort(key=lambda a: (a.time, not a.write))
    written: dict[tuple[int, int], list[Access]] = {}
    read: dict[tuple[int, int], list[Access]] = {}
    for later in accesses:
        low, high, seen = later.low, later.high, set[int]()
        for bucket in range(low >> BUCKET, (high >> BUCKET) + 1):
            key = (later.slice, bucket)
            writes = written.get(key)
            reads = read.get(key) if later.write else None
            for earlier in (*(writes or ()), *(reads or ())):
                if earlier.low <= high and earlier.high >= low and id(earlier) not in seen:
                    seen.add(id(earlier))
                    yield earlier, later
            if not later.write:
                read.setdefault(key, []).append(later)
                continue
            if later.width == 1 and abs(later.stride) == 1:
                for held in (writes, reads):
                    if held:
                        held[:] = [a for a in held if not _replaces(later, a, bucket)]
            written.setdefault(key, []).append(later)


def _replaces(later: Access, earlier: Access, bucket: int) -> bool:
    """Whether whatever must follow ``earlier`` within a bucket follows ``later`` anyhow."""
    first, last = bucket << BUCKET, ((bucket + 1) << BUCKET) - 1
    inside = later.low <= max(earlier.low, first) and later.high >= min(earlier.high, last)
    return inside and earlier.last < later.time


def directions(x: Access, y: Access) -> tuple[bool, bool]:
    """Whether some access of ``x`` must precede one of ``y``, and the other way round. ``x`` starts first."""
    if x.last < y.time or (x.last == y.time and x.write):
        return True, False
    if x.stride == y.stride != 0 and x.interval == y.interval and x.width == y.width == 1:
        apart, rest = divmod(y.address - x.address, x.stride)
        if rest or not -y.count < apart < x.count:
            return False, False
        # Instance i of x and i - apart of y meet, always equally long after one another.
        lead = y.time - x.interval * apart - x.time
        first = lead > 0 or (lead == 0 and x.write)
        return first, not first
    collide, earlier = _meetings(x, y)
    return bool((collide & earlier).any()), bool((collide & ~earlier).any())


def _meetings(x: Access, y: Access) -> tuple[np.ndarray, np.ndarray]:
    """``[x.count, y.count]``: whether instances touch a common word, and whether x's goes first."""
    i, j = np.arange(x.count)[:, None], np.arange(y.count)[None, :]
    a, b = x.address + x.stride * i, y.address + y.stride * j
    collide = (a <= b + y.width - 1) & (b <= a + x.width - 1)
    s, t = x.time + x.interval * i, y.time + y.interval * j
    return collide, (s < t) | ((s == t) & x.write)


def row_by_row(x: Access, y: Access) -> tuple[bool, bool]:
    """Whether doing both a row at a time keeps their order, and whether rows are then independent of each other.

    Within a row, reads come before writes, and writes in no particular order.
    """
    collide, earlier = _meetings(x, y)
    if not collide.any():
        return True, True
    i, j = np.arange(x.count)[:, None], np.arange(y.count)[None, :]
    if x.write and y.write and (collide & (i == j)).any():
        return False, False
    x_first = (i < j) | ((i == j) & y.write)
    return bool((x_first == earlier)[collide].all()), not bool((collide & (i != j)).any())
