"""How far an output is from its reference, and how far it may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Bounds that hold together: ``relative_l2`` from above, ``cosine`` from below; ``reason`` says why these."""

    relative_l2: float
    cosine: float
    reason: str

    @property
    def exact(self) -> bool:
        """Whether every element must be equal."""
        return self.relative_l2 == 0

    def __str__(self) -> str:
        if self.exact:
            return "equal"
        return f"relative L2 <= {self.relative_l2:g}, cosine >= {self.cosine:.7g}"


FP16: Final = Tolerance(
    3e-3,
    0.999997,
    "operands of a matrix product are rounded to fp16 (2^-11 each), sums and vector arithmetic are fp32",
)
STRICT: Final = Tolerance(
    1e-5, 0.9999999, "operands are split into two fp16 parts, three passes: about 2^-21 a product"
)
EXACT: Final = Tolerance(0.0, 1.0, "integers and booleans are exact on the machine")


def tolerance_for(dtype: np.dtype[Any], precision: str) -> Tolerance:
    """The tolerance of an output of a type under ``precision`` (``fp16`` or ``strict``)."""
    if dtype.kind != "f":
        return EXACT
    return STRICT if precision == "strict" else FP16


@dataclass(frozen=True, slots=True)
class Comparison:
    """One tensor against its reference.

    ``relative_l2`` (norm of the difference over norm of the reference), ``cosine``, ``max_abs`` and ``max_ulp`` (steps
    between neighbouring numbers of the type) are over elements finite on both sides. ``problem`` says in a few words what
    left the tolerance; it is empty for a tensor that passes.
    """

    name: str
    relative_l2: float
    cosine: float
    max_abs: float
    max_ulp: int
    tolerance: Tolerance
    problem: str

    @property
    def passed(self) -> bool:
        """Whether the tensor is within its tolerance."""
        return not self.problem

    def to_dict(self) -> dict[str, object]:
        """Stable keys for ``--json``; a number that is not finite becomes None."""
        return {
            "name": self.name,
            "relative_l2": _finite(self.relative_l2),
            "cosine": _finite(self.cosine),
            "max_abs": _finite(self.max_abs),
            "max_ulp": self.max_ulp,
            "tolerance": {
                "relative_l2": self.tolerance.relative_l2,
                "cosine": self.tolerance.cosine,
                "reason": self.tolerance.reason,
            },
            "passed": self.passed,
            "problem": self.problem,
        }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def compare(name: str, got: Array, expected: Array, tolerance: Tolerance) -> Comparison:
    """Compare ``got`` with ``expected``, whose shape and type it must have.

    NaN must meet NaN, and an infinity the same infinity, whatever the tolerance.
    """
    if got.shape != expected.shape or got.dtype != expected.dtype:
        problem = (
            f"is {got.dtype}{list(got.shape)}, the reference {expected.dtype}{list(expected.shape)}"
        )
        return Comparison(name, np.inf, 0.0, np.inf, 0, tolerance, problem)
    both = np.isfinite(got) & np.isfinite(expected)
    special = _special_problem(got, expected, both)
    a, b = got[both].astype(np.float64), expected[both].astype(np.float64)
    difference, size = float(np.linalg.norm(a - b)), float(np.linalg.norm(b))
    own = float(np.linalg.norm(a))
    relative = difference / size if size else (0.0 if not difference else np.inf)
    cosine = float(a @ b / (own * size)) if own and size else float(own == size)
    max_abs = float(np.abs(a - b).max(initial=0.0))
    max_ulp = ulps(got[both], expected[both])
    problem = special
    if not problem and tolerance.exact:
        # Compared in the type itself: int64 does not fit float64.
        wrong = int((got != expected)[both].sum())
        problem = f"{wrong} of {got.size} elements differ" if wrong else ""
    elif not problem and not relative <= tolerance.relative_l2:
        problem = f"relative L2 {relative:.3g} > {tolerance.relative_l2:g}"
    elif not problem and not cosine >= tolerance.cosine:
        problem = f"cosine {cosine:.7f} < {tolerance.cosine}"
    return Comparison(name, relative, min(cosine, 1.0), max_abs, max_ulp, tolerance, problem)


def _special_problem(got: Array, expected: Array, both: NDArray[np.bool_]) -> str:
    """What is wrong about the elements that are not finite on both sides."""
    a, b = got[~both], expected[~both]
    wrong = ~((a == b) | ((a != a) & (b != b)))
    if not wrong.any():
        return ""
    flat = int(np.flatnonzero(~both.reshape(-1))[np.flatnonzero(wrong)[0]])
    place = [int(i) for i in np.unravel_index(flat, got.shape)]
    found, wanted = got.reshape(-1)[flat], expected.reshape(-1)[flat]
    return (
        f"{int(wrong.sum())} elements are not finite on one side: {found} for {wanted} at {place}"
    )


def ulps(a: Array, b: Array) -> int:
    """The largest number of representable steps between elements of ``a`` and ``b``, both finite and of one type."""
    if not a.size:
        return 0
    if a.dtype.kind == "f":
        a, b = _ordered(a), _ordered(b)
    if a.dtype == np.bool_:
        a, b = a.astype(np.int8), b.astype(np.int8)
    # The difference of two int64 needs Python's integers.
    low, high = np.minimum(a, b), np.maximum(a, b)
    if a.dtype == np.int64:
        return int((high.view(np.uint64) - low.view(np.uint64)).max())
    return int((high.astype(np.int64) - low.astype(np.int64)).max())


def _ordered(values: Array) -> Array:
    """Integers in the order of the floats, consecutive for neighbours; both zeros are 0."""
    bits = values.view(f"<i{values.itemsize}")
    magnitude = bits & bits.dtype.type(np.iinfo(bits.dtype).max)
    ordered: Array = np.where(bits < 0, -magnitude, magnitude)
    return ordered
