"""Exact moves of bytes across lanes: data installed as int8 weights, read out by streaming one-hot rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compiler.tiles import Array, Buffer, Load, MatrixJob, Pass, Rows, Weights
from compiler.tiling.context import Context
from isa.instruction import DType


def blocks_in(buffer: Buffer, start: int, count: int) -> Iterator[tuple[int, int]]:
    """``(row, rows)`` of each block's part of a row range."""
    row = start
    while row < start + count:
        first, rows = buffer.block(row)
        size = min(first + rows, start + count) - row
        yield row, size
        row += size


def loads_of(buffer: Buffer, chunk: int, start: int, count: int, column: int) -> list[Load]:
    """Rows ``start .. start+count`` of a chunk as the weights of columns ``column ..``."""
    return [
        Load(Rows(buffer, chunk, row, size), column + row - start)
        for row, size in blocks_in(buffer, start, count)
    ]


def one_hot(ctx: Context) -> Buffer:
    """The identity, one byte plane: streaming its rows reads an installed matrix out by lanes."""
    n = ctx.lanes
    return ctx.constant("identity", (n, n), DType.I8, lambda: np.eye(n, dtype=np.int8), both=True)


def many_hot(ctx: Context, rows: int, places: int) -> Buffer:
    """Rows with a one at ``row + place * rows`` for every place: for data of which only one place is not zero."""
    if places == 1:
        return one_hot(ctx)
    n = ctx.lanes

    def data() -> Array:
        found: Array = np.tile(np.eye(rows, dtype=np.int8), places)
        return np.pad(found, ((0, 0), (0, n - found.shape[1])))

    return ctx.constant(f"hot{rows}.{places}", (rows, n), DType.I8, data, both=True)


def byte_move(
    ctx: Context, weights: Weights, rows: Buffer, first: int, lanes: int, out: Rows
) -> list[Pass]:
    """Rows ``first ..`` of zeros and ones in the first ``lanes`` lanes, driven through: two byte planes moved to ``out``."""
    found = []
    for start, size in blocks_in(out.buffer, out.row, out.count):
        for row, count in _cuts(start, size, ctx.machine["mxm.acc_rows"]):
            ones = Rows(rows, 0, first + row - out.row, count)
            to = Rows(out.buffer, out.chunk, row, count)
            found.append(Pass(weights, ones, 0, ctx.window(lanes), 0, True, to))
    return found


def move(ctx: Context, passes: list[Pass]) -> None:
    """Append byte moves as one job."""
    ctx.matrix_job(MatrixJob(ctx.node, DType.I8, tuple(passes)))


def _cuts(first: int, rows: int, most: int) -> Iterator[tuple[int, int]]:
    """A range of rows in pieces of at most ``most``."""
    for at in range(first, first + rows, most):
        yield at, min(most, first + rows - at)
