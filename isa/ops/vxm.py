"""VXM: point-wise arithmetic, one ALU a queue.

Every operation reads up to three sources (a stream group at the VXM, another ALU's output, or the 32-bit immediate) and
makes one result: always the ALU's own output (readable by any ALU in the cycle ``dispatch + timing.vxm_alu``), and, where
given, the stream groups ``east`` and ``west``. Sources may be delayed by up to ``vxm.max_delay`` cycles [extension].

Arithmetic: IEEE 754, round to nearest even, subnormals kept; fp16 operations round once to fp16. A NaN result of
arithmetic is the canonical quiet NaN [assumed]. Integers wrap unless ``saturate``. Booleans are int8 0 and 1.
The immediate is the raw bits of a value of type ``dtype`` in its low bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from isa.instruction import (
    Bytes,
    DType,
    Instruction,
    Kind,
    Port,
    Source,
    SourceKind,
    instruction,
    operand,
)
from isa.ops import transcendental

Lanes = npt.NDArray[Any]
FLOATS = (DType.F16, DType.F32)


def from_planes(data: Bytes, dtype: DType) -> Lanes:
    """Byte planes ``[planes, lanes]`` as ``[lanes]`` of ``dtype``."""
    return np.ascontiguousarray(data.T).view(dtype.numpy)[:, 0]


def to_planes(values: Lanes) -> Bytes:
    """Inverse of ``from_planes``."""
    return np.ascontiguousarray(values.view(np.uint8).reshape(len(values), -1).T)


def canonical(values: Lanes) -> Lanes:
    """``values`` with every NaN made the canonical quiet NaN."""
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values)
    return values


def clamped(wide: Lanes, dtype: DType) -> Lanes:
    """Integers saturated to ``dtype``."""
    info = np.iinfo(dtype.numpy)
    return np.clip(wide, info.min, info.max).astype(dtype.numpy)


class VxmInstruction(Instruction):
    """Shared by all VXM operations: fetch typed sources, ``compute``, deliver."""

    types: ClassVar[tuple[DType, ...]] = tuple(DType)
    dtype: int
    imm: int
    east: int
    west: int

    def compute(self, *operands: Lanes) -> Lanes:
        """The operation on ``[lanes]`` arrays."""
        raise NotImplementedError

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources in operand order."""
        return tuple(Source.unpack(getattr(self, n)) for n in "abc"[: self.arity])

    def source_dtype(self, index: int) -> DType:
        """The type of source ``index``."""
        return DType(self.dtype)

    @property
    def result_dtype(self) -> DType:
        """The type of the result."""
        return DType(self.dtype)

    def fetch(self, port: Port, index: int) -> Lanes:
        """Source ``index`` as typed lanes."""
        source, dtype = self.sources[index], self.source_dtype(index)
        if source.kind is SourceKind.IMMEDIATE:
            raw = np.array([self.imm], "<u4").view(np.uint8)[: dtype.planes]
            return np.repeat(raw.view(dtype.numpy), port.machine.lanes)
        read = port.stream if source.kind is SourceKind.STREAM else port.alu
        return from_planes(read(source.index, dtype.planes, source.delay), dtype)

    def execute(self, port: Port) -> None:
        with np.errstate(all="ignore"):
            result = self.compute(*(self.fetch(port, i) for i in range(self.arity)))
        data = to_planes(np.ascontiguousarray(result, dtype=self.result_dtype.numpy))
        port.produce(data)
        if self.east:
            port.put(self.east - 1, data)
        if self.west:
            port.put(port.machine.streams + self.west - 1, data)


@dataclass(frozen=True)
class Unary(VxmInstruction):
    """One source."""

    arity = 1
    dtype: int = operand(Kind.DTYPE, 4)
    a: int = operand(Kind.SOURCE, 14)
    imm: int = operand(Kind.BITS32, 32, default=0)
    east: int = operand(Kind.STREAM_OR_NONE, 6, direction="E", default=0)
    west: int = operand(Kind.STREAM_OR_NONE, 6, direction="W", default=0)


@dataclass(frozen=True)
class Binary(VxmInstruction):
    """Two sources of one type."""

    arity = 2
    dtype: int = operand(Kind.DTYPE, 4)
    a: int = operand(Kind.SOURCE, 14)
    b: int = operand(Kind.SOURCE, 14)
    imm: int = operand(Kind.BITS32, 32, default=0)
    east: int = operand(Kind.STREAM_OR_NONE, 6, direction="E", default=0)
    west: int = operand(Kind.STREAM_OR_NONE, 6, direction="W", default=0)


@dataclass(frozen=True)
class Saturable(Binary):
    """Integer results wrap, or saturate if asked; floats ignore the flag."""

    saturate: int = operand(Kind.FLAG, 1, default=0)

    def exact(self, a: Lanes, b: Lanes) -> Lanes:
        """The operation, in the width of its operands."""
        raise NotImplementedError

    def compute(self, *operands: Lanes) -> Lanes:
        a, b = operands
        dtype = DType(self.dtype)
        if dtype.is_float:
            return canonical(self.exact(a, b))
        wide = self.exact(a.astype(np.int64), b.astype(np.int64))
        return clamped(wide, dtype) if self.saturate else wide.astype(dtype.numpy)


@instruction("add", 0x30, "VXM", "vxm_alu")
class Add(Saturable):
    """``a + b``."""

    def exact(self, a: Lanes, b: Lanes) -> Lanes:
        return a + b


@instruction("sub", 0x31, "VXM", "vxm_alu")
class Sub(Saturable):
    """``a - b``."""

    def exact(self, a: Lanes, b: Lanes) -> Lanes:
        return a - b


@instruction("mul", 0x32, "VXM", "vxm_alu")
class Mul(Saturable):
    """``a * b``."""

    def exact(self, a: Lanes, b: Lanes) -> Lanes:
        return a * b


@instruction("max", 0x33, "VXM", "vxm_alu", large=True)
class Max(Binary):
    """``a if a >= b else b``; NaN if either is NaN."""

    def compute(self, *operands: Lanes) -> Lanes:
        a, b = operands
        return canonical(np.where((a >= b) | (a != a), a, b))


@instruction("min", 0x34, "VXM", "vxm_alu", large=True)
class Min(Binary):
    """``a if a <= b else b``; NaN if either is NaN."""

    def compute(self, *operands: Lanes) -> Lanes:
        a, b = operands
        return canonical(np.where((a <= b) | (a != a), a, b))


@instruction("mov", 0x40, "VXM", "vxm_alu")
class Mov(Unary):
    """``a``, bit for bit, whatever type it was: the result has the type that is named here."""

    def compute(self, *operands: Lanes) -> Lanes:
        return operands[0]


@instruction("neg", 0x41, "VXM", "vxm_alu")
class Neg(Unary):
    """``-a``; the smallest integer wraps to itself."""

    def compute(self, *operands: Lanes) -> Lanes:
        return canonical(-operands[0])


@instruction("abs", 0x42, "VXM", "vxm_alu")
class Abs(Unary):
    """``|a|``; the smallest integer wraps to itself."""

    def compute(self, *operands: Lanes) -> Lanes:
        return canonical(np.abs(operands[0]))


@instruction("relu", 0x43, "VXM", "vxm_alu")
class Relu(Unary):
    """``a if a > 0 else +0``; NaN stays NaN."""

    def compute(self, *operands: Lanes) -> Lanes:
        a = operands[0]
        return canonical(np.where((a > 0) | (a != a), a, np.zeros((), a.dtype)))


@instruction(
    "exp",
    0x44,
    "VXM",
    "vxm_alu",
    large=True,
    types=FLOATS,
    max_ulp={DType.F16: 0.51, DType.F32: 1.00},
)
class Exp(Unary):
    """``e**a`` by ``isa.ops.transcendental.exp``; fp16 by way of fp32, rounded once."""

    def compute(self, *operands: Lanes) -> Lanes:
        a = operands[0]
        return canonical(transcendental.exp(a.astype(np.float32)).astype(a.dtype))


@instruction(
    "rsqrt",
    0x45,
    "VXM",
    "vxm_alu",
    large=True,
    types=FLOATS,
    max_ulp={DType.F16: 0.50, DType.F32: 1.50},
)
class Rsqrt(Unary):
    """``1 / sqrt(a)`` by ``isa.ops.transcendental.rsqrt``; fp16 by way of fp32, rounded once."""

    def compute(self, *operands: Lanes) -> Lanes:
        a = operands[0]
        return canonical(transcendental.rsqrt(a.astype(np.float32)).astype(a.dtype))


@instruction(
    "tanh",
    0x46,
    "VXM",
    "vxm_alu",
    large=True,
    types=FLOATS,
    max_ulp={DType.F16: 0.50, DType.F32: 1.34},
)
class Tanh(Unary):
    """``tanh a`` by ``isa.ops.transcendental.tanh``; fp16 by way of fp32, rounded once."""

    def compute(self, *operands: Lanes) -> Lanes:
        a = operands[0]
        return canonical(transcendental.tanh(a.astype(np.float32)).astype(a.dtype))


@instruction("cvt", 0x47, "VXM", "vxm_alu", large=True)
class Convert(Unary):
    """``a`` of type ``dtype`` as type ``to``.

    Float to float and integer to float round to nearest even. Float to integer truncates toward zero; NaN gives 0; out of
    range saturates if ``saturate``, else takes the low bits of the value saturated to int32. Integer to integer saturates
    or takes the low bits.
    """

    to: int = operand(Kind.DTYPE, 4, default=int(DType.F32))
    saturate: int = operand(Kind.FLAG, 1, default=1)

    @property
    def result_dtype(self) -> DType:
        return DType(self.to)

    def compute(self, *operands: Lanes) -> Lanes:
        a, to = operands[0], DType(self.to)
        if to.is_float:
            return canonical(a.astype(to.numpy))
        if DType(self.dtype).is_float:
            exact = np.trunc(
                np.nan_to_num(a.astype(np.float64), nan=0.0, posinf=2.0**31, neginf=-(2.0**31))
            )
            a = np.clip(exact, -(2.0**31), 2.0**31 - 1).astype(np.int64)
        return clamped(a, to) if self.saturate else a.astype(to.numpy)
