"""Placement: where each block of a buffer and each weight tile lies, and from when it can be read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from compiler.scheduling.constants import Stored
from compiler.tiles import Buffer, WeightTile
from isa.errors import InternalError
from isa.machine import Machine

ALWAYS = -(1 << 40)
"""The time from which a constant can be read."""


@dataclass(slots=True)
class Written:
    """Rows ``row .. row+count`` of one byte plane can be read from cycle ``time + i * step`` on."""

    row: int
    count: int
    time: int
    step: int


@dataclass(slots=True)
class Copy:
    """One copy of a fragment: for each byte plane a slice (MEM queue number), a bank and an address."""

    hemisphere: int
    slices: list[int]
    banks: list[int]
    addresses: list[int]
    written: list[list[Written]]
    since: int = ALWAYS  # before this cycle the words held something else that is still read

    def ready(self, plane: int, row: int, count: int, stride: int, step: int) -> int:
        """Earliest cycle at which a read burst of these rows of a plane may start."""
        bound = ALWAYS
        for w in self.written[plane]:
            first, last = max(row, w.row), min(row + (count - 1) * stride, w.row + w.count - 1)
            if first > last:
                continue
            for r in (first, last):
                i = (r - row) if stride else 0
                bound = max(bound, w.time + (r - w.row) * w.step - i * step)
        return bound


@dataclass(slots=True)
class Fragment:
    """One chunk of one block of a buffer, ``rows`` rows from ``start``; ``users`` have yet to read it."""

    buffer: Buffer
    chunk: int
    start: int
    rows: int
    copies: dict[int, list[Copy]] = field(default_factory=dict)
    users: int = 0
    last_read: int = 0

    @property
    def load(self) -> int:
        """Cycles of reading that one user costs a slice, were users shared between copies."""
        return self.rows // (2 if self.buffer.both else 1)

    def all_copies(self) -> list[Copy]:
        """Every copy, west first."""
        return [c for h in sorted(self.copies) for c in self.copies[h]]


@dataclass(slots=True)
class TilePlace:
    """Where a weight tile lies: slice, bank and address for each of the streams that load it."""

    slices: list[int]
    banks: list[int]
    addresses: list[int]
    steps: int
    spans: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # by the pair that loads

    def part(self, first: int, last: int) -> TilePlace:
        """Some of its steps."""
        addresses = [address + first for address in self.addresses]
        return TilePlace(self.slices, self.banks, addresses, last - first, self.spans)


@dataclass
class Memory:
    """Words of every bank: constants from the bottom up, scratch from the top down, scratch reused once it is dead."""

    machine: Machine
    fragments: dict[tuple[int, int, int], Fragment] = field(default_factory=dict)
    by_row: dict[tuple[int, int, int], Fragment] = field(default_factory=dict)
    tiles: dict[int, list[tuple[WeightTile, TilePlace]]] = field(default_factory=dict)
    constants: list[Stored] = field(default_factory=list)
    held: list[Buffer] = field(default_factory=list)
    generation: dict[int, int] = field(default_factory=dict)
    taken_at: dict[tuple[int, int], int] = field(default_factory=dict)
    picked: list[tuple[int, int]] = field(default_factory=list)
    together: dict[int, list[Fragment]] = field(default_factory=dict)
    constant_words: int = 0
    journal: list[tuple[int, int, int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        slices, banks = 2 * self.machine.slices, self.machine["mem.banks"]
        self.low = np.zeros((slices, banks), np.int64)
        self.high = np.full((slices, banks), self.machine["mem.words"], np.int64)
        self.pending = [0] * slices  # cycles of reads yet to be placed, by slice
        self.dead: dict[tuple[int, int], list[tuple[int, int, int]]] = {}

    def room(self, bank: int) -> npt.NDArray[np.int64]:
        """Never-used words of a bank, by slice."""
        free: npt.NDArray[np.int64] = self.high[:, bank] - self.low[:, bank]
        return free

    def constant(self, slice_: int, bank: int, words: int) -> int:
        """Take words for a constant; the caller has checked ``room``. Returns the address."""
        offset = int(self.low[slice_, bank])
        self.low[slice_, bank] += words
        self.constant_words += words
        return bank * self.machine["mem.words"] + offset

    def scratch(self, slice_: int, bank: int, words: int, time: int) -> int | None:
        """Take words first written in cycle ``time``, dead ones if any fit; None if there are none."""
        holes = self.dead.get((slice_, bank), [])
        fits = [h for h in holes if h[1] >= words and h[2] <= time]
        if fits:
            best = min(fits, key=lambda h: h[1])
            holes.remove(best)
            if best[1] > words:
                holes.append((best[0] + words, best[1] - words, best[2]))
            self.journal.append((slice_, bank, best[0], words, best[2]))
            self.taken_at[slice_, best[0]] = best[2]
            return best[0]
        if self.high[slice_, bank] - words < self.low[slice_, bank]:
            return None
        self.high[slice_, bank] -= words
        address = bank * self.machine["mem.words"] + int(self.high[slice_, bank])
        self.journal.append((slice_, bank, address, words, ALWAYS))
        self.taken_at[slice_, address] = ALWAYS
        return address

    def undo(self, mark: int) -> None:
        """Give back scratch taken since the journal was ``mark`` long."""
        for slice_, bank, address, words, time in reversed(self.journal[mark:]):
            self._add_hole(slice_, bank, address, words, time)
        del self.journal[mark:]

    def _add_hole(self, slice_: int, bank: int, first: int, size: int, time: int) -> None:
        holes = self.dead.setdefault((slice_, bank), [])
        base = bank * self.machine["mem.words"]
        for hole in list(holes):
            touches = hole[0] + hole[1] == first or first + size == hole[0]
            if touches and (hole[2] == time or time != ALWAYS):
                holes.remove(hole)
                first, size = min(first, hole[0]), size + hole[1]
                time = max(time, hole[2])
        if time == ALWAYS and first == base + int(self.high[slice_, bank]):
            self.high[slice_, bank] += size
        else:
            holes.append((first, size, time))

    def release(self, fragment: Fragment) -> None:
        """Give back a fragment's words, dead from its last read on; a copy that nobody reads may be written later still."""
        for copy in fragment.all_copies():
            for plane, (s, b, a) in enumerate(
                zip(copy.slices, copy.banks, copy.addresses, strict=True)
            ):
                written = [w.time + (w.count - 1) * w.step for w in copy.written[plane]]
                dead = max([fragment.last_read + 1, *written])
                self._add_hole(s, b, a, fragment.rows, dead)

    def fragment(self, buffer: Buffer, chunk: int, row: int) -> Fragment:
        """The fragment that holds a row."""
        known = self.by_row.get((id(buffer), chunk, row))
        if known is not None:
            return known
        if chunk >= buffer.chunks(self.machine.lanes):
            raise InternalError(924, f"%{buffer.name} has no chunk {chunk}")
        start, rows = buffer.block(row)
        key = (id(buffer), chunk, start)
        found = self.fragments.get(key)
        if found is None:
            found = self.fragments[key] = Fragment(buffer, chunk, start, rows)
            self.held.append(buffer)
        self.by_row[id(buffer), chunk, row] = found
        return found

    def join(self, fragments: list[Fragment]) -> None:
        """Note fragments that one rigid stencil touches: they must not share a slice, or no start would ever fit."""
        for f in fragments:
            self.together.setdefault(id(f), []).extend(g for g in fragments if g is not f)

    def apart(self, fragment: Fragment) -> npt.NDArray[np.bool_]:
        """Slices that no partner of ``fragment`` lies in."""
        ok = np.ones(2 * self.machine.slices, np.bool_)
        partners = self.together.get(id(fragment), ())
        names = {id(p) for p in partners}
        taken = [s for f, s in self.picked if f in names]
        for partner in partners:
            for copies in partner.copies.values():
                for copy in copies:
                    taken += copy.slices
        ok[taken] = False
        return ok

    @property
    def peak_words(self) -> int:
        """Words ever used, constants and scratch."""
        used = self.low + (self.machine["mem.words"] - self.high)
        return int(used.sum())
