"""How far a rounded function is from the truth, over every value of a type or every so many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isa.instruction import REGISTRY, DType, Instruction
from isa.ops.vxm import VxmInstruction

Array = NDArray[Any]
CHUNK: Final = 1 << 16
TRUTHS: Final[dict[str, Callable[[Array], Array]]] = {
    "exp": lambda x: np.asarray(np.exp(x)),
    "rsqrt": lambda x: np.asarray(1 / np.sqrt(x)),
    "tanh": lambda x: np.asarray(np.tanh(x)),
}
"""In float64, where numpy errs by less than 4 units of 2**-53: 2**-27 of a float32's last place."""


def rounded() -> list[tuple[type[Instruction], DType]]:
    """Every instruction that states an error, with each of its types."""
    return [(cls, dtype) for cls in REGISTRY.values() for dtype in cls.max_ulp]


def values(dtype: DType, stride: int) -> Iterator[Array]:
    """Every ``stride``-th bit pattern, NaN left out."""
    unsigned = np.dtype(f"<u{dtype.planes}")
    last = 1 << 8 * dtype.planes
    for start in range(0, last, CHUNK * stride):
        stop = min(last, start + CHUNK * stride)
        patterns = np.arange(start, stop, stride, dtype=np.int64)
        x = patterns.astype(unsigned).view(dtype.numpy)
        yield x[~np.isnan(x)]


def errors(got: Array, exact: Array) -> Array:
    """Distances in units of the last place of ``exact`` (float64) in the type of ``got``.

    The place of a subnormal is the smallest number's. Infinity and NaN where the truth, rounded, is the same are no
    distance, elsewhere an infinite one.
    """
    with np.errstate(all="ignore"):
        nearest = exact.astype(got.dtype)
        place = np.spacing(np.minimum(np.abs(nearest), np.finfo(got.dtype).max)).astype(np.float64)
        off = np.abs(got.astype(np.float64) - exact) / place
        plain = np.isfinite(got) & np.isfinite(exact)
        same = (got == nearest) | (np.isnan(got) & np.isnan(nearest))
        return np.where(same & ~np.isfinite(nearest), 0.0, np.where(plain, off, np.inf))


def worst(cls: type[Instruction], dtype: DType, stride: int = 1) -> tuple[float, float]:
    """The largest error over every ``stride``-th value, and the value it is at."""
    blank: Any = cls(**{o.name: 0 for o in cls.operands} | {"dtype": int(dtype)})
    assert isinstance(blank, VxmInstruction)
    found, where = 0.0, np.nan
    with np.errstate(all="ignore"):
        for x in values(dtype, stride):
            if not len(x):
                continue
            off = errors(blank.compute(x), TRUTHS[cls.mnemonic](x.astype(np.float64)))
            at = int(off.argmax())
            if off[at] > found:
                found, where = float(off[at]), float(x[at])
    return found, where
