"""ONNX tensors as constants: checked at once, read when somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from compiler.builder import LIMIT_BYTES
from compiler.frontend.dtypes import dtype_of
from compiler.frontend.source import DataFolder
from compiler.graph import Array, Constant, DType, Tensor
from isa.errors import InputError, LimitError

if TYPE_CHECKING:
    from onnx import TensorProto

_EXTERNAL = 1
_TYPED = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
_FIELD = {
    DType.F32: "float_data",
    DType.F64: "double_data",
    DType.I64: "int64_data",
}


def constant_of(proto: TensorProto, name: str, folder: DataFolder | None) -> Constant:
    """The constant that `proto` holds, under `name`.

    Args:
        proto: kept alive by the constant if the elements are inside it.
        folder: where external data is, None if the model did not come from a file.

    Raises:
        InputError: TSP104 external data outside the folder, TSP105 malformed, TSP106 outside the file,
            TSP122 an element type that is not supported.
        LimitError: TSP403.
    """
    if any(size < 0 for size in proto.dims) or proto.HasField("segment"):
        raise _malformed(name, "has a negative size or is segmented")
    tensor = Tensor(name, tuple(proto.dims), dtype_of(proto.data_type, f"tensor '{name}'"))
    if tensor.nbytes > LIMIT_BYTES:
        raise LimitError(403, f"tensor '{name}' takes {tensor.nbytes} bytes; at most {LIMIT_BYTES}")
    typed = [field for field in _TYPED if len(getattr(proto, field))]
    if proto.data_location == _EXTERNAL:
        if typed or proto.raw_data:
            raise _malformed(name, "has external data and elements of its own")
        return Constant(tensor, _external(proto, tensor, folder))
    if proto.HasField("raw_data"):
        if typed:
            raise _malformed(name, "has both raw and typed elements")
        if len(proto.raw_data) != tensor.nbytes:
            raise _malformed(
                name, f"has {len(proto.raw_data)} bytes; its shape needs {tensor.nbytes}"
            )
        return Constant(tensor, lambda: _view(proto.raw_data, tensor))
    return Constant.of(name, _typed(proto, tensor, typed))


def _view(data: bytes | Array, tensor: Tensor) -> Array:
    return np.frombuffer(data, dtype=tensor.dtype.numpy).reshape(tensor.shape)


def _typed(proto: TensorProto, tensor: Tensor, typed: list[str]) -> Array:
    field = _FIELD.get(tensor.dtype, "int32_data")
    values = getattr(proto, field)
    if [name for name in typed if name != field] or len(values) != tensor.size:
        raise _malformed(
            tensor.name, f"needs {tensor.size} elements in {field}, and has {len(values)}"
        )
    if tensor.dtype is DType.F16:
        bits = np.array(values, dtype=np.int64).astype(np.uint16)
        return bits.view(np.float16).reshape(tensor.shape)
    wide = np.array(values, dtype=np.int64 if field == "int32_data" else tensor.dtype.numpy)
    narrow = wide.astype(tensor.dtype.numpy)
    if field == "int32_data" and not np.array_equal(wide, narrow):
        raise _malformed(tensor.name, f"has elements that are not {tensor.dtype.value}")
    return narrow.reshape(tensor.shape)


def _external(proto: TensorProto, tensor: Tensor, folder: DataFolder | None) -> Callable[[], Array]:
    if folder is None:
        raise InputError(
            104, f"tensor '{tensor.name}' has external data", hint="give the model as a path"
        )
    entries = {entry.key: entry.value for entry in proto.external_data}
    if len(entries) != len(proto.external_data):
        raise _malformed(tensor.name, "names an external data field twice")
    if any(isinstance(text, bytes) for pair in entries.items() for text in pair):
        raise _malformed(tensor.name, "has external data fields that are not UTF-8 text")
    file = folder.open(entries.get("location", ""))
    offset = _count(tensor.name, entries.get("offset", "0"))
    length = _count(tensor.name, entries.get("length", str(tensor.nbytes)))
    if length != tensor.nbytes:
        raise _malformed(
            tensor.name, f"has {length} external bytes; its shape needs {tensor.nbytes}"
        )
    if offset + length > file.size:
        raise InputError(
            106,
            f"tensor '{tensor.name}' ends at byte {offset + length} of '{file.location}', "
            f"which has {file.size}",
            hint="the data file is truncated or belongs to another model",
        )
    return lambda: _view(file.read(offset, length), tensor)


def _count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise _malformed(name, f"has an external offset or length of '{text}'")
    return int(text)


def _malformed(name: str, what: str) -> InputError:
    return InputError(105, f"tensor '{name}' {what}", hint="the model file is damaged")
