"""The tanh form of GELU over rows of fp32: ``gelu.asm`` said in Python; both give the same program."""

from __future__ import annotations

import math

from isa.builder import Alu, KernelBuilder, Reach, Slice, W
from isa.instruction import DType
from isa.program import Program

F32 = DType.F32
C = math.sqrt(2 / math.pi)
D = 0.044715 * C


def build(n: int = 128, cols: int = 320, chip: str = "tsp1") -> Program:
    """``n`` rows of ``cols`` lanes: input x, output y, both ``[n, cols]`` float32."""
    k = KernelBuilder(chip)
    x = k.input("x", F32, n, cols, Slice("E", 0))
    y = k.output("y", F32, n, cols, Slice("W", 0))

    row = k.load(x, W(0), Reach("VXM", k.earliest(x, "VXM")))
    square = k.mul(F32, row, row, on=Alu(8), x=n)
    inner = k.add(F32, k.mul(F32, square, D, on=Alu(9), x=n), C, on=Alu(10), x=n)
    u = k.mul(F32, inner, row, on=Alu(11), x=n)
    one_more = k.add(F32, k.tanh(F32, u, on=Alu(0), x=n), 1, on=Alu(12), x=n)
    half = k.mul(F32, row, 0.5, on=Alu(13), x=n)
    k.store(y, k.mul(F32, one_more, half, on=Alu(14), x=n, west=W(4)))
    return k.program()
