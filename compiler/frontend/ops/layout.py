"""Moving elements without changing them."""

from __future__ import annotations

import math

import numpy as np

from compiler.frontend.registry import Call, UnsupportedError, onnx_op
from compiler.graph import Shape


@onnx_op("Reshape", since=5, limits="the shape is known at compile time")
def _reshape(call: Call) -> None:
    source = call.shape()
    shape = list(call.ints(1, "the shape"))
    if not call.integer("allowzero", 0):
        if any(size == 0 and axis >= len(source) for axis, size in enumerate(shape)):
            raise UnsupportedError(
                f"shape {shape} copies a dimension that {list(source)} does not have"
            )
        shape = [source[axis] if size == 0 else size for axis, size in enumerate(shape)]
    if shape.count(-1) == 1:
        known = math.prod(size for size in shape if size != -1)
        shape[shape.index(-1)] = math.prod(source) // known if known else 0
    if any(size < 0 for size in shape):
        raise UnsupportedError(f"the shape {shape} has a negative size")
    call.done("Reshape", call.inputs[:1], shape=tuple(shape))


@onnx_op("Flatten", since=1)
def _flatten(call: Call) -> None:
    source = call.shape()
    axis = call.integer("axis", 1)
    if not -len(source) <= axis <= len(source):
        raise UnsupportedError(f"axis {axis} is outside a tensor of {len(source)} dimensions")
    axis = axis + len(source) if axis < 0 else axis
    shape = (math.prod(source[:axis]), math.prod(source[axis:]))
    call.done("Reshape", call.inputs[:1], shape=shape)


def _axes(call: Call, rank: int) -> list[int] | None:
    if "axes" in call.attrs:
        axes = call.attr("axes", tuple)
    elif call.has(1):
        axes = call.ints(1, "the axes")
    else:
        return None
    found = [call.axis(axis, rank) for axis in axes]
    if len(set(found)) != len(found):
        raise UnsupportedError(f"axes {list(axes)} repeat")
    return found


@onnx_op("Unsqueeze", since=1, limits="the axes are known at compile time")
def _unsqueeze(call: Call) -> None:
    source = call.shape()
    count = len(call.attr("axes", tuple)) if "axes" in call.attrs else len(call.ints(1, "the axes"))
    rank = len(source) + count
    axes = _axes(call, rank) or []
    rest = iter(source)
    shape = tuple(1 if axis in axes else next(rest) for axis in range(rank))
    call.done("Reshape", call.inputs[:1], shape=shape)


@onnx_op("Squeeze", since=1, limits="the axes are known at compile time")
def _squeeze(call: Call) -> None:
    source = call.shape()
    axes = _axes(call, len(source))
    if axes is None:
        axes = [axis for axis, size in enumerate(source) if size == 1]
    if any(source[axis] != 1 for axis in axes):
        raise UnsupportedError(f"axes {axes} of {list(source)} are not all of size 1")
    shape = tuple(size for axis, size in enumerate(source) if axis not in axes)
    call.done("Reshape", call.inputs[:1], shape=shape)


@onnx_op("Transpose", since=1)
def _transpose(call: Call) -> None:
    default = tuple(reversed(range(len(call.shape()))))
    call.done("Transpose", call.inputs, perm=call.attr("perm", tuple, default))


@onnx_op("Expand", since=8, limits="the shape is known at compile time")
def _expand(call: Call) -> None:
    wanted = call.ints(1, "the shape")
    try:
        shape = np.broadcast_shapes(call.shape(), wanted)
    except ValueError:
        raise UnsupportedError(
            f"{list(call.shape())} does not broadcast to {list(wanted)}"
        ) from None
    call.done("Expand", call.inputs[:1], shape=shape)


@onnx_op("Tile", since=6, limits="the repeats are known at compile time")
def _tile(call: Call) -> None:
    source, repeats = call.shape(), call.ints(1, "the repeats")
    if len(repeats) != len(source) or min(repeats, default=0) < 0:
        raise UnsupportedError(f"repeats {list(repeats)} do not fit {list(source)}")
    apart = tuple(size for pair in source for size in (1, pair))
    wide: Shape = tuple(size for pair in zip(repeats, source, strict=True) for size in pair)
    spread = call.emit("Expand", [call.reshaped(call.inputs[0], apart)], shape=wide)
    shape = tuple(count * size for count, size in zip(repeats, source, strict=True))
    call.done("Reshape", [spread], shape=shape)


@onnx_op("Concat", since=4)
def _concat(call: Call) -> None:
    axis = call.axis(call.integer("axis"), len(call.shape()))
    call.done("Concat", call.inputs, axis=axis)


@onnx_op("Split", since=2, limits="the sizes are known at compile time")
def _split(call: Call) -> None:
    axis = call.axis(call.integer("axis", 0), len(call.shape()))
    size, parts = call.shape()[axis], len(call.outputs)
    if "split" in call.attrs:
        sizes = call.attr("split", tuple)
    elif call.has(1):
        sizes = call.ints(1, "the sizes")
    else:
        each = -(-size // parts)
        sizes = tuple(max(0, min(each, size - each * part)) for part in range(parts))
    if sum(sizes) != size or len(sizes) != parts or min(sizes) < 0:
        raise UnsupportedError(f"sizes {list(sizes)} do not split {size} into {parts}")
    start = 0
    for index, length in enumerate(sizes):
        bounds = {"axes": (axis,), "starts": (start,), "ends": (start + length,), "steps": (1,)}
        if call.outputs[index]:
            call.done("Slice", call.inputs[:1], index, **bounds)
        start += length
