"""Addresses before there is memory: every pointer in a descriptor is a region's number and an offset into it.

So what is prepared for a program does not depend on where its memory lies, and can be kept. Regions are so far apart that
no count, stride or immediate is taken for a pointer.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

import numpy as np

from emulator.jit.effects import Ints

SHIFT: Final = 44
ALIGN: Final = 64


class Region(IntEnum):
    """Memory of a kernel."""

    CHIP = 1  # the chip's memory, [slices][words][lanes]
    CONSTANTS = 2  # rows of ``Program.data``
    RESULTS = 3  # what one kernel leaves for another; panels of weights that are not constant; widened activations
    SUMS = 4  # accumulators, a row each
    PANELS = 5  # packed constant weights
    TABLES = 6  # lane maps, columns to pack

    @property
    def base(self) -> int:
        """The region's first address."""
        return self << SHIFT


def aligned(size: int) -> int:
    """``size`` rounded up to whole cache lines."""
    return -(-size // ALIGN) * ALIGN


def placed(words: Ints, starts: Mapping[Region, int]) -> Ints:
    """``words`` with every pointer made one into real memory that starts there."""
    moved = np.zeros(1 << 8, np.int64)
    for region, start in starts.items():
        moved[region] = start - region.base
    number = words >> SHIFT
    inside = (number > 0) & (number <= max(Region))
    return words + moved[np.where(inside, number, 0)]
