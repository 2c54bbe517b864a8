"""Files of the user: read with numbered errors, written whole or not at all."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from isa.errors import InputError, UsageError
from isa.files import write_atomic

CANNOT_WRITE: Final = 520
"""What ``isa.files`` calls it."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write inside into UsageError TSP803 about ``path``: the command line named it."""
    try:
        yield
    except InputError as error:
        if error.number != CANNOT_WRITE:
            raise
        raise UsageError(803, error.message, where=str(path)) from None
    except OSError as error:
        reason = f"cannot be written: {error.strerror or error}"
        raise UsageError(803, reason, where=str(path)) from None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises UsageError TSP803."""
    with writing(path):
        write_atomic(path, [data])


def check_target(path: Path, *sources: Path) -> Path:
    """``path``, if a file can be written there that is none of ``sources``.

    Long work asks before it begins. Raises UsageError TSP803.
    """
    folder = path.parent
    if not folder.is_dir():
        raise UsageError(803, f"cannot be written: there is no folder {folder}", where=str(path))
    if path.is_dir():
        raise UsageError(803, "cannot be written: it is a folder", where=str(path))
    if not os.access(folder, os.W_OK):
        raise UsageError(803, f"cannot be written: folder {folder} is read-only", where=str(path))
    for source in sources:
        if path.exists() and source.exists() and path.samefile(source):
            raise UsageError(803, "cannot be written: it is the file that is read", where=str(path))
    return path


def make_folder(path: Path) -> Path:
    """``path`` as a folder, made with its parents if need be. Raises UsageError TSP803."""
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def read_text(path: Path) -> str:
    """The text of a UTF-8 file. Raises InputError TSP805 if it is not a regular file of text."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(805, "not a regular file", where=str(path))
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise InputError(805, f"cannot read: {error.strerror or error}", where=str(path)) from None
    except UnicodeDecodeError as error:
        message = f"not a text file: byte {error.start} is not UTF-8"
        raise InputError(805, message, where=str(path)) from None


def file_names(tensors: list[str]) -> dict[str, str]:
    """A distinct ``.npy`` file name a tensor, whatever characters the tensor's name has."""
    chosen: dict[str, str] = {}
    taken: set[str] = set()
    for tensor in tensors:
        stem = re.sub(r"[^\w.-]", "_", tensor, flags=re.ASCII).lstrip(".")[:100] or "tensor"
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}.{number}"
        taken.add(name.lower())
        chosen[tensor] = f"{name}.npy"
    return chosen
