"""What every stencil needs: geometry, candidate slices, and the bursts that it makes.

A stencil is a group of bursts with fixed relative times. Placing one means to find the first cycle at which all its
resources are free; reservations are journalled in the `Tables`, so that a trial that fails is undone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from compiler.scheduling.constants import Stored, block_words
from compiler.scheduling.memory import Copy, Fragment, Memory, Written
from compiler.scheduling.tables import EAST, WEST, Tables
from compiler.tiles import Buffer, Rows
from isa.errors import LimitError
from isa.instruction import Instruction
from isa.machine import Machine
from isa.ops.mem import Read, Write
from isa.program import BurstList

CONSTANT_BANK = 0
SCRATCH_BANK = 1
LISTED = 4
"""Results that a refusal names at most."""
SMALL_CHIP = 24
"""Slices a hemisphere up to which they have no roles."""
QUIET = 4096
"""Cycles behind everything placed after which nothing is busy any more and every dead word may be written."""
INNER, OUTER = 12, 12
"""Of 44 slices a hemisphere: those for fp32 scratch and those for matrix operands; the rest holds weights."""
PENDING = 0.25
"""What a cycle of reads still to be placed costs beside one that is placed; this and the next found by trial on BERT-base."""
ROLE_COST = (0, 128, 256)
"""Cycles that a slice of the own role, the weights' and the other role costs."""
ROOMY_COST = 64
"""What one of the weights' costs where all weights fit in a single bank of theirs: the other is room to spare."""
BANK_COST = 64
"""Cycles that the bank costs in which what a result is computed from lies."""
WEIGHTS_BANK = 1024
"""Cycles that the constants' bank costs in a slice of the weights': a load wants 16 of those at once, and in no other place."""
COPY_BELOW = 0.7
"""Share of the memory that constants may take before weights are no longer copied to the other hemisphere."""
LOOK_AHEAD = 512
"""Cycles over which slices are compared."""
SMALL_ROWS = 128
"""A constant or an input of at most this many rows may have several copies."""
MAX_COPIES = 6

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stream:
    """A group of streams: direction, first index, and how the table counts it."""

    direction: int
    index: int

    def number(self, machine: Machine) -> int:
        """The stream number in instructions."""
        return self.index + (machine.streams if self.direction == WEST else 0)


@dataclass
class Core:
    """Shared state of one scheduling run. Slices are MEM queue numbers: west 0.., east ``slices``.."""

    machine: Machine
    tables: Tables
    memory: Memory
    bursts: BurstList = field(default_factory=BurstList)
    end: int = 0
    rotation: int = 0
    copy_below: float = COPY_BELOW
    weights: int = 0  # words that one copy of all weights takes

    def __post_init__(self) -> None:
        m = self.machine
        self.per = m.slices
        index = np.arange(m.slices)
        self.to_vxm: Ints = np.concatenate([index + 1, index + 1])
        self.to_mxm: Ints = np.concatenate([m.slices + 1 - index, m.slices + 1 - index])
        self.from_vxm: list[int] = self.to_vxm.tolist()
        self.distance = self._distances()
        self.vxm = m.vxm_position
        self.inner = m.slices * INNER // 44
        self.outer = m.slices - m.slices * OUTER // 44
        self.role = [self._role(operand) for operand in (False, True)]
        roomy = self.weights <= 2 * (self.outer - self.inner) * m["mem.words"]
        costs = np.array((ROLE_COST[0], ROOMY_COST, ROLE_COST[2]) if roomy else ROLE_COST)
        self.role_cost = [costs[role] for role in self.role]
        dear = WEIGHTS_BANK if self.per > SMALL_CHIP else 0
        self.weights_cost = np.zeros((m["mem.banks"], 2 * self.per), np.int64)
        self.weights_cost[CONSTANT_BANK] = dear * (self.role[0] == 1)
        self.t_read, self.t_write = m.timing("mem_read"), m.timing("mem_write")
        self.t_alu = m.timing("vxm_alu")

    def _distances(self) -> list[list[int]]:
        """Positions from every slice to the MXM of each hemisphere."""
        own, far = self.to_mxm, self.to_vxm + self.per + 2
        west = np.arange(2 * self.per) < self.per
        return [np.where(west, own, far).tolist(), np.where(west, far, own).tolist()]

    def mark(self) -> tuple[int, int, int]:
        """A point to go back to."""
        return len(self.tables.journal), len(self.memory.journal), len(self.memory.picked)

    def undo(self, mark: tuple[int, int, int] = (0, 0, 0)) -> None:
        """Give back what was taken since ``mark``."""
        self.tables.undo(mark[0])
        self.memory.undo(mark[1])
        del self.memory.picked[mark[2] :]

    def commit(self) -> None:
        """Keep what was taken."""
        self.tables.commit()
        self.memory.journal.clear()
        self.memory.picked.clear()

    def hemisphere(self, slice_: int) -> int:
        """0 west, 1 east."""
        return int(slice_ >= self.per)

    def inward(self, hemisphere: int) -> int:
        """The direction towards the VXM."""
        return EAST if hemisphere == 0 else WEST

    def outward(self, hemisphere: int) -> int:
        """The direction away from the VXM."""
        return WEST if hemisphere == 0 else EAST

    def emit(
        self, queue: int, cycle: int, instr: Instruction, latency: int, count: int = 1,
        step: int = 1, stride: int = 0, node: int = 0,
    ) -> None:  # fmt: skip
        """Add a burst; ``latency`` is its cycles from the last dispatch to the end of its effect."""
        args = instr.args()
        self.put((queue, cycle), instr.opcode, args, latency, count, step, stride, node)

    def emit_read(self, copy: Copy, plane: int, rows: Rows, start: int, stream: int, cycle: int,
                  count: int, step: int, node: int) -> None:  # fmt: skip
        """A read burst of one byte plane."""
        address = copy.addresses[plane] + rows.row - start
        args, place = (address, stream), (copy.slices[plane], cycle)
        self.put(place, Read.opcode, args, self.t_read, count, step, rows.stride, node)

    def put(self, place: tuple[int, int], opcode: int, args: tuple[int, ...], latency: int, count: int,
            step: int, stride: int, node: int) -> None:  # fmt: skip
        """Add a burst at ``(queue, cycle)`` of an instruction given by its opcode and operand values."""
        if count == 1:
            step, stride = 1, 0
        self.bursts.put(*place, opcode, args, count, step, stride, node)
        end = place[1] + (count - 1) * step + (latency or 1)
        if end > self.end:
            self.end = end

    def take_port(
        self, port: int, slice_: int, bank: int, cycle: int, count: int, step: int
    ) -> bool:
        """Reserve a port (first row of its kind in the tables) and the bank of a slice, if both are free."""
        if not self.port_free(port, slice_, bank, cycle, count, step):
            return False
        t = self.tables
        t.take(port + slice_, cycle, count, step)
        t.take(t.bank + slice_ * t.banks + bank, cycle, count, step)
        return True

    def port_free(
        self, port: int, slice_: int, bank: int, cycle: int, count: int, step: int
    ) -> bool:
        """Whether `take_port` would succeed."""
        t = self.tables
        return t.free(port + slice_, cycle, count, step) and t.free(
            t.bank + slice_ * t.banks + bank, cycle, count, step
        )

    def candidates(
        self, port: int, bank: int, slices: Ints, cycles: Ints, count: int, step: int
    ) -> npt.NDArray[np.bool_]:
        """Which slices have the port and the bank free for a burst that starts in ``cycles``."""
        if len(slices) == 0:
            return np.zeros(0, np.bool_)
        t = self.tables
        ok = t.mask(port + slices, cycles, count, step)
        left = slices[ok]
        if len(left):
            ok[ok] = t.mask(t.bank + left * t.banks + bank, cycles[ok], count, step)
        return ok

    def order(self, slices: Ints) -> Ints:
        """Slices in an order that rotates from call to call, so that neighbours in time use different ones."""
        self.rotation += 7
        at = -self.rotation % max(1, len(slices))
        return np.concatenate([slices[at:], slices[:at]])

    def place_constant(
        self, fragment: Fragment, hemisphere: int, chosen: Sequence[int], bank: int
    ) -> Copy:
        """Put a constant or an input in one slice a byte plane."""
        addresses = [self.memory.constant(s, bank, fragment.rows) for s in chosen]
        copy = Copy(hemisphere, list(chosen), [bank] * len(chosen), addresses, [[] for _ in chosen])
        fragment.copies.setdefault(hemisphere, []).append(copy)
        buffer, lanes = fragment.buffer, self.machine.lanes
        if buffer.data is not None:
            first, rows, uniform = (
                (fragment.start, fragment.chunk * lanes),
                fragment.rows,
                buffer.columns == 1,
            )
            cut = partial(block_words, first=first, rows=rows, lanes=lanes, uniform=uniform)
            places = tuple(zip(chosen, addresses, strict=True))
            self.memory.constants.append(Stored(buffer.name, buffer.data, cut, places, rows))
        return copy

    def new_copy(
        self, fragment: Fragment, hemisphere: int, chosen: Sequence[tuple[int, int, int]]
    ) -> Copy:
        """A scratch copy from ``(slice, bank, address)`` a byte plane."""
        slices, banks, addresses = (list(x) for x in zip(*chosen, strict=True))
        since = max(self.memory.taken_at[s, a] for s, _, a in chosen)
        copy = Copy(hemisphere, slices, banks, addresses, [[] for _ in chosen], since)
        for s in slices:
            self.memory.pending[s] += fragment.users * fragment.load
        fragment.copies.setdefault(hemisphere, []).append(copy)
        return copy

    def take_writes(
        self, fragment: Fragment, hemisphere: int, cycles: Ints, count: int, step: int
    ) -> list[tuple[int, int, int]] | None:
        """Reserve write ports for one copy of a fragment, a slice a byte plane.

        ``cycles`` gives for every slice the cycle in which the first vector passes it. An existing copy keeps its slices.
        """
        t = self.tables
        planes = fragment.buffer.dtype.planes
        existing = fragment.copies.get(hemisphere)
        if existing:
            c = existing[0]
            for s, b in zip(c.slices, c.banks, strict=True):
                if int(cycles[s]) < c.since:
                    return None
                if not self.take_port(t.write, s, b, int(cycles[s]), count, step):
                    return None
            return list(zip(c.slices, c.banks, c.addresses, strict=True))
        base = hemisphere * self.per
        every = np.arange(base, base + self.per)
        every = every[self.memory.apart(fragment)[every]]
        span = max(count, fragment.rows)
        ranked = self._ranked(fragment.buffer, every, cycles, span, step)
        found = self._allocate(ranked, fragment.rows, cycles, planes)
        for s, b, _ in found or ():
            self.memory.picked.append((id(fragment), s))
            self.take_port(t.write, s, b, int(cycles[s]), count, step)
        return found

    def _ranked(
        self, buffer: Buffer, slices: Ints, cycles: Ints, count: int, step: int
    ) -> Iterable[tuple[int, int]]:
        """``(slice, bank)`` that a burst can be written to, best first.

        Counted in cycles: accesses already placed in the time to come, reads still to be placed, and what it costs that
        others want the slice (see `roles`).
        """
        slices = self.order(slices)
        if len(slices) == 0:
            return []
        t, start = self.tables, max(0, int(cycles[slices].min()))
        t.reach(start + LOOK_AHEAD)
        base = self.per * self.hemisphere(int(slices[0]))
        ahead = slice(start, start + LOOK_AHEAD, 4)
        reads = t.grid[t.read + base : t.read + base + self.per, ahead].sum(axis=1, dtype=np.uint8)
        writes = t.grid[t.write + base : t.write + base + self.per, ahead].sum(
            axis=1, dtype=np.uint8
        )
        used: Ints = reads.astype(np.int64) + writes
        cost = 4 * used + (np.array(self.memory.pending[base : base + self.per]) * PENDING).astype(
            np.int64
        )
        bank = self.memory.generation.get(id(buffer), CONSTANT_BANK) % 2
        if self.per > SMALL_CHIP:
            cost += self.role_cost[buffer.operand][base : base + self.per]
        first, last = int(cycles[base]), int(cycles[base + self.per - 1])
        starts = (first, (last - first) // max(1, self.per - 1))
        port = t.clear(t.write + base, 1, starts, self.per, count, step)
        costs, places = [], []
        for b in (bank, 1 - bank):
            free = t.clear(t.bank + base * t.banks + b, t.banks, starts, self.per, count, step)
            found = slices[(port & free)[slices - base]]
            costs.append(
                cost[found - base] + self.weights_cost[b][found] + (0 if b == bank else BANK_COST)
            )
            places.append(found)
        order = np.argsort(np.concatenate(costs), kind="stable")
        own, every = len(places[0]), np.concatenate(places)
        ranked = zip(every[order].tolist(), order.tolist(), strict=True)
        return ((s, bank if i < own else 1 - bank) for s, i in ranked)

    def middle(self, slices: Ints) -> Ints:
        """Those of ``slices`` that are the weights' own."""
        where = self.to_vxm[slices]
        return slices[(where > self.inner) & (where <= self.outer)]

    def _role(self, operand: bool) -> Ints:
        """For every slice: 0 in a buffer's own role, 1 if it is the weights', 2 if it is the other."""
        inner, outer = self.to_vxm <= self.inner, self.to_vxm > self.outer
        own, other = (outer, inner) if operand else (inner, outer)
        return np.where(own, 0, np.where(other, 2, 1))

    def roles(self, slices: Ints, buffer: Buffer) -> list[tuple[Ints, int]]:
        """Where to look for room, best first: (slices, bank).

        fp32 scratch lies in the inner slices, matrix operands in the outer ones, weights between them: each is busy at
        other times, and a weight load needs many slices at once. What is computed from a buffer goes to the other bank:
        it is written while that is still read.
        """
        bank = self.memory.generation.get(id(buffer), CONSTANT_BANK) % 2
        banks = (bank, 1 - bank)
        # On a small chip a role has too few slices for the byte planes of one vector.
        if self.per <= SMALL_CHIP:
            return [(slices, bank) for bank in banks]
        role = self.role[buffer.operand][slices]
        return [(slices[role == i], bank) for i in range(len(ROLE_COST)) for bank in banks]

    def _allocate(
        self, places: Iterable[tuple[int, int]], rows: int, cycles: Ints, planes: int
    ) -> list[tuple[int, int, int]] | None:
        found: list[tuple[int, int, int]] = []
        mark, taken = len(self.memory.journal), set[int]()
        for s, bank in places:
            if s in taken:
                continue
            address = self.memory.scratch(s, bank, rows, int(cycles[s]))
            if address is not None:
                found.append((s, bank, address))
                taken.add(s)
                if len(found) == planes:
                    return found
        self.memory.undo(mark)
        return None

    def emit_writes(
        self, fragment: Fragment, copy: Copy, rows: Rows, cycles: Ints, count: int, step: int,
        stream: Stream, node: int, planes: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        """Write bursts of every byte plane, and from when they can be read."""
        for p, s in enumerate(copy.slices):
            if planes is not None and p not in planes:
                continue
            cycle = int(cycles[s])
            address = copy.addresses[p] + rows.row - fragment.start
            offset = 0 if planes is not None else p
            number = stream.number(self.machine) + offset
            args, place = (address, number), (s, cycle)
            self.put(place, Write.opcode, args, self.t_write, count, step, rows.stride, node)
            copy.written[p].append(Written(rows.row, count, cycle + self.t_write, step))

    def used(self, fragment: Fragment, last: int) -> None:
        """One user has been placed, its last read in cycle ``last``; a dead fragment's words are given back."""
        fragment.users -= 1
        if not fragment.buffer.preloaded:
            pending, load = self.memory.pending, fragment.load
            for copies in fragment.copies.values():
                for s in [s for copy in copies for s in copy.slices]:
                    pending[s] -= load
        fragment.last_read = max(fragment.last_read, last)
        if fragment.users == 0 and not fragment.buffer.preloaded:
            self.memory.release(fragment)

    def trials(self, start: int) -> range:
        """Enough moves to bring what begins in ``start`` behind everything placed: if it fails there, it fails for good."""
        return range(max(0, self.end - start) + QUIET)

    def full(self, what: str, buffer: Buffer | str) -> LimitError:
        """The refusal when no slot or no room is found."""
        memory, total = self.memory, 2 * self.per * self.machine.words
        taken = total - int(memory.room(0).sum() + memory.room(1).sum())
        held: Counter[str] = Counter()
        for f in memory.fragments.values():
            if f.users and not f.buffer.preloaded:
                held[str(f.buffer)] += f.rows * sum(len(c.slices) for c in f.all_copies())
        most = ", ".join(f"{n:,} by {name}" for name, n in held.most_common(LISTED) if n)
        return LimitError(
            413,
            f"no room or free cycle for {what} '{buffer}': {taken:,} of {total:,} words are taken"
            + (f", of results {most}" if most else ""),
            hint="use a chip with more memory (--chip tsp1-deep), a shorter sequence or a smaller batch",
        )
