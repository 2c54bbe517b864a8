"""What the host computes at compile time: shapes, and functions of constants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.builder import LIMIT_BYTES
from compiler.frontend.registry import VALUE_ELEMENTS, Call, UnsupportedError, onnx_op
from compiler.graph import Array, Constant
from isa.errors import LimitError


@onnx_op("Constant", limits="tensors and numbers")
def _constant(call: Call) -> None:
    value = call.attrs.get("value")
    if isinstance(value, Constant):
        call.results[0] = call.builder.add_constant(value.renamed(call.outputs[0]))
        return
    for name, dtype in (("value_float", np.float32), ("value_int", np.int64)):
        for key in (name, f"{name}s"):
            if key in call.attrs:
                call.constant(np.array(call.attrs[key], dtype=dtype))
                return
    raise UnsupportedError("a constant that is neither a tensor nor numbers")


@onnx_op("Shape")
def _shape(call: Call) -> None:
    shape = np.array(call.shape(), dtype=np.int64)
    end = call.attrs.get("end")
    call.constant(shape[slice(call.integer("start", 0), None if end is None else int(end))])


@onnx_op("Size")
def _size(call: Call) -> None:
    call.constant(np.array(call.builder.tensors[call.inputs[0]].size, dtype=np.int64))


@onnx_op("ConstantOfShape", since=9, limits="the shape is known at compile time")
def _constant_of_shape(call: Call) -> None:
    shape = call.ints(0, "the shape")
    if any(size < 0 for size in shape):
        raise UnsupportedError(f"shape {list(shape)} has a negative size")
    value = call.attrs.get("value")
    fill = value.value().reshape(()) if isinstance(value, Constant) else np.float32(0)
    call.done("Expand", [call.builder.literal(np.asarray(fill))], shape=shape)


@onnx_op("Range", since=11, limits="the bounds are known at compile time")
def _range(call: Call) -> None:
    start, limit, delta = (call.array(index, "a bound").reshape(()) for index in range(3))
    if delta == 0 or not np.isfinite([start, limit, delta]).all():
        raise UnsupportedError("the step is 0 or a bound is not finite")
    count = max(0, int(np.ceil((float(limit) - float(start)) / float(delta))))
    if count > VALUE_ELEMENTS:
        raise LimitError(
            403, f"node '{call.name}' (Range) makes {count} elements; at most {VALUE_ELEMENTS}"
        )
    call.constant((start + np.arange(count, dtype=start.dtype) * delta).astype(start.dtype))


def _computed(function: Callable[[Array], Array]) -> Callable[[Call], None]:
    def convert(call: Call) -> None:
        with np.errstate(all="ignore"):
            array = call.array(0, "the operand")
            call.constant(np.asarray(function(array)).astype(array.dtype))

    return convert


_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "Sin": np.sin,
    "Cos": np.cos,
    "Log": np.log,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": np.round,
    "Sign": np.sign,
}
for _name, _function in _FUNCTIONS.items():
    onnx_op(_name, limits="of a constant")(_computed(_function))


@onnx_op("NonZero", since=9, limits="of a constant")
def _nonzero(call: Call) -> None:
    call.constant(np.array(np.nonzero(call.array(0, "the operand")), dtype=np.int64))


@onnx_op("Trilu", since=14, limits="of a constant")
def _trilu(call: Call) -> None:
    array = call.array(0, "the operand")
    diagonal = call.ints(1, "the diagonal")[0] if call.has(1) else 0
    if array.ndim < 2:
        raise UnsupportedError("the operand needs 2 dimensions")
    call.constant(
        np.triu(array, diagonal) if call.integer("upper", 1) else np.tril(array, diagonal)
    )


@onnx_op("CumSum", since=11, limits="of a constant, neither exclusive nor reverse")
def _cumsum(call: Call) -> None:
    if call.integer("exclusive", 0) or call.integer("reverse", 0):
        raise UnsupportedError("exclusive or reverse")
    array = call.array(0, "the operand")
    axis = call.axis(call.ints(1, "the axis")[0], array.ndim)
    call.constant(np.cumsum(array, axis=axis, dtype=array.dtype))


@onnx_op("Mod", since=10, limits="of constants")
def _mod(call: Call) -> None:
    a, b = call.array(0, "an operand"), call.array(1, "an operand")
    if np.broadcast_shapes(a.shape, b.shape) and np.broadcast(a, b).size * 8 > LIMIT_BYTES:
        raise UnsupportedError("operands are too large")
    with np.errstate(all="ignore"):
        call.constant(np.asarray(np.fmod(a, b) if call.integer("fmod", 0) else np.mod(a, b)))
