"""Inputs for a run: read from ``.npy`` files, or drawn at random so that the model takes them."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.errors import InputError, UsageError
from isa.program import PortTensor

Array = NDArray[Any]

UNBOUNDED = 10
"""Integer inputs without known bounds are drawn below this."""


def read_tensor(path: Path) -> Array:
    """The array of a ``.npy`` file. Raises InputError TSP650 if it is not a regular file holding one plain array."""
    where = str(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(650, "not a regular file", where=where)
        with path.open("rb") as file:
            if file.read(6) != b"\x93NUMPY":
                hint = "save one array with numpy.save"
                raise InputError(650, "not a .npy file", where=where, hint=hint)
            file.seek(0)
            array = np.load(file, allow_pickle=False, max_header_size=10_000)
    except OSError as error:
        raise InputError(650, f"cannot read: {error.strerror or error}", where=where) from None
    except InputError:
        raise
    except Exception as error:  # numpy evaluates the header and lets its tokenizer's errors out.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(650, f"not a whole .npy file: {reason}", where=where) from None
    return np.asarray(array)


def read_feeds(given: Iterable[str]) -> dict[str, Array]:
    """Arrays by input name from ``name=file.npy`` texts. Raises UsageError TSP804 for another form or a repeated name."""
    feeds: dict[str, Array] = {}
    for text in given:
        name, sign, file = text.partition("=")
        if not (name and sign and file):
            raise UsageError(804, f"not an input: {text!r}", hint="write -i name=file.npy")
        if name in feeds:
            raise UsageError(804, f"input {name!r} is given twice")
        feeds[name] = read_tensor(Path(file))
    return feeds


def random_feeds(
    ports: Iterable[PortTensor],
    seed: int = 0,
    bounds: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, Array]:
    """Seeded inputs that the program takes.

    Integers lie within ``bounds`` (inclusive, by input name) or the port's own; floats are standard normal. An input
    called a mask, and a boolean one, is ones with a zero tail of random length in every row, at least one element kept.
    """
    random = np.random.default_rng(seed)
    return {port.name: _draw(port, random, (bounds or {}).get(port.name)) for port in ports}


def _draw(port: PortTensor, random: np.random.Generator, bounds: tuple[int, int] | None) -> Array:
    dtype = np.dtype(port.abi_dtype)
    if "mask" in port.name.lower() or dtype == np.bool_:
        return _padding(port.shape, random).astype(dtype)
    if dtype.kind == "f":
        return random.standard_normal(port.shape).astype(dtype)
    low, high = bounds or (port.minimum, port.maximum)
    if low == high == 0 and bounds is None:
        high = UNBOUNDED - 1
    for kind in (dtype, port.dtype.numpy):
        if kind.kind in "iu":
            low, high = max(low, int(np.iinfo(kind).min)), min(high, int(np.iinfo(kind).max))
    return random.integers(low, high, port.shape, endpoint=True).astype(dtype)


def _padding(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Ones with a zero tail along the last axis."""
    width = shape[-1] if shape else 1
    kept = random.integers(min(1, width), width, shape[:-1], endpoint=True)
    return np.reshape(np.arange(width) < kept[..., None], shape)
