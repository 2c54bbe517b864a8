"""LayerNorm over the lanes of fp32 rows: y = (x - mean) / sqrt(var + eps) * gamma + beta.

One pipeline, a row every few cycles, no transposes: a matrix unit that has ones installed in every column sums over lanes
and gives the sum back in every lane. The east sums x, the west the squares. A matrix unit takes fp16, so a value goes
through as two parts, high and low, which together carry 22 bits; their sums meet in one accumulator row.

All ALUs are used every ``interval`` cycles by several operations, each in its own cycle of the interval: see ``Slots``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from examples.kernels.parts import F16, F32, INWARD, Slots, matrix_unit, ready, window
from isa.assembly.expressions import Stream
from isa.builder import Alu, Issued, KernelBuilder, Plane, Reach, Slice
from isa.machine import Hemisphere
from isa.program import Program

GROUPS = 8


class Pipeline:
    """A kernel whose every dispatch repeats once a row."""

    def __init__(self, k: KernelBuilder, n: int, cols: int) -> None:
        self.k, self.n, self.cols = k, n, cols
        self.rows = window(k, cols)
        self.cost = -(-self.rows // k.machine["mxm.fp16_k"])
        self.interval = 2 * self.cost
        self.slots = Slots(self.interval)

    def do(self, operation: Callable[..., Issued], alu: int, *operands: Any, **more: Any) -> Issued:
        """A vector operation on fp32 (or what ``more['dtype']`` says), as soon as its operands and its ALU are there."""
        dtype = more.pop("dtype", F32)
        values = [v for v in operands if isinstance(v, Issued)]
        at = self.slots.first(Alu(alu).name, more.pop("after", max(map(ready, values))))
        how: dict[str, Any] = {"on": Alu(alu), "at": at, "x": self.n, "every": self.interval}
        return operation(dtype, *operands, **how, **more)

    def ones(self, side: Hemisphere, at: int) -> int:
        """Install ones in every column of a hemisphere's fp16 pair; returns the cycle from which they are in place."""
        k, lanes = self.k, self.k.machine.lanes
        unit = matrix_unit(side)
        one = np.ones((1, self.cols), np.float16)
        parts = [k.constant(f"ones_{side}{g}", one, Slice(side, at + 2 * g)) for g in range(GROUPS)]
        when = max(k.earliest(p, unit) for p in parts)
        for g, part in enumerate(parts):
            k.load(part, Stream(side, 2 * g), Reach(unit, when), x=lanes // GROUPS, step=0)
        streams, pair = Stream(side, 0), Plane(side, 0)
        loaded = k.lw(F16, streams, GROUPS, 0, 1, on=pair, x=lanes // GROUPS, step=GROUPS)
        return k.iw(F16, 0, lanes, on=pair, at=loaded.done).done

    def sums(self, value: Issued, side: Hemisphere, alus: tuple[int, int, int, int]) -> Issued:
        """``value`` summed over lanes, the sum in every lane, on stream group 8 inward."""
        k, way = self.k, "east" if side == "E" else "west"
        high = self.do(k.cvt, alus[0], value, F16, **{way: Stream(side, 16)})
        back = self.do(k.cvt, alus[1], high, F32, dtype=F16)
        rest = self.do(k.sub, alus[2], value, back)
        # The low part follows in the half of the interval that the high parts leave.
        late = (high.cycle + self.cost - rest.ready) % self.interval
        low = self.do(k.cvt, alus[3], rest, F16, after=rest.ready + late, **{way: Stream(side, 18)})
        assert low.cycle == rest.ready + late
        pair, out = Plane(side, 0), Stream(INWARD[side], 8)
        how: dict[str, Any] = {"on": pair, "x": self.n, "every": self.interval}
        k.abc(F16, high, 0, self.rows, **how)
        k.acc(F16, 0, out, start=True, step=1, **how)
        k.abc(F16, low, 0, self.rows, **how)
        return k.acc(F16, 0, out, emit=True, step=1, **how)


def build(n: int = 128, cols: int = 320, eps: float = 1e-5, chip: str = "tsp1") -> Program:
    """Inputs x ``[n, cols]``, gamma and beta ``[1, cols]``, output y ``[n, cols]``, float32; |x| and its squares below 65504.

    ``n`` is at most ``mxm.acc_rows``, ``cols`` at most the chip's lanes.
    """
    k = KernelBuilder(chip)
    p = Pipeline(k, n, cols)
    x = k.input("x", F32, n, cols, Slice("E", 0))
    gamma = k.input("gamma", F32, 1, cols, Slice("W", 4))
    beta = k.input("beta", F32, 1, cols, Slice("W", 8))
    y = k.output("y", F32, n, cols, Slice("E", 8))
    apart = k.tensor("apart", F32, n, cols, Slice("W", 0))
    every = p.interval

    start = max(p.ones("E", 20), p.ones("W", 20))
    first = p.slots.first("x", max(k.earliest(x, "VXM"), start))
    row = k.load(x, Stream("W", 0), Reach("VXM", first), every=every)
    mean = p.do(k.mul, 9, p.sums(row, "E", (0, 1, 8, 2)), 1 / cols)

    again = k.load(x, Stream("W", 4), Reach("VXM", p.slots.first("x", mean.ready)), every=every)
    far = p.do(k.sub, 10, again, mean, west=Stream("W", 0))
    kept = k.store(apart, far)
    square = p.do(k.mul, 11, far, far)
    variance = p.do(k.mul, 12, p.sums(square, "W", (3, 4, 13, 5)), 1 / cols)
    scale = p.do(k.rsqrt, 6, p.do(k.add, 14, variance, eps))

    # A slice reads one row of `apart` and writes another: in one bank, so never in one cycle of the interval.
    when = max(scale.ready, k.earliest(apart, "VXM", kept.done - (n - 1) * every))
    for burst in kept.bursts:
        way = k.machine.vxm_position - k.machine.queue_positions[burst.queue]
        if (when - k.machine.timing("mem_read") - way - burst.cycle) % every == 0:
            when += 1
    far = k.load(apart, Stream("E", 0), Reach("VXM", when), every=every)
    normal = p.do(k.mul, 15, far, scale)
    for i, (operation, tensor) in enumerate(((k.mul, gamma), (k.add, beta))):
        given = k.load(
            tensor, Stream("E", 4 + 16 * i), Reach("VXM", normal.ready), x=n, step=0, every=every
        )
        more: dict[str, Any] = {"east": Stream("E", 24)} if i else {}
        normal = p.do(operation, 8 + i, normal, given, **more)
    k.store(y, normal)
    return k.program()
