"""The table that a run walks: kernels by shape, each with a descriptor."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

from emulator.jit.effects import Ints
from emulator.jit.library import Library, Shape


@dataclass
class Table:
    """Entries under construction. Pointers into descriptors are offsets until ``finish``."""

    shapes: list[Shape] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    words: array[int] = field(default_factory=lambda: array("q"))
    kept: list[object] = field(default_factory=list)

    def add(self, shape: Shape, words: list[int]) -> None:
        """An entry behind all others."""
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
        out = np.ones((len(self.shapes), 3), np.int64)
        out[:, 0] = [library.address(s) for s in self.shapes]
        out[:, 1] = self.descriptors.ctypes.data + 8 * np.array(self.offsets, np.int64)
        return out
