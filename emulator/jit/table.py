"""The table that a run walks: kernels by shape, each with a descriptor."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

from emulator.jit.effects import Ints
from emulator.jit.library import Library, Shape
from emulator.lowering.driver import ENTRY

WORTH = 1 << 14
"""Work from which on an entry is divided among threads: a few microseconds."""


@dataclass
class Table:
    """Entries under construction. Pointers into descriptors are offsets until ``finish``."""

    lanes: int
    shapes: list[Shape] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    divisible: list[bool] = field(default_factory=list)
    words: array[int] = field(default_factory=lambda: array("q"))
    kept: list[object] = field(default_factory=list)

    def add(self, shape: Shape, words: list[int], work: int = 0) -> None:
        """An entry behind all others. ``work`` is about how many lanes it computes; 0 where it cannot be divided."""
        self.divisible.append(work >= WORTH)
        self.shapes.append(shape)
        self.offsets.append(len(self.words))
        self.words.extend(words)

    def keep(self, values: Ints) -> int:
        """Address of a table of words that lives as long as this one."""
        held = np.ascontiguousarray(values, np.int64)
        self.kept.append(held)
        return held.ctypes.data

    def finish(self, library: Library) -> Ints:
        """``[entries, 3]``: what the driver walks; kernels are compiled."""
        library.load(self.shapes)
        # Copied: the array's own memory may move while it grows.
        self.descriptors = np.array(self.words, np.int64)
        out = np.zeros((len(self.shapes), ENTRY), np.int64)
        out[:, 2] = self.divisible
        out[:, 0] = [library.address(s) for s in self.shapes]
        out[:, 1] = self.descriptors.ctypes.data + 8 * np.array(self.offsets, np.int64)
        return out
