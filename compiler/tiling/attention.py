"""`Attention`: scores with keys along rows, so that softmax is point-wise and over rows, then moved to where V wants them.

For each batch item: S^T[key, query] = K Q^T with the rows of Q installed. Several heads make a *unit*: their queries stand side
by side in the columns, each as a copy of Q in which the other heads of the unit are zero, so that one row of K gives
the scores of all of them. Softmax over keys runs over rows (a running maximum and a running sum); P^T is moved to P byte by
byte through the int8 planes (exact, NaN included), V likewise to V^T. O accumulates in place: a head's V^T is installed in the
head's own output columns, the others are disabled.
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
from compiler.tiling.moves import blocks_in, byte_move
from compiler.tiling.values import aligned, operand, value
from isa.instruction import DType

BIAS_COPIES = 2
MOST_HEADS = 4
"""Heads of a unit at most: each costs a copy of Q."""


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
    group: int  # heads a unit
    nan_to_zero: bool


@dataclass(frozen=True)
class Unit:
    """Heads scored together; ``p`` holds P^T, a buffer a part: ``[keys, len(heads) * queries]``."""

    heads: tuple[int, ...]
    p: list[Buffer]


@dataclass(frozen=True)
class Span:
    """The chunk of V in each slot, and the groups of units, one a slot."""

    chunks: tuple[int, ...]
    groups: list[list[int]]


@dataclass(frozen=True)
class HeadOperands:
    """P and V^T parts of a head, and the lane from which its keys lie in both."""

    p: list[Buffer]
    v: list[Buffer]
    lane: int


def attention(ctx: Context, node: Node) -> Value:
    """softmax(q k^T * scale + bias) v, all heads."""
    bias = _bias(ctx, node)
    shared = not bias or ctx.shape(node.inputs[3])[1] == 1  # heads of a unit have one bias
    plan = _plan(ctx, node, grouped=shared and all(x.columns == 1 for x in bias))
    q = _queries(ctx, node, plan)
    k, v = (operand(ctx, name) for name in node.inputs[1:3])
    out = ctx.buffer(
        f"{node.output}.raw", DType.F32, row_dims(ctx.shape(node.output), "N"), v[0].columns
    )
    per = ctx.lanes // plan.out_width
    for b in range(plan.batch):
        units = _units(ctx, node, plan, q, k, bias, b)
        heads: dict[int, HeadOperands] = {}
        for span in _spans(ctx, plan, units):
            values = [_transposed_values(ctx, node, plan, part, b, span.chunks) for part in v]
            for group in span.groups:
                _move_group(ctx, node, plan, [units[u] for u in group], values, b, heads)
        for rows in blocks_in(out, b * plan.queries, plan.queries):
            for first in range(0, plan.heads, per):
                chunk = range(first, min(first + per, plan.heads))
                _outputs(ctx, plan, heads, out, b, chunk, rows)
    return ctx.leaf(out)


def _plan(ctx: Context, node: Node, *, grouped: bool) -> Plan:
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
    size = width // heads
    group = min(MOST_HEADS, lanes // queries, ctx.machine["mxm.fp16_k"] // size, heads)
    group = max(1, group) if grouped else 1
    zero = bool(node.attrs["nan_to_zero"])
    return Plan(batch, heads, queries, keys, size, out // heads, scale, slots, pitch, group, zero)


def _bias(ctx: Context, node: Node) -> list[Value]:
    """The additive bias, one row a (batch, head, key), queries across lanes or uniform.

    Written once a graph, as often as ``BIAS_COPIES`` says: every head reads it, and a slice serves one reader at a time.
    """
    if len(node.inputs) < 4 or not node.inputs[3]:
        return []
    name = node.inputs[3]
    shape = ctx.shape(name)
    (batch, _, _), (_, keys, _) = ctx.shape(node.inputs[0]), ctx.shape(node.inputs[1])
    if name not in ctx.biases:
        found = aligned(ctx, name, shape, "T")
        starts = tuple(range(0, found.rows, keys))
        copies = [
            ctx.buffer(
                f"{name}.T{i}", found.dtype, (found.rows,), found.columns, both=True, starts=starts
            )
            for i in range(BIAS_COPIES)
        ]
        for copy in copies:
            copy.vector = True
            ctx.write((found.rows,), [(found.expr, copy)])
        ctx.biases[name] = [ctx.leaf(copy) for copy in copies]
    rows = np.arange(ctx.biases[name][0].rows).reshape(shape[0], shape[1], shape[3])
    full = np.broadcast_to(rows, (batch, integer(node.attrs, "heads"), keys)).reshape(-1)
    return [stored.at(full) for stored in ctx.biases[name]]


def _queries(ctx: Context, node: Node, plan: Plan) -> list[list[Buffer]]:
    """Q by part and by place in a unit: a copy in which only the heads of that place are not zero."""
    name = node.inputs[0]
    if plan.group == 1:
        return [[part] for part in operand(ctx, name)]
    found = value(ctx, name, "N")
    shape = ctx.shape(name)
    dims, total = row_dims(shape, "N"), shape[-1]
    row0 = np.zeros(found.rows, np.int64)
    targets: list[tuple[Expr, Buffer]] = []
    queries: list[list[Buffer]] = []
    for i, part in enumerate(ctx.split(found.expr)):
        queries.append([])
        for place in range(plan.group):
            mask = Leaf(_head_mask(ctx, plan, total, place), row0)
            buffer = ctx.buffer(f"{name}.q{i}.{place}", DType.F16, dims, total, both=True)
            targets.append((apply("and", part, mask), buffer))
            queries[-1].append(buffer)
    ctx.write(dims, targets)
    return queries


def _head_mask(ctx: Context, plan: Plan, columns: int, place: int) -> Buffer:
    """All bits set in the lanes of heads at ``place`` in their unit; units start anew in every chunk."""

    def data() -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
        lane = np.arange(columns) % ctx.lanes
        row = np.where(lane // plan.width % plan.group == place, -1, 0).astype(np.int16)
        return row[None].view(np.float16)

    name = f"heads{columns}.{plan.width}.{plan.group}.{place}"
    return ctx.constant(name, (1, columns), DType.F16, data)


def _units(
    ctx: Context, node: Node, plan: Plan, q: list[list[Buffer]], k: tuple[Buffer, ...],
    bias: list[Value], b: int,
) -> list[Unit]:  # fmt: skip
    """Scores and softmax of every unit: one job a chunk of heads, the chunk's Q installed once a part."""
    units: list[Unit] = []
    per = max(1, ctx.lanes // plan.width)
    for first in range(0, plan.heads, per):
        chunk = first * plan.width // ctx.lanes
        heads = list(range(first, min(first + per, plan.heads)))
        installed = [_installed(plan, places, chunk, b) for places in q]
        passes: list[Pass] = []
        scored: list[tuple[tuple[int, ...], Buffer]] = []
        for i in range(0, len(heads), plan.group):
            unit = tuple(heads[i : i + plan.group])
            name = f"{node.output}.s{b}.{unit[0]}"
            s = ctx.buffer(name, DType.F32, (plan.keys,), len(unit) * plan.queries, starts=(0,))
            lane = unit[0] * plan.width % ctx.lanes
            window = (lane, len(unit) * plan.width)
            passes += _score_passes(ctx, plan, installed, k, s, b, chunk, window)
            scored.append((unit, s))
        ctx.matrix_job(MatrixJob(ctx.node, DType.F16, tuple(passes)))
        units += [Unit(unit, _softmax(ctx, node, plan, s, bias, b, unit)) for unit, s in scored]
    return units


def _installed(plan: Plan, places: list[Buffer], chunk: int, b: int) -> Weights:
    """The queries of every place of a unit side by side in the columns."""
    start = b * plan.queries
    loads = tuple(
        Load(Rows(part, chunk, row, count), place * plan.queries + row - start)
        for place, part in enumerate(places)
        for row, count in blocks_in(part, start, plan.queries)
    )
    return Weights(0, len(places) * plan.queries, loads=loads)


def _score_passes(
    ctx: Context, plan: Plan, q: list[Weights], k: tuple[Buffer, ...], s: Buffer, b: int, chunk: int,
    window: tuple[int, int],
) -> Iterator[Pass]:  # fmt: skip
    """Passes of one unit, part products innermost within what the accumulators hold."""
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
                rows = Rows(k[left], chunk, row, count)
                yield Pass(q[right], rows, *window, acc, i == 0, emit)
                acc += count


def _softmax(
    ctx: Context,
    node: Node,
    plan: Plan,
    s: Buffer,
    bias: list[Value],
    b: int,
    unit: tuple[int, ...],
) -> list[Buffer]:
    """P^T fp16 parts of a unit: maximum, exponentials with their sum, then the quotient."""
    keys, wide = plan.keys, s.columns
    name = f"{node.output}.{{}}{b}.{unit[0]}"
    zero = np.zeros(keys, np.int64)

    def rows(label: str) -> Buffer:
        return ctx.buffer(name.format(label), DType.F32, (keys,), wide, starts=(0,))

    most = ctx.buffer(name.format("m"), DType.F32, (1,), wide)
    total = ctx.buffer(name.format("l"), DType.F32, (1,), wide)
    x: Expr = apply("mul", ctx.leaf(s).expr, imm(plan.scale))
    if bias:
        row = (b * plan.heads + unit[0]) * keys
        x = apply("add", x, bias[unit[0] % len(bias)].at(np.arange(row, row + keys)).expr)
    logits, powers = rows("x"), rows("e")
    ctx.reduce("max", x, (0, keys), 0, Rows(most, 0, 0, 1), also=[(x, logits)])
    e = apply("exp", apply("sub", ctx.leaf(logits).expr, Leaf(most, zero)))
    out = Rows(total, 0, 0, 1)
    ctx.reduce("add", e, (0, keys), 0, out, _reciprocal_steps, [(e, powers)])
    p: Expr = apply("mul", ctx.leaf(powers).expr, Leaf(total, zero))
    if plan.nan_to_zero:
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


def _spans(ctx: Context, plan: Plan, units: list[Unit]) -> list[Span]:
    """Chunks of V that are transposed together, and the units whose P is moved together.

    With two slots, two chunks of equally many units fill them side by side; a chunk of several units without a partner
    fills both slots itself.
    """
    chunks: dict[int, list[int]] = {}
    for u, unit in enumerate(units):
        chunks.setdefault(unit.heads[0] * plan.out_width // ctx.lanes, []).append(u)
    spans: list[Span] = []
    c = 0
    while c in chunks:
        own, beside = chunks[c], chunks.get(c + 1, [])
        if plan.slots == 2 and len(beside) == len(own):
            pairs = [list(pair) for pair in zip(own, beside, strict=True)]
            spans.append(Span((c, c + 1), pairs))
            c += 2
            continue
        slots = min(plan.slots, len(own))
        groups = [own[i : i + slots] for i in range(0, len(own), slots)]
        spans.append(Span((c,) * slots, groups))
        c += 1
    return spans


def _move_group(
    ctx: Context, node: Node, plan: Plan, group: list[Unit], values: list[Buffer], b: int,
    heads: dict[int, HeadOperands],
) -> None:  # fmt: skip
    """P of a group of units: rows = queries, keys of unit ``i`` from lane ``i * pitch`` on, a buffer a place and part."""
    columns = (len(group) - 1) * plan.pitch + plan.keys
    places = max(len(unit.heads) for unit in group)
    moved: list[list[Buffer]] = [[] for _ in range(places)]
    for i in range(ctx.parts):
        loads = tuple(
            Load(Rows(unit.p[i], 0, row, size), slot * plan.pitch + row)
            for slot, unit in enumerate(group)
            for row, size in blocks_in(unit.p[i], 0, plan.keys)
        )
        name = f"{node.output}.p{b}.{group[0].heads[0]}.{i}"
        outs = [
            ctx.buffer(
                f"{name}.{place}", DType.F16, (plan.queries,), ctx.lanes, starts=(0,), both=True
            )
            for place in range(places)
        ]
        byte_move(ctx, Weights(0, columns, loads=loads), plan.queries, outs)
        for place, out in enumerate(outs):
            moved[place].append(out)
    for slot, unit in enumerate(group):
        for place, head in enumerate(unit.heads):
            heads[head] = HeadOperands(moved[place], values, slot * plan.pitch)


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
    out = ctx.buffer(name, DType.F16, (lanes,), ctx.lanes, starts=(0,), both=True)
    columns = (len(chunks) - 1) * plan.pitch + plan.keys
    byte_move(ctx, Weights(0, columns, loads=loads), lanes, [out])
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
