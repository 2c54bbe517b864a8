"""z = a * x + y over rows of fp32: ``saxpy.asm`` said in Python; both give the same program."""

from __future__ import annotations

from isa.builder import Alu, E, KernelBuilder, Reach, Slice, W
from isa.instruction import DType
from isa.program import Program

F32 = DType.F32


def build(n: int = 128, cols: int = 320, a: float = 2.5, chip: str = "tsp1") -> Program:
    """``n`` rows of ``cols`` lanes: inputs x and y, output z, all ``[n, cols]`` float32."""
    k = KernelBuilder(chip)
    x = k.input("x", F32, n, cols, Slice("E", 0))
    y = k.input("y", F32, n, cols, Slice("W", 0))
    z = k.output("z", F32, n, cols, Slice("E", 4))

    t = k.earliest(x, "VXM")
    product = k.mul(F32, k.load(x, W(0), Reach("VXM", t)), a, on=Alu(0), x=n)
    addend = k.load(y, E(0), Reach("VXM", product.ready))
    total = k.add(F32, product, addend, on=Alu(8), x=n, east=E(4))
    k.store(z, total)
    return k.program()
