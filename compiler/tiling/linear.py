"""`Linear`: activation rows driven through installed constant weights, tile by tile of output columns."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from compiler.graph import Constant, Node
from compiler.tiles import Array, Buffer, MatrixJob, Pass, Rows, Weights, WeightTile
from compiler.tiling.context import Context, row_dims
from compiler.tiling.expr import Value, apply
from compiler.tiling.values import operand, value
from isa.errors import LimitError
from isa.instruction import DType

FP16_MAX = 65504.0


def linear(ctx: Context, node: Node) -> Value:
    """``x @ w + b`` as the raw sums in memory plus a bias that the consumer's chain adds."""
    x, w = node.inputs[0], node.inputs[1]
    constant = ctx.graph.constants.get(w)
    if constant is None:
        raise ctx.unsupported(node, "its weights are not constant")
    transposed = bool(node.attrs.get("transposed", False))
    n, k = constant.tensor.shape if transposed else constant.tensor.shape[::-1]
    if k % ctx.machine["mxm.window"]:
        grain = ctx.machine["mxm.window"]
        raise ctx.unsupported(node, f"its inner size {k} is not a multiple of {grain}")
    parts = operand(ctx, x)
    dims = row_dims(ctx.shape(x), "N")
    raw = ctx.buffer(f"{node.output}.raw", DType.F32, dims, n)
    columns_of = _halves(constant, transposed)
    weights = [
        _tiles(ctx, w, columns_of, tile, min(ctx.lanes, n - tile), k)
        for tile in range(0, n, ctx.lanes)
    ]
    for row in raw.starts:
        for tile, found in enumerate(weights):
            _job(ctx, parts, found, raw, tile, row, k)
    result = ctx.leaf(raw)
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = value(ctx, node.inputs[2], "N").at(np.zeros(result.rows, np.int64))
        result = Value(apply("add", result.expr, bias.expr), result.rows, n)
    return result


def _halves(constant: Constant, transposed: bool) -> Callable[[int], Array]:
    """``f(part)``: hi (0) or lo (1) fp16 part of the weights, ``[N, K]``."""

    @cache
    def part(index: int) -> Array:
        full = np.asarray(constant.value(), np.float32)
        full = full if transposed else full.T
        if full.size and float(np.max(np.abs(full))) > FP16_MAX:
            hint = "scale the weights; fp16 ends at 65504"
            raise LimitError(412, f"weights '{constant.tensor.name}' overflow fp16", hint=hint)
        hi = full.astype(np.float16)
        return hi if index == 0 else (full - hi.astype(np.float32)).astype(np.float16)

    return part


def chunk_order(k: int, lanes: int) -> list[int]:
    """Contraction chunks, the short one first: a full chunk last lets results leave at half rate."""
    chunks = list(range(-(-k // lanes)))
    return chunks[-1:] + chunks[:-1] if k % lanes else chunks


def _tiles(
    ctx: Context, name: str, part: Callable[[int], Array], tile: int, width: int, k: int
) -> dict[tuple[int, int], Weights]:
    """Weights by (chunk, part) for output columns ``tile .. tile+width``."""

    def data(chunk: int, index: int) -> Callable[[], Array]:
        def load() -> Array:
            block = part(index)[tile : tile + width, chunk * ctx.lanes : (chunk + 1) * ctx.lanes]
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
    ctx: Context, parts: tuple[Buffer, ...], weights: dict[tuple[int, int], Weights], raw: Buffer,
    tile: int, row: int, k: int,
) -> None:  # fmt: skip
    count = raw.block(row)[1]
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
        emit = Rows(raw, tile, row, count) if i == len(order) - 1 else None
        rows = Rows(parts[left], chunk, row, count)
        passes.append(Pass(weights[chunk, right], rows, 0, window, 0, i == 0, emit))
    ctx.matrix_job(MatrixJob(ctx.node, DType.F16, tuple(passes)))
