"""Softmax over the lanes of fp32 rows, by transposes.

The machine reduces over time, not over lanes. So the rows are transposed exactly (four byte planes through the four
planes of the matrix units at once), the softmax runs down the rows, each lane a row of the input, and its result is
transposed back.
"""

from __future__ import annotations

from examples.kernels.parts import F32, scratch, softmax_down, transpose, units
from isa.builder import KernelBuilder, Slice
from isa.program import Program


def build(n: int = 128, cols: int = 320, chip: str = "tsp1") -> Program:
    """Input x, output y, both ``[n, cols]`` float32; ``n`` and ``cols`` are at most the chip's lanes."""
    k = KernelBuilder(chip)
    x = k.input("x", F32, n, cols, Slice("E", 0))
    y = k.output("y", F32, n, cols, Slice("W", 24))
    turned = k.tensor("turned", F32, cols, n, Slice("E", 4))
    shares = k.tensor("shares", F32, cols, n, Slice("W", 12))
    unit = units(k, max(n, cols), 16)
    room = scratch(k, cols, n, 0)

    have = transpose(k, x, turned, unit, 0)
    have = softmax_down(k, turned, shares, room, have)
    transpose(k, shares, y, unit, have)
    return k.program()
