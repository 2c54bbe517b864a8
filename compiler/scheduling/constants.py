"""Constants: where they lie is decided while scheduling, what they are is read once the schedule stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from compiler.tiles import Array
from isa.instruction import DType
from isa.program import SEGMENT

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Stored:
    """``rows`` words from each of ``places`` (slice, address) on: ``cut`` makes those of every place of what ``source`` reads."""

    name: str
    source: Callable[[], Array]
    cut: Callable[[Array], Sequence[Bytes]]
    places: tuple[tuple[int, int], ...]
    rows: int


def pack(stored: Iterable[Stored], lanes: int) -> tuple[npt.NDArray[np.void], Bytes]:
    """Segments, sorted by place, and the words ``[count, lanes]`` that they lie in.

    A source is read once, and those of a like name one after the other: they are parts of one tensor.
    """
    items = sorted(stored, key=lambda item: (item.name, item.places))
    places = sorted(
        (place, i, p) for i, item in enumerate(items) for p, place in enumerate(item.places)
    )
    rows, firsts, total = list[tuple[int, int, int, int]](), dict[tuple[int, int], int](), 0
    for place, i, p in places:
        rows.append((*place, items[i].rows, total))
        firsts[i, p] = total
        total += items[i].rows
    data = np.zeros((total, lanes), np.uint8)
    for _, same in groupby(enumerate(items), key=lambda entry: id(entry[1].source)):
        values: Any = None
        for i, item in same:
            values = item.source() if values is None else values
            for p, words in enumerate(item.cut(values)):
                data[firsts[i, p] : firsts[i, p] + item.rows] = words
    return np.array(rows, SEGMENT), data


def plane_words(values: Array, lanes: int, uniform: bool) -> Bytes:
    """``[rows, columns]`` elements as ``[planes, rows, lanes]`` bytes, one value in all lanes if ``uniform``; maybe a view."""
    rows, columns = values.shape
    size = values.dtype.itemsize
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(rows, columns, size)
    planes: Bytes = raw.transpose(2, 0, 1)
    if uniform:
        return np.broadcast_to(planes, (size, rows, lanes))
    if columns == lanes:
        return planes
    out = np.zeros((size, rows, lanes), np.uint8)
    out[:, :, :columns] = planes
    return out


def block_words(
    values: Array, first: tuple[int, int], rows: int, lanes: int, uniform: bool
) -> list[Bytes]:
    """Words of ``rows`` rows of one chunk of a matrix, from ``first`` (row, column) on, for each byte plane."""
    row, column = first
    return list(plane_words(values[row : row + rows, column : column + lanes], lanes, uniform))


def tile_words(values: Array, streams: int, steps: int, lanes: int) -> list[Bytes]:
    """Words of a weight tile ``[columns, lanes]`` for each of the streams that load it: byte planes of its columns, in turn."""
    groups = streams // DType.F16.planes
    if len(values) < steps * groups:
        values = np.concatenate(
            [values, np.zeros((steps * groups - len(values), lanes), np.float16)]
        )
    planes = plane_words(values, lanes, uniform=False)
    return [planes[i % 2, i // 2 :: groups] for i in range(streams)]
