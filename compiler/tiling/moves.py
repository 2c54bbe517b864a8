"""Exact moves of bytes across lanes: data installed as int8 weights, read out by streaming one-hot rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from compiler.tiles import Buffer, MatrixJob, Pass, Rows, Weights
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


def one_hot(ctx: Context) -> Buffer:
    """The identity, one byte plane: streaming its rows reads an installed matrix out by lanes."""
    n = ctx.lanes
    return ctx.constant("identity", (n, n), DType.I8, lambda: np.eye(n, dtype=np.int8), both=True)


def byte_move(ctx: Context, weights: Weights, lanes: int, outs: Sequence[Buffer]) -> None:
    """``outs[i][r] = `` lane ``i * lanes + r`` of every installed vector, for ``r < lanes``: a transpose of two byte planes."""
    eye, most = one_hot(ctx), ctx.machine["mxm.acc_rows"]
    window = ctx.window(len(outs) * lanes)
    passes = [
        Pass(
            weights, Rows(eye, 0, i * lanes + at, size), 0, window, 0, True, Rows(out, 0, at, size)
        )
        for i, out in enumerate(outs)
        for first, rows in blocks_in(out, 0, lanes)
        for at, size in _cuts(first, rows, most)
    ]
    ctx.matrix_job(MatrixJob(ctx.node, DType.I8, tuple(passes)))


def _cuts(first: int, rows: int, most: int) -> Iterator[tuple[int, int]]:
    """A range of rows in pieces of at most ``most``."""
    for at in range(first, first + rows, most):
        yield at, min(most, first + rows - at)
