"""One attention head: out = softmax(q k^T / sqrt(d)) v, fp16 in, fp32 out.

The scores are computed transposed, a key a row: q is installed and the rows of k stream through it, so that the softmax
over keys runs down the rows. The probabilities and v are then transposed exactly, so that keys are lanes, which is what
a matrix unit contracts over: v^T is installed and the probabilities stream through it. While the scores are made in the
east, v is transposed in the west.
"""

from __future__ import annotations

import math

from examples.kernels.parts import (
    F16,
    F32,
    scratch,
    softmax_down,
    transpose,
    units,
    window,
)
from isa.assembly.expressions import Stream
from isa.assembly.tensors import Tensor
from isa.builder import Alu, E, Issued, KernelBuilder, Plane, Reach, Slice, W
from isa.program import Program

EAST = Plane("E", 0)


def product(k: KernelBuilder, a: Tensor, b: Tensor, start: int, out: Stream) -> Issued:
    """``a b^T`` for fp16 tensors of one chunk, in the east, a row every ``Issued.interval`` cycles on ``out``."""
    weights = k.load(b, E(4), Reach("MXM_E", k.earliest(b, "MXM_E", start)))
    loaded = k.lw(F16, weights, 1, 0, 0, on=EAST, x=b.rows, step=1)
    installed = k.iw(F16, 0, b.rows, on=EAST, at=loaded.done)
    rows = window(k, a.cols)
    each = -(-rows // k.machine["mxm.fp16_k"])
    when = max(installed.done, k.earliest(a, "MXM_E", start))
    row = k.load(a, E(0), Reach("MXM_E", when), every=each)
    k.abc(F16, row, 0, rows, on=EAST, x=a.rows, every=each)
    return k.acc(F16, 0, out, on=EAST, start=True, emit=True, x=a.rows, every=each)


def build(s: int = 128, d: int = 64, chip: str = "tsp1") -> Program:
    """Inputs q, k, v ``[s, d]`` float16, output out ``[s, d]`` float32; ``s`` and ``d`` are at most the chip's lanes."""
    b = KernelBuilder(chip)
    q = b.input("q", F16, s, d, Slice("E", 0))
    keys = b.input("k", F16, s, d, Slice("E", 2))
    v = b.input("v", F16, s, d, Slice("W", 24))
    out = b.output("out", F32, s, d, Slice("E", 20))
    scores = b.tensor("scores", F32, s, s, Slice("E", 4))
    shares = b.tensor("shares", F16, s, s, Slice("W", 12))
    rows = b.tensor("rows", F16, s, s, Slice("E", 10))
    v_turned = b.tensor("v_turned", F16, d, s, Slice("E", 12))
    unit = units(b, max(s, d), 16)
    room = scratch(b, s, s, 0)

    v_ready = transpose(b, v, v_turned, unit, 0, (Plane("W", 0), Plane("W", 1)))
    raw = product(b, keys, q, 0, W(0))
    scaled = b.mul(F32, raw, 1 / math.sqrt(d), on=Alu(8), x=s, every=raw.interval, east=E(4))
    have = b.store(scores, scaled).done
    have = softmax_down(b, scores, shares, room, have)
    have = transpose(b, shares, rows, unit, have)
    b.store(out, product(b, rows, v_turned, max(have, v_ready), W(0)))
    return b.program()
