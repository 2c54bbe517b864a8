"""A program as a graph: runs of a burst's instances whose operands all come from evenly spaced results.

MEM reads are no nodes: who uses a word reads it from memory directly, where no write comes between (else a read burst
becomes a node that copies). ``lw`` and ``abc`` are no nodes either: they only name what ``iw`` and ``acc`` work on.

Nodes, what they read and who made that are columns of numpy integers, so that a program is looked at as a whole.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from emulator.jit.effects import PLANES, SPAN, WHOLE, Effects, Ints, distinct, ranges
from emulator.jit.join import join
from emulator.jit.weights import Installs
from isa.instruction import BY_OPCODE, SourceKind
from isa.ops.mem import Gather, Read, Scatter, Write
from isa.ops.mxm import Accumulate, LoadWeights
from isa.ops.sxm import Transpose
from isa.program import Program

Bools = npt.NDArray[np.bool_]


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


NO_NODE: Final = -1
"""In place of a node or of a kind."""
OF_CLASS: Final = {
    Write: Kind.WRITE,
    Gather: Kind.GATHER,
    Scatter: Kind.SCATTER,
    Accumulate: Kind.ACC,
}
OF_UNIT: Final = {"VXM": Kind.VXM, "SXM": Kind.SXM}


class Refs(NamedTuple):
    """Instance ``j`` of ``node`` reads byte plane ``part`` (or all) of result ``index + j * step`` of ``burst``.

    ``operand`` numbers the operands of all nodes; the refs of one lie behind each other. ``low .. high`` are the nodes that
    make what is read, none of words that are read in place.
    """

    node: Ints
    operand: Ints
    burst: Ints
    part: Ints
    index: Ints  # type: ignore[assignment]  # tuple.index is not used
    step: Ints
    low: Ints
    high: Ints


class Graph:
    """Nodes of a program and what they read.

    Attributes:
        opcode, queue, cycle, length, interval, stride, args: of each burst; ``length`` is its number of dispatches.
        size: bytes a lane of each burst's result.
        kind, burst, first, count, time: of each node, ordered by burst and instance, PACK nodes behind; a node is ``count``
            instances of a burst from ``first`` on; ``time`` is when the first one's effect or sample counts.
        weights: ACC, PACK: number in ``installs``, else -1.
        window: ``[nodes, 2]``: first lane and number of lanes of the activations that an ACC takes.
        refs: all that nodes read, in their order.
        copies: read bursts that are nodes.
        packs: ``[installs]``: the PACK node of weights that are not constant.
        packed: ``node, burst, instance``: what PACK nodes take, each once, in this order.
    """

    def __init__(self, program: Program) -> None:
        self.program, self.machine = program, program.machine
        self.effects = Effects(program)
        self.links = join(self.effects)
        self.slot0 = np.concatenate([[0], np.cumsum(self.effects.slots)])
        self.installs = Installs(self.effects, self.links, self.slot0)
        self.cycle = self.effects.cycle
        self.opcode, self.queue, self.length, self.interval, self.stride, self.args = (
            program.bursts[n].astype(np.int64)
            for n in ("opcode", "queue", "count", "interval", "stride", "args")
        )
        self.size = self.effects.size.copy()
        self.transposed = self.opcode == Transpose.opcode
        self._kinds, self._shift, self._sizes = self._of_bursts()
        self.cuts: dict[int, set[int]] = {}
        self.copies: set[int] = set()
        self._find_cuts()

    def plane(self, burst: Ints) -> Ints:
        """Matrix planes of bursts."""
        return (self.queue[burst] - self.machine.mxm_queue) // 3

    def _of_bursts(self) -> tuple[Ints, Ints, Ints]:
        """Of each burst: its nodes' kind, when their effect counts, and its operands' refs ``[bursts, 3]``."""
        kinds, shift = (np.full(len(self.opcode), v) for v in (NO_NODE, 0))
        sizes = np.zeros((len(self.opcode), 3), np.int64)
        timing = self.machine.timing
        for code in distinct(self.opcode):
            cls, rows = BY_OPCODE[int(code)], np.flatnonzero(self.opcode == code)
            kinds[rows] = OF_CLASS.get(cls, OF_UNIT.get(cls.unit, NO_NODE))
            if cls in (Write, Scatter):
                shift[rows] = timing("mem_write" if cls is Write else "mem_scatter")
            if cls.unit != "VXM":
                continue
            names = [o.name for o in cls.operands]
            planes = PLANES[self.args[rows, names.index("dtype")]]
            for number in range(cls.arity):
                kind = self.args[rows, names.index("abc"[number])] & 3
                stream = 1 if number == 2 else planes
                one = (kind == SourceKind.ALU).astype(np.int64)
                sizes[rows, number] = np.where(kind == SourceKind.STREAM, stream, one)
        return kinds, shift, sizes

    def _find_cuts(self) -> None:
        """Where operands change their producer within a burst, or activations their weights."""
        for read, runs in self.links.runs.items():
            burst = int(self.effects.reads[read, 0])
            if self.opcode[burst] != LoadWeights.opcode:
                self.cuts.setdefault(burst, set()).update(r.start for r in runs[1:])
        for burst, changes in self.installs.changing.items():
            self.cuts.setdefault(burst, set()).update(instance for instance, _ in changes[1:])
        acc = np.flatnonzero(self.opcode == Accumulate.opcode)
        reads = self.slot0[acc]
        several = (self.length[acc] > 1) & (self.stride[acc] == 0)
        several |= self.links.odd[reads] | np.isin(self.links.burst[reads], list(self.cuts))
        for burst in acc[several].tolist():
            self._cut_accumulate(burst)

    def _cut_accumulate(self, burst: int) -> None:
        """An ``acc`` is cut where its activations are; one that stays on a row, everywhere."""
        count = int(self.length[burst])
        if count > 1 and self.stride[burst] == 0:
            self.cuts[burst] = set(range(1, count))
            return
        read, links = int(self.slot0[burst]), self.links
        own = [(r.start, r.burst, r.index, r.step) for r in links.runs.get(read, ())]
        if not own:
            own = [(0, int(links.burst[read]), int(links.index[read]), int(links.step[read]))]
        for start, sent, index, step in own:
            for cut in self.cuts.get(sent, ()):
                if step and cut > index:
                    place = start - (-(cut - index) // step)
                    if place < count:
                        self.cuts.setdefault(burst, set()).add(place)

    def rebuild(self, constant: Bools) -> None:
        """Nodes anew, after ``cuts`` or ``copies`` changed; ``constant`` ``[installs]`` need no PACK node."""
        kinds = self._kinds.copy()
        kinds[list(self.copies)] = Kind.COPY
        self.in_place = (self.opcode == Read.opcode) & (kinds == NO_NODE)
        cuts = [(b, i) for b, found in self.cuts.items() if kinds[b] != NO_NODE for i in found]
        made = np.flatnonzero(kinds != NO_NODE)
        more = np.array(cuts, np.int64).reshape(-1, 2)
        burst, first = np.concatenate([made, more[:, 0]]), np.append(made * 0, more[:, 1])
        order = np.lexsort((first, burst))
        burst, first = burst[order], first[order]
        end = self.length[burst]
        same = np.flatnonzero(burst[1:] == burst[:-1])
        end[same] = first[same + 1]
        self.kind, self.burst, self.first, self.count = kinds[burst], burst, first, end - first
        self.time = self.cycle[burst] + self._shift[burst] + first * self.interval[burst]
        self.weights = np.full(len(burst), -1)
        self.window = np.zeros((len(burst), 2), np.int64)
        self._key = burst * SPAN + first
        self.refs = self._refs()
        self._add_packs(constant)
        self.packed = self._packed()

    def _refs(self) -> Refs:
        """What nodes read: an ``acc`` the planes of its activations."""
        slots, acc = self.effects.slots, np.flatnonzero(self.kind == Kind.ACC)
        reader, at, every = self.burst.copy(), self.first.copy(), np.ones_like(self.first)
        sent = self.links.at(self.slot0[self.burst[acc]], self.first[acc])
        reader[acc], _, at[acc], every[acc] = sent
        self.weights[acc] = self.installs.met(sent[0], sent[2])
        self.window[acc] = self.args[sent[0], 2:4]
        n = np.where(self.kind == Kind.COPY, 0, slots[reader])
        node = np.repeat(np.arange(len(reader)), n)
        burst, part, index, step = self.links.at(self.slot0[reader][node] + ranges(n), at[node])
        step = step * every[node]
        low, high = self.makers(burst, index, index + step * (self.count[node] - 1))
        return Refs(node, self._operands(node, n), burst, part, index, step, low, high)

    def _operands(self, node: Ints, n: Ints) -> Ints:
        """Numbers of operands of refs; other than for VXM nodes, each ref is one."""
        sizes = self._sizes[self.burst]
        size = np.where((self.kind == Kind.VXM)[:, None], sizes, 0)
        begins = np.ones(len(node), np.bool_)
        start = np.cumsum(n) - n
        inside = np.arange(len(node)) - start[node]
        vxm = self.kind[node] == Kind.VXM
        ends = np.cumsum(size, 1)
        begins[vxm] = (inside[vxm, None] == (ends - size)[node[vxm]]).any(1)
        operand: Ints = np.cumsum(begins) - 1
        return operand

    def makers(self, burst: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
        """The range of nodes that make results ``low .. high`` of bursts; empty for words that are read in place."""
        begin = np.searchsorted(self._key, burst * SPAN + low, "right") - 1
        end = np.searchsorted(self._key, burst * SPAN + high, "right")
        return begin, np.where(self.in_place[burst], begin, end)

    def nodes_of(self, burst: int) -> range:
        """A burst's nodes in order of instances."""
        low, high = np.searchsorted(self._key, [burst * SPAN, (burst + 1) * SPAN]).tolist()
        return range(low, high)

    def _add_packs(self, constant: Bools) -> None:
        """Nodes that pack weights which are not constant."""
        used = distinct(self.weights[self.weights >= 0])
        numbers, nodes = used[~constant[used]], len(self.burst)
        self.packs = np.full(len(self.installs), NO_NODE)
        self.packs[numbers] = nodes + np.arange(len(numbers))
        new = {
            "kind": numbers * 0 + Kind.PACK,
            "burst": numbers * 0 - 1,
            "first": numbers * 0,
            "count": numbers * 0 + 1,
            "time": self.installs.key[numbers] % SPAN,
            "weights": numbers,
            "window": np.zeros((len(numbers), 2), np.int64),
        }
        for name, column in new.items():
            setattr(self, name, np.concatenate([getattr(self, name), column]))

    def _packed(self) -> tuple[Ints, Ints, Ints]:
        installs, nodes = self.installs, np.flatnonzero(self.kind == Kind.PACK)
        numbers = self.weights[nodes]
        count = installs.columns[numbers]
        column = np.repeat(installs.start[numbers], count) + ranges(count)
        # One number for a dispatch of a burst, one for that and a node.
        before = np.concatenate([[0], np.cumsum(self.length)])
        dispatch = before[installs.burst[column]] + installs.index[column]
        place = np.repeat(np.arange(len(nodes)), count)[:, None] * before[-1] + dispatch
        place, dispatch = np.divmod(distinct(place), max(1, before[-1]))
        burst = np.searchsorted(before, dispatch, "right") - 1
        return nodes[place], burst, dispatch - before[burst]

    def takes(self) -> tuple[Ints, Ints, Ints]:
        """``maker, node, ref``: who makes what a node takes, and by which of ``refs``; -1 of weights."""
        refs = self.refs
        n = refs.high - refs.low
        via = np.repeat(np.arange(len(n)), n)
        maker = refs.low[via] + ranges(n)
        pack, burst, index = self.packed
        low, high = self.makers(burst, index, index)
        made = np.flatnonzero(high > low)
        acc = np.flatnonzero(self.kind == Kind.ACC)
        packs = self.packs[self.weights[acc]]
        acc, packs = acc[packs != NO_NODE], packs[packs != NO_NODE]
        makers = np.concatenate([maker, low[made], packs])
        nodes = np.concatenate([refs.node[via], pack[made], acc])
        return makers, nodes, np.append(via, np.full(len(makers) - len(via), -1))


def reads_whole(graph: Graph) -> Bools:
    """``[operands]``: whether an operand is all of one result, byte plane by byte plane."""
    refs = graph.refs
    if not len(refs.operand):
        return np.zeros(0, np.bool_)
    head = heads(refs.operand)
    length = np.diff(np.append(head, len(refs.operand)))
    lead, place = np.repeat(head, length), ranges(length)
    same = (refs.burst == refs.burst[lead]) & (refs.index == refs.index[lead])
    same &= (refs.step == refs.step[lead]) & (refs.part == place)
    every = np.logical_and.reduceat(same, head) & (length == graph.size[refs.burst[head]])
    whole: Bools = ~graph.in_place[refs.burst[head]] & ((refs.part[head] == WHOLE) | every)
    return whole


def heads(numbers: Ints) -> Ints:
    """Where each of ascending numbers begins."""
    return np.flatnonzero(np.diff(numbers, prepend=-1))


def reads_in_place(graph: Graph, nodes: Ints) -> set[int]:
    """Read bursts whose words some nodes read in place."""
    pack, packed, _ = graph.packed
    burst = np.append(
        graph.refs.burst[np.isin(graph.refs.node, nodes)], packed[np.isin(pack, nodes)]
    )
    return set(burst[graph.in_place[burst]].tolist())
