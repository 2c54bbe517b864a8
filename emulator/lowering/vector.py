"""VXM operations: each mnemonic's meaning on vectors of raw bits.

A lowering gets the operation's facts and its sources as raw bits and returns raw bits. NaN results of arithmetic need not be
canonical: ``ARITHMETIC`` names the operations whose float results the caller makes canonical before bits can be seen
(by a store, a bit operation, ``mov`` or ``select``). Arithmetic itself does not tell NaNs apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from emulator.lowering import transcendental
from emulator.lowering.values import Lanes, bits
from isa import ops as _registers_every_instruction  # noqa: F401
from isa.instruction import REGISTRY, DType


class Op(NamedTuple):
    """One VXM operation without its sources: what decides its code. ``to`` and ``saturate`` are 0 where absent."""

    mnemonic: str
    dtype: DType
    to: DType
    saturate: bool

    @property
    def result(self) -> DType:
        """The type of the result."""
        if self.mnemonic == "cvt":
            return self.to
        return DType.I8 if self.mnemonic in COMPARES else self.dtype

    def source(self, index: int) -> DType:
        """The type of source ``index``."""
        return DType.I8 if self.mnemonic == "select" and index == 2 else self.dtype

    @property
    def loose(self) -> bool:
        """Whether a NaN in the result may be any NaN."""
        return self.mnemonic in ARITHMETIC and self.result.is_float

    @property
    def exact_sources(self) -> bool:
        """Whether the operation passes on or looks at the bits of its sources."""
        return self.mnemonic in BITWISE


Lowering = Callable[..., str]
COMPARES: Final = {"eq": ("oeq", "eq"), "lt": ("olt", "slt"), "le": ("ole", "sle")}
ARITHMETIC: Final = frozenset(
    "add sub mul max min neg abs relu exp rsqrt tanh cvt".split()  # noqa: SIM905
)
BITWISE: Final = frozenset("mov and or xor shl shr select".split())  # noqa: SIM905


def lower(v: Lanes, op: Op, *sources: str) -> str:
    """The raw bits of ``op`` applied to raw bits."""
    return LOWERINGS[op.mnemonic](v, op, *sources)


def _basic(v: Lanes, op: Op, a: str, b: str) -> str:
    """``add``, ``sub``, ``mul``."""
    if op.dtype.is_float:
        x, y = v.as_float(a, op.dtype), v.as_float(b, op.dtype)
        return v.from_float(v.arith("f" + op.mnemonic, x, y), op.dtype)
    width = bits(op.dtype)
    if not op.saturate:
        return v.op(op.mnemonic, width, a, b)
    if op.mnemonic != "mul":
        return v.intrinsic(f"s{op.mnemonic}.sat", width, a, b)
    wide = v.op("mul", 2 * width, v.resize(a, width, 2 * width), v.resize(b, width, 2 * width))
    return _saturated(v, wide, 2 * width, width)


def _saturated(v: Lanes, raw: str, old: int, new: int) -> str:
    """Signed integers clamped to a narrower width; wider ones are extended."""
    if new >= old:
        return v.resize(raw, old, new)
    low = v.intrinsic("smin", old, raw, v.splat(old, (1 << (new - 1)) - 1))
    both = v.intrinsic("smax", old, low, v.splat(old, -(1 << (new - 1))))
    return v.resize(both, old, new)


def _extremum(v: Lanes, op: Op, a: str, b: str) -> str:
    """``max``, ``min``: the first source where they are equal, or where it is NaN."""
    width = bits(op.dtype)
    if not op.dtype.is_float:
        return v.intrinsic("s" + op.mnemonic, width, a, b)
    x, y = v.as_float(a, op.dtype), v.as_float(b, op.dtype)
    better = v.compare("oge" if op.mnemonic == "max" else "ole", x, y)
    unordered = v.compare("uno", x, x)
    first = v.f.let(f"or <{v.n} x i1> {better}, {unordered}")
    return v.select(first, width, a, b)


def _mov(_v: Lanes, _op: Op, a: str) -> str:
    return a


def _neg(v: Lanes, op: Op, a: str) -> str:
    width = bits(op.dtype)
    if op.dtype.is_float:
        return v.op("xor", width, a, v.splat(width, 1 << (width - 1)))
    return v.op("sub", width, "zeroinitializer", a)


def _abs(v: Lanes, op: Op, a: str) -> str:
    width = bits(op.dtype)
    if op.dtype.is_float:
        return v.op("and", width, a, v.splat(width, (1 << (width - 1)) - 1))
    type_ = v.integer(width)
    return v.f.call(type_, f"llvm.abs.v{v.n}i{width}", (type_, a), ("i1", "false"))


def _relu(v: Lanes, op: Op, a: str) -> str:
    width = bits(op.dtype)
    if not op.dtype.is_float:
        return v.intrinsic("smax", width, a, "zeroinitializer")
    value = v.as_float(a, op.dtype)
    keep = v.compare("ugt", value, v.real(0.0))
    return v.select(keep, width, a, "zeroinitializer")


def _exp(v: Lanes, op: Op, a: str) -> str:
    return v.from_float(transcendental.exp(v, v.as_float(a, op.dtype)), op.dtype)


def _rsqrt(v: Lanes, op: Op, a: str) -> str:
    return v.from_float(transcendental.rsqrt(v, v.as_float(a, op.dtype)), op.dtype)


def _tanh(v: Lanes, op: Op, a: str) -> str:
    return v.from_float(transcendental.tanh(v, v.as_float(a, op.dtype)), op.dtype)


def _cvt(v: Lanes, op: Op, a: str) -> str:
    """Between any two types; a float that leaves int32 saturates there first, and NaN counts as 0."""
    old, new = bits(op.dtype), bits(op.to)
    if op.dtype.is_float:
        value = v.as_float(a, op.dtype)
        if op.to.is_float:
            return v.from_float(value, op.to)
        name = f"llvm.fptosi.sat.v{v.n}i32.v{v.n}f32"
        whole = v.f.call(v.integer(32), name, (v.floats, value))
        return _saturated(v, whole, 32, new) if op.saturate else v.resize(whole, 32, new)
    if op.to.is_float:
        value = v.f.let(f"sitofp {v.integer(old)} {a} to {v.floats}")
        return v.from_float(value, op.to)
    return _saturated(v, a, old, new) if op.saturate else v.resize(a, old, new)


def _logic(v: Lanes, op: Op, a: str, b: str) -> str:
    return v.op(op.mnemonic, bits(op.dtype), a, b)


def _shift(v: Lanes, op: Op, a: str, b: str) -> str:
    width = bits(op.dtype)
    amount = v.op("and", width, b, v.splat(width, width - 1))
    return v.op("shl" if op.mnemonic == "shl" else "ashr", width, a, amount)


def condition(v: Lanes, op: Op, a: str, b: str) -> str:
    """A comparison as i1 lanes."""
    ordered, signed = COMPARES[op.mnemonic]
    if op.dtype.is_float:
        return v.compare(ordered, v.as_float(a, op.dtype), v.as_float(b, op.dtype))
    return v.f.let(f"icmp {signed} {v.integer(bits(op.dtype))} {a}, {b}")


def _compare(v: Lanes, op: Op, a: str, b: str) -> str:
    return v.f.let(f"zext <{v.n} x i1> {condition(v, op, a, b)} to {v.integer(8)}")


def _select(v: Lanes, op: Op, a: str, b: str, c: str) -> str:
    holds = v.f.let(f"icmp ne {v.integer(8)} {c}, zeroinitializer")
    return v.select(holds, bits(op.dtype), a, b)


LOWERINGS: Final[dict[str, Lowering]] = {
    "add": _basic,
    "sub": _basic,
    "mul": _basic,
    "max": _extremum,
    "min": _extremum,
    "mov": _mov,
    "neg": _neg,
    "abs": _abs,
    "relu": _relu,
    "exp": _exp,
    "rsqrt": _rsqrt,
    "tanh": _tanh,
    "cvt": _cvt,
    "and": _logic,
    "or": _logic,
    "xor": _logic,
    "shl": _shift,
    "shr": _shift,
    "eq": _compare,
    "lt": _compare,
    "le": _compare,
    "select": _select,
}

_declared = {name for name, cls in REGISTRY.items() if cls.unit == "VXM"}
if _declared != LOWERINGS.keys():
    _odd = ", ".join(sorted(_declared ^ LOWERINGS.keys()))
    raise TypeError(f"declared or lowered, but not both: {_odd}")
