"""exp, rsqrt and tanh in float32, operation by operation as their definition says; nothing contracted or reordered.

The coefficients are written out again here, so that a slip in either place shows as a difference.
"""

from __future__ import annotations

from typing import Final

from emulator.lowering.values import Lanes

LOG2E: Final = 1.44269504
LN2_HIGH: Final = 0.693359375
LN2_LOW: Final = -2.12194440e-4
ROUND: Final = 12582912.0
ROUND_BITS: Final = 0x4B400000
EXP_HIGH: Final = 90.0
EXP_LOW: Final = -104.0
EXP_POLY: Final = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
TANH_POLY: Final = (
    -5.70498872745e-3,
    2.06390887954e-2,
    -5.37397155531e-2,
    1.33314422036e-1,
    -3.33332819422e-1,
)


def _horner(v: Lanes, x: str, coefficients: tuple[float, ...]) -> str:
    """The polynomial, highest power first, a multiplication and an addition a step."""
    p = v.real(coefficients[0])
    for c in coefficients[1:]:
        p = v.arith("fadd", v.arith("fmul", p, x), v.real(c))
    return p


def exp(v: Lanes, x: str) -> str:
    """``e**x``: what the definition selects is what comes out without selecting.

    Clamped from ``EXP_LOW`` to ``EXP_HIGH`` the same steps end at 0 and at infinity as beyond them, and NaN passes all of them.
    """
    clamp = v.choose(v.compare("ogt", v.real(EXP_LOW), x), v.real(EXP_LOW), x)
    clamp = v.choose(v.compare("olt", v.real(EXP_HIGH), clamp), v.real(EXP_HIGH), clamp)
    scaled = v.arith("fadd", v.arith("fmul", clamp, v.real(LOG2E)), v.real(ROUND))
    n = v.arith("fsub", scaled, v.real(ROUND))
    r = v.arith("fsub", clamp, v.arith("fmul", n, v.real(LN2_HIGH)))
    r = v.arith("fsub", r, v.arith("fmul", n, v.real(LN2_LOW)))
    p = _horner(v, r, EXP_POLY)
    y = v.arith("fmul", p, v.arith("fmul", r, r))
    y = v.arith("fadd", v.arith("fadd", y, r), v.real(1.0))
    whole = v.op("sub", 32, _raw(v, scaled), v.splat(32, ROUND_BITS))
    half = v.op("ashr", 32, whole, v.splat(32, 1))
    y = v.arith("fmul", y, _power_of_two(v, half))
    return v.arith("fmul", y, _power_of_two(v, v.op("sub", 32, whole, half)))


def _raw(v: Lanes, x: str) -> str:
    return v.f.let(f"bitcast {v.floats} {x} to {v.integer(32)}")


def _power_of_two(v: Lanes, n: str) -> str:
    """``2.0**n`` by its exponent bits."""
    shifted = v.op("shl", 32, v.op("add", 32, n, v.splat(32, 127)), v.splat(32, 23))
    return v.f.let(f"bitcast {v.integer(32)} {shifted} to {v.floats}")


def rsqrt(v: Lanes, x: str) -> str:
    """``1 / sqrt(x)``, both correctly rounded."""
    root = v.f.call(v.floats, f"llvm.sqrt.v{v.n}f32", (v.floats, x))
    return v.arith("fdiv", v.real(1.0), root)


def tanh(v: Lanes, x: str) -> str:
    """``tanh x``: a polynomial near zero, else by ``exp``."""
    z = v.f.call(v.floats, f"llvm.fabs.v{v.n}f32", (v.floats, x))
    s = v.arith("fmul", x, x)
    p = _horner(v, s, TANH_POLY)
    small = v.arith("fadd", x, v.arith("fmul", v.arith("fmul", x, s), p))
    e = v.arith("fadd", exp(v, v.arith("fadd", z, z)), v.real(1.0))
    large = v.arith("fsub", v.real(1.0), v.arith("fdiv", v.real(2.0), e))
    large = v.f.call(v.floats, f"llvm.copysign.v{v.n}f32", (v.floats, large), (v.floats, x))
    large = v.choose(v.compare("uno", x, x), x, large)
    return v.choose(v.compare("olt", z, v.real(0.625)), small, large)
