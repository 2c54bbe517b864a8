"""The state of the machine as the reference interpreter keeps it: streams, ALU outputs, memory. See ``reference_matrix``.

Each class also knows what is *defined*: reading what nothing produced, or two producers for one place and cycle, raises
``StepError``. A verified program never does either.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from emulator.image import Image
from isa.instruction import Bytes
from isa.machine import Machine

UNDEFINED_STREAM: Final = 910
UNDEFINED_ALU: Final = 911
UNDEFINED_WORD: Final = 912
COLLISION: Final = 913
MATRIX_ORDER: Final = 914
OUT_OF_BOUNDS: Final = 915
BAD_BURST: Final = 916
NO_MEANING: Final = 917


class StepError(Exception):
    """A step that has no meaning; the interpreter adds the place and raises ``InternalError`` ``TSPnnn``."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


def stream_name(machine: Machine, stream: int) -> str:
    """``E3`` or ``W12``."""
    direction, index = divmod(stream, machine.streams)
    return f"{'EW'[direction]}{index}"


def stream_group(machine: Machine, stream: int, planes: int) -> range:
    """The streams of an aligned group; faults where it is not aligned or leaves its direction."""
    index = stream % machine.streams
    inside = 0 <= stream < 2 * machine.streams and index + planes <= machine.streams
    if not inside or index % planes:
        raise StepError(OUT_OF_BOUNDS, f"no group of {planes} at {stream_name(machine, stream)}")
    return range(stream, stream + planes)


class Defined(NamedTuple):
    """What of an array of vectors is defined: indices ``[axes, n]`` and the vectors ``[n, lanes]``."""

    places: npt.NDArray[np.intp]
    values: npt.NDArray[np.uint8]

    @staticmethod
    def of(values: npt.NDArray[np.uint8], known: npt.NDArray[np.bool_]) -> Defined:
        """A copy of the vectors of ``values`` that are ``known``."""
        places = np.array(np.nonzero(known))
        return Defined(places, values[tuple(places)])

    def put_back(self, values: npt.NDArray[np.uint8], known: npt.NDArray[np.bool_]) -> None:
        """Make these vectors the ones that are known."""
        known[...] = False
        known[tuple(self.places)] = True
        values[tuple(self.places)] = self.values


class SavedStreams(NamedTuple):
    """``Streams`` as it was."""

    shifted: int
    cells: Defined
    past: Defined
    landed: frozenset[tuple[int, int]]


class Streams:
    """Shift registers, one a stream: ``streams.hop`` cells a position, everything moves one cell a cycle.

    A cell is a row of ``values``. Rows are not copied to move them: ``shifted`` counts the moves, and the row that holds a
    position's cell is found by going back as many cells as there were moves.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.hop = machine["streams.hop"]
        self.cells = machine.positions * self.hop
        self.shifted = 0
        self.values = np.zeros((2 * machine.streams, self.cells, machine.lanes), np.uint8)
        self.known = np.zeros((2 * machine.streams, self.cells), np.bool_)
        self.landed: set[tuple[int, int]] = set()
        self.depth = machine["vxm.max_delay"] + 1
        self.past = np.zeros((self.depth, 2 * machine.streams, machine.lanes), np.uint8)
        self.past_known = np.zeros((self.depth, 2 * machine.streams), np.bool_)

    def save(self) -> SavedStreams:
        """All of it that can be seen."""
        cells = Defined.of(self.values, self.known)
        past = Defined.of(self.past, self.past_known)
        return SavedStreams(self.shifted, cells, past, frozenset(self.landed))

    def restore(self, saved: SavedStreams) -> None:
        """Be again as saved."""
        self.shifted = saved.shifted
        saved.cells.put_back(self.values, self.known)
        saved.past.put_back(self.past, self.past_known)
        self.landed = set(saved.landed)

    def _row(self, stream: int, cell: int) -> int:
        eastward = stream < self.machine.streams
        return (cell - self.shifted if eastward else cell + self.shifted) % self.cells

    def shift(self) -> None:
        """One cycle: what stood in the last cell falls off the edge; nothing enters the first one."""
        self.shifted += 1
        east, west = 0, self.machine.streams
        self.known[:west, self._row(east, 0)] = False
        self.known[west:, self._row(west, self.cells - 1)] = False
        self.landed.clear()

    def remember(self) -> None:
        """Note what stands at the VXM in this cycle, for operands with a delay."""
        now, west = self.shifted % self.depth, self.machine.streams
        cell = self.machine.vxm_position * self.hop
        for part, stream in ((slice(None, west), 0), (slice(west, None), west)):
            row = self._row(stream, cell)
            self.past[now, part] = self.values[part, row]
            self.past_known[now, part] = self.known[part, row]

    def put(self, stream: int, position: int, data: Bytes) -> None:
        """Overwrite what stands at ``position`` on consecutive streams; faults if this was done before in this cycle."""
        group = stream_group(self.machine, stream, len(data))
        for s, plane in zip(group, data, strict=True):
            if (s, position) in self.landed:
                name = stream_name(self.machine, s)
                raise StepError(COLLISION, f"two results reach {name} at position {position}")
            self.landed.add((s, position))
            row = self._row(s, position * self.hop)
            self.values[s, row] = plane
            self.known[s, row] = True

    def at(self, stream: int, position: int) -> Bytes | None:
        """``[lanes]``: what stands on one stream at a position, a view; None where nothing does."""
        row = self._row(stream, position * self.hop)
        return self.values[stream, row] if self.known[stream, row] else None

    def occupied(self) -> npt.NDArray[np.bool_]:
        """``[2 * streams, positions]``: where a value stands; between two positions counts as at the western one."""
        west = self.machine.streams
        known = np.concatenate(
            [
                np.roll(self.known[:west], self.shifted, 1),
                np.roll(self.known[west:], -self.shifted, 1),
            ]
        )
        cells = known.reshape(len(known), -1, self.hop)
        found: npt.NDArray[np.bool_] = np.logical_or.reduce(cells, axis=2)
        return found

    def get(self, stream: int, planes: int, position: int, delay: int) -> Bytes:
        """``[planes, lanes]``: what stood at ``position`` ``delay`` cycles ago; faults where there was nothing."""
        group = stream_group(self.machine, stream, planes)
        part = slice(group.start, group.stop)
        if delay == 0:
            row = self._row(stream, position * self.hop)
            values, known = self.values[part, row], self.known[part, row]
        elif position == self.machine.vxm_position and delay < self.depth:
            then = (self.shifted - delay) % self.depth
            values, known = self.past[then, part], self.past_known[then, part]
        else:
            raise StepError(OUT_OF_BOUNDS, f"no delay of {delay} cycles at position {position}")
        if not known.all():
            name = stream_name(self.machine, stream + int(np.argmin(known)))
            ago = f" {delay} cycles ago" if delay else ""
            raise StepError(UNDEFINED_STREAM, f"nothing is on {name} at position {position}{ago}")
        return values.copy()


class AluOutputs:
    """What each ALU finished, in the last ``vxm.max_delay`` cycles and this one."""

    def __init__(self, machine: Machine) -> None:
        self.now = 0
        self.past: list[dict[int, Bytes]] = [{} for _ in range(machine["vxm.max_delay"] + 1)]

    def save(self) -> tuple[int, tuple[dict[int, Bytes], ...]]:
        """All of it. What was finished in a cycle never changes once the cycle's results have landed."""
        return self.now, tuple(self.past)

    def restore(self, saved: tuple[int, tuple[dict[int, Bytes], ...]]) -> None:
        """Be again as saved."""
        self.now = saved[0]
        self.past = list(saved[1])

    def shift(self) -> None:
        """One cycle: the oldest outputs are forgotten."""
        self.now += 1
        self.past[self.now % len(self.past)] = {}

    def put(self, alu: int, data: Bytes) -> None:
        """``alu`` finishes ``data`` in this cycle."""
        self.past[self.now % len(self.past)][alu] = data

    def get(self, alu: int, planes: int, delay: int) -> Bytes:
        """``[planes, lanes]``: what ``alu`` finished ``delay`` cycles ago; faults where that is nothing of this width."""
        if delay >= len(self.past):
            raise StepError(OUT_OF_BOUNDS, f"no delay of {delay} cycles")
        data = self.past[(self.now - delay) % len(self.past)].get(alu)
        if data is None or len(data) != planes:
            ago = f" {delay} cycles ago" if delay else ""
            found = "nothing" if data is None else f"{len(data)} bytes a lane"
            message = f"ALU {alu} finished {found}{ago}, where {planes} bytes a lane are wanted"
            raise StepError(UNDEFINED_ALU, message)
        return data


Word = tuple[int, int]
"""Slice and address."""


class Memory:
    """The image, which of its words are initialised, and the ports and banks taken in this cycle.

    ``before``, where somebody has put a dictionary, collects what words held before they were written first; None for a
    word that was not initialised. ``written`` are the addresses that were stored to in this cycle, by slice.
    """

    def __init__(self, machine: Machine, image: Image, known: npt.NDArray[np.bool_]) -> None:
        self.machine = machine
        self.image = image
        self.known = known
        self.banks: dict[tuple[int, str], set[int]] = {}
        self.written: dict[int, tuple[int, ...]] = {}
        self.before: dict[Word, Bytes | None] | None = None

    def undo(self, before: dict[Word, Bytes | None]) -> None:
        """Put back what words held."""
        for (slice_, address), data in before.items():
            self.known[slice_, address] = data is not None
            self.image[slice_, address] = 0 if data is None else data

    def shift(self) -> None:
        """One cycle: every port and bank is free again."""
        self.banks.clear()
        self.written.clear()

    def claim(self, slice_: int, port: str, base: int, count: int, *, reads: bool) -> None:
        """Take a slice's ``read`` or ``write`` port and the banks of ``count`` words from ``base``.

        Faults on words out of bounds, a port taken twice in a cycle, a bank taken by both ports and, with ``reads``, on words
        that are not initialised.
        """
        if not 0 <= base <= base + count <= self.machine.words:
            raise StepError(OUT_OF_BOUNDS, f"no words {base} .. {base + count - 1} in a slice")
        if reads and not self.known[slice_, base : base + count].all():
            word = base + int(np.argmin(self.known[slice_, base : base + count]))
            raise StepError(UNDEFINED_WORD, f"word {word} is not initialised")
        size = self.machine["mem.words"]
        banks = set(range(base // size, (base + count - 1) // size + 1))
        other = self.banks.get((slice_, "write" if port == "read" else "read"), set())
        if (slice_, port) in self.banks or banks & other:
            raise StepError(
                COLLISION, f"the {port} port or bank {min(banks)} is taken in this cycle"
            )
        self.banks[slice_, port] = banks

    def store(self, slice_: int, address: npt.NDArray[np.int64] | int, data: Bytes) -> None:
        """A write takes effect: ``data[0]`` at one address, or each superlane at its own."""
        if slice_ in self.written:
            raise StepError(COLLISION, "two writes of a slice take effect in one cycle")
        addresses = (address,) if isinstance(address, int) else tuple(np.unique(address).tolist())
        self.written[slice_] = addresses
        if self.before is not None:
            for word in addresses:
                if (slice_, word) not in self.before:
                    was = self.image[slice_, word].copy() if self.known[slice_, word] else None
                    self.before[slice_, word] = was
        if isinstance(address, int):
            self.image[slice_, address] = data[0]
            self.known[slice_, address] = True
        else:
            wide = np.repeat(address, self.machine["lanes.per_superlane"])
            self.image[slice_, wide, np.arange(self.machine.lanes)] = data[0]
