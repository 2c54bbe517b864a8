"""A program as a graph: runs of a burst's instances whose operands all come from evenly spaced results.

MEM reads are no nodes: who uses a word reads it from memory directly, where no write comes between (else a read burst
becomes a node that copies). ``lw`` and ``abc`` are no nodes either: they only name what ``iw`` and ``acc`` work on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from emulator.jit.effects import Effects
from emulator.jit.join import join
from emulator.jit.weights import Installs, Weights
from isa.instruction import BY_OPCODE
from isa.ops.mem import Gather, Read, Scatter, Write
from isa.ops.mxm import Accumulate, Activate, LoadWeights
from isa.program import Program


class Kind(IntEnum):
    """What a node does."""

    VXM = 0
    WRITE = 1
    GATHER = 2
    SCATTER = 3
    SXM = 4
    ACC = 5
    PACK = 6  # turns loaded weights into panels
    COPY = 7  # a MEM read that cannot wait for its readers


class Ref(NamedTuple):
    """Instance ``j`` of a node reads byte plane ``part`` (or all) of result ``index + j * step`` of ``burst``."""

    burst: int
    part: int
    index: int  # type: ignore[assignment]  # tuple.index is not used
    step: int


@dataclass(slots=True)
class Node:
    """``count`` instances of a burst from ``first`` on. ``time`` is when the first one's effect or sample counts."""

    kind: Kind
    burst: int
    first: int
    count: int
    time: int
    refs: tuple[Ref, ...] = ()
    weights: int = -1  # ACC, PACK: index into Graph.weights
    id: int = -1
    operands: list[tuple[Ref, ...]] | None = None  # of groups.operands, once asked for
    row_makers: dict[tuple[Ref, ...], Node | None] = field(
        default_factory=dict
    )  # of groups.row_maker


class Graph:
    """Nodes of a program and what they read.

    Attributes:
        nodes: in no particular order; ``Node.id`` is the index.
        of_burst: a burst's nodes in order of instances.
        of_weights: the PACK node of weights that are not constant.
        copies: read bursts that are nodes.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.machine = program.machine
        self.effects = Effects(program)
        self.links = join(self.effects)
        self.slot0 = np.concatenate([[0], np.cumsum(self.effects.slots)])
        self.installs = Installs(self.effects, self.links, self.slot0)
        self.columns = {
            n: self.effects.bursts[n].tolist() for n in program.bursts.dtype.names or ()
        }
        self.link_rows = np.stack(
            [self.links.burst, self.links.part, self.links.index, self.links.step], 1
        ).tolist()
        self.classes = [BY_OPCODE[o] for o in self.columns["opcode"]]
        self.size: list[int] = self.effects.size.tolist()
        self.weights: list[Weights] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self.cuts: dict[int, set[int]] = {}
        self.copies: set[int] = set()
        self._changes: dict[int, list[tuple[int, int]]] = {}
        self._find_cuts()
        self.rebuild()

    def is_read(self, burst: int) -> bool:
        """Whether results of ``burst`` are words of memory that are read in place."""
        return self.classes[burst] is Read and burst not in self.copies

    def plane(self, burst: int) -> int:
        """Matrix plane of a burst."""
        return (int(self.columns["queue"][burst]) - self.machine.mxm_queue) // 3

    def _find_cuts(self) -> None:
        """Where operands change their producer within a burst, or activations their weights."""
        for read, runs in self.links.runs.items():
            burst = int(self.effects.reads[read, 0])
            if self.classes[burst] is not LoadWeights:
                self.cuts.setdefault(burst, set()).update(r.start for r in runs[1:])
        for burst, cls in enumerate(self.classes):
            if cls is Activate:
                self._changes[burst] = self.installs.changes(burst)
                if len(self._changes[burst]) > 1:
                    starts = (instance for instance, _ in self._changes[burst][1:])
                    self.cuts.setdefault(burst, set()).update(starts)
        for burst, cls in enumerate(self.classes):
            if cls is Accumulate:
                self._cut_accumulate(burst)

    def _cut_accumulate(self, burst: int) -> None:
        """An ``acc`` is cut where its activations are; one that stays on a row, everywhere."""
        count = self.columns["count"][burst]
        if count > 1 and self.columns["stride"][burst] == 0:
            self.cuts[burst] = set(range(1, count))
            return
        read = int(self.slot0[burst])
        own = [(r.start, r.burst, r.index, r.step) for r in self.links.runs.get(read, ())]
        if not own:
            source, _, index, step = self.link_rows[read]
            own = [(0, source, index, step)]
        for start, source, index, step in own:
            for cut in self.cuts.get(source, ()):
                if step and cut > index:
                    place = start - (-(cut - index) // step)
                    if place < count:
                        self.cuts.setdefault(burst, set()).add(place)

    def rebuild(self) -> None:
        """Nodes anew, after ``cuts`` or ``copies`` changed."""
        self.nodes: list[Node] = []
        self.of_burst: dict[int, list[Node]] = {}
        self.of_weights: dict[int, Node] = {}
        latency = self.machine.timing
        for burst, cls in enumerate(self.classes):
            kind, shift = Kind.VXM, 0
            if cls.unit == "MEM":
                if cls is Read:
                    if burst not in self.copies:
                        continue
                    kind = Kind.COPY
                elif cls is Write:
                    kind, shift = Kind.WRITE, latency("mem_write")
                elif cls is Scatter:
                    kind, shift = Kind.SCATTER, latency("mem_scatter")
                else:
                    assert cls is Gather
                    kind = Kind.GATHER
            elif cls.unit == "MXM":
                if cls is not Accumulate:
                    continue
                kind = Kind.ACC
            elif cls.unit == "SXM":
                kind = Kind.SXM
            elif cls.unit != "VXM":
                continue
            self._add_burst(kind, burst, shift)

    def _add_burst(self, kind: Kind, burst: int, shift: int) -> None:
        """A burst's nodes."""
        count = self.columns["count"][burst]
        cycle, interval = self.columns["cycle"][burst], self.columns["interval"][burst]
        bounds = [0, *sorted(self.cuts.get(burst, ())), count]
        for first, end in pairwise(bounds):
            node = Node(kind, burst, first, end - first, cycle + shift + first * interval)
            if kind is Kind.ACC:
                self._link_accumulate(node)
            elif kind is not Kind.COPY:
                node.refs = self.refs(burst, first)
            self._add(node)

    def _add(self, node: Node) -> None:
        node.id = len(self.nodes)
        self.nodes.append(node)
        self.of_burst.setdefault(node.burst, []).append(node)

    def refs(self, burst: int, first: int) -> tuple[Ref, ...]:
        """What a run of instances from ``first`` on reads, a slot each."""
        runs, rows, out = self.links.runs, self.link_rows, []
        for read in range(self.slot0[burst], self.slot0[burst + 1]):
            if read in runs:
                run = runs[read][bisect_right(runs[read], first, key=lambda r: r.start) - 1]
                index = run.index + (first - run.start) * run.step
                out.append(Ref(run.burst, run.part, index, run.step))
            else:
                source, part, index, step = rows[read]
                out.append(Ref(source, part, index + first * step, step))
        return tuple(out)

    def _link_accumulate(self, node: Node) -> None:
        """An ``acc`` run reads the planes of its activations and the weights they met."""
        (sent,) = self.refs(node.burst, node.first)
        instances = self._changes[sent.burst]
        number = [n for instance, n in instances if instance <= sent.index][-1]
        node.weights = self._weights(self.plane(sent.burst), number)
        node.refs = tuple(
            Ref(r.burst, r.part, r.index, r.step * sent.step)
            for r in self.refs(sent.burst, sent.index)
        )

    def activation_window(self, node: Node) -> tuple[int, int]:
        """First lane and number of lanes of the activations that an ``acc`` run takes."""
        read = int(self.slot0[node.burst])
        burst = self.link_rows[read][0]
        if read in self.links.runs:
            (sent,) = self.refs(node.burst, node.first)
            burst = sent.burst
        first, lanes = self.columns["args"][burst][2:4]
        return int(first), int(lanes)

    def _weights(self, plane: int, number: int) -> int:
        """Index of a plane's install in ``weights``."""
        key = (plane, number)
        if key not in self._numbers:
            self._numbers[key] = len(self.weights)
            self.weights.append(self.installs.planes[plane][number])
        return self._numbers[key]

    def add_packs(self, numbers: Iterable[int]) -> None:
        """Nodes that pack weights which are not constant."""
        for number in numbers:
            node = Node(Kind.PACK, -1, 0, 1, self.weights[number].time, weights=number)
            node.id = len(self.nodes)
            self.nodes.append(node)
            self.of_weights[number] = node

    def covering(self, burst: int, low: int, high: int) -> list[Node]:
        """Nodes that make results ``low..high`` of a burst."""
        nodes = self.of_burst[burst]
        if len(nodes) == 1:
            return nodes
        return [n for n in nodes if n.first <= high and n.first + n.count > low]
