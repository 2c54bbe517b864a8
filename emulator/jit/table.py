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
    """Entries under construction."""

    lanes: int
    kept: Kept
    library: Library
    shapes: list[Shape] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    divisible: list[bool] = field(default_factory=list)
    words: array[int] = field(default_factory=lambda: array("q"))

    def add(self, shape: Shape, words: list[int], work: int = 0) -> None:
        """An entry behind all others. ``work`` is about how many lanes it computes; 0 where it cannot be divided."""
        self.divisible.append(work >= WORTH)
        self.shapes.append(shape)
        self.library.want(shape)
        self.offsets.append(len(self.words))
        self.words.extend(words)

    def numbered(self, kernels: dict[Compiled, int]) -> Ints:
        """``[entries, 3]``: kernel, descriptor's first word, 1 if divisible; ``kernels`` get numbers as they come."""
        used = [self.library.want(shape) for shape in self.shapes]
        numbers = [kernels.setdefault(kernel, len(kernels)) for kernel in used]
        columns = [numbers, self.offsets, self.divisible]
        return np.array(columns, np.int64).T.reshape(-1, len(columns)).copy()
