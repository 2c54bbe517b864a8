"""Sums that are alike in every lane: computed once and spread, with the bits of computing them everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emulator.jit import Kernel
from emulator.lowering.matrix import Multiply
from isa.instruction import DType
from isa.machine import load_chip
from isa.program import Program
from tests.emulator.jit_programs import Build, byte_planes
from tests.emulator.test_jit_passes import agree

TINY = load_chip("tiny")
LANES = TINY.lanes
ROWS, INTERVAL = 13, -(-LANES // TINY["mxm.fp16_k"])
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 65504, -65504, 6e-8, -6e-8, 1], np.float16)


def summed(column: np.ndarray, odd: np.ndarray | None = None, columns: int = LANES) -> Program:
    """Two accumulating passes of activations full of special values: through columns that are all ``column``, then through
    the same, or through columns of which one is ``odd``."""
    rng, b, time = np.random.RandomState(1), Build(TINY), 300
    for chunk in range(2):
        w = np.repeat(column[None], columns, 0)
        if chunk and odd is not None:
            w[columns - 1] = odd
        x = rng.choice(SPECIAL, (ROWS, LANES))
        x[::2] = rng.randn(len(x[::2]), LANES).astype(np.float16)
        for plane in range(2):
            b.constant(plane, 64 * chunk, byte_planes(w)[plane])
            b.constant(2 + plane, 64 * chunk, byte_planes(x)[plane])
        b.weights(time, DType.F16, [0, 1], 64 * chunk, columns)
        done = b.product(
            time, DType.F16, [2, 3], 64 * chunk, ROWS, LANES, start=chunk == 0, emit=chunk == 1
        )
        time += 2 * ROWS + columns + 8
    b.store(done, b.matrix, b.inward + 4, [5, 6, 7, 8], 0, ROWS, INTERVAL)
    return b.program()


def columns_of(kernel: Kernel) -> set[int]:
    """How many columns the fp16 products of a kernel compute."""
    prepared = kernel._prepared
    at = prepared.entries[[isinstance(s, Multiply) for s in kernel.shapes], 1]
    return set(prepared.words[at + 2].tolist())


@pytest.mark.parametrize("value", [1.0, -0.0, 0.0, np.inf, np.nan, 3.0])
def test_equal_columns_are_computed_once(value: float, tmp_path: Path) -> None:
    column = np.full(LANES, value, np.float16)
    column[5] = 0.5
    kernel = agree(summed(column), tmp_path)
    assert max(columns_of(kernel)) < LANES


def test_a_chain_with_one_other_column_is_computed_whole(tmp_path: Path) -> None:
    column = np.ones(LANES, np.float16)
    kernel = agree(summed(column, odd=np.zeros(LANES, np.float16)), tmp_path)
    assert columns_of(kernel) == {LANES}


def test_columns_that_are_not_installed_stay_zero(tmp_path: Path) -> None:
    kernel = agree(summed(np.ones(LANES, np.float16), columns=LANES - 3), tmp_path)
    assert columns_of(kernel) == {LANES - 3}


def test_rows_shared_with_another_chain_are_computed_whole(tmp_path: Path) -> None:
    """A pass of fewer rows in between takes accumulators that the last pass goes on with."""
    ones, b, rng = np.ones((LANES, LANES), np.float16), Build(TINY), np.random.RandomState(2)
    x = rng.randn(ROWS, LANES).astype(np.float16)
    for plane in range(2):
        b.constant(plane, 0, byte_planes(ones)[plane])
        b.constant(2 + plane, 0, byte_planes(x)[plane])
    b.weights(300, DType.F16, [0, 1], 0, LANES)
    b.product(300, DType.F16, [2, 3], 0, ROWS, LANES, emit=False)
    b.product(400, DType.F16, [2, 3], 3, ROWS - 6, LANES, emit=False, row=2)
    done = b.product(500, DType.F16, [2, 3], 0, ROWS, LANES, start=False)
    b.store(done, b.matrix, b.inward + 4, [5, 6, 7, 8], 0, ROWS, INTERVAL)
    kernel = agree(b.program(), tmp_path)
    assert columns_of(kernel) == {LANES}
