"""The softmax of an attention, keys along rows: exponentials now, the quotient once they have met the values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.tiles import Array, Buffer, Operand, Rows, Step
from compiler.tiling.context import Context
from compiler.tiling.expr import Expr, Leaf, Value, apply, imm
from compiler.tiling.heads import Plan, Unit
from isa.instruction import DType


@dataclass(frozen=True)
class Softmax:
    """``powers``: exp(x - max x), ``[keys, len(heads) * queries]``, a buffer a part. ``inverse``: a row a place, 1 / their sum."""

    powers: list[Buffer]
    inverse: list[Buffer]


def softmax(
    ctx: Context, name: str, plan: Plan, s: Buffer, bias: Value | None, unit: Unit
) -> Softmax:
    """Of the scores ``s`` times the scale plus ``bias``, over rows; the sums are those of the fp32 exponentials.

    A query whose keys are all masked has NaN everywhere, and so has its sum: the quotient makes that zero if it must be.
    """
    keys, wide = plan.keys, s.columns
    most = ctx.buffer(f"{name}.m", DType.F32, (1,), wide)
    x: Expr = apply("mul", ctx.leaf(s).expr, imm(plan.scale))
    if bias is not None:
        x = apply("add", x, bias.expr)
    ctx.reduce("max", x, (0, keys), 0, Rows(most, 0, 0, 1))
    e = apply("exp", apply("sub", x, Leaf(most, np.zeros(keys, np.int64))))
    powers = [
        ctx.buffer(f"{name}.t{i}", DType.F16, (keys,), wide, both=True) for i in range(ctx.parts)
    ]
    also = list(zip(ctx.split(e), powers, strict=True))
    starts = powers[0].starts
    inverse = ctx.buffer(f"{name}.r", DType.F32, (1,), wide)
    if len(starts) == 1:
        ctx.reduce("add", e, (0, keys), 0, Rows(inverse, 0, 0, 1), _reciprocal, also)
        return Softmax(powers, _by_place(ctx, name, inverse, unit))
    sums = ctx.buffer(f"{name}.l", DType.F32, (len(starts),), wide, starts=(0,))
    for i, start in enumerate(starts):
        span = (start, powers[0].block(start)[1])
        ctx.reduce("add", e, span, 0, Rows(sums, 0, i, 1), also=also)
    total = (0, len(starts))
    ctx.reduce("add", ctx.leaf(sums).expr, total, 0, Rows(inverse, 0, 0, 1), _reciprocal)
    return Softmax(powers, _by_place(ctx, name, inverse, unit))


def _reciprocal(total: Operand) -> tuple[Step, ...]:
    """1 / total for a total of at least 1."""
    root = Step("rsqrt", DType.F32, (total,))
    return root, Step("mul", DType.F32, (Operand("step", 0), Operand("step", 0)))


def _by_place(ctx: Context, name: str, inverse: Buffer, unit: Unit) -> list[Buffer]:
    """``inverse`` with zeros outside the lanes of a place, for each of them: nothing of another head goes along."""
    if len(unit.heads) == 1:
        return [inverse]
    each = inverse.columns // len(unit.heads)
    found = [
        ctx.buffer(f"{name}.r.{place}", DType.F32, (1,), inverse.columns)
        for place in range(len(unit.heads))
    ]
    whole = ctx.leaf(inverse).expr
    zero = np.zeros(1, np.int64)
    masked: list[tuple[Expr, Buffer]] = [
        (apply("and", whole, Leaf(_lanes(ctx, place, each, inverse.columns), zero)), row)
        for place, row in enumerate(found)
    ]
    ctx.write((1,), masked)
    return found


def _lanes(ctx: Context, place: int, queries: int, columns: int) -> Buffer:
    """All bits set in the lanes of one place's queries."""

    def data() -> Array:
        lane = np.arange(columns) // queries
        return np.where(lane == place, -1, 0).astype(np.int32)[None].view(np.float32)

    return ctx.constant(f"place{columns}.{queries}.{place}", (1, columns), DType.F32, data)
