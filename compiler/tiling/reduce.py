"""Reductions: over lanes by a matrix of ones (the sum arrives in every lane), over rows by a running VXM chain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from compiler.graph import Node
from compiler.graph.rules import ints, number
from compiler.tiles import (
    Array,
    Buffer,
    MatrixJob,
    Operand,
    Output,
    Pass,
    Rows,
    VectorOp,
    Weights,
    WeightTile,
)
from compiler.tiling.context import Context, row_dims
from compiler.tiling.expr import Chain, Expr, Leaf, Value, apply, convert, imm, runs, shifted
from compiler.tiling.linear import halved
from compiler.tiling.values import aligned, value, written
from isa.instruction import DType


def ones_tile(ctx: Context) -> Weights:
    """A full plane of ones: every output lane is the sum over the window."""
    if "ones" not in ctx.weights:
        lanes = ctx.lanes
        tile = WeightTile("ones", lanes, lambda: np.ones((lanes, lanes), np.float16))
        ctx.weights["ones"] = Weights(0, lanes, tile)
    return ctx.weights["ones"]


def lane_mask(ctx: Context, columns: int) -> Leaf:
    """A row of ``columns`` values with all bits set; the padding lanes of its last vector are zero."""

    def data() -> Array:
        return np.full((1, columns), -1, np.int32).view(np.float32)

    buffer = ctx.constant(f"mask{columns}", (1, columns), DType.F32, data)
    return Leaf(buffer, np.zeros(1, np.int64))


def _parts(ctx: Context, name: str, dims: tuple[int, ...], columns: int) -> list[Buffer]:
    """Buffers for the hi and lo fp16 parts of a folded row."""
    width = min(columns, ctx.lanes)
    return [ctx.buffer(f"{name}.f{i}", DType.F16, dims, width, both=True) for i in range(2)]


def _split(chain: Chain, total: Operand, parts: list[Buffer]) -> list[Output]:
    """Outputs that store ``total`` as hi and lo fp16 parts: an fp32 row sum's operands."""
    hi = chain.add("cvt", DType.F32, total, to=DType.F16)
    back = chain.add("cvt", DType.F16, hi, to=DType.F32)
    lo = chain.add("cvt", DType.F32, chain.add("sub", DType.F32, total, back), to=DType.F16)
    rows = [Rows(b, 0, chain.row, chain.count) for b in parts]
    return [Output(s, r) for s, r in zip((hi, lo), rows, strict=True)]


Term = tuple[int, Expr]
"""A chunk, and what of it is added up."""


def _sum(chain: Chain, terms: Sequence[Term]) -> Operand:
    """The sum of some terms."""
    chain.chunk, expr = terms[0]
    total = chain.operand(expr)
    for chain.chunk, expr in terms[1:]:
        total = chain.add("add", DType.F32, total, chain.operand(expr))
    return total


def _fold_parts(
    ctx: Context, name: str, dims: tuple[int, ...], columns: int, terms: Sequence[Term]
) -> list[Buffer]:
    """Add up terms and store the sum as hi and lo fp16 parts."""
    parts = _parts(ctx, name, dims, columns)
    for start, count in ctx.runs_of([(e, parts[0]) for _, e in terms]):
        chain = Chain(0, start, count)
        total = _sum(chain, terms)
        outputs = _split(chain, total, parts)
        ctx.emit(VectorOp(ctx.node, count, tuple(chain.inputs), tuple(chain.steps), tuple(outputs)))
    return parts


def _stored_parts(
    ctx: Context, name: str, dims: tuple[int, ...], source: Value, x: Buffer, square: bool = False
) -> list[Buffer]:
    """Write ``source`` to ``x`` chunk by chunk; the last chunk's op also folds the row, or its squares: one trip through memory less."""
    parts, last = _parts(ctx, name, dims, x.columns), x.chunks(ctx.lanes) - 1
    ctx.write(dims, [(source.expr, x)], chunks=range(last))
    stored = ctx.leaf(x).expr
    for start, count in ctx.runs_of([(source.expr, x)]):
        chain = Chain(last, start, count)

        def term(value: Operand, chain: Chain = chain) -> Operand:
            return chain.add("mul", DType.F32, value, value) if square else value

        written_last = chain.result(source.expr)
        inside = written_last
        if x.columns % ctx.lanes:
            mask = Leaf(lane_mask(ctx, x.columns).buffer, np.zeros(source.rows, np.int64))
            inside = chain.add("and", DType.F32, inside, chain.operand(mask))
        total = term(inside)
        for chunk in range(last):
            chain.chunk = chunk
            total = chain.add("add", DType.F32, total, term(chain.operand(stored)))
        outputs = [Output(written_last, Rows(x, last, start, count)), *_split(chain, total, parts)]
        ctx.emit(VectorOp(ctx.node, count, tuple(chain.inputs), tuple(chain.steps), tuple(outputs)))
    return parts


def sum_parts(ctx: Context, name: str, dims: tuple[int, ...], parts: Sequence[Buffer]) -> Buffer:
    """Row sums of hi + lo parts, uniform f32, in both hemispheres: several chunks read them at once."""
    total = ctx.buffer(f"{name}.sum", DType.F32, dims, 1, both=True)
    total.vector = True
    weights, window = ones_tile(ctx), ctx.window(parts[0].columns)
    for start in total.starts:
        for row, count in halved(start, total.block(start)[1]):
            passes = tuple(
                Pass(weights, Rows(p, 0, row, count), 0, window, 0, i == 0,
                     Rows(total, 0, row, count) if i == 1 else None)
                for i, p in enumerate(parts)
            )  # fmt: skip
            ctx.matrix_job(MatrixJob(ctx.node, DType.F16, passes))
    return total


def masked(ctx: Context, expr: Expr, chunk: int, columns: int, rows: int) -> Expr:
    """``expr`` with the lanes beyond the last column zero, whatever they held."""
    if columns % ctx.lanes == 0 or (chunk + 1) * ctx.lanes < columns:
        return expr
    mask = lane_mask(ctx, columns)
    return apply("and", expr, Leaf(mask.buffer, np.zeros(rows, np.int64)))


def layer_norm(ctx: Context, node: Node) -> Value:
    """Two-pass: mean from the row sum, variance from the squares of x - mean."""
    source, mean = value(ctx, node.inputs[0], "N"), f"{node.output}.mean"
    dims = row_dims(ctx.shape(node.output), "N")
    if isinstance(source.expr, Leaf):
        parts = _folded(ctx, mean, dims, source)
    else:
        held = ctx.buffer(f"{node.output}.x", DType.F32, dims, source.columns)
        parts = _stored_parts(ctx, mean, dims, source, held)
        source = ctx.leaf(held)
    total = ctx.leaf(sum_parts(ctx, mean, dims, parts))
    scaled = apply("mul", total.expr, imm(1.0 / source.columns))
    centred = Value(apply("sub", source.expr, scaled), source.rows, source.columns)
    squares = _folded(ctx, f"{node.output}.var", dims, centred, square=True)
    return _normalized(ctx, node, centred, squares)


def rms_norm(ctx: Context, node: Node) -> Value:
    """One pass: the squares are folded while what they are of is written."""
    x, name = value(ctx, node.inputs[0], "N"), f"{node.output}.var"
    dims = row_dims(ctx.shape(node.output), "N")
    if isinstance(x.expr, Leaf):
        return _normalized(ctx, node, x, _folded(ctx, name, dims, x, square=True))
    held = ctx.buffer(f"{node.output}.x", DType.F32, dims, x.columns)
    squares = _stored_parts(ctx, name, dims, x, held, square=True)
    return _normalized(ctx, node, ctx.leaf(held), squares)


def _folded(
    ctx: Context, name: str, dims: tuple[int, ...], source: Value, square: bool = False
) -> list[Buffer]:
    """The parts of the row sums of a value, or of its squares."""
    each = _chunks(ctx, source)
    if square:
        each = [(chunk, apply("mul", inside, inside)) for chunk, inside in each]
    return _fold_parts(ctx, name, dims, source.columns, each)


def _chunks(ctx: Context, source: Value) -> list[Term]:
    """Every chunk of a value, its padding lanes zero."""
    count = -(-source.columns // ctx.lanes)
    return [(c, masked(ctx, source.expr, c, source.columns, source.rows)) for c in range(count)]


def _half(ctx: Context, source: Value) -> int:
    """The lanes that the MXM takes in one cycle, if a stored row is folded onto them: its last chunk must lie there; else 0."""
    k, lanes, columns = ctx.machine["mxm.fp16_k"], ctx.lanes, source.columns
    stored = isinstance(source.expr, Leaf) and not source.expr.buffer.preloaded
    fits = columns > lanes and 0 < columns % lanes <= k and lanes <= 2 * k
    return k if stored and fits and ctx.machine["sxm.queues"] >= DType.F32.planes else 0


def _halved(
    ctx: Context, name: str, dims: tuple[int, ...], source: Value, half: int
) -> list[Buffer]:
    """`_folded` onto ``half`` lanes: what lies above in full chunks comes down by way of the SXM.

    That takes longer, and half as many cycles of the MXM: for sums that nothing waits for. It is an op of its own, since one
    that read a slice at two times would seldom find it free at both.
    """
    each = _chunks(ctx, source)
    above = [(chunk, shifted(expr, -half)) for chunk, expr in each[:-1]]
    upper = ctx.buffer(f"{name}.upper", DType.F32, dims, half)
    for start, count in ctx.runs_of([(e, upper) for _, e in above]):
        chain = Chain(0, start, count)
        total = _sum(chain, above)
        if total.kind == "in":
            total = chain.add("mov", DType.F32, total)
        output = Output(total, Rows(upper, 0, start, count))
        ctx.emit(VectorOp(ctx.node, count, tuple(chain.inputs), tuple(chain.steps), (output,)))
    return _fold_parts(ctx, name, dims, half, [(0, ctx.leaf(upper).expr), *each])


def _normalized(ctx: Context, node: Node, centred: Value, squares: Sequence[Buffer]) -> Value:
    """``centred * rsqrt(sum of squares / columns + epsilon) * gamma + beta``."""
    dims, columns, rows = row_dims(ctx.shape(node.output), "N"), centred.columns, centred.rows
    spread = ctx.leaf(sum_parts(ctx, f"{node.output}.var", dims, squares))
    epsilon = imm(number(node.attrs, "epsilon"))
    factor = apply("rsqrt", apply("add", apply("mul", spread.expr, imm(1.0 / columns)), epsilon))
    gamma, beta = (value(ctx, name, "N").at(np.zeros(rows, np.int64)) for name in node.inputs[1:])
    scaled = apply("mul", apply("mul", centred.expr, factor), gamma.expr)
    result = apply("add", scaled, beta.expr)
    return written(ctx, node.output, Value(result, rows, columns), dims, "N")


def reduction(ctx: Context, node: Node) -> Value:
    """ReduceSum, ReduceMean, ReduceMax over the last axis or over others."""
    shape = ctx.shape(node.inputs[0])
    axes = ints(node.attrs, "axes")
    if axes == (len(shape) - 1,):
        return _over_lanes(ctx, node, shape)
    if len(shape) - 1 in axes:
        raise ctx.unsupported(node, "it reduces the last axis together with others")
    return _over_rows(ctx, node, shape, axes)


def _over_lanes(ctx: Context, node: Node, shape: tuple[int, ...]) -> Value:
    if node.op == "ReduceMax" or ctx.dtype(node.inputs[0]) is not DType.F32:
        raise ctx.unsupported(node, "over the last axis only f32 sums and means are mapped")
    dims, columns = row_dims(shape, "N"), shape[-1]
    found = aligned(ctx, node.inputs[0], shape, "N")
    half = _half(ctx, found)
    parts = (
        _halved(ctx, node.output, dims, found, half)
        if half
        else _folded(ctx, node.output, dims, found)
    )
    total = ctx.leaf(sum_parts(ctx, node.output, dims, parts))
    if node.op == "ReduceSum":
        return total
    mean = Value(apply("mul", total.expr, imm(1.0 / columns)), total.rows, 1)
    once = ctx.uses[node.output] == 1 and node.output not in ctx.named
    return mean if once else written(ctx, node.output, mean, dims, "N")


def _over_rows(ctx: Context, node: Node, shape: tuple[int, ...], axes: tuple[int, ...]) -> Value:
    """Reduce each run of rows to a partial, then the partials to one row."""
    found = aligned(ctx, node.inputs[0], shape, "N")
    op = "max" if node.op == "ReduceMax" else "add"
    dims = row_dims(shape, "N")
    kept = [d for a, d in enumerate(dims) if a not in axes]
    order = [a for a in range(len(dims)) if a not in axes] + list(axes)
    index = np.arange(math.prod(dims)).reshape(dims).transpose(order).reshape(math.prod(kept), -1)
    gathered = found.at(index.reshape(-1))
    groups, length = index.shape
    result = ctx.buffer(f"{node.output}.N", found.dtype, (groups,), shape[-1], starts=(0,))
    for group in range(groups):
        span = (group * length, (group + 1) * length)
        cuts = runs([gathered.expr], *span)
        partial = ctx.buffer(
            f"{node.output}.p{group}", found.dtype, (len(cuts),), shape[-1], starts=(0,)
        )
        for chunk in range(result.chunks(ctx.lanes)):
            goal = Rows(result, chunk, group, 1)
            for i, cut in enumerate(cuts):
                out = goal if len(cuts) == 1 else Rows(partial, chunk, i, 1)
                ctx.reduce(op, gathered.expr, cut, chunk, out)
            if len(cuts) > 1:
                ctx.reduce(op, ctx.leaf(partial).expr, (0, len(cuts)), chunk, goal)
    total = ctx.leaf(result)
    if node.op == "ReduceMean":
        scaled = apply("mul", convert(total.expr, DType.F32), imm(1.0 / length))
        return written(ctx, node.output, Value(scaled, groups, shape[-1]), (groups,), "N")
    return total
