"""Lanes as LLVM vectors: raw bits in, raw bits out, with float views, conversions and the canonical NaN.

A value is a vector of ``n`` unsigned integers of its type's width. Floats are views of it. float16 is computed in float32
and rounded once, which gives the correctly rounded result of one addition, subtraction or multiplication because
float32 has more than twice the significand bits plus two.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from emulator.lowering.text import Function
from isa.instruction import DType

NAN_BITS = {DType.F32: 0x7FC00000, DType.F16: 0x7E00}


def bits(dtype: DType) -> int:
    """Bits of an element."""
    return 8 * dtype.planes


@dataclass
class Lanes:
    """Vector operations on ``n`` lanes, appended to ``f``."""

    f: Function
    n: int
    half: bool = True

    def integer(self, width: int) -> str:
        """The type of a vector of ``width``-bit integers."""
        return f"<{self.n} x i{width}>"

    @property
    def floats(self) -> str:
        """The type of a float32 vector."""
        return f"<{self.n} x float>"

    def splat(self, width: int, value: int) -> str:
        """An integer constant in every lane."""
        if value >= 1 << (width - 1):
            value -= 1 << width
        return "<" + ", ".join([f"i{width} {value}"] * self.n) + ">"

    def real(self, value: float) -> str:
        """A float32 constant in every lane, exactly ``numpy.float32(value)``."""
        exact = struct.unpack("<f", struct.pack("<f", value))[0]
        word = struct.unpack("<Q", struct.pack("<d", exact))[0]
        return "<" + ", ".join([f"float 0x{word:016X}"] * self.n) + ">"

    def spread(self, type_: str, scalar: str) -> str:
        """A scalar in every lane."""
        one = self.f.let(f"insertelement <{self.n} x {type_}> undef, {type_} {scalar}, i64 0")
        zero = f"<{self.n} x i32> zeroinitializer"
        return self.f.let(
            f"shufflevector <{self.n} x {type_}> {one}, <{self.n} x {type_}> undef, {zero}"
        )

    def as_float(self, raw: str, dtype: DType) -> str:
        """The float32 value of a float16 or float32."""
        if dtype is DType.F32:
            return self.f.let(f"bitcast {self.integer(32)} {raw} to {self.floats}")
        if self.half:
            halves = self.f.let(f"bitcast {self.integer(16)} {raw} to <{self.n} x half>")
            return self.f.let(f"fpext <{self.n} x half> {halves} to {self.floats}")
        return self._widen(raw)

    def from_float(self, value: str, dtype: DType) -> str:
        """The bits of a float32 vector, rounded to ``dtype``."""
        if dtype is DType.F32:
            return self.f.let(f"bitcast {self.floats} {value} to {self.integer(32)}")
        if self.half:
            halves = self.f.let(f"fptrunc {self.floats} {value} to <{self.n} x half>")
            return self.f.let(f"bitcast <{self.n} x half> {halves} to {self.integer(16)}")
        return self._narrow(value)

    def canonical(self, raw: str, dtype: DType) -> str:
        """``raw`` with every NaN made the canonical quiet NaN."""
        width = bits(dtype)
        nan = self.splat(width, NAN_BITS[dtype])
        if dtype is DType.F32:
            value = self.as_float(raw, dtype)
            isnan = self.f.let(f"fcmp uno {self.floats} {value}, {value}")
        else:
            size = self.f.let(f"and {self.integer(16)} {raw}, {self.splat(16, 0x7FFF)}")
            isnan = self.f.let(f"icmp ugt {self.integer(16)} {size}, {self.splat(16, 0x7C00)}")
        return self.select(isnan, width, nan, raw)

    def select(self, condition: str, width: int, a: str, b: str) -> str:
        """``a`` where the i1 vector holds, else ``b``."""
        type_ = self.integer(width)
        return self.f.let(f"select <{self.n} x i1> {condition}, {type_} {a}, {type_} {b}")

    def choose(self, condition: str, a: str, b: str) -> str:
        """``select`` on float32 vectors."""
        return self.f.let(
            f"select <{self.n} x i1> {condition}, {self.floats} {a}, {self.floats} {b}"
        )

    def arith(self, op: str, a: str, b: str) -> str:
        """``fadd``, ``fsub``, ``fmul`` or ``fdiv`` of float32 vectors: one rounding, never contracted."""
        return self.f.let(f"{op} {self.floats} {a}, {b}")

    def compare(self, predicate: str, a: str, b: str) -> str:
        """An ``fcmp`` of float32 vectors."""
        return self.f.let(f"fcmp {predicate} {self.floats} {a}, {b}")

    def op(self, name: str, width: int, a: str, b: str) -> str:
        """An integer operation."""
        return self.f.let(f"{name} {self.integer(width)} {a}, {b}")

    def intrinsic(self, name: str, width: int, *args: str) -> str:
        """``llvm.<name>`` of integer vectors of one width."""
        type_ = self.integer(width)
        return self.f.call(type_, f"llvm.{name}.v{self.n}i{width}", *((type_, a) for a in args))

    def resize(self, raw: str, old: int, new: int, signed: bool = True) -> str:
        """Integers extended or cut to another width."""
        if old == new:
            return raw
        name = ("sext" if signed else "zext") if new > old else "trunc"
        return self.f.let(f"{name} {self.integer(old)} {raw} to {self.integer(new)}")

    def _widen(self, raw: str) -> str:
        """float16 to float32 by integer steps: rescaling by 2**112 normalises subnormals exactly."""
        wide = self.resize(raw, 16, 32, signed=False)
        size = self.op("and", 32, wide, self.splat(32, 0x7FFF))
        shifted = self.op("shl", 32, size, self.splat(32, 13))
        small = self.f.let(f"bitcast {self.integer(32)} {shifted} to {self.floats}")
        scaled = self.arith("fmul", small, self.real(2.0**112))
        finite = self.f.let(f"bitcast {self.floats} {scaled} to {self.integer(32)}")
        special = self.op("or", 32, shifted, self.splat(32, 0x7F800000))
        is_special = self.f.let(f"icmp uge {self.integer(32)} {size}, {self.splat(32, 0x7C00)}")
        magnitude = self.select(is_special, 32, special, finite)
        sign = self.op(
            "shl", 32, self.op("and", 32, wide, self.splat(32, 0x8000)), self.splat(32, 16)
        )
        both = self.op("or", 32, magnitude, sign)
        return self.f.let(f"bitcast {self.integer(32)} {both} to {self.floats}")

    def _narrow(self, value: str) -> str:
        """float32 to float16, to nearest even: normals by adding half a unit, subnormals by adding 0.5."""
        raw = self.f.let(f"bitcast {self.floats} {value} to {self.integer(32)}")
        size = self.op("and", 32, raw, self.splat(32, 0x7FFFFFFF))
        odd = self.op("and", 32, self.op("lshr", 32, size, self.splat(32, 13)), self.splat(32, 1))
        up = self.op("add", 32, size, self.op("add", 32, odd, self.splat(32, 0xFFF - (112 << 23))))
        normal = self.op("lshr", 32, up, self.splat(32, 13))
        positive = self.f.let(f"bitcast {self.integer(32)} {size} to {self.floats}")
        shifted = self.arith("fadd", positive, self.real(0.5))
        tiny = self.f.let(f"bitcast {self.floats} {shifted} to {self.integer(32)}")
        tiny = self.op("sub", 32, tiny, self.splat(32, 0x3F000000))
        is_tiny = self.f.let(f"icmp ult {self.integer(32)} {size}, {self.splat(32, 113 << 23)}")
        result = self.select(is_tiny, 32, tiny, normal)
        overflows = self.f.let(f"icmp uge {self.integer(32)} {size}, {self.splat(32, 143 << 23)}")
        result = self.select(overflows, 32, self.splat(32, 0x7C00), result)
        isnan = self.f.let(f"icmp ugt {self.integer(32)} {size}, {self.splat(32, 0x7F800000)}")
        result = self.select(isnan, 32, self.splat(32, 0x7E00), result)
        sign = self.op(
            "and", 32, self.op("lshr", 32, raw, self.splat(32, 16)), self.splat(32, 0x8000)
        )
        return self.resize(self.op("or", 32, result, sign), 32, 16)
