"""Element-wise ops as VXM expressions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from compiler.tiling.expr import Expr, Imm, apply, convert, imm
from isa.instruction import DType

Args = tuple[Expr, ...]
Rule = Callable[[Args, Mapping[str, Any]], Expr]

SIGN: Final = 0x80000000


def reciprocal(x: Expr) -> Expr:
    """1/x = (rsqrt |x|)**2 with the sign of x: the machine has no divide."""
    root = apply("rsqrt", apply("abs", x))
    sign = apply("and", x, Imm(SIGN, DType.F32))
    return apply("or", apply("mul", root, root), sign)


def divide(args: Args, _: Mapping[str, Any]) -> Expr:
    """a / b; by a constant it is one multiplication."""
    a, b = args
    if isinstance(b, Imm):
        value = np.array([b.bits], "<u4").view("<f4")[0]
        with np.errstate(all="ignore"):
            return apply("mul", a, imm(np.float32(1) / value))
    return apply("mul", a, reciprocal(b))


def sqrt(x: Expr) -> Expr:
    """sqrt x = rsqrt((rsqrt x)**2): right at 0 and infinity, where x * rsqrt(x) is not."""
    root = apply("rsqrt", x)
    return apply("rsqrt", apply("mul", root, root))


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + exp(-x)), the reciprocal of a number of at least 1 as a squared rsqrt."""
    root = apply("rsqrt", apply("add", apply("exp", apply("neg", x)), imm(1.0)))
    return apply("mul", root, root)


ERF: Final = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
"""Abramowitz and Stegun 7.1.26: erfc(z) = (a1 t + .. + a5 t^5) exp(-z^2), t = 1/(1 + p z), |error| <= 1.5e-7."""
ERF_P: Final = 0.3275911


def _erfc_terms(z_scale: float, z: Expr, factor: float) -> Expr:
    """``factor`` * (a1 t + .. + a5 t^5) for t = 1/(1 + p * z_scale * z)."""
    root = apply("rsqrt", apply("add", apply("mul", z, imm(ERF_P * z_scale)), imm(1.0)))
    t = apply("mul", root, root)
    poly: Expr = apply("mul", t, imm(ERF[4] * factor))
    for a in reversed(ERF[:4]):
        poly = apply("mul", apply("add", poly, imm(a * factor)), t)
    return poly


def erf(x: Expr) -> Expr:
    """erf x = sign(x) * (1 - erfc |x|)."""
    z = apply("abs", x)
    gauss = apply("exp", apply("neg", apply("mul", x, x)))
    value = apply("sub", imm(1.0), apply("mul", _erfc_terms(1.0, z, 1.0), gauss))
    return apply("or", apply("abs", value), apply("and", x, Imm(SIGN, DType.F32)))


def gelu(x: Expr, approximate: str) -> Expr:
    """x * Phi(x): exactly as relu(x) - |x| * erfc(|x|/sqrt 2) / 2, or by tanh."""
    if approximate == "tanh":
        cube = apply("mul", apply("mul", x, x), x)
        inner = apply("add", x, apply("mul", cube, imm(0.044715)))
        gate = apply("tanh", apply("mul", inner, imm(math.sqrt(2 / math.pi))))
        return apply("mul", apply("mul", x, imm(0.5)), apply("add", gate, imm(1.0)))
    z = apply("abs", x)
    poly = _erfc_terms(1 / math.sqrt(2), z, 0.5)
    gauss = apply("exp", apply("mul", apply("mul", x, x), imm(-0.5)))
    return apply("sub", apply("relu", x), apply("mul", apply("mul", poly, gauss), z))


def _boolean(x: Expr) -> Expr:
    """x != 0."""
    return apply("xor", apply("eq", x, imm(0, x.dtype)), imm(1, DType.I8))


def cast(args: Args, attrs: Mapping[str, Any]) -> Expr:
    """Conversion to ``attrs['machine']`` (a machine type); bool is int8 0 and 1."""
    x, to = args[0], attrs["machine"]
    if attrs.get("to") == "bool":
        return x if attrs.get("from") == "bool" else _boolean(x)
    return convert(x, to, saturate=to.is_float or x.dtype.is_float)


def power(args: Args, attrs: Mapping[str, Any]) -> Expr:
    """x ** constant for the exponents that have a chain."""
    x, exponent = args[0], attrs["exponent"]
    if exponent == 0.5:
        return sqrt(x)
    if exponent == -0.5:
        return apply("rsqrt", x)
    power_of = x
    for _ in range(int(abs(exponent)) - 1):
        power_of = apply("mul", power_of, x)
    return reciprocal(power_of) if exponent < 0 else power_of


CHAINED: Final = (1.0, 2.0, 3.0, 4.0)
"""Exponents that are multiplications alone, on any type."""
POWERS: Final = (0.5, -0.5, *CHAINED, -1.0, -2.0)


def is_inf(args: Args, attrs: Mapping[str, Any]) -> Expr:
    """|x| == inf; ``detect_negative`` and ``detect_positive`` choose the sides."""
    x = args[0]
    if not attrs.get("detect_negative", 1):
        return apply("eq", x, imm(math.inf, x.dtype))
    if not attrs.get("detect_positive", 1):
        return apply("eq", x, imm(-math.inf, x.dtype))
    return apply("eq", apply("abs", x), imm(math.inf, x.dtype))


def _plain(op: str) -> Rule:
    def rule(args: Args, _: Mapping[str, Any]) -> Expr:
        result: Expr = args[0]
        for other in args[1:]:
            result = apply(op, result, other)
        return result if len(args) > 1 else apply(op, args[0])

    return rule


RULES: Final[dict[str, Rule]] = {
    "Add": _plain("add"),
    "Sub": _plain("sub"),
    "Mul": _plain("mul"),
    "Min": _plain("min"),
    "Max": _plain("max"),
    "And": _plain("and"),
    "Or": _plain("or"),
    "Xor": _plain("xor"),
    "Neg": _plain("neg"),
    "Abs": _plain("abs"),
    "Relu": _plain("relu"),
    "Exp": _plain("exp"),
    "Tanh": _plain("tanh"),
    "Equal": _plain("eq"),
    "Less": _plain("lt"),
    "LessOrEqual": _plain("le"),
    "Greater": lambda a, _: apply("lt", a[1], a[0]),
    "GreaterOrEqual": lambda a, _: apply("le", a[1], a[0]),
    "Not": lambda a, _: apply("xor", a[0], imm(1, DType.I8)),
    "Div": divide,
    "Sqrt": lambda a, _: sqrt(a[0]),
    "Reciprocal": lambda a, _: reciprocal(a[0]),
    "Sigmoid": lambda a, _: sigmoid(a[0]),
    "Erf": lambda a, _: erf(a[0]),
    "Gelu": lambda a, attrs: gelu(a[0], str(attrs.get("approximate", "none"))),
    "Pow": power,
    "Where": lambda a, _: apply("select", a[1], a[2], a[0]),
    "IsNaN": lambda a, _: apply("xor", apply("eq", a[0], a[0]), imm(1, DType.I8)),
    "IsInf": is_inf,
    "Cast": cast,
    "Identity": lambda a, _: a[0],
}
"""Op name to its expression, given operand expressions already aligned to the result."""

FUNCTIONS: Final = frozenset({"Exp", "Tanh", "Div", "Sqrt", "Reciprocal", "Sigmoid", "Erf", "Gelu"})
"""Whose expressions are in f32: what they take of fp16 is widened before, and their results are rounded after."""
