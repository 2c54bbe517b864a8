"""Constants of a program: read once, as late as can be, and cut into the words that lie on the chip."""

from __future__ import annotations

from functools import partial

import numpy as np

from compiler.graph import Constant, DType, Tensor
from compiler.scheduling.constants import Stored, block_words, pack, plane_words, tile_words
from compiler.tiles import Array

LANES = 4


def test_elements_become_byte_planes() -> None:
    values = np.array([[0x0102, 0x0304], [0x0506, 0x0708]], np.uint16)
    planes = plane_words(values, 4, uniform=False)
    assert planes.shape == (2, 2, 4)
    assert planes[0].tolist() == [[2, 4, 0, 0], [6, 8, 0, 0]]
    assert planes[1].tolist() == [[1, 3, 0, 0], [5, 7, 0, 0]]
    assert plane_words(values[:, :1], 4, uniform=True)[1].tolist() == [[1] * 4, [5] * 4]


def test_a_stream_loads_one_byte_plane_of_some_columns_in_turn() -> None:
    """Four streams carry two columns a step; a column that there is not is zero."""
    tile = np.arange(3 * LANES, dtype=np.float16).reshape(3, LANES)
    words = tile_words(tile, streams=4, steps=2, lanes=LANES)
    for i, column in enumerate([0, 0, 1, 1]):
        expected = np.zeros((2, LANES), np.uint8)
        for step, c in enumerate(range(column, 3, 2)):
            expected[step] = list(tile[c].tobytes()[i % 2 :: 2])
        np.testing.assert_array_equal(words[i], expected)


def test_a_constant_is_read_once_however_many_pieces_of_it_are_stored_where() -> None:
    reads: list[str] = []

    def read(name: str, values: Array) -> Array:
        reads.append(name)
        return values

    wide = np.arange(12, dtype=np.uint8).reshape(2, 6)
    one = partial(read, "one", wide)
    other = partial(read, "other", wide[:, :1])
    left = partial(block_words, first=(0, 0), rows=2, lanes=LANES, uniform=False)
    right = partial(block_words, first=(0, 4), rows=2, lanes=LANES, uniform=False)
    all_lanes = partial(block_words, first=(1, 0), rows=1, lanes=LANES, uniform=True)
    stored = [
        Stored("one", one, left, ((3, 8),), 2),
        Stored("other", other, all_lanes, ((1, 5),), 1),
        Stored("one", one, right, ((3, 2),), 2),
    ]
    segments, data = pack(stored, LANES)
    assert reads == ["one", "other"]
    assert segments.tolist() == [(1, 5, 1, 0), (3, 2, 2, 1), (3, 8, 2, 3)]
    words = [[6] * 4, [4, 5, 0, 0], [10, 11, 0, 0], [0, 1, 2, 3], [6, 7, 8, 9]]
    assert data.tolist() == words
    assert pack([], LANES)[1].shape == (0, LANES)


def test_elements_are_read_again_once_nobody_holds_them() -> None:
    reads: list[int] = []

    def load() -> Array:
        reads.append(len(reads))
        return np.full(3, len(reads), np.int32)

    constant = Constant(Tensor("c", (3,), DType.I32), load)
    held = constant.value()
    assert constant.value() is held
    assert not held.flags.writeable
    assert reads == [0]
    del held
    assert constant.value().tolist() == [2, 2, 2]
