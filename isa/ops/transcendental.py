"""The documented definitions of the VXM's transcendental functions, in float32, every operation rounded once.

These are the meaning, bit for bit: no step may be contracted, reassociated or widened. Coefficients: Cephes ``expf`` and
``tanhf`` (S. Moshier, netlib, public domain values); range reduction after Cody and Waite, *Software Manual for the
Elementary Functions*, 1980.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
_f = np.float32

LOG2E: Final = _f(1.44269504)
LN2_HIGH: Final = _f(0.693359375)
LN2_LOW: Final = _f(-2.12194440e-4)
ROUND: Final = _f(12582912.0)
"""1.5 * 2**23: adding and subtracting it rounds a float32 of magnitude below 2**22 to the nearest even integer."""
EXP_HIGH: Final = _f(88.7228394)
EXP_LOW: Final = _f(-104.0)
EXP_POLY: Final = tuple(
    _f(c)
    for c in (
        1.9875691500e-4,
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    )
)
TANH_POLY: Final = tuple(
    _f(c)
    for c in (
        -5.70498872745e-3,
        2.06390887954e-2,
        -5.37397155531e-2,
        1.33314422036e-1,
        -3.33332819422e-1,
    )
)


def _power_of_two(n: npt.NDArray[np.int32]) -> F32:
    """``2.0**n`` for -126 <= n <= 127, by its exponent bits."""
    return ((n + np.int32(127)) << np.int32(23)).view(np.float32)


def exp(x: F32) -> F32:
    """``e**x``: x clamped to [-104, 88.7228394]; n = nearest(x*LOG2E); r = (x - n*LN2_HIGH) - n*LN2_LOW; Horner in r;
    ``y = (p*r*r + r) + 1``; y * 2**h * 2**(n-h) with h = n >> 1 (arithmetic). Above the clamp +inf, below it +0.
    """
    clamp = np.where(x > EXP_HIGH, EXP_HIGH, np.where(x < EXP_LOW, EXP_LOW, x))
    clamp = np.where(np.isnan(x), _f(0), clamp)
    n = (clamp * LOG2E + ROUND) - ROUND
    r = (clamp - n * LN2_HIGH) - n * LN2_LOW
    p = np.full_like(r, EXP_POLY[0])
    for c in EXP_POLY[1:]:
        p = p * r + c
    y = (p * (r * r) + r) + _f(1)
    whole = n.astype(np.int32)
    half = whole >> np.int32(1)
    y = (y * _power_of_two(half)) * _power_of_two(whole - half)
    y = np.where(x > EXP_HIGH, _f(np.inf), np.where(x < EXP_LOW, _f(0), y))
    return np.where(np.isnan(x), x, y)


def rsqrt(x: F32) -> F32:
    """``1 / sqrt(x)``, both steps correctly rounded: +-0 gives +-inf, +inf gives +0, negatives NaN."""
    return np.divide(_f(1), np.sqrt(x), dtype=np.float32)


def tanh(x: F32) -> F32:
    """With z = |x|: below 0.625, ``x + x*s*P(s)``, s = x*x; else ``1 - 2/(exp(z+z) + 1)`` with the sign of x."""
    z = np.abs(x)
    s = x * x
    p = np.full_like(s, TANH_POLY[0])
    for c in TANH_POLY[1:]:
        p = p * s + c
    small = x + (x * s) * p
    large = np.copysign(_f(1) - _f(2) / (exp(z + z) + _f(1)), x)
    return np.where(z < _f(0.625), small, np.where(np.isnan(x), x, large))
