"""The table that a run walks: kernels by shape, each with a descriptor."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from emulator.jit.effects import Ints
from emulator.jit.library import Compiled, Library, Shape
from emulator.jit.regions import Region

WORTH: Final = 1 << 12
"""Work from which on an entry is divided among threads: about half a microsecond. All wait for an entry, divided or not."""


@dataclass
class Kept:
    """Tables of words that descriptors point to, each once."""

    words: array[int] = field(default_factory=lambda: array("q"))
    _known: dict[bytes, int] = field(default_factory=dict)

    def add(self, values: Ints) -> int:
        """Address of a table with these words."""
        raw = np.ascontiguousarray(values, np.int64).tobytes()
        if raw not in self._known:
            self._known[raw] = Region.TABLES.base + 8 * len(self.words)
            self.words.frombytes(raw)
        return self._known[raw]


@dataclass
class Table:
    """Entries under construction. ``numbers`` says which of the distinct ``known`` shapes each has."""

    lanes: int
    kept: Kept
    library: Library
    known: dict[Shape, int] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    divisible: list[bool] = field(default_factory=list)
    words: array[int] = field(default_factory=lambda: array("q"))

    def number(self, shape: Shape) -> int:
        """A shape's number; it is compiled from now on."""
        if shape not in self.known:
            self.known[shape] = len(self.known)
            self.library.want(shape)
        return self.known[shape]

    def add(self, shape: Shape, words: list[int], work: int = 0) -> None:
        """An entry behind all others. ``work`` is about how many lanes it computes; 0 where it cannot be divided."""
        self.enter(self.number(shape), words, work)

    def enter(self, number: int, words: list[int], work: int) -> None:
        """The same by a shape's number."""
        self.divisible.append(work >= WORTH)
        self.numbers.append(number)
        self.offsets.append(len(self.words))
        self.words.extend(words)

    @property
    def shapes(self) -> list[Shape]:
        """The shape of each entry."""
        known = list(self.known)
        return [known[number] for number in self.numbers]

    def numbered(self, kernels: dict[Compiled, int]) -> Ints:
        """``[entries, 3]``: kernel, descriptor's first word, 1 if divisible; ``kernels`` get numbers as they come."""
        used = [self.library.want(shape) for shape in self.known]
        numbers = np.array([kernels.setdefault(k, len(kernels)) for k in used], np.int64)
        columns = [numbers[self.numbers] if self.numbers else [], self.offsets, self.divisible]
        return np.array(columns, np.int64).T.reshape(-1, len(columns)).copy()
