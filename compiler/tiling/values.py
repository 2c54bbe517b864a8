"""Values on demand: any tensor in any layout that can be had without moving data across lanes."""

from __future__ import annotations

import math

import numpy as np

from compiler.graph import Node, Shape
from compiler.graph.rules import ints
from compiler.tiles import Buffer
from compiler.tiling.context import (
    Context,
    Layout,
    broadcast_index,
    columns,
    const_value,
    is_scalar,
    lane_axis,
    row_dims,
)
from compiler.tiling.elementwise import CHAINED, FUNCTIONS, POWERS, RULES
from compiler.tiling.expr import Expr, Imm, Leaf, Value, convert, imm, size
from isa.errors import InputError
from isa.instruction import DType

MAX_STEPS = 30
"""Longest chain that is computed in one go; beyond it an operand is written to memory first."""


def value(ctx: Context, tensor: str, layout: Layout) -> Value:
    """The tensor in a layout; raises ``InputError`` TSP125 naming the node when it cannot be had."""
    key = (tensor, layout)
    if key not in ctx.values:
        ctx.values[key] = _make(ctx, tensor, layout)
    return ctx.values[key]


def _make(ctx: Context, tensor: str, layout: Layout) -> Value:
    constant = ctx.graph.constants.get(tensor)
    if constant is not None:
        return const_value(ctx, tensor, constant, layout)
    node = ctx.producers.get(tensor)
    if node is None:
        return _input(ctx, tensor, layout)
    if columns(ctx.shape(tensor), layout) == 1 and layout != "U":
        return value(ctx, tensor, "U")
    if node.op in MOVES:
        return MOVES[node.op](ctx, node, layout)
    if node.op in RULES:
        return _elementwise(ctx, node, layout)
    natural = ctx.values.get((tensor, "N"))
    if natural is not None and natural.columns == 1 and layout == "U":
        return natural
    raise ctx.unsupported(node, f"its result is needed with layout {layout}, across lanes")


def _input(ctx: Context, tensor: str, layout: Layout) -> Value:
    """A graph input; the host lays it out as asked."""
    shape, dtype = ctx.shape(tensor), ctx.dtype(tensor)
    if layout == "T":
        raise InputError(125, f"input '{tensor}' is needed transposed, which the host does not do")
    rows, cols = math.prod(row_dims(shape, layout)), columns(shape, layout)
    buffer = Buffer(f"{tensor}.{layout}", dtype, rows, cols, origin=tensor)
    ctx.tiles.inputs.setdefault(tensor, []).append(buffer)
    return ctx.leaf(buffer)


def aligned(ctx: Context, tensor: str, out: Shape, layout: Layout) -> Value:
    """An operand broadcast to ``out``: one row for each row of the result."""
    shape = ctx.shape(tensor)
    padded = (1,) * (len(out) - len(shape)) + shape
    lane = lane_axis(out, layout)
    uniform = lane is None or padded[lane] == 1
    own: Layout = "U" if uniform else layout
    found = value(ctx, tensor, own)
    if is_scalar(found):
        return found
    return found.at(broadcast_index(padded, own, out, layout))


def _elementwise(ctx: Context, node: Node, layout: Layout) -> Value:
    before = ctx.enter(node)
    found = _expression(ctx, node, layout)
    ctx.node = before
    return found


def _expression(ctx: Context, node: Node, layout: Layout) -> Value:
    tensor = node.output
    out = ctx.shape(tensor)
    attrs = dict(node.attrs)
    names = [name for name in node.inputs if name]
    if node.op == "Pow":
        attrs["exponent"] = _exponent(ctx, node)
        names = names[:1]
    if node.op == "Cast":
        attrs["machine"], attrs["from"] = ctx.dtype(tensor), _kind(ctx, names[0])
    args = [aligned(ctx, name, out, layout) for name in names]
    rows = math.prod(row_dims(out, layout))
    exprs = [_bounded(ctx, a, rows, node) for a in args]
    function = node.op in FUNCTIONS or attrs.get("exponent", 1.0) not in CHAINED
    if function:
        exprs = [_wide(ctx, e, node) for e in exprs]
    expr = RULES[node.op](tuple(exprs), attrs)
    if function:
        expr = convert(expr, ctx.dtype(tensor))
    result = Value(expr, rows, columns(out, layout))
    if tensor in ctx.named or ctx.uses[tensor] > 1:
        return written(ctx, tensor, result, row_dims(out, layout), layout)
    return result


def _wide(ctx: Context, expr: Expr, node: Node) -> Expr:
    """A function's operand as f32: fp16 ones are widened, others refused."""
    if not expr.dtype.is_float:
        kind = expr.dtype.name.lower()
        raise ctx.unsupported(node, f"there is no {node.op} on {kind}; cast it to float before")
    if isinstance(expr, Imm) and expr.dtype is DType.F16:
        return imm(np.array([expr.bits], "<u4").view("<f2")[0])
    return convert(expr, DType.F32)


def _bounded(ctx: Context, arg: Value, rows: int, node: Node) -> Expr:
    """An operand's expression, written to memory first if it is too long to go on."""
    if size(arg.expr) <= MAX_STEPS or isinstance(arg.expr, Leaf):
        return arg.expr
    buffer = ctx.buffer(f"{node.output}.{len(ctx.tiles.ops)}", arg.dtype, (rows,), arg.columns)
    ctx.write((rows,), [(arg.expr, buffer)])
    return ctx.leaf(buffer).expr


def _kind(ctx: Context, tensor: str) -> str:
    return ctx.graph.tensors[tensor].dtype.value


def _exponent(ctx: Context, node: Node) -> float:
    constant = ctx.graph.constants.get(node.inputs[1])
    exponent = float(constant.value().reshape(-1)[0]) if constant is not None else math.nan
    if constant is None or constant.tensor.size != 1 or exponent not in POWERS:
        raise ctx.unsupported(node, f"exponents are the constants {', '.join(map(str, POWERS))}")
    return exponent


def written(ctx: Context, tensor: str, found: Value, dims: Shape, layout: Layout) -> Value:
    """Write a value to memory in every form its users need; the stored value."""
    targets: list[tuple[Expr, Buffer]] = []
    native = Buffer("", DType.F32, 0, 0)
    matrix = tensor in ctx.matrix and layout == "N" and tensor not in ctx.operands
    only_matrix = matrix and tensor not in ctx.named and ctx.matrix_only(tensor)
    if not only_matrix:
        native = ctx.buffer(f"{tensor}.{layout}", found.dtype, dims, found.columns)
        targets.append((found.expr, native))
    if matrix:
        parts = [
            ctx.buffer(f"{tensor}.h{i}", DType.F16, dims, found.columns, both=True)
            for i in range(ctx.parts)
        ]
        ctx.operands[tensor] = tuple(parts)
        targets.extend(zip(ctx.split(found.expr), parts, strict=True))
    ctx.write(dims, targets)
    return found if only_matrix else ctx.leaf(native)


def operand(ctx: Context, tensor: str) -> tuple[Buffer, ...]:
    """The tensor as fp16 parts in both hemispheres, rows = all but the last axis."""
    if tensor not in ctx.operands:
        found = value(ctx, tensor, "N")
        if tensor not in ctx.operands:
            dims = row_dims(ctx.shape(tensor), "N")
            rows = math.prod(dims)
            source = found if found.rows == rows else found.at(np.zeros(rows, np.int64))
            parts = [
                ctx.buffer(f"{tensor}.h{i}", DType.F16, dims, ctx.shape(tensor)[-1], both=True)
                for i in range(ctx.parts)
            ]
            ctx.write(dims, list(zip(ctx.split(source.expr), parts, strict=True)))
            ctx.operands[tensor] = tuple(parts)
    return ctx.operands[tensor]


def _reshape(ctx: Context, node: Node, layout: Layout) -> Value:
    source, out = ctx.shape(node.inputs[0]), ctx.shape(node.output)
    if layout == "U":
        return value(ctx, node.inputs[0], "U")
    keeps = 1 if layout == "N" else 2
    if len(source) >= keeps and len(out) >= keeps and source[-keeps:] == out[-keeps:]:
        return value(ctx, node.inputs[0], layout)
    raise ctx.unsupported(node, f"{list(source)} to {list(out)} moves elements across lanes")


def _gathered(
    ctx: Context, node: Node, layout: Layout, index: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> Value:
    """A move as rows: ``index`` has, for each element of the result, the row-major element of the source it is."""
    source, out = ctx.shape(node.inputs[0]), ctx.shape(node.output)
    lane = lane_axis(out, layout)
    if lane is None:
        return value(ctx, node.inputs[0], "U").at(index.reshape(-1))
    moved = np.moveaxis(index, lane, -1).reshape(-1, out[lane])
    if (moved == moved[:, :1]).all():
        return value(ctx, node.inputs[0], "U").at(np.ascontiguousarray(moved[:, 0]))
    for own in ("N", "T"):
        axis = lane_axis(source, own)
        if axis is None or source[axis] != out[lane]:
            continue
        where = np.moveaxis(np.arange(math.prod(source)).reshape(source), axis, -1)
        table = where.reshape(-1, out[lane])
        rows = np.searchsorted(np.sort(table[:, 0]), moved[:, 0])
        order = np.argsort(table[:, 0])
        rows = order[np.minimum(rows, len(order) - 1)]
        if np.array_equal(table[rows], moved):
            return value(ctx, node.inputs[0], own).at(rows)
    raise ctx.unsupported(node, "it moves elements across lanes")


def _move(ctx: Context, node: Node, layout: Layout) -> Value:
    """Expand, Transpose and Slice: evaluated on element numbers."""
    source, out = ctx.shape(node.inputs[0]), ctx.shape(node.output)
    numbers = np.arange(math.prod(source)).reshape(source)
    if node.op == "Transpose":
        index = numbers.transpose(ints(node.attrs, "perm"))
    elif node.op == "Expand":
        index = np.broadcast_to(numbers, out)
    else:
        cut = [slice(None)] * len(source)
        keys = ("axes", "starts", "ends", "steps")
        for axis, start, end, step in zip(*(ints(node.attrs, k) for k in keys), strict=True):
            cut[axis] = slice(start, end, step)
        index = numbers[tuple(cut)]
    return _gathered(ctx, node, layout, index)


MOVES = {"Reshape": _reshape, "Expand": _move, "Transpose": _move, "Slice": _move}
