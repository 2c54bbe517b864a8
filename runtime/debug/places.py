"""Places of the machine that can be looked at, and what stands there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from emulator.events import Line, LineKind, diagonal
from emulator.reference import ReferenceInterpreter
from isa.errors import UsageError
from isa.instruction import Bytes, DType
from isa.machine import Machine
from isa.program import PortTensor

NO_PLACE: Final = 821


class Contents(NamedTuple):
    """``[planes, n]`` bytes, and ``[n]`` which of them something stands behind."""

    data: Bytes
    known: npt.NDArray[np.bool_]


class At(NamedTuple):
    """A line, and the time at which it has what a place shows."""

    line: Line
    time: int


@dataclass(frozen=True)
class Place:
    """``text`` is how it was written; ``natural`` the type it has by itself, if any."""

    text: str

    @property
    def natural(self) -> DType | None:
        """The type of what stands there, where the place says so."""
        return None

    @property
    def planes(self) -> int:
        """Bytes of an element where no type is said."""
        return 1

    @property
    def typed_later(self) -> bool:
        """Whether the type is that of whatever made what stands there."""
        return False

    def check(self, machine: Machine, planes: int) -> None:
        """Raises UsageError TSP821 where the place has no elements of so many bytes."""

    def read(self, run: ReferenceInterpreter, planes: int) -> Contents | None:
        """What stands there now; None: nothing."""
        raise NotImplementedError

    def lines(self, run: ReferenceInterpreter, planes: int, chosen: list[int] | None) -> list[At]:
        """Where its bytes come from: of the ``chosen`` elements, where they come from different lines."""
        raise NotImplementedError


def _together(parts: Iterable[Bytes | None]) -> Contents | None:
    """Byte planes to one value; None where one is not there."""
    planes = list(parts)
    found = [plane for plane in planes if plane is not None]
    if not found or len(found) < len(planes):
        return None
    return Contents(np.stack(found), np.ones(len(found[0]), np.bool_))


@dataclass(frozen=True)
class StreamPlace(Place):
    """A stream as it passes a position."""

    stream: int
    position: int

    def check(self, machine: Machine, planes: int) -> None:
        if self.stream % machine.streams % planes:
            message = f"{self.text}: {planes} streams together begin at a multiple of {planes}"
            raise UsageError(NO_PLACE, message)

    def read(self, run: ReferenceInterpreter, planes: int) -> Contents | None:
        group = range(self.stream, self.stream + planes)
        return _together([run.streams.at(s, self.position) for s in group])

    def lines(self, run: ReferenceInterpreter, planes: int, chosen: list[int] | None) -> list[At]:
        group = range(self.stream, self.stream + planes)
        now = run.cycle
        along = diagonal(run.machine, self.stream, self.position, now)
        return [At(Line(LineKind.STREAM, s, along), now) for s in group]


@dataclass(frozen=True)
class WordPlace(Place):
    """A word of each of some slices, a byte plane each; one slice stands for itself and those behind it."""

    words: tuple[tuple[int, int], ...]

    @property
    def planes(self) -> int:
        return len(self.words)

    def check(self, machine: Machine, planes: int) -> None:
        if len(self.words) not in (1, planes):
            raise UsageError(NO_PLACE, f"{self.text}: {len(self.words)} words, not {planes}")
        slice_ = self.words[0][0]
        if len(self.words) == 1 and slice_ % machine.slices + planes > machine.slices:
            last = machine.queue_names[slice_]
            raise UsageError(NO_PLACE, f"{self.text}: there are no {planes} slices from {last} on")

    def all_words(self, planes: int) -> list[tuple[int, int]]:
        """The slice and address of each plane."""
        if len(self.words) == planes:
            return list(self.words)
        slice_, address = self.words[0]
        return [(slice_ + plane, address) for plane in range(planes)]

    def read(self, run: ReferenceInterpreter, planes: int) -> Contents | None:
        words = self.all_words(planes)
        memory = run.memory
        return _together([memory.image[w] if memory.known[w] else None for w in words])

    def lines(self, run: ReferenceInterpreter, planes: int, chosen: list[int] | None) -> list[At]:
        return [At(Line(LineKind.WORD, *word), run.cycle) for word in self.all_words(planes)]


@dataclass(frozen=True)
class TensorPlace(Place):
    """Elements ``first .. first + count - 1`` of an input or output, in C order."""

    tensor: PortTensor
    first: int
    count: int

    @property
    def natural(self) -> DType | None:
        return self.tensor.dtype

    @property
    def planes(self) -> int:
        return self.tensor.dtype.planes

    def check(self, machine: Machine, planes: int) -> None:
        if planes != self.planes:
            name = self.tensor.dtype.name.lower()
            raise UsageError(NO_PLACE, f"{self.text}: its elements are {name}, {self.planes} bytes")

    @cached_property
    def homes(self) -> list[tuple[int, int, npt.NDArray[np.int64], int, int]]:
        """``(slice, address, elements, plane, first lane)`` of each word with elements of the place, counted from 0."""
        found = []
        for piece in self.tensor.pieces:
            columns = np.arange(piece.column, piece.column + piece.columns)
            for row in range(piece.rows):
                elements = (piece.row + row) * piece.view_columns + columns - self.first
                inside = (elements >= 0) & (elements < self.count)
                if inside.any():
                    lane = piece.lane + int(np.argmax(inside))
                    found.append(
                        (piece.slice, piece.address + row, elements[inside], piece.plane, lane)
                    )
        return found

    def read(self, run: ReferenceInterpreter, planes: int) -> Contents | None:
        data = np.zeros((planes, self.count), np.uint8)
        known = np.zeros((planes, self.count), np.bool_)
        for slice_, address, elements, plane, lane in self.homes:
            word = run.memory.image[slice_, address]
            data[plane, elements] = word[lane : lane + len(elements)]
            known[plane, elements] = run.memory.known[slice_, address]
        whole = np.logical_and.reduce(known, axis=0)
        return Contents(data, whole) if whole.any() else None

    def lines(self, run: ReferenceInterpreter, planes: int, chosen: list[int] | None) -> list[At]:
        words = {
            (slice_, address)
            for slice_, address, elements, _, _ in self.homes
            if chosen is None or np.isin(elements, chosen).any()
        }
        return [At(Line(LineKind.WORD, *word), run.cycle) for word in sorted(words)]


@dataclass(frozen=True)
class AluPlace(Place):
    """What an ALU finishes in this cycle."""

    alu: int

    @property
    def typed_later(self) -> bool:
        return True

    def read(self, run: ReferenceInterpreter, planes: int) -> Contents | None:
        data = self.result(run)
        return None if data is None or len(data) != planes else _together(list(data))

    def result(self, run: ReferenceInterpreter) -> Bytes | None:
        """The bytes, whatever their width."""
        return run.alus.past[run.alus.now % len(run.alus.past)].get(self.alu)

    def lines(self, run: ReferenceInterpreter, planes: int, chosen: list[int] | None) -> list[At]:
        return [At(Line(LineKind.ALU, self.alu, run.cycle), run.cycle)]


MATRIX: Final = ("acc", "weights", "buffer")


@dataclass(frozen=True)
class MatrixPlace(Place):
    """Of a plane: accumulator row ``index``, or column ``index`` of the installed weights or of the buffer."""

    part: str
    plane: int
    index: int

    @property
    def typed_later(self) -> bool:
        return True

    @property
    def planes(self) -> int:
        return 4 if self.part == "acc" else 2

    def read(self, run: ReferenceInterpreter, planes: int) -> Contents | None:
        unit = run.matrix.planes[self.plane]
        state = unit.state
        known, words = {
            "acc": (self.index in unit.started, state.accumulators),
            "weights": (
                unit.installed is not None and bool(state.enabled[self.index]),
                state.weights,
            ),
            "buffer": (self.index in unit.loaded, state.buffer),
        }[self.part]
        if not known:
            return None
        raw = np.ascontiguousarray(words[self.index]).view(np.uint8)
        return _together(list(raw.reshape(len(words[self.index]), -1).T[:planes]))

    def lines(self, run: ReferenceInterpreter, planes: int, chosen: list[int] | None) -> list[At]:
        if self.part == "weights":
            return [At(Line(LineKind.WEIGHTS, self.plane, 0), run.cycle)]
        if self.part == "buffer":
            return [At(Line(LineKind.COLUMN, self.plane, self.index), run.cycle)]
        queue = run.machine.mxm_queue + 3 * self.plane + 2
        added = any(run.coming(place).queue == queue for place in range(run.dispatched))
        return [At(Line(LineKind.ROW, self.plane, self.index), run.cycle + added)]


@dataclass(frozen=True)
class FlightPlace(Place):
    """A stream, wherever it has a value."""

    stream: int

    def everywhere(self, run: ReferenceInterpreter) -> list[StreamPlace]:
        """The positions with a value on it, west to east."""
        found = np.flatnonzero(run.streams.occupied()[self.stream])
        return [StreamPlace(self.text, self.stream, int(position)) for position in found]
