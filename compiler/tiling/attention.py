"""`Attention`: scores with keys along rows, so that softmax is point-wise and over rows, then moved to where V wants them.

For each batch item: S^T[key, query] = K Q^T with the rows of Q installed. Several heads make a *unit*: their queries stand side
by side in the columns, each as a copy of Q in which the other heads of the unit are zero, so that one row of K gives
the scores of all of them. Softmax over keys runs over rows (a running maximum and a running sum); P^T is moved to P byte by
byte through the int8 planes (exact, NaN included), V likewise to V^T. The rows of P are installed and those of V^T driven
through: O^T[column, query]. It is divided by the sums of its exponentials and moved to O, an operand of what comes next.

Queries lie across lanes in S^T, keys in P: longer sequences are worked off in blocks of queries, all keys of a block as more
rows of S^T, and O^T is accumulated over cuts of the keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np

from compiler.graph import Node
from compiler.graph.rules import integer, number
from compiler.tiles import Buffer, MatrixJob, Pass, Rows, Weights
from compiler.tiling.context import Context, row_dims
from compiler.tiling.expr import Expr, Leaf, Value, apply, convert, imm
from compiler.tiling.heads import Heads, Plan, Turn, Unit, heads_of
from compiler.tiling.moves import blocks_in, byte_move, loads_of, many_hot, move, one_hot
from compiler.tiling.softmax import Softmax, softmax
from compiler.tiling.values import aligned
from isa.instruction import DType

BIAS_COPIES = 2
Span = tuple[int, int]
"""First row and number of rows."""
MOST_HEADS = 4
"""Heads of a unit at most: each costs a copy of Q."""
P_BLOCKS = 8
"""Slices over which the rows of P are spread, so that so many of them load at a time."""


def attention(ctx: Context, node: Node) -> Value:
    """softmax(q k^T * scale + bias) v, all heads."""
    bias = _bias(ctx, node)
    shared = not bias or ctx.shape(node.inputs[3])[1] == 1  # heads of a unit have one bias
    plan = _plan(ctx, node, grouped=shared and all(x[0].columns == 1 for x in bias))
    operands = heads_of(ctx, node, plan)
    dims, columns = row_dims(ctx.shape(node.output), "N"), plan.heads * plan.out_width
    exact = node.output in ctx.named or not ctx.matrix_only(node.output)
    outs = [
        ctx.buffer(f"{node.output}.h{i}", DType.F16, dims, columns, both=True)
        for i in range(2 if exact else ctx.parts)
    ]
    if len(bias) == 1:  # uniform over queries, or a single block
        bias *= len(plan.blocks)
    for b in range(plan.batch):
        _item(ctx, node, plan, operands, bias, b, outs)
    ctx.operands[node.output] = tuple(outs[: ctx.parts])
    total: Expr = convert(ctx.leaf(outs[0]).expr, DType.F32)
    for low in outs[1:]:
        total = apply("add", total, convert(ctx.leaf(low).expr, DType.F32))
    return Value(total, outs[0].rows, columns)


def _item(
    ctx: Context, node: Node, plan: Plan, operands: Heads, bias: list[list[Value]], b: int,
    outs: list[Buffer],
) -> None:  # fmt: skip
    """One item of a batch."""
    name = f"{node.output}.{{}}{b}.{{}}"
    scored = [
        _units(ctx, plan, block, operands, bias[i] if bias else [], b, _of_block(name, i))
        for i, block in enumerate(plan.blocks)
    ]
    turned = [
        [
            [_turn(ctx, plan, operands, turn, cut, i, b, name) for turn in operands.layout.turns]
            for i in range(ctx.parts)
        ]
        for cut in plan.cuts
    ]
    for i, (block, soft) in enumerate(zip(plan.blocks, scored, strict=True)):
        _outputs(ctx, plan, block, operands, soft, turned, b, outs, _of_block(name, i))


def _of_block(name: str, block: int) -> str:
    """Names of what belongs to a block of queries; the first has those of an attention of a single block."""
    return name.replace(".{}", f".q{block}.{{}}", 1) if block else name


def _outputs(
    ctx: Context, plan: Plan, block: Span, operands: Heads, soft: dict[int, Softmax],
    turned: list[list[list[Buffer]]], b: int, outs: list[Buffer], name: str,
) -> None:  # fmt: skip
    """O of a block of queries, from its exponentials and V^T (by cut of keys, part and turn)."""
    turns: dict[int, list[Buffer]] = {}
    for group in operands.layout.groups:
        p = [
            [_moved(ctx, block, cut, group, soft, i, name) for i in range(ctx.parts)]
            for cut in plan.cuts
        ]
        for place in range(max(len(unit.heads) for unit in group)):
            held = [[part[place] for part in parts] for parts in p]
            found = _products(ctx, plan, block, operands, group, place, held, turned, name)
            for unit in group:
                if place < len(unit.heads):
                    head, inverse = unit.heads[place], soft[unit.heads[0]].inverse[place]
                    label = name.format("h", head)
                    turns[head] = _quotient(ctx, plan, found[head], inverse, label, len(outs))
    per = ctx.lanes // plan.out_width
    for first in range(0, plan.heads, per):
        heads = range(first, min(first + per, plan.heads))
        for i, out in enumerate(outs):
            _output(ctx, plan, block, [turns[h][i] for h in heads], first, out, b)


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
    cuts = _spans(keys, _cut(keys, lanes, grain))
    slots = 2 if keys % grain == 0 and 2 * cuts[0][1] <= lanes else 1
    scale = number(node.attrs, "scale")
    size, value = width // heads, out // heads
    blocks, group = _spans(queries, lanes), 1
    if grouped:
        blocks, group = _blocks(ctx, queries, keys, heads, size, value)
    zero = bool(node.attrs["nan_to_zero"])
    return Plan(batch, heads, queries, keys, blocks, cuts, size, value, scale, slots, group, zero)


def _cut(keys: int, lanes: int, grain: int) -> int:
    """Keys of a cut: half a vector, in which two heads share one, where that fills vectors better than whole ones."""
    half = lanes // 2 // grain * grain
    shared = keys % grain == 0 and -(-keys // half) < 2 * -(-keys // lanes)
    return half if keys > lanes and shared else lanes


def _spans(rows: int, most: int) -> tuple[Span, ...]:
    """Rows in runs of ``most``, and what is left."""
    return tuple((at, min(most, rows - at)) for at in range(0, rows, most))


def _blocks(
    ctx: Context, queries: int, keys: int, heads: int, width: int, value: int
) -> tuple[tuple[Span, ...], int]:
    """Queries in even blocks, and the heads of a unit, for the fewest rows through the MXM.

    Smaller blocks let more heads share a unit, and drive all of V^T again.
    """
    lanes, k = ctx.lanes, ctx.machine["mxm.fp16_k"]
    turned = heads * value * sum(-(-count // k) for _, count in _spans(keys, lanes))
    best, found = inf, (_spans(queries, lanes), 1)
    fewest = -(-queries // lanes)
    for number_of in range(fewest, fewest + MOST_HEADS):
        size = -(-queries // number_of)
        group = max(1, min(MOST_HEADS, lanes // size, k // width, heads))
        cost = number_of * (-(-heads // group) * keys + turned)
        if cost < best:
            best, found = cost, (_spans(queries, size), group)
    return found


def _bias(ctx: Context, node: Node) -> list[list[Value]]:
    """The additive bias, one row a (batch, head, key), queries across lanes or uniform, for each block of queries.

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
        ctx.biases[name] = []
        for c, (_, wide) in enumerate(_spans(found.columns, ctx.lanes)):
            copies = [
                ctx.buffer(
                    f"{name}.T{c}.{i}", found.dtype, (found.rows,), wide, both=True, starts=starts
                )
                for i in range(BIAS_COPIES)
            ]
            for copy in copies:
                copy.vector = True
                ctx.write((found.rows,), [(found.expr, copy)], range(c, c + 1), less=c)
            ctx.biases[name].append([ctx.leaf(copy) for copy in copies])
    rows = np.arange(ctx.biases[name][0][0].rows).reshape(shape[0], shape[1], shape[3])
    full = np.broadcast_to(rows, (batch, integer(node.attrs, "heads"), keys)).reshape(-1)
    return [[stored.at(full) for stored in copies] for copies in ctx.biases[name]]


def _units(
    ctx: Context, plan: Plan, block: Span, operands: Heads, bias: list[Value], b: int, name: str
) -> dict[int, Softmax]:
    """Scores and softmax of every unit, by first head: a job each, so that both pairs share them; Q is installed once a chunk."""
    found: dict[int, Softmax] = {}
    installed: dict[int, list[Weights]] = {}
    for turn, unit in enumerate(operands.layout.units):
        if unit.q not in installed:
            installed[unit.q] = [
                _installed(plan, block, places, unit.q, b) for places in operands.q
            ]
        first, wide = unit.heads[0], len(unit.heads) * block[1]
        s = ctx.buffer(name.format("s", first), DType.F32, (plan.keys,), wide, starts=(0,))
        passes = _score_passes(ctx, plan, installed[unit.q], operands.k, s, b, unit)
        ctx.matrix_job(MatrixJob(ctx.node, DType.F16, tuple(passes)))
        row = (b * plan.heads + first) * plan.keys
        rows = np.arange(row, row + plan.keys)
        own = bias[turn % len(bias)].at(rows) if bias else None
        found[first] = softmax(ctx, name.format("", first), plan, s, own, unit)
    return found


def _installed(plan: Plan, block: Span, places: list[Buffer], chunk: int, b: int) -> Weights:
    """The queries of every place of a unit side by side in the columns."""
    start, n = b * plan.queries + block[0], block[1]
    loads = [
        load
        for place, part in enumerate(places)
        for load in loads_of(part, chunk, start, n, place * n)
    ]
    return Weights(0, len(places) * n, loads=tuple(loads))


def _score_passes(
    ctx: Context, plan: Plan, q: list[Weights], k: tuple[Buffer, ...], s: Buffer, b: int, unit: Unit
) -> Iterator[Pass]:
    """Passes of one unit, part products innermost within what the accumulators hold."""
    start, window = b * plan.keys, (unit.lane, len(unit.heads) * plan.width)
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
                rows = Rows(k[left], unit.k, row, count)
                yield Pass(q[right], rows, *window, acc, i == 0, emit)
                acc += count


def _turn(
    ctx: Context, plan: Plan, operands: Heads, turn: Turn, cut: Span, part: int, b: int, name: str
) -> Buffer:
    """V^T of some heads, ``[lanes, lanes of a vector]`` fp16: a row a column of V, a cut of keys across lanes, a slot a chunk."""
    start, keys = b * plan.keys + cut[0], cut[1]
    pitch = ctx.window(keys)
    loads = [
        load
        for slot, chunk in enumerate(turn.chunks)
        for load in loads_of(operands.v[chunk][part], chunk, start, keys, slot * pitch)
    ]
    label = name.format(f"v{part}.", f"{turn.chunks[0]}.{turn.lane}")
    if cut[0]:
        label += f".k{cut[0]}"
    out = ctx.buffer(label, DType.F16, (turn.lanes,), ctx.lanes, starts=(0,), both=True)
    columns = (len(turn.chunks) - 1) * pitch + keys
    weights = Weights(0, columns, loads=tuple(loads))
    rows, end = Rows(out, 0, 0, turn.lanes), turn.lane + turn.lanes
    move(ctx, byte_move(ctx, weights, one_hot(ctx), turn.lane, end, rows))
    return out


def _moved(
    ctx: Context, block: Span, cut: Span, group: tuple[Unit, ...],
    soft: dict[int, Softmax], part: int, name: str,
) -> list[Buffer]:  # fmt: skip
    """P of a group of units by place: rows = queries, a cut of the keys of each unit, one behind the other."""
    first, keys = cut
    pitch = ctx.window(keys)
    columns = (len(group) - 1) * pitch + keys
    places = max(len(unit.heads) for unit in group)
    loads = [
        load
        for slot, unit in enumerate(group)
        for load in loads_of(soft[unit.heads[0]].powers[part], 0, first, keys, slot * pitch)
    ]
    weights, n = Weights(0, columns, loads=tuple(loads)), block[1]
    rows = -(-n // (16 * P_BLOCKS)) * 16
    label = name.format("p", group[0].heads[0]) + (f".k{first}" if first else "")
    outs, passes = [], []
    for place in range(places):
        out = ctx.buffer(
            f"{label}.{part}.{place}", DType.F16, (n,), ctx.lanes, both=True,
            starts=tuple(range(0, n, rows)),
        )  # fmt: skip
        passes += byte_move(ctx, weights, one_hot(ctx), place * n, places * n, Rows(out, 0, 0, n))
        outs.append(out)
    move(ctx, passes)
    return outs


@dataclass(frozen=True)
class _Piece:
    """Rows of a head's V^T that are driven through its P, and where their sums go."""

    turn: int
    row: int
    count: int
    slot: int
    out: Rows


def _products(
    ctx: Context, plan: Plan, block: Span, operands: Heads, group: tuple[Unit, ...], place: int,
    p: list[list[Buffer]], turned: list[list[list[Buffer]]], name: str,
) -> dict[int, Buffer]:  # fmt: skip
    """The sums O^T of the heads at one place of a group: their P (by cut and part) is installed once."""
    n, most = block[1], ctx.machine["mxm.acc_rows"]
    weights = [
        [Weights(place * n, n, loads=tuple(loads_of(part, 0, 0, n, place * n))) for part in parts]
        for parts in p
    ]
    sums: dict[int, Buffer] = {}
    pieces: list[list[_Piece]] = [[]]
    for slot, unit in enumerate(group):
        if place >= len(unit.heads):
            continue
        head = unit.heads[place]
        raw = ctx.buffer(
            name.format("o", head), DType.F32, (plan.out_width,), (place + 1) * n, starts=(0,)
        )
        sums[head] = raw
        turn, first = operands.layout.turned[head]
        for at in range(0, plan.out_width, most):
            count = min(most, plan.out_width - at)
            if sum(piece.count for piece in pieces[-1]) + count > most:
                pieces.append([])
            out = Rows(raw, 0, at, count)
            pieces[-1].append(_Piece(turn, first + at, count, slot, out))
    cuts = reversed(range(len(plan.cuts)))  # a full one last: its results leave at half rate
    order = [(cut, left, right) for cut in cuts for left, right in sorted(ctx.products())]
    passes = []
    for batch in pieces:
        for i, (cut, left, right) in enumerate(order):
            acc, window = 0, ctx.window(plan.cuts[cut][1])
            for piece in batch:
                rows = Rows(turned[cut][right][piece.turn], 0, piece.row, piece.count)
                emit = piece.out if i == len(order) - 1 else None
                held = weights[cut][left]
                lane = piece.slot * window
                passes.append(Pass(held, rows, lane, window, acc, i == 0, emit))
                acc += piece.count
    ctx.matrix_job(MatrixJob(ctx.node, DType.F16, tuple(passes)))
    return sums


def _quotient(
    ctx: Context, plan: Plan, sums: Buffer, inverse: Buffer, name: str, count: int
) -> list[Buffer]:
    """O^T of a head in ``count`` fp16 parts: the sums over the sums of their exponentials."""
    zero = np.zeros(sums.rows, np.int64)
    row = Leaf(inverse, zero)
    expr: Expr = apply("mul", ctx.leaf(sums).expr, row)
    if plan.nan_to_zero:
        expr = apply("select", expr, imm(0.0), apply("eq", row, row))
    parts = [
        ctx.buffer(f"{name}.{i}", DType.F16, (sums.rows,), sums.columns, both=True)
        for i in range(count)
    ]
    ctx.write((sums.rows,), list(zip(ctx.split(expr, count), parts, strict=True)))
    return parts


def _output(
    ctx: Context, plan: Plan, block: Span, heads: list[Buffer], first: int, out: Buffer, b: int
) -> None:
    """O of some heads, side by side in a chunk: their O^T moved, each from the lanes of its place."""
    d, n = plan.out_width, block[1]
    loads = [load for i, part in enumerate(heads) for load in loads_of(part, 0, 0, d, i * d)]
    weights = Weights(0, len(heads) * d, loads=tuple(loads))
    places = max(part.columns for part in heads) // n
    chunk = first * d // ctx.lanes
    rows = Rows(out, chunk, b * plan.queries + block[0], n)
    move(ctx, byte_move(ctx, weights, many_hot(ctx, n, places), 0, places * n, rows))
