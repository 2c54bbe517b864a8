"""Moving elements without changing them."""

from __future__ import annotations

from compiler.frontend.registry import Call, UnsupportedError, onnx_op
from compiler.graph import Shape


@onnx_op("Reshape", since=5, limits="the shape is known at compile time")
@onnx_op("Flatten")
def _reshape(call: Call) -> None:
    call.done("Reshape", call.inputs[:1], shape=call.result(1, "the shape"))


@onnx_op("Squeeze", "Unsqueeze", limits="the axes are known at compile time")
def _squeeze(call: Call) -> None:
    call.done("Reshape", call.inputs[:1], shape=call.result(1, "the axes"))


@onnx_op("Transpose", since=1)
def _transpose(call: Call) -> None:
    default = tuple(reversed(range(len(call.shape()))))
    call.done("Transpose", call.inputs, perm=call.attr("perm", tuple, default))


@onnx_op("Expand", since=8, limits="the shape is known at compile time")
def _expand(call: Call) -> None:
    call.done("Expand", call.inputs[:1], shape=call.result(1, "the shape"))


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
    start = 0
    for index, name in enumerate(call.outputs):
        end = start + call.result(1, "the sizes", index)[axis]
        if name:
            bounds = {"axes": (axis,), "starts": (start,), "ends": (end,), "steps": (1,)}
            call.done("Slice", call.inputs[:1], index, **bounds)
        start = end
    if start != call.shape()[axis]:
        raise UnsupportedError(f"sizes of {start} do not split {call.shape()[axis]}")
