"""Random vectors of every type, with as many special values as asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from isa.instruction import DType

FLOAT_BITS = {
    DType.F16: (
        *(0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0xBC00, 0x3800, 0x7BFF, 0xFBFF),
        *(0x7C00, 0xFC00, 0x7E00, 0xFE01, 0x7D55),
    ),
    DType.F32: (
        *(0x00000000, 0x80000000, 0x00000001, 0x807FFFFF, 0x00800000, 0x3F800000, 0xBF800000),
        *(0x3F000000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00001),
        *(0x7F812345, 0x42B17218, 0x42B17219, 0xC2D00000, 0x4EFFFFFF, 0x4F000000, 0xCF000000),
        *(0x477FF000, 0x477FEFFF, 0x33000000, 0x33000001, 0x387FC000),
    ),
}
"""Zeros, subnormals, ones, halves, largest, infinities, NaNs with and without payload; edges of exp and of conversions."""


def random_values(
    rng: np.random.RandomState, dtype: DType, shape: tuple[int, int], special: float
) -> npt.NDArray[Any]:
    """``shape`` values of ``dtype``: a fraction ``special`` of edge cases, as many arbitrary bits, the rest moderate."""
    unsigned = np.dtype(f"<u{dtype.planes}")
    bits = rng.randint(0, 1 << 32, shape, np.int64).astype(unsigned)
    if dtype.is_float:
        edges = np.array(FLOAT_BITS[dtype], unsigned)
        scale = 2.0 ** rng.randint(-3, 4, shape)
        moderate = (rng.randn(*shape) * scale).astype(dtype.numpy).view(unsigned)
    else:
        low, high = np.iinfo(dtype.numpy).min, np.iinfo(dtype.numpy).max
        edges = np.array([0, 1, -1, 2, low, low + 1, high, high - 1], dtype.numpy).view(unsigned)
        moderate = rng.randint(-100, 101, shape).astype(dtype.numpy).view(unsigned)
    draw = rng.rand(*shape)
    chosen = np.where(draw < special, edges[rng.randint(len(edges), size=shape)], moderate)
    return np.where(draw > 1 - special, bits, chosen).view(dtype.numpy)
