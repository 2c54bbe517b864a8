from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emulator.image import (
    image_shape,
    initial_memory,
    initialised_words,
    read_outputs,
    write_inputs,
)
from isa.errors import InputError, InternalError
from isa.instruction import DType
from isa.machine import load_chip
from isa.program import BURST, Piece, PortTensor, Program, pack_constants

TINY = load_chip("tiny")
LANES = TINY.lanes


def whole(name: str, shape: tuple[int, int], abi: str, dtype: DType, slice_: int) -> PortTensor:
    """A matrix with one byte plane a slice, a row a word, from lane 3 on."""
    rows, columns = shape
    pieces = tuple(
        Piece(slice_ + p, 7, p, columns, 0, rows, 0, columns, lane=3) for p in range(dtype.planes)
    )
    return PortTensor(name, shape, abi, dtype, pieces)


def program(*tensors: PortTensor) -> Program:
    return Program(TINY, np.zeros(0, BURST), inputs=tensors, outputs=tensors)


@pytest.mark.parametrize(
    ("abi", "dtype", "low", "high"),
    [
        ("float32", DType.F32, -9, 9),
        ("float16", DType.F16, -9, 9),
        ("int64", DType.I32, -(2**31), 2**31 - 1),
        ("int32", DType.I32, -(2**31), 2**31 - 1),
        ("int64", DType.I16, -(2**15), 2**15 - 1),
        ("uint8", DType.I16, 0, 255),
        ("int8", DType.I8, -128, 127),
        ("bool", DType.I8, 0, 1),
    ],
)
def test_a_tensor_comes_back_as_it_went_in(abi: str, dtype: DType, low: int, high: int) -> None:
    values = np.linspace(low, high, 40).reshape(5, 8).astype(abi)
    p = program(whole("x", (5, 8), abi, dtype, 2))
    memory = initial_memory(p)
    write_inputs(p, {"x": values}, memory)
    out = read_outputs(p, memory)["x"]
    assert out.dtype == values.dtype
    assert (out == values).all()


def test_byte_planes_lie_least_significant_first_and_other_lanes_are_zero() -> None:
    p = program(whole("x", (2, 1), "int32", DType.I32, 0))
    memory = initial_memory(p)
    memory[:] = 0xEE
    write_inputs(p, {"x": np.array([[0x04030201], [-1]], np.int32)}, memory)
    assert memory[:4, 7, 3].tolist() == [1, 2, 3, 4]
    assert memory[:4, 8, 3].tolist() == [255] * 4
    assert not memory[0, 7, :3].any()
    assert not memory[0, 7, 4:].any()
    assert memory[0, 6, 0] == 0xEE


def test_a_tensor_in_pieces_of_another_view_with_a_copy_and_a_splat() -> None:
    """12 elements seen as [3, 4]: two column blocks in one word each, a second copy, and row 1's first element in all lanes."""
    pieces = (
        Piece(0, 0, 0, 4, 0, 3, 0, 2, lane=0),
        Piece(0, 0, 0, 4, 0, 3, 2, 2, lane=10),
        Piece(5, 9, 0, 4, 0, 3, 0, 4, lane=1),
        Piece(6, 1, 0, 4, 1, 1, 0, 1, splat=True),
    )
    tensor = PortTensor("x", (2, 6), "int8", DType.I8, pieces)
    p = replace(program(), inputs=(tensor,), outputs=(replace(tensor, pieces=pieces[:2]),))
    memory = initial_memory(p)
    values = np.arange(12, dtype=np.int8).reshape(2, 6)
    write_inputs(p, {"x": values}, memory)
    assert memory[0, 1, [0, 1, 10, 11]].tolist() == [4, 5, 6, 7]
    assert memory[5, 11, 1:5].tolist() == [8, 9, 10, 11]
    assert (memory[6, 1] == 4).all()
    assert (read_outputs(p, memory)["x"] == values).all()
    assert initialised_words(p).sum() == 7


@pytest.mark.parametrize("shape", [(), (0, 4), (1,)])
def test_scalars_and_empty_tensors(shape: tuple[int, ...]) -> None:
    size = int(np.prod(shape))
    pieces = tuple(Piece(s, 0, s, 1, 0, size, 0, 1, splat=True) for s in range(4) if size)
    p = program(PortTensor("x", shape, "float32", DType.F32, pieces))
    memory = initial_memory(p)
    values = np.full(shape, 1.5, np.float32)
    write_inputs(p, {"x": values}, memory)
    out = read_outputs(p, memory)["x"]
    assert isinstance(out, np.ndarray)
    assert out.shape == shape
    assert (out == values).all()


def test_constants_lie_where_their_segments_say_in_the_given_arena() -> None:
    words = [(3, 5, np.full((2, LANES), 7, np.uint8)), (1, 0, np.full((1, LANES), 9, np.uint8))]
    segments, data = pack_constants(words, LANES)
    p = Program(TINY, np.zeros(0, BURST), segments, data)
    arena = np.full(image_shape(TINY), 0x55, np.uint8)
    memory = initial_memory(p, arena)
    assert memory is arena
    assert (memory[3, 5:7] == 7).all()
    assert (memory[1, 0] == 9).all()
    assert (memory[3, 7] == 0x55).all()
    assert initialised_words(p).sum() == 3


X = whole("x", (2, 2), "int64", DType.I32, 0)
OK = np.zeros((2, 2), np.int64)


@pytest.mark.parametrize(
    ("inputs", "number", "text"),
    [
        ({"y": OK, "x": OK}, 601, "no input 'y'"),
        ({}, 602, "'x' is not given"),
        ({"x": OK.astype(np.int32)}, 603, "is int32, not int64"),
        ({"x": OK[:1]}, 604, r"\(1, 2\), not \(2, 2\)"),
        ({"x": OK + 2**31}, 605, r"'x'\[0, 0\] is 2147483648, not in -2147483648 .. 2147483647"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(
    inputs: dict[str, Any], number: int, text: str
) -> None:
    p = program(X)
    memory = initial_memory(p)
    with pytest.raises(InputError, match=text) as caught:
        write_inputs(p, inputs, memory)
    assert caught.value.number == number
    assert not memory.any()


def test_bounds_of_an_input_name_the_element() -> None:
    p = program(replace(X, maximum=9))
    with pytest.raises(InputError, match=r"'x'\[1, 0\] is 10, not in 0 .. 9"):
        write_inputs(p, {"x": np.array([[0, 9], [10, 0]])}, initial_memory(p))


@pytest.mark.parametrize(
    "piece",
    [
        Piece(0, TINY.words, 0, 2, 0, 2, 0, 2),
        Piece(0, 0, 0, 2, 0, 3, 0, 2),
        Piece(0, 0, 4, 2, 0, 2, 0, 2),
        Piece(0, 0, 0, 2, 0, 2, 0, 2, lane=LANES - 1),
        Piece(2 * TINY.slices, 0, 0, 2, 0, 2, 0, 2),
    ],
)
def test_a_piece_outside_tensor_or_memory_is_an_internal_error(piece: Piece) -> None:
    p = program(replace(X, pieces=(piece,)))
    with pytest.raises(InternalError):
        write_inputs(p, {"x": OK}, initial_memory(p))
