"""`Attention`: scores with keys along rows, so that softmax is point-wise and over rows, then moved to where V wants them.

For each batch item and head: S^T[key, query] = K Q^T with the rows of Q installed and a row window that picks the head's
lanes; softmax over keys runs over rows (a running maximum and a running sum); P^T is moved to P byte by byte through the
int8 planes by streaming one-hot rows (exact, NaN included); V likewise to V^T. O accumulates in place: a head's V^T is
installed in the head's own output columns, the others are disabled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compiler.graph import Node
from compiler.graph.rules import integer, number
from compiler.tiles import Buffer, Load, MatrixJob, Operand, Pass, Rows, Step, Weights
from compiler.tiling.context import Context, row_dims
from compiler.tiling.expr import Expr, Leaf, Value, apply, imm
from compiler.tiling.values import aligned, operand
from isa.instruction import DType


BIAS_COPIES = 2


@dataclass(frozen=True)
class Plan:
    """Sizes of one attention. ``slots`` heads share the lanes of a moved vector, ``pitch`` lanes apart."""

    batch: int
    heads: int
    queries: int
    keys: int
    width: int  # of q and k, a head
    out_width: int  # of v, a head
    scale: float
    slots: int
    pitch: int


@dataclass(frozen=True)
class Span:
    """The chunk of V in each slot, and the groups of heads, one a slot."""

    chunks: tuple[int, ...]
    groups: list[list[int]]


@dataclass(frozen=True)
class HeadOperands:
    """P and V^T parts of a head, and the lane from which its keys lie in both."""

    p: list[Buffer]
    v: list[Buffer]
    lane: int


def blocks_in(buffer: Buffer, start: int, count: int) -> Iterator[tuple[int, int]]:
    """``(row, rows)`` of each block's part of a row range."""
    row = start
    while row < start + count:
        first, rows = buffer.block(row)
        size = min(first + rows, start + count) - row
        yield row, size
        row += size


def attention(ctx: Context, node: Node) -> Value:
    """softmax(q k^T * scale + bias) v, all heads."""
    q, k, v = (operand(ctx, name) for name in node.inputs[:3])
    plan = _plan(ctx, node)
    bias = _bias(ctx, node, plan)
    out = ctx.buffer(
        f"{node.output}.raw", DType.F32, row_dims(ctx.shape(node.output), "N"), v[0].columns
    )
    spans = _spans(ctx, plan)
    for b in range(plan.batch):
        weights = [
            _softmax(ctx, node, plan, s, bias, b, head)
            for head, s in enumerate(_scores(ctx, node, plan, q, k, b))
        ]
        heads: dict[int, HeadOperands] = {}
        for span in spans:
            values = [_transposed_values(ctx, node, plan, part, b, span.chunks) for part in v]
            for group in span.groups:
                name = f"{node.output}.p{b}.{group[0]}"
                moved = [
                    _moved(ctx, f"{name}.{i}", plan, [weights[h][i] for h in group])
                    for i in range(ctx.parts)
                ]
                for slot, head in enumerate(group):
                    heads[head] = HeadOperands(moved, values, slot * plan.pitch)
        per = ctx.lanes // plan.out_width
        for rows in blocks_in(out, b * plan.queries, plan.queries):
            for first in range(0, plan.heads, per):
                chunk = range(first, min(first + per, plan.heads))
                _outputs(ctx, plan, heads, out, b, chunk, rows)
    return ctx.leaf(out)


def _spans(ctx: Context, plan: Plan) -> list[Span]:
    """Chunks of V that are transposed together, and the heads whose P is moved together.

    With two slots, two chunks of equally many heads fill them side by side; a chunk without a partner fills both slots
    itself, so that two of its heads can share a moved vector.
    """
    per = ctx.lanes // plan.out_width
    chunks = [
        list(range(first, min(first + per, plan.heads))) for first in range(0, plan.heads, per)
    ]
    if plan.slots == 1:
        return [Span((c,), [[h] for h in heads]) for c, heads in enumerate(chunks)]
    spans, c = [], 0
    while c < len(chunks):
        heads = chunks[c]
        if c + 1 < len(chunks) and len(chunks[c + 1]) == len(heads):
            pairs = [list(pair) for pair in zip(heads, chunks[c + 1], strict=True)]
            spans.append(Span((c, c + 1), pairs))
            c += 2
        else:
            spans.append(Span((c, c), [heads[i : i + 2] for i in range(0, len(heads), 2)]))
            c += 1
    return spans


def _plan(ctx: Context, node: Node) -> Plan:
    (batch, queries, width), (_, keys, out) = ctx.shape(node.inputs[0]), ctx.shape(node.inputs[2])
    heads = integer(node.attrs, "heads")
    grain, lanes = ctx.machine["mxm.window"], ctx.lanes
    for size in (width // heads, out // heads):
        fits = size * heads <= lanes or lanes % size == 0
        if size % grain or not fits:
            raise ctx.unsupported(
                node, f"heads of {size} do not tile vectors of {lanes} lanes by {grain}"
            )
    if keys > lanes or queries > lanes:
        raise ctx.unsupported(node, f"sequences longer than {lanes} are not tiled yet")
    pitch = ctx.window(keys)
    slots = 2 if keys % grain == 0 and 2 * pitch <= lanes else 1
    scale = number(node.attrs, "scale")
    return Plan(batch, heads, queries, keys, width // heads, out // heads, scale, slots, pitch)


def _bias(ctx: Context, node: Node, plan: Plan) -> list[Value]:
    """The additive bias, one row a (batch, head, key), queries across lanes or uniform.

    Written once a graph, as often as ``BIAS_COPIES`` says: every head reads it, and a slice serves one reader at a time.
    """
    if len(node.inputs) < 4 or not node.inputs[3]:
        return []
    name = node.inputs[3]
    shape = ctx.shape(name)
    if name not in ctx.biases:
        found = aligned(ctx, name, shape, "T")
        starts = tuple(range(0, found.rows, plan.keys))
        copies = [
            ctx.buffer(f"{name}.T{i}", found.dtype, (found.rows,), found.columns, both=True, starts=starts)
            for i in range(BIAS_COPIES)
        ]
        for copy in copies:
            copy.vector = True
            ctx.write((found.rows,), [(found.expr, copy)])
        ctx.biases[name] = [ctx.leaf(copy) for copy in copies]
    rows = np.arange(ctx.biases[name][0].rows).reshape(shape[0], shape[1], shape[3])
    full = np.broadcast_to(rows, (plan.batch, plan.heads, plan.keys)).reshape(-1)
    return [stored.at(full) for stored in ctx.biases[name]]


def _scores(
    ctx: Context, node: Node, plan: Plan, q: tuple[Buffer, ...], k: tuple[Buffer, ...], b: int
) -> list[Buffer]:
    """S^T of each head, ``[keys, queries]`` f32: one job a chunk of heads, the chunk's Q installed once a part."""
    found: list[Buffer] = []
    per = max(1, ctx.lanes // plan.width)
    for first in range(0, plan.heads, per):
        chunk = first * plan.width // ctx.lanes
        installed = [
            Weights(0, plan.queries, loads=tuple(
                Load(Rows(part, chunk, row, count), row - b * plan.queries)
                for row, count in blocks_in(part, b * plan.queries, plan.queries)))
            for part in q
        ]  # fmt: skip
        passes: list[Pass] = []
        for head in range(first, min(first + per, plan.heads)):
            name = f"{node.output}.s{b}.{head}"
            s = ctx.buffer(name, DType.F32, (plan.keys,), plan.queries, starts=(0,))
            lane = head * plan.width % ctx.lanes
            passes += _score_passes(ctx, plan, installed, k, s, b, chunk, lane)
            found.append(s)
        ctx.matrix_job(MatrixJob(ctx.node, DType.F16, tuple(passes)))
    return found


def _score_passes(
    ctx: Context, plan: Plan, q: list[Weights], k: tuple[Buffer, ...], s: Buffer, b: int, chunk: int, lane: int,
) -> Iterator[Pass]:  # fmt: skip
    """Passes of one head, part products innermost within what the accumulators hold."""
    start = b * plan.keys
    groups: list[list[tuple[int, int]]] = [[]]
    held = 0
    for row, count in blocks_in(k[0], start, plan.keys):
        if held + count > ctx.machine["mxm.acc_rows"]:
            groups.append([])
            held = 0
        groups[-1].append((row, count))
        held += count
    order = sorted(ctx.products(), key=lambda p: p[1])
    for group in groups:
        for i, (left, right) in enumerate(order):
            acc = 0
            for row, count in group:
                emit = Rows(s, 0, row - start, count) if i == len(order) - 1 else None
                yield Pass(
                    q[right], Rows(k[left], chunk, row, count), lane, plan.width, acc, i == 0, emit
                )
                acc += count


def _softmax(
    ctx: Context, node: Node, plan: Plan, s: Buffer, bias: list[Value], b: int, head: int
) -> list[Buffer]:
    """P^T fp16 parts of one head: maximum, exponentials with their sum, then the quotient."""
    keys, wide = plan.keys, plan.queries
    name = f"{node.output}.{{}}{b}.{head}"
    zero = np.zeros(keys, np.int64)

    def rows(label: str, dtype: DType = DType.F32) -> Buffer:
        return ctx.buffer(name.format(label), dtype, (keys,), wide, starts=(0,))

    most = ctx.buffer(name.format("m"), DType.F32, (1,), wide)
    total = ctx.buffer(name.format("l"), DType.F32, (1,), wide)
    x: Expr = apply("mul", ctx.leaf(s).expr, imm(plan.scale))
    if bias:
        row = (b * plan.heads + head) * keys
        x = apply("add", x, bias[head % len(bias)].at(np.arange(row, row + keys)).expr)
    logits, powers = rows("x"), rows("e")
    ctx.reduce("max", x, (0, keys), 0, Rows(most, 0, 0, 1), also=[(x, logits)])
    e = apply("exp", apply("sub", ctx.leaf(logits).expr, Leaf(most, zero)))
    out = Rows(total, 0, 0, 1)
    ctx.reduce("add", e, (0, keys), 0, out, _reciprocal_steps, [(e, powers)])
    p: Expr = apply("mul", ctx.leaf(powers).expr, Leaf(total, zero))
    if node.attrs["nan_to_zero"]:
        p = apply("select", p, imm(0.0), apply("eq", p, p))
    parts = [
        ctx.buffer(name.format(f"t{i}_"), DType.F16, (keys,), wide, both=True)
        for i in range(ctx.parts)
    ]
    ctx.write((keys,), list(zip(ctx.split(p), parts, strict=True)))
    return parts


def _reciprocal_steps(total: Operand) -> tuple[Step, ...]:
    """1 / total for a total of at least 1."""
    root = Step("rsqrt", DType.F32, (total,))
    return root, Step("mul", DType.F32, (Operand("step", 0), Operand("step", 0)))


def one_hot(ctx: Context) -> Buffer:
    """The identity, one byte plane: streaming its rows reads an installed matrix out by lanes."""
    n = ctx.lanes
    return ctx.constant("identity", (n, n), DType.I8, lambda: np.eye(n, dtype=np.int8), both=True)


def byte_move(ctx: Context, weights: Weights, lanes: int, out: Buffer) -> None:
    """``out[r] = `` lane ``r`` of every installed vector, for ``r < lanes``: a transpose of bytes."""
    eye, most = one_hot(ctx), ctx.machine["mxm.acc_rows"]
    cuts = [
        (at, min(most, first + size - at))
        for first, size in blocks_in(out, 0, lanes)
        for at in range(first, first + size, most)
    ]
    passes = [
        Pass(weights, Rows(eye, 0, at, size), 0, ctx.window(lanes), 0, True, Rows(out, 0, at, size))
        for at, size in cuts
    ]
    ctx.matrix_job(MatrixJob(ctx.node, DType.I8, tuple(passes)))


def _moved(ctx: Context, name: str, plan: Plan, heads: list[Buffer]) -> Buffer:
    """P of up to ``slots`` heads, ``[queries, lanes]`` fp16: head ``i``'s keys from lane ``i * pitch`` on."""
    loads = tuple(
        Load(Rows(t, 0, row, size), i * plan.pitch + row)
        for i, t in enumerate(heads)
        for row, size in blocks_in(t, 0, plan.keys)
    )
    columns = (len(heads) - 1) * plan.pitch + plan.keys
    out = ctx.buffer(name, DType.F16, (plan.queries,), ctx.lanes, starts=(0,), both=True)
    byte_move(ctx, Weights(0, columns, loads=loads), plan.queries, out)
    return out


def _transposed_values(
    ctx: Context, node: Node, plan: Plan, v: Buffer, b: int, chunks: tuple[int, ...]
) -> Buffer:
    """V^T, ``[lanes of a chunk, lanes]`` fp16: row ``d`` holds column ``d`` of each slot's chunk, keys across lanes."""
    loads = tuple(
        Load(Rows(v, chunk, row, count), slot * plan.pitch + row - b * plan.keys)
        for slot, chunk in enumerate(chunks)
        for row, count in blocks_in(v, b * plan.keys, plan.keys)
    )
    lanes = min(ctx.lanes, v.columns - min(chunks) * ctx.lanes)
    name = f"{node.output}.{v.name}.v{b}.{chunks[0]}"
    half = max(1, plan.out_width // 2)
    starts = tuple(range(0, lanes, half))
    out = ctx.buffer(name, DType.F16, (lanes,), ctx.lanes, starts=starts, both=True)
    columns = (len(chunks) - 1) * plan.pitch + plan.keys
    byte_move(ctx, Weights(0, columns, loads=loads), lanes, out)
    return out


def _outputs(
    ctx: Context, plan: Plan, operands: dict[int, HeadOperands], out: Buffer, b: int, heads: range,
    block: tuple[int, int],
) -> None:  # fmt: skip
    """O of one chunk of heads and one block of rows: each head adds its own columns."""
    chunk = heads[0] * plan.out_width // ctx.lanes
    row, count = block
    products = ctx.products()
    passes = []
    for head in heads:
        lane, own = head * plan.out_width % ctx.lanes, operands[head]
        for i, (left, right) in enumerate(products):
            loads = tuple(
                Load(Rows(own.v[right], 0, at, size), at)
                for at, size in blocks_in(own.v[right], lane, plan.out_width)
            )
            first, last = head == heads[0] and i == 0, head == heads[-1] and i == len(products) - 1
            emit = Rows(out, chunk, row, count) if last else None
            rows = Rows(own.p[left], 0, row - b * plan.queries, count)
            weights = Weights(lane, plan.out_width, loads=loads)
            passes.append(Pass(weights, rows, own.lane, plan.pitch, 0, first, emit))
    ctx.matrix_job(MatrixJob(ctx.node, DType.F16, tuple(passes)))
