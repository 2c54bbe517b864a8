"""Reading a model file and the files beside it, without trusting them.

A model may come from anywhere. Everything is opened without following links in data paths and without
blocking on a FIFO, read by `pread` into memory of our own (a file cut short later is an error, never a
fault), and checked against limits before it is parsed or used.
"""

from __future__ import annotations

import os
import stat
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from isa.errors import InputError, LimitError

if TYPE_CHECKING:
    from onnx import ModelProto

MODEL_BYTES = (1 << 31) - 1
"""A protobuf message cannot be larger; larger weights are external data."""

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


def read_model(path: Path) -> ModelProto:
    """Parse the ONNX file at `path`.

    Raises:
        InputError: TSP100 it cannot be read, TSP101 it is not an ONNX model.
        LimitError: TSP401 it is larger than `MODEL_BYTES`.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    data = _read_whole(path)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise InputError(
            101,
            "not an ONNX model, or a truncated one: the protobuf does not parse",
            where=str(path),
            hint="export or download the model again",
        ) from None
    if model.ir_version <= 0 or not model.opset_import or not model.graph.output:
        raise InputError(
            101,
            "not an ONNX model: it has no IR version, opset or graph output",
            where=str(path),
            hint="give the .onnx file that an exporter wrote",
        )
    return model


def _read_whole(path: Path) -> bytes:
    try:
        handle = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(100, f"cannot be opened: {reason}", where=str(path)) from None
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise InputError(100, "is not a regular file", where=str(path))
    with os.fdopen(handle, "rb") as file:
        if status.st_size > MODEL_BYTES:
            raise LimitError(
                401, f"has {status.st_size} bytes; at most {MODEL_BYTES}", where=str(path)
            )
        return file.read(status.st_size + 1)  # Room for more would be taken at once.


class DataFile:
    """An open data file. `read` is safe against the file changing afterwards."""

    def __init__(self, handle: int, location: str) -> None:
        self.location, self._handle = location, handle
        self.size = os.fstat(handle).st_size
        weakref.finalize(self, os.close, handle)

    def read(self, offset: int, length: int) -> NDArray[np.uint8]:
        """`length` bytes from `offset`; TSP106 if the file has become shorter."""
        buffer = np.empty(length, np.uint8)
        view, done = buffer.data, 0
        while done < length:
            count = os.preadv(self._handle, [view[done:]], offset + done)
            if count == 0:
                raise InputError(
                    106,
                    f"was cut short while it was in use, at byte {offset + done}",
                    where=self.location,
                )
            done += count
        return buffer


@dataclass(slots=True)
class DataFolder:
    """The folder of the model: the only place that its external data may be in."""

    path: Path
    _files: dict[str, DataFile] = field(default_factory=dict)

    def open(self, location: str) -> DataFile:
        """The data file at a relative path.

        Raises:
            InputError: TSP104, the path leaves the folder, is a link or is not a regular file.
        """
        if location not in self._files:
            self._files[location] = DataFile(self._descend(location), location)
        return self._files[location]

    def _descend(self, location: str) -> int:
        parts = location.split("/")
        if not location or "\0" in location or "\\" in location or location.startswith("/"):
            raise self._refuse(location, "must be a relative path")
        if any(part in ("", ".", "..") for part in parts[:-1]) or parts[-1] in ("", ".", ".."):
            raise self._refuse(location, "must stay inside the model's folder")
        handle = os.open(self.path, _FLAGS | os.O_DIRECTORY)
        try:
            for part in parts[:-1]:
                inner = os.open(part, _FLAGS | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
                os.close(handle)
                handle = inner
            # lstat before open: opening a device can act on it.
            if not stat.S_ISREG(os.lstat(parts[-1], dir_fd=handle).st_mode):
                raise self._refuse(location, "is not a regular file")
            found = os.open(parts[-1], _FLAGS | os.O_NOFOLLOW, dir_fd=handle)
        except OSError as error:
            raise self._refuse(location, f"cannot be opened: {error.strerror}") from None
        finally:
            os.close(handle)
        if not stat.S_ISREG(os.fstat(found).st_mode):
            os.close(found)
            raise self._refuse(location, "is not a regular file")
        return found

    def _refuse(self, location: str, reason: str) -> InputError:
        return InputError(
            104,
            f"external data '{location}' {reason}",
            where=str(self.path),
            hint="external data must be a plain file at a relative path beside the model",
        )
