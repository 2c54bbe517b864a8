"""The memory image: a program's constants and inputs laid into ``[2 * slices, words, lanes]`` bytes, and outputs read back.

A slice's index is its MEM queue number; an address is ``bank * mem.words + offset``. Moving a tensor is byte movement alone,
but for two changes of type at the border: integers to the chip's width, with a range check, and bool to int8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from isa.errors import InputError, InternalError
from isa.machine import Machine
from isa.program import Piece, PortTensor, Program

Image = npt.NDArray[np.uint8]
"""``[2 * slices, words, lanes]`` uint8."""
Array = npt.NDArray[Any]

CHUNK: Final = 1 << 13
"""Words copied at once."""
UNKNOWN_NAME: Final = 601
MISSING: Final = 602
WRONG_DTYPE: Final = 603
WRONG_SHAPE: Final = 604
OUT_OF_RANGE: Final = 605
BAD_LAYOUT: Final = 960
NO_CONVERSION: Final = 961


def image_shape(machine: Machine) -> tuple[int, int, int]:
    """``(2 * slices, words, lanes)``."""
    return 2 * machine.slices, machine.words, machine.lanes


def initial_memory(program: Program, arena: Image | None = None) -> Image:
    """The image before any input is written: constants in place, every other word as ``arena`` has it, or zero.

    Args:
        program: its segments and data.
        arena: memory to build the image in, of ``image_shape``; words that are no constants are left alone.
    """
    shape = image_shape(program.machine)
    memory = np.zeros(shape, np.uint8) if arena is None else arena
    if memory.shape != shape or memory.dtype != np.uint8:
        raise InternalError(BAD_LAYOUT, f"arena is {memory.dtype}{memory.shape}, not uint8{shape}")
    constants = constant_words(program)
    words = memory.reshape(-1, shape[2])
    for first in range(0, len(constants), CHUNK):
        place, row = constants[first : first + CHUNK].T
        words[place] = program.data[row]
    return memory


def constant_words(program: Program) -> npt.NDArray[np.int64]:
    """``[n, 2]``: each word that holds a constant, as ``slice * words + address``, and its row of ``program.data``."""
    machine = program.machine
    slices, address, count, first = (
        program.segments[n].astype(np.int64) for n in ("slice", "address", "count", "first")
    )
    bad = (slices >= 2 * machine.slices) | (address + count > machine.words)
    bad |= first + count > len(program.data)
    if bad.any():
        segment = program.segments[int(bad.argmax())]
        message = f"segment {segment} is outside the memory or the constants"
        raise InternalError(BAD_LAYOUT, message)
    inside = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    place = np.repeat(slices * machine.words + address, count) + inside
    return np.stack([place, np.repeat(first, count) + inside], 1)


def initialised_words(program: Program) -> npt.NDArray[np.bool_]:
    """``[2 * slices, words]``: whether a word is a constant or holds part of an input before cycle 0."""
    slices, words, _ = image_shape(program.machine)
    known = np.zeros((slices, words), np.bool_)
    for segment in program.segments:
        slice_, address, count, _ = (int(v) for v in segment)
        known[slice_, address : address + count] = True
    for piece in (p for tensor in program.inputs for p in tensor.pieces):
        known[piece.slice, piece.address : piece.address + piece.rows] = True
    return known


def write_inputs(program: Program, inputs: Mapping[str, Array], memory: Image) -> None:
    """Write all inputs of a run into ``memory``; lanes of their words that no element covers become zero.

    Nothing is written unless every input is accepted. Raises ``InputError``: TSP601 unknown name, TSP602 missing,
    TSP603 wrong dtype, TSP604 wrong shape, TSP605 value out of range.
    """
    prepared = prepare_inputs(program, inputs)
    for tensor, _ in prepared:
        for piece in tensor.pieces:
            if not piece.splat:
                _words(memory, piece.slice, piece.address, piece.rows)[...] = 0
    for tensor, values in prepared:
        planes = _planes(values)
        for piece in tensor.pieces:
            part = _part(planes, piece, tensor)
            if piece.splat:
                _fill(_lanes(memory, piece), part)
            else:
                _lanes(memory, piece)[...] = part


def read_outputs(program: Program, memory: Image) -> dict[str, Array]:
    """Every output as the user sees it, in the program's order: fresh C-contiguous arrays of ``abi_dtype``."""
    outputs = {}
    for tensor in program.outputs:
        values = np.zeros(tensor.shape, tensor.dtype.numpy)
        planes = _planes(values)
        for piece in tensor.pieces:
            lanes = _lanes(memory, piece)
            part = _part(planes, piece, tensor)
            part[...] = lanes[:, piece.lane : piece.lane + 1] if piece.splat else lanes
        outputs[tensor.name] = _to_user(values, tensor)
    return outputs


def prepare_inputs(program: Program, inputs: Mapping[str, Array]) -> list[tuple[PortTensor, Array]]:
    """Each input with its values checked and in the chip's type; raises as ``write_inputs`` does."""
    expected = [tensor.name for tensor in program.inputs]
    listed = ", ".join(expected) or "(none)"
    for name in inputs:
        if name not in expected:
            raise InputError(UNKNOWN_NAME, f"no input {name!r}", hint=f"inputs: {listed}")
    missing = [name for name in expected if name not in inputs]
    if missing:
        raise InputError(MISSING, f"input {missing[0]!r} is not given", hint=f"inputs: {listed}")
    return [(tensor, to_chip(tensor, inputs[tensor.name])) for tensor in program.inputs]


def to_chip(tensor: PortTensor, given: Array) -> Array:
    """``given`` in the chip's type, C-contiguous; the array itself where nothing changes. Raises TSP603..605."""
    values = np.asarray(given)
    wanted, name = np.dtype(tensor.abi_dtype), tensor.name
    if values.dtype != wanted:
        message = f"input {name!r} is {values.dtype}, not {wanted}"
        raise InputError(WRONG_DTYPE, message, hint=f"convert it: array.astype({str(wanted)!r})")
    if values.shape != tensor.shape:
        message = f"input {name!r} has shape {values.shape}, not {tensor.shape}"
        hint = "the program is compiled for one shape: pad the input, or compile with --dim"
        raise InputError(WRONG_SHAPE, message, hint=hint)
    chip = tensor.dtype.numpy
    if wanted.kind in "iu" and chip.kind in "iu":
        _check_range(tensor, values)
    elif not np.can_cast(wanted, chip):
        raise InternalError(NO_CONVERSION, f"input {name!r}: {wanted} cannot be carried as {chip}")
    return np.ascontiguousarray(values.astype(chip, copy=False))


def _check_range(tensor: PortTensor, values: Array) -> None:
    """Refuse integers outside the tensor's bounds or the chip's type."""
    if not values.size:
        return
    info = np.iinfo(tensor.dtype.numpy)
    low, high = int(info.min), int(info.max)
    if tensor.minimum or tensor.maximum:
        low, high = max(low, tensor.minimum), min(high, tensor.maximum)
    if int(values.min()) < low or int(values.max()) > high:
        place = np.unravel_index(np.argmax((values < low) | (values > high)), values.shape)
        index = ", ".join(str(int(i)) for i in place)
        message = f"input {tensor.name!r}[{index}] is {values[place]}, not in {low} .. {high}"
        raise InputError(OUT_OF_RANGE, message)


def _to_user(values: Array, tensor: PortTensor) -> Array:
    """Chip values in the user's type."""
    wanted = np.dtype(tensor.abi_dtype)
    return np.asarray(values != 0) if wanted.kind == "b" else values.astype(wanted, copy=False)


def _planes(values: Array) -> Image:
    """``[elements, planes]`` bytes of C-contiguous values, a view."""
    return values.reshape(-1).view(np.uint8).reshape(values.size, values.itemsize)


def _part(planes: Image, piece: Piece, tensor: PortTensor) -> Image:
    """``[rows, columns]``: a view of the elements and byte plane that ``piece`` covers."""
    columns = max(1, piece.view_columns)
    matrix = planes.reshape(len(planes) // columns, columns, planes.shape[1])
    part = matrix[piece.row : piece.row + piece.rows, piece.column : piece.column + piece.columns]
    inside = part.shape[:2] == (piece.rows, piece.columns) and piece.plane < planes.shape[1]
    if not inside or min(piece.row, piece.column, piece.plane) < 0:
        raise InternalError(BAD_LAYOUT, f"{tensor.name!r}: {piece} is outside the tensor")
    return part[..., piece.plane]


def _lanes(memory: Image, piece: Piece) -> Image:
    """``[rows, columns]``, or ``[rows, lanes]`` of a splat: a view of the bytes that ``piece`` occupies."""
    words = _words(memory, piece.slice, piece.address, piece.rows)
    if piece.splat:
        return words
    lanes = words[:, piece.lane : piece.lane + piece.columns]
    if piece.lane < 0 or lanes.shape[1] != piece.columns:
        raise InternalError(BAD_LAYOUT, f"{piece} is outside the lanes")
    return lanes


def _fill(words: Image, part: Image) -> None:
    """``[rows, 1]`` bytes in all lanes ``[rows, lanes]``, eight lanes at once where that is possible."""
    if words.shape[1] % 8 or not words.flags.c_contiguous:
        words[...] = part
    else:
        words.view(np.uint64)[...] = part.astype(np.uint64) * np.uint64(0x0101010101010101)


def _words(memory: Image, slice_: int, address: int, count: int) -> Image:
    """``[count, lanes]``: a view of consecutive words of a slice."""
    slices, words, _ = memory.shape
    if not (0 <= slice_ < slices and 0 <= address <= address + count <= words):
        message = f"words {address} .. {address + count - 1} of slice {slice_} do not exist"
        raise InternalError(BAD_LAYOUT, message)
    return memory[slice_, address : address + count]
