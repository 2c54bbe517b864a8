"""Whether every read of a word sees the value of its own buffer, and not that of another whose words it reuses.

A second opinion on what `memory` and the placers decided: it takes where things lie from the `Placement`, what an op reads and
writes from the `TileGraph`, and when from the bursts; of when words were thought to be free or ready it takes nothing. A
program in which a buffer's words are written before the last reader of their former tenant is legal, and means something else.

Bursts that meet in a word (a read and the write that it sees) must be about one tenant. So what hangs together is put in
one group, and a group has to have a tenant that all of it may be about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from compiler.scheduling.scheduler import Placement, Schedule
from compiler.tiles import GatherOp, MatrixJob, Rows, TileGraph, TileOp, WeightTile
from isa.machine import Machine
from isa.ops.mem import Gather, Read, Write

Ints = npt.NDArray[np.int64]
TIME_BITS = 40
END = (1 << TIME_BITS) - 1


@dataclass(frozen=True)
class Tenant:
    """A byte plane of one copy of a block, or a weight tile's words for one stream: words ``first .. end`` of a slice.

    The word of row ``row`` is ``first + row - start``; ``early``: it is there before cycle 0.
    """

    name: str
    slice: int
    first: int
    end: int
    start: int
    early: bool


@dataclass
class Tenants:
    """Who ever lies in which words, and which nodes read and write which rows of whom."""

    all: list[Tenant] = field(default_factory=list)
    of_buffer: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    of_tile: dict[int, list[int]] = field(default_factory=dict)
    spans: dict[tuple[bool, int, int], list[tuple[int, int, int]]] = field(default_factory=dict)
    """By (writes, node, slice): tenant, and the first and last word."""

    def fragments(self, placement: Placement) -> None:
        """Take up every copy of every block, and every weight tile."""
        for f in placement.memory.fragments.values():
            name = f"{f.buffer}.{f.chunk}[{f.start}:{f.start + f.rows}]"
            found = self.of_buffer.setdefault((id(f.buffer), f.chunk), [])
            for copy in f.all_copies():
                for s, a in zip(copy.slices, copy.addresses, strict=True):
                    found.append(len(self.all))
                    early = f.buffer.preloaded
                    self.all.append(Tenant(name, s, a, a + f.rows, f.start, early))
        for key, held in placement.memory.tiles.items():
            for tile, place in held:
                for s, a in zip(place.slices, place.addresses, strict=True):
                    self.of_tile.setdefault(key, []).append(len(self.all))
                    self.all.append(Tenant(str(tile), s, a, a + place.steps, 0, True))

    def op(self, op: TileOp) -> None:
        """Take up what an op reads and writes."""
        for rows in op.reads():
            self._rows(False, op.node, rows)
        for rows in op.writes():
            self._rows(True, op.node, rows)
        if isinstance(op, MatrixJob):
            for tile in {p.weights.tile for p in op.passes if p.weights.tile is not None}:
                self._tile(op.node, tile)
        if isinstance(op, GatherOp):
            for (buffer, _), tenants in self.of_buffer.items():
                if buffer == id(op.table):
                    for t in tenants:
                        self._span(False, op.node, t, self.all[t].first, self.all[t].end - 1)

    def _tile(self, node: int, tile: WeightTile) -> None:
        for t in self.of_tile.get(id(tile), ()):
            self._span(False, node, t, self.all[t].first, self.all[t].end - 1)

    def _rows(self, writes: bool, node: int, rows: Rows) -> None:
        last = rows.row + (rows.count - 1 if rows.stride else 0)
        for t in self.of_buffer.get((id(rows.buffer), rows.chunk), ()):
            tenant = self.all[t]
            base = tenant.first - tenant.start
            low, high = max(base + rows.row, tenant.first), min(base + last, tenant.end - 1)
            if low <= high:
                self._span(writes, node, t, low, high)

    def _span(self, writes: bool, node: int, tenant: int, low: int, high: int) -> None:
        where = self.spans.setdefault((writes, node, self.all[tenant].slice), [])
        where.append((tenant, low, high))

    def about(self, writes: bool, node: int, slice_: int, low: int, high: int) -> frozenset[int]:
        """Whom a burst of a node on these words may be about."""
        spans = self.spans.get((writes, node, slice_), ())
        return frozenset(t for t, a, b in spans if a <= low and high <= b)


@dataclass(frozen=True)
class Access:
    """A slice's accesses, one a word: the burst (or ``bursts + tenant`` for what is taken at the end), cycle and word."""

    who: Ints
    time: Ints
    word: Ints

    @property
    def key(self) -> Ints:
        """By word, then time."""
        return (self.word << TIME_BITS) | self.time


class _Groups:
    """What hangs together, by union and find."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))

    def find(self, i: int) -> int:
        """The one that stands for a group."""
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        """Two are of one group."""
        self.parent[self.find(i)] = self.find(j)


def mixed_up(tiles: TileGraph, placement: Placement, plan: Schedule) -> list[str]:
    """What is wrong: reads that see another tenant's words, or words of nobody. Empty for a sound schedule."""
    tenants = Tenants()
    tenants.fragments(placement)
    for op in tiles.ops:
        tenants.op(op)
    bursts, machine = plan.bursts, plan.machine
    count = len(bursts)
    groups = _Groups(count + len(tenants.all))
    outputs = _outputs(tiles, tenants)
    meetings: list[tuple[int, int]] = []
    for slice_ in range(2 * machine.slices):
        meetings += _meetings(slice_, bursts, machine, tenants, outputs)
    for i, j in meetings:
        groups.join(i, j)
    about = _about(bursts, tenants)
    about += [frozenset([t]) for t in range(len(tenants.all))]
    return list(_disagreements(groups, about, meetings, plan, tenants))


def _outputs(tiles: TileGraph, tenants: Tenants) -> dict[int, list[int]]:
    """By slice, the tenants that the host reads at the end: the first copy of each block of an output."""
    wanted: set[int] = {id(buffer) for buffer in tiles.outputs.values()}
    planes = {id(b): b.dtype.planes for b in tiles.outputs.values()}
    found: dict[int, list[int]] = defaultdict(list)
    for (buffer, _), held in tenants.of_buffer.items():
        blocks: dict[int, list[int]] = defaultdict(list)
        for t in held if buffer in wanted else ():
            blocks[tenants.all[t].start].append(t)
        for block in blocks.values():
            for t in block[: planes[buffer]]:
                found[tenants.all[t].slice].append(t)
    return found


def _access(bursts: npt.NDArray[np.void], which: Ints, delay: int) -> Access:
    """Every dispatch of some plain reads or writes, ``delay`` cycles after its issue."""
    count = bursts["count"][which]
    who = np.repeat(which, count)
    k = np.arange(len(who)) - np.repeat(np.cumsum(count) - count, count)
    time = bursts["cycle"][who] + k * bursts["interval"][who] + delay
    return Access(who, time, bursts["args"][who, 0] + k * bursts["stride"][who])


def _tables(bursts: npt.NDArray[np.void], which: Ints) -> Access:
    """The words that gathers may take, in their first cycle and in their last."""
    last = (bursts["count"] - 1) * bursts["interval"]
    parts = []
    for b in which.tolist():
        words = np.arange(bursts["args"][b, 1] + 1) + bursts["args"][b, 0]
        times = (bursts["cycle"][b], bursts["cycle"][b] + last[b])
        parts += [(np.full(len(words), b), np.full(len(words), t), words) for t in times]
    none = np.zeros(0, np.int64)
    return Access(*(np.concatenate([none, *(p[i] for p in parts)]) for i in range(3)))


def _meetings(
    slice_: int,
    bursts: npt.NDArray[np.void],
    machine: Machine,
    tenants: Tenants,
    outputs: dict[int, list[int]],
) -> Iterator[tuple[int, int]]:
    """Who reads what of whom on a slice: bursts by index, tenants behind them."""
    n, here = len(bursts), bursts["queue"] == slice_
    opcode = bursts["opcode"]
    writes = _access(
        bursts, np.flatnonzero(here & (opcode == Write.opcode)), machine.timing("mem_write")
    )
    reads = [_access(bursts, np.flatnonzero(here & (opcode == Read.opcode)), 0)]
    reads.append(_tables(bursts, np.flatnonzero(here & (opcode == Gather.opcode))))
    for t in outputs.get(slice_, ()):
        words = np.arange(tenants.all[t].first, tenants.all[t].end)
        reads.append(Access(np.full(len(words), n + t), np.full(len(words), END), words))
    early = np.full(machine.words, -1)
    for t, tenant in enumerate(tenants.all):
        if tenant.slice == slice_ and tenant.early:
            early[tenant.first : tenant.end] = n + t
    order = np.argsort(writes.key, kind="stable")
    keys, makers = writes.key[order], writes.who[order]
    for read in reads:
        at = np.searchsorted(keys, read.key, "right") - 1
        seen = (
            np.where(at >= 0, keys[at] >> TIME_BITS == read.word, False) if len(keys) else at >= 0
        )
        maker = np.where(seen, makers[at], early[read.word]) if len(keys) else early[read.word]
        yield from map(tuple, np.unique(np.stack([read.who, maker], 1), axis=0).tolist())


def _about(bursts: npt.NDArray[np.void], tenants: Tenants) -> list[frozenset[int]]:
    """Whom each burst may be about; empty for those that touch no memory."""
    plain = {Read.opcode: False, Write.opcode: True}
    found = []
    rows = zip(*(bursts[n].tolist() for n in ("queue", "opcode", "node", "count", "stride", "args")), strict=True)  # fmt: skip
    for queue, opcode, node, count, stride, args in rows:
        ends = sorted((args[0], args[0] + (count - 1) * stride))
        if opcode in plain:
            found.append(tenants.about(plain[opcode], node, queue, *ends))
        elif opcode == Gather.opcode:
            found.append(tenants.about(False, node, queue, args[0], args[0] + args[1]))
        else:
            found.append(frozenset())
    return found


def _disagreements(
    groups: _Groups,
    about: list[frozenset[int]],
    meetings: list[tuple[int, int]],
    plan: Schedule,
    tenants: Tenants,
) -> Iterator[str]:
    """A text for every group that nobody can be the tenant of."""
    common: dict[int, frozenset[int]] = {}
    for reader, maker in meetings:
        if maker < 0:
            yield f"{_who(reader, plan, tenants, about)} reads words that nothing wrote"
            continue
        root = groups.find(reader)
        known = common.get(root, about[reader])
        common[root] = known & about[reader] & about[maker]
    told = set()
    for reader, maker in meetings:
        root = groups.find(reader)
        if (
            maker >= 0
            and not common[root]
            and (root, bool(about[reader] & about[maker])) not in told
        ):
            told.add((root, bool(about[reader] & about[maker])))
            yield f"{_who(reader, plan, tenants, about)} sees {_who(maker, plan, tenants, about)}"


def _who(index: int, plan: Schedule, tenants: Tenants, about: list[frozenset[int]]) -> str:
    """A burst and whom it may be about, or a tenant."""
    names = ", ".join(sorted({tenants.all[t].name for t in about[index]})) or "nobody"
    if index >= len(plan.bursts):
        return names
    b = plan.bursts[index]
    kind = "write" if b["opcode"] == Write.opcode else "read"
    return f"the {kind} @{b['cycle']} of {plan.machine.queue_names[int(b['queue'])]} ({names})"


__all__ = ["Tenant", "mixed_up"]
