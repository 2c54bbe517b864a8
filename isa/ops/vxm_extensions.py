"""VXM operations outside the published table: bits, comparisons, selection. A chip has them if its file says so."""

from __future__ import annotations

import numpy as np

from isa.instruction import DType, Kind, instruction, operand
from isa.ops.vxm import Binary, Lanes

INTEGERS = (DType.I8, DType.I16, DType.I32)


class Logic(Binary):
    """Bitwise, on the integer types; also on the bits of floats."""

    def bits(self, a: Lanes, b: Lanes) -> Lanes:
        """The operation on unsigned integers."""
        raise NotImplementedError

    def compute(self, *operands: Lanes) -> Lanes:
        a, b = (x.view(f"<u{x.itemsize}") for x in operands)
        result: Lanes = self.bits(a, b).view(DType(self.dtype).numpy)
        return result


@instruction("and", 0x50, "VXM", "vxm_alu", extension="vxm.logic")
class And(Logic):
    """``a & b``."""

    def bits(self, a: Lanes, b: Lanes) -> Lanes:
        return a & b


@instruction("or", 0x51, "VXM", "vxm_alu", extension="vxm.logic")
class Or(Logic):
    """``a | b``."""

    def bits(self, a: Lanes, b: Lanes) -> Lanes:
        return a | b


@instruction("xor", 0x52, "VXM", "vxm_alu", extension="vxm.logic")
class Xor(Logic):
    """``a ^ b``."""

    def bits(self, a: Lanes, b: Lanes) -> Lanes:
        return a ^ b


@instruction("shl", 0x53, "VXM", "vxm_alu", extension="vxm.logic", types=INTEGERS)
class ShiftLeft(Logic):
    """``a << (b mod width)``."""

    def bits(self, a: Lanes, b: Lanes) -> Lanes:
        result: Lanes = a << (b & a.dtype.type(8 * a.itemsize - 1))
        return result


@instruction("shr", 0x54, "VXM", "vxm_alu", extension="vxm.logic", types=INTEGERS)
class ShiftRight(Binary):
    """``a >> (b mod width)``, keeping the sign."""

    def compute(self, *operands: Lanes) -> Lanes:
        a, b = operands
        result: Lanes = a >> (b & a.dtype.type(8 * a.itemsize - 1))
        return result


class Compare(Binary):
    """Result int8: 1 where it holds, else 0; comparisons with NaN do not hold."""

    @property
    def result_dtype(self) -> DType:
        return DType.I8


@instruction("eq", 0x58, "VXM", "vxm_alu", extension="vxm.compare")
class Equal(Compare):
    """``a == b``."""

    def compute(self, *operands: Lanes) -> Lanes:
        return np.equal(*operands).astype(np.int8)


@instruction("lt", 0x59, "VXM", "vxm_alu", extension="vxm.compare")
class Less(Compare):
    """``a < b``."""

    def compute(self, *operands: Lanes) -> Lanes:
        return np.less(*operands).astype(np.int8)


@instruction("le", 0x5A, "VXM", "vxm_alu", extension="vxm.compare")
class LessEqual(Compare):
    """``a <= b``."""

    def compute(self, *operands: Lanes) -> Lanes:
        return np.less_equal(*operands).astype(np.int8)


@instruction("select", 0x5B, "VXM", "vxm_alu", extension="vxm.compare")
class Select(Binary):
    """``a if c else b``, bit for bit; ``c`` is int8, any non-zero value holds."""

    arity = 3
    c: int = operand(Kind.SOURCE, 14, default=0)

    def source_dtype(self, index: int) -> DType:
        return DType.I8 if index == 2 else DType(self.dtype)

    def compute(self, *operands: Lanes) -> Lanes:
        a, b, c = operands
        return np.where(c != 0, a, b)
