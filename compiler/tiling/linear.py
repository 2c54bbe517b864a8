"""`Linear`: activation rows driven through installed constant weights, tile by tile of output columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from compiler.graph import Node
from compiler.tiles import Array, Buffer, MatrixJob, Pass, Rows, Weights, WeightTile
from compiler.tiling.context import Context, chunk_order, row_dims
from compiler.tiling.expr import Value, apply
from compiler.tiling.values import operand, value
from isa.errors import LimitError
from isa.instruction import DType

FP16_MAX = 65504.0
Halves = Callable[[], tuple[Array, ...]]
"""Weights ``[N, K]`` in fp16, or in strict precision their hi and lo fp16 parts."""
SHORTEST = 32
"""Rows of a pass below which it is not cut."""


def linear(ctx: Context, node: Node) -> Value:
    """``x @ w + b`` as the raw sums in memory plus a bias that the consumer's chain adds."""
    parts = halves(ctx, node)
    n = ctx.shape(node.output)[-1]
    widths = [min(ctx.lanes, n - tile) for tile in range(0, n, ctx.lanes)]
    raw = products(ctx, node, node.output, parts, widths)
    result = ctx.leaf(raw)
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = value(ctx, node.inputs[2], "N").at(np.zeros(result.rows, np.int64))
        result = Value(apply("add", result.expr, bias.expr), result.rows, n)
    return result


def products(
    ctx: Context, node: Node, name: str, halves: Halves, widths: Sequence[int],
    owners: Sequence[Node] = (), order: Sequence[int] = (),
) -> Buffer:  # fmt: skip
    """The sums of ``node``'s input with weights, a chunk of ``widths[i]`` columns for ``owners[i]`` each.

    ``order``: which chunk is wanted first.
    """
    parts, k = operand(ctx, node.inputs[0]), ctx.shape(node.inputs[0])[-1]
    dims = row_dims(ctx.shape(node.inputs[0]), "N")
    raw = ctx.buffer(f"{name}.raw", DType.F32, dims, (len(widths) - 1) * ctx.lanes + widths[-1])
    weights = [
        _tiles(ctx, node.inputs[1], halves, tile * ctx.lanes, width, k)
        for tile, width in enumerate(widths)
    ]
    for row in raw.starts:
        for tile in order or range(len(weights)):
            before = ctx.enter(owners[tile] if owners else node)
            count = raw.block(row)[1]
            odd = len(widths) % 2 and tile == len(widths) - 1
            for at, size in halved(row, count) if odd else [(row, count)]:
                _job(ctx, parts, weights[tile], Rows(raw, tile, at, size), k)
            ctx.node = before
    return raw


def halved(row: int, count: int) -> list[tuple[int, int]]:
    """A run of rows in two, for a pair each, if it is long enough that weights still load under a pass."""
    half = -(-count // 32) * 16
    return (
        [(row, half), (row + half, count - half)]
        if half >= SHORTEST and count > half
        else [(row, count)]
    )


def halves(ctx: Context, node: Node) -> Halves:
    """The parts of a Linear's weights; refuses those that cannot be mapped."""
    constant = ctx.graph.constants.get(node.inputs[1])
    if constant is None:
        raise ctx.unsupported(node, "its weights are not constant")
    transposed = bool(node.attrs.get("transposed", False))
    k, grain = constant.tensor.shape[1 if transposed else 0], ctx.machine["mxm.window"]
    if k % grain:
        raise ctx.unsupported(node, f"its inner size {k} is not a multiple of {grain}")

    def load() -> tuple[Array, ...]:
        full = np.asarray(constant.value(), np.float32)
        full = full if transposed else full.T
        if full.size and max(float(full.max()), -float(full.min())) > FP16_MAX:
            hint = "scale the weights; fp16 ends at 65504"
            raise LimitError(412, f"weights '{constant.tensor.name}' overflow fp16", hint=hint)
        hi = full.astype(np.float16)
        return (hi,) if ctx.parts == 1 else (hi, (full - hi.astype(np.float32)).astype(np.float16))

    return load


def _tiles(
    ctx: Context, name: str, halves: Halves, tile: int, width: int, k: int
) -> dict[tuple[int, int], Weights]:
    """Weights by (chunk, part) for output columns ``tile .. tile+width``."""

    def data(chunk: int, index: int) -> Callable[[], Array]:
        def load() -> Array:
            part = ctx.latest(halves)[index]
            block = part[tile : tile + width, chunk * ctx.lanes : (chunk + 1) * ctx.lanes]
            if block.shape[1] == ctx.lanes:
                return block
            padded = np.zeros((width, ctx.lanes), np.float16)
            padded[:, : block.shape[1]] = block
            return padded

        return load

    found = {}
    for chunk in range(-(-k // ctx.lanes)):
        for index in range(ctx.parts):
            label = f"{name}[{tile}:{tile + width}].{chunk}" + (".lo" if index else "")
            found[chunk, index] = Weights(0, width, WeightTile(label, width, data(chunk, index)))
    return found


def _job(
    ctx: Context,
    parts: tuple[Buffer, ...],
    weights: dict[tuple[int, int], Weights],
    out: Rows,
    k: int,
) -> None:
    """One tile of columns for some rows of a block."""
    order = [
        (chunk, left, right)
        for chunk in chunk_order(k, ctx.lanes)
        for right in range(ctx.parts)
        for left, r in ctx.products()
        if r == right
    ]
    passes = []
    for i, (chunk, left, right) in enumerate(order):
        window = ctx.window(min(ctx.lanes, k - chunk * ctx.lanes))
        emit = out if i == len(order) - 1 else None
        rows = Rows(parts[left], chunk, out.row, out.count)
        passes.append(Pass(weights[chunk, right], rows, 0, window, 0, i == 0, emit))
    ctx.matrix_job(MatrixJob(ctx.node, DType.F16, tuple(passes)))
