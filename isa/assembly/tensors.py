"""Tensors of authored assembly: a name, a type, rows and columns, and where each byte plane lies."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from isa.assembly.expressions import ExpressionError
from isa.instruction import DType
from isa.machine import Machine
from isa.program import Array, Piece, PortTensor

WRONG: Final = 213
FILE: Final = 212
USES: Final = ("input", "output", "splat")


@dataclass(frozen=True)
class Tensor:
    """``rows x cols`` elements. Byte plane ``p`` lies in slice ``places[p][0]`` from word ``places[p][1]`` on.

    A row of more elements than the chip has lanes is cut into ``chunks``; all rows of a chunk stand together, so that row
    ``r`` of chunk ``c`` is word ``address + c * rows + r``. With ``splat`` a row is one element, in every lane.
    """

    name: str
    dtype: DType
    rows: int
    cols: int
    places: tuple[tuple[int, int], ...]
    lanes: int
    splat: bool = False
    use: str = ""

    def __str__(self) -> str:
        return self.name

    @cached_property
    def chunks(self) -> int:
        """Words that a row takes."""
        return max(1, -(-self.cols // self.lanes))

    @property
    def words(self) -> int:
        """Words that a byte plane takes."""
        return self.rows * self.chunks

    def attribute(self, name: str) -> int:
        """``rows``, ``cols``, ``planes``, ``chunks`` or ``words``; raises ``ExpressionError``."""
        known = {"rows": self.rows, "cols": self.cols, "planes": self.dtype.planes}
        known |= {"chunks": self.chunks, "words": self.words}
        if name not in known:
            raise ExpressionError(f"a tensor has no {name!r}", hint=f"it has {', '.join(known)}")
        return known[name]

    def pieces(self) -> tuple[Piece, ...]:
        """Where its elements lie, for an input or output."""
        return tuple(
            Piece(
                slice_,
                address + chunk * self.rows,
                plane,
                self.cols,
                0,
                self.rows,
                chunk * self.lanes,
                min(self.lanes, self.cols - chunk * self.lanes),
                0,
                self.splat,
            )
            for plane, (slice_, address) in enumerate(self.places)
            for chunk in range(self.chunks)
        )

    def port(self) -> PortTensor:
        """The tensor as an input or output of the program."""
        abi = self.dtype.numpy.name
        return PortTensor(self.name, (self.rows, self.cols), abi, self.dtype, self.pieces())

    def images(self, values: Array) -> list[Array]:
        """Elements ``[rows, cols]`` as the words ``[words, lanes]`` of each byte plane; lanes past a row are zero."""
        raw = np.ascontiguousarray(values, self.dtype.numpy).view(np.uint8)
        raw = raw.reshape(self.rows, self.cols, self.dtype.planes)
        out = []
        for plane in range(self.dtype.planes):
            wide = np.zeros((self.rows, self.chunks * self.lanes), np.uint8)
            wide[:, : self.cols if not self.splat else None] = raw[:, :, plane]
            parts = wide.reshape(self.rows, self.chunks, self.lanes).transpose(1, 0, 2)
            out.append(np.ascontiguousarray(parts).reshape(self.words, self.lanes))
        return out


def spread(
    places: Sequence[tuple[int, int]], planes: int, machine: Machine
) -> list[tuple[int, int]]:
    """A place a byte plane: one place alone stands for its slice and those behind it, outward."""
    if len(places) == 1 and planes > 1:
        first, address = places[0]
        if first % machine.slices + planes > machine.slices:
            raise ExpressionError(
                f"{planes} byte planes from {machine.queue_names[first]} on leave the hemisphere",
                code=WRONG,
            )
        return [(first + p, address) for p in range(planes)]
    if len(places) != planes:
        raise ExpressionError(
            f"{len(places)} places for {planes} byte planes",
            code=WRONG,
            hint="give one place a byte plane, or the first",
        )
    return list(places)


def check(tensor: Tensor, machine: Machine) -> None:
    """Raise ``ExpressionError`` TSP213 where a tensor cannot lie where it says."""
    if tensor.rows < 1 or tensor.cols < 1 or tensor.rows * tensor.cols >= 1 << 31:
        raise ExpressionError(f"{tensor.rows} x {tensor.cols} is no shape", code=WRONG)
    if tensor.splat and tensor.cols != 1:
        raise ExpressionError(
            f"splat fills a row's lanes with 1 element, not {tensor.cols}", code=WRONG
        )
    for slice_, address in tensor.places:
        if not 0 <= address <= machine.words - tensor.words:
            raise ExpressionError(
                f"words {address} .. {address + tensor.words - 1} of {machine.queue_names[slice_]} are not there",
                code=WRONG,
                hint=f"a slice of {machine.name} has {machine.words} words",
            )


@dataclass
class Contents:
    """The elements given to one tensor so far."""

    tensor: Tensor
    parts: list[Array] = field(default_factory=list)
    given: int = 0

    def add(self, values: Array) -> None:
        """Append elements; raises ``ExpressionError`` TSP213 beyond the tensor's end."""
        self.given += values.size
        most = self.tensor.rows * self.tensor.cols
        if self.given > most:
            message = (
                f"{self.given} elements; {self.tensor} has {self.tensor.rows} x {self.tensor.cols}"
            )
            raise ExpressionError(message, code=WRONG)
        self.parts.append(values.reshape(-1))

    def words(self) -> list[tuple[int, int, Array]]:
        """``(slice, address, words)`` of every byte plane; raises ``ExpressionError`` where elements are missing."""
        most = self.tensor.rows * self.tensor.cols
        if self.given != most:
            raise ExpressionError(
                f"{self.given} elements were given for {self.tensor}, which has {most}",
                code=WRONG,
                hint="VALUE x{n} repeats a value n times",
            )
        values = np.concatenate(self.parts).reshape(self.tensor.rows, self.tensor.cols)
        images = self.tensor.images(values)
        return [(s, a, image) for (s, a), image in zip(self.tensor.places, images, strict=True)]


def elements(values: Sequence[int | float], dtype: DType) -> Array:
    """Numbers as elements of a type; raises ``ExpressionError`` TSP213 where an integer does not fit."""
    if dtype.is_float:
        with np.errstate(over="ignore"):
            return np.array(values, np.float64).astype(dtype.numpy)
    info = np.iinfo(dtype.numpy)
    for value in values:
        if not isinstance(value, int) or not info.min <= value <= info.max:
            message = f"{value} is no {dtype.name.lower()}: {info.min} .. {info.max}"
            raise ExpressionError(message, code=WRONG)
    return np.array(values, dtype.numpy)


def inside(folder: Path | None, name: str) -> Path:
    """The regular file ``name`` within ``folder``; raises ``ExpressionError`` TSP212 for any other."""
    if folder is None:
        raise ExpressionError("this text has no folder", code=FILE, hint="assemble it from a file")
    root = Path(os.path.realpath(folder))
    if not name or "\0" in name or Path(name).is_absolute():
        raise ExpressionError(f"{name!r} is no relative path", code=FILE)
    path = Path(os.path.realpath(root / name))
    if not path.is_relative_to(root):
        raise ExpressionError(
            f"{name!r} leaves the folder of the text", code=FILE, hint="keep it beside the text"
        )
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ExpressionError(f"{name!r} is not a regular file", code=FILE)
    except OSError as error:
        raise ExpressionError(f"{name!r} cannot be read: {error.strerror}", code=FILE) from None
    return path


def read_array(path: Path, tensor: Tensor) -> Array:
    """The elements of a tensor from a ``.npy`` file: its type exactly, its number of elements exactly."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False, max_header_size=10_000)
    except Exception as error:  # numpy evaluates the header and lets its tokenizer's errors out.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ExpressionError(f"not a .npy file: {reason}", code=FILE) from None
    want = tensor.dtype.numpy
    if array.dtype != want or array.size != tensor.rows * tensor.cols:
        message = f"{path.name} holds {array.dtype.name} {list(array.shape)}"
        hint = f"{tensor} is {want.name} [{tensor.rows}, {tensor.cols}]"
        raise ExpressionError(message, code=FILE, hint=hint)
    return np.array(array)
