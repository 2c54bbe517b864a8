"""What a program needs to run, once prepared: kernels by name, descriptors, sizes. It can be kept beside the kernels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

import numpy as np

from emulator.jit.effects import Ints
from emulator.jit.library import Compiled

ENTRY: Final = 3
"""Columns of an entry here: kernel, first word of its descriptor, 1 if it may be divided."""
ARRAYS: Final = ("once", "once_words", "entries", "words", "tables", "copied", "restored")


@dataclass(frozen=True)
class Prepared:
    """A program made ready for a kind of host, whatever its number of threads.

    Attributes:
        kernels: what ``once`` and ``entries`` name by index.
        once, once_words: ``[n, ENTRY]`` and descriptors of what runs before the first run.
        entries, words: the same of a run.
        tables: words of ``Region.TABLES``.
        copied: ``[n, 2]``: words of the chip's memory that hold constants from the start, and their rows of ``Program.data``.
        restored: those of them that a run changes.
        sizes: bytes of the regions RESULTS, SUMS and PANELS.
        cycles: the length of a run.
    """

    kernels: tuple[Compiled, ...]
    once: Ints
    once_words: Ints
    entries: Ints
    words: Ints
    tables: Ints
    copied: Ints
    restored: Ints
    sizes: tuple[int, int, int]
    cycles: int

    def to_bytes(self) -> bytes:
        """A header line, then the arrays."""
        arrays = [getattr(self, name) for name in ARRAYS]
        header = {
            "kernels": [[k.name, k.key] for k in self.kernels],
            "shapes": [list(a.shape) for a in arrays],
            "sizes": list(self.sizes),
            "cycles": self.cycles,
        }
        line = json.dumps(header).encode()
        line += b" " * (-(len(line) + 1) % 8) + b"\n"
        return b"".join([line, *(a.tobytes() for a in arrays)])

    @classmethod
    def from_bytes(cls, raw: bytes) -> Prepared:
        """Inverse of ``to_bytes``."""
        line, _, _ = raw.partition(b"\n")
        header, position, arrays = json.loads(line), len(line) + 1, {}
        for name, shape in zip(ARRAYS, header["shapes"], strict=True):
            count = int(np.prod(shape))
            arrays[name] = np.frombuffer(raw, np.int64, count, position).reshape(shape)
            position += 8 * count
        kernels = tuple(Compiled(name, key) for name, key in header["kernels"])
        return cls(kernels=kernels, sizes=tuple(header["sizes"]), cycles=header["cycles"], **arrays)
