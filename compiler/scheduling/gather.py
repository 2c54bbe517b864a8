"""The stencil of a `GatherOp`: ids to the VXM, indices outward, table rows inward to the slices that keep them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from compiler.scheduling.core import SCRATCH_BANK, Core, Stream
from compiler.scheduling.inputs import Arrival, Reading
from compiler.scheduling.memory import Copy, Fragment, Written
from compiler.scheduling.vector import VectorPlacer
from compiler.scheduling.ways import spans
from compiler.tiles import GatherOp
from isa.instruction import DType, Source, SourceKind
from isa.ops.mem import Gather, Write
from isa.ops.vxm import Sub

INDEX_PLANES = 2


@dataclass(slots=True)
class Lookup:
    """One byte plane of one chunk: table slice, output stream, and where the rows are written."""

    chunk: int
    plane: int
    table: Copy
    stream: Stream
    cycle: int
    slice: int
    bank: int
    address: int
    write_cycle: int


@dataclass(slots=True)
class Trial:
    """What a trial has chosen."""

    start: int
    alu: int
    arrival: Arrival
    indices: dict[int, Stream] = field(default_factory=dict)
    lookups: list[Lookup] = field(default_factory=list)


class GatherPlacer:
    """Places `GatherOp`s."""

    def __init__(self, core: Core, vector: VectorPlacer) -> None:
        self.core, self.vector = core, vector
        self.m, self.t = core.machine, core.tables
        self.latency = self.m.timing("mem_gather")

    def place(self, op: GatherOp) -> int:
        """Place an op; the cycle in which the first id reaches the VXM."""
        core = self.core
        tables = [self._table(op, chunk) for chunk in range(op.table.chunks(self.m.lanes))]
        arrival = Arrival(op.ids, 0, INDEX_PLANES)
        ids = self.vector.inputs.reading(arrival, op.ids.count, 1)
        start = max(0, ids.bound)
        for _ in core.trials(start):
            core.undo()
            trial, move = self._try(op, tables, ids, start)
            if trial is not None:
                self._commit(op, trial)
                return start
            start += move
        raise core.full("the rows looked up", op.outputs[0].buffer)

    def _table(self, op: GatherOp, chunk: int) -> Copy:
        """A chunk of the table in the far slices of a hemisphere, chosen on first use."""
        core = self.core
        fragment = core.memory.fragment(op.table, chunk, 0)
        if fragment.copies:
            return fragment.all_copies()[0]
        planes = op.table.dtype.planes
        best: tuple[int, int, list[int]] = (1, 0, [])
        for bank in (SCRATCH_BANK, 1 - SCRATCH_BANK):
            for h in (0, 1):
                pool = np.arange(h * core.per, (h + 1) * core.per)
                fits = core.memory.room(bank)[pool] >= fragment.rows
                ok = pool[fits & core.memory.apart(fragment)[pool]]
                far = [int(s) for s in ok[np.argsort(-core.to_vxm[ok], kind="stable")][:planes]]
                nearest = int(min(core.to_vxm[far], default=0))
                if len(far) == planes and nearest > best[0]:
                    best = (nearest, bank, far)
        if not best[2]:
            raise core.full("table", op.table)
        return core.place_constant(fragment, core.hemisphere(best[2][0]), best[2], best[1])

    def place_tables(self, ops: Iterable[GatherOp]) -> None:
        """Choose places for all tables, before anything smaller takes room in a bank that a table fills."""
        for op in ops:
            for chunk in range(op.table.chunks(self.m.lanes)):
                self._table(op, chunk)

    def _try(
        self, op: GatherOp, tables: list[Copy], ids: Reading, start: int
    ) -> tuple[Trial | None, int]:
        """A trial at one start; or None and how far to move on."""
        core, count = self.core, op.ids.count
        every = []
        for table in tables:
            offsets = [core.t_alu + core.from_vxm[s] for s in table.slices]
            every += spans(self.t, self.t.read, table, offsets)
        move = self.t.first(every, start, count, 1) - start
        move = move or self.vector.inputs.take(ids, start)
        if move:
            return None, move
        alu = self.vector.take_alu("sub", start, count, 1)
        if alu is None:
            return None, 1
        trial = Trial(start, alu, ids.arrival)
        landing = start + core.t_alu
        for h in sorted({c.hemisphere for c in tables}):
            direction = core.outward(h)
            diagonal = self.t.diagonal(direction, landing, core.vxm)
            index = self.t.pick_stream(direction, (0, 1), diagonal, count, 1, INDEX_PLANES)
            if index is None:
                return None, 1
            self.t.take_stream(direction, (0, 1), index, INDEX_PLANES, diagonal, count, 1)
            trial.indices[h] = Stream(direction, index)
        for chunk, table in enumerate(tables):
            fragment = core.memory.fragment(op.outputs[chunk].buffer, chunk, op.outputs[chunk].row)
            for plane in range(op.table.dtype.planes):
                lookup = self._lookup(fragment, table, plane, landing, count, trial)
                if lookup is None:
                    return None, 1
                trial.lookups.append(lookup)
        return trial, 0

    def _lookup(
        self, fragment: Fragment, table: Copy, plane: int, landing: int, count: int, trial: Trial
    ) -> Lookup | None:
        """Reserve one byte plane: the table's port, a stream inward, and a nearer slice to write to."""
        core, h, source = self.core, table.hemisphere, table.slices[plane]
        cycle = landing + int(core.to_vxm[source])
        if not core.take_port(self.t.read, source, table.banks[plane], cycle, count, 1):
            return None
        direction = core.inward(h)
        position = self.m.queue_positions[source]
        diagonal = self.t.diagonal(direction, cycle + self.latency, position)
        index = self.t.pick_stream(direction, (h,), diagonal, count, 1, 1)
        if index is None:
            return None
        self.t.take_stream(direction, (h,), index, 1, diagonal, count, 1)
        passing = cycle + self.latency + int(core.to_vxm[source]) - core.to_vxm
        place = self._target(fragment, h, plane, source, passing, count, trial)
        if place is None:
            return None
        stream = Stream(direction, index)
        return Lookup(fragment.chunk, plane, table, stream, cycle, *place, int(passing[place[0]]))

    def _target(
        self, fragment: Fragment, h: int, plane: int, source: int,
        passing: np.ndarray[tuple[int], np.dtype[np.int64]], count: int, trial: Trial,
    ) -> tuple[int, int, int] | None:  # fmt: skip
        core = self.core
        held = fragment.copies.get(h)
        if held:
            c = held[0]
            s, b = c.slices[plane], c.banks[plane]
            nearer = core.to_vxm[s] < core.to_vxm[source]
            cycle = int(passing[s])
            free = nearer and cycle >= c.since
            taken = free and core.take_port(self.t.write, s, b, cycle, count, 1)
            return (s, b, c.addresses[plane]) if taken else None
        pool = np.arange(h * core.per, (h + 1) * core.per)
        pool = pool[(core.to_vxm[pool] < core.to_vxm[source]) & core.memory.apart(fragment)[pool]]
        pool = pool[~np.isin(pool, [x.slice for x in trial.lookups if x.chunk == fragment.chunk])]
        for bank in (SCRATCH_BANK, 1 - SCRATCH_BANK):
            ok = core.candidates(self.t.write, bank, pool, passing[pool], count, 1)
            for s in core.order(pool[ok]):
                address = core.memory.scratch(int(s), bank, fragment.rows, int(passing[s]))
                if address is not None:
                    core.memory.picked.append((id(fragment), int(s)))
                    core.take_port(self.t.write, int(s), bank, int(passing[s]), count, 1)
                    return int(s), bank, address
        return None

    def _commit(self, op: GatherOp, trial: Trial) -> None:
        core, count, a = self.core, op.ids.count, trial.arrival
        core.commit()
        assert a.copy is not None
        assert a.stream is not None
        ids = core.memory.fragment(op.ids.buffer, op.ids.chunk, op.ids.row)
        for p in range(INDEX_PLANES):
            issue = trial.start - core.t_read - int(core.to_vxm[a.copy.slices[p]])
            core.emit_read(
                a.copy, p, op.ids, ids.start, a.stream.number(self.m) + p, issue, count, 1, op.node
            )
        ports = {s.direction: s.index + 1 for s in trial.indices.values()}
        sub = Sub(
            dtype=int(DType.I16),
            a=Source(SourceKind.STREAM, a.stream.number(self.m)).pack(),
            b=Source(SourceKind.IMMEDIATE).pack(),
            imm=op.base & 0xFFFF,
            east=ports.get(0, 0),
            west=ports.get(1, 0),
        )
        core.emit(self.m.vxm_queue + trial.alu, trial.start, sub, core.t_alu, count, 1, 0, op.node)
        for lookup in trial.lookups:
            self._emit_lookup(op, trial, lookup)
        core.used(ids, trial.start + count)

    def _emit_lookup(self, op: GatherOp, trial: Trial, x: Lookup) -> None:
        core, count = self.core, op.ids.count
        out = op.outputs[x.chunk]
        fragment = core.memory.fragment(out.buffer, out.chunk, out.row)
        indices = trial.indices[x.table.hemisphere].number(self.m)
        number = x.stream.number(self.m)
        gather = Gather(x.table.addresses[x.plane], op.table.rows - 1, indices, number)
        core.emit(x.table.slices[x.plane], x.cycle, gather, self.latency, count, 1, 0, op.node)
        write = Write(x.address + out.row - fragment.start, number)
        core.emit(x.slice, x.write_cycle, write, core.t_write, count, 1, 1, op.node)
        h = x.table.hemisphere
        if h not in fragment.copies:
            mine = [y for y in trial.lookups if y.chunk == x.chunk]
            core.new_copy(fragment, h, [(y.slice, y.bank, y.address) for y in mine])
        when = Written(out.row, count, x.write_cycle + core.t_write, 1)
        fragment.copies[h][0].written[x.plane].append(when)
