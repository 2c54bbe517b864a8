"""Reductions, and what is made of them."""

from __future__ import annotations

import math

import numpy as np

from compiler.frontend.registry import Call, UnsupportedError, onnx_op
from compiler.graph import DType


def _reduced(call: Call) -> tuple[tuple[int, ...], bool] | None:
    """Ascending axes and keepdims; None if nothing is reduced."""
    rank = len(call.shape())
    if "axes" in call.attrs:
        given = call.attr("axes", tuple)
    else:
        given = call.ints(1, "the axes") if call.has(1) else ()
    if not given and call.integer("noop_with_empty_axes", 0):
        return None
    axes = {call.axis(axis, rank) for axis in given} if given else set(range(rank))
    return tuple(sorted(axes)), bool(call.integer("keepdims", 1))


@onnx_op("ReduceSum", "ReduceMean", "ReduceMax", limits="the axes are known at compile time")
def _reduce(call: Call) -> None:
    found = _reduced(call)
    if found is None:
        call.alias(call.inputs[0])
    else:
        call.done(call.op, call.inputs[:1], axes=found[0], keepdims=found[1])


@onnx_op("ReduceMin", limits="becomes Neg, ReduceMax, Neg")
def _reduce_min(call: Call) -> None:
    found = _reduced(call)
    if found is None:
        call.alias(call.inputs[0])
        return
    negated = call.emit("Neg", call.inputs[:1])
    call.done("Neg", [call.emit("ReduceMax", [negated], axes=found[0], keepdims=found[1])])


@onnx_op("ReduceSumSquare", "ReduceL2", limits="becomes Mul, ReduceSum, Sqrt")
def _reduce_square(call: Call) -> None:
    axes, keep = _reduced(call) or ((), True)
    square = call.emit("Mul", [call.inputs[0], call.inputs[0]])
    if call.op == "ReduceL2":
        call.done("Sqrt", [call.emit("ReduceSum", [square], axes=axes, keepdims=keep)])
    else:
        call.done("ReduceSum", [square], axes=axes, keepdims=keep)


@onnx_op("LpNormalization", limits="p is 2; becomes Mul, ReduceSum, Sqrt, Div")
def _lp(call: Call) -> None:
    if call.integer("p", 2) != 2:
        raise UnsupportedError("p is not 2")
    axis = call.axis(call.integer("axis", -1), len(call.shape()))
    square = call.emit("Mul", [call.inputs[0], call.inputs[0]])
    total = call.emit("ReduceSum", [square], axes=(axis,), keepdims=True)
    call.done("Div", [call.inputs[0], call.emit("Sqrt", [total])])


@onnx_op("Softmax")
def _softmax(call: Call) -> None:
    shape = call.shape()
    if call.opset >= 13:
        axis = call.axis(call.integer("axis", -1), len(shape))
        call.done("Softmax", call.inputs, axis=axis)
        return
    axis = call.axis(call.integer("axis", 1), len(shape))
    if math.prod(shape[axis:]) == shape[-1]:
        call.done("Softmax", call.inputs, axis=len(shape) - 1)
        return
    flat = call.reshaped(call.inputs[0], (math.prod(shape[:axis]), math.prod(shape[axis:])))
    call.done("Reshape", [call.emit("Softmax", [flat], axis=1)], shape=shape)


@onnx_op("LayerNormalization", since=17, limits="one output; f32")
def _layernorm(call: Call) -> None:
    if any(call.outputs[1:]):
        raise UnsupportedError("outputs mean and inverse deviation")
    shape = call.shape()
    axis = call.axis(call.integer("axis", -1), len(shape))
    width = math.prod(shape[axis:])
    x = call.reshaped(call.inputs[0], (*shape[:axis], width))
    gamma = _row(call, call.inputs[1], shape[axis:], width)
    if call.has(2):
        beta = _row(call, call.inputs[2], shape[axis:], width)
    else:
        beta = call.builder.literal(np.zeros(width, dtype=np.float32))
    epsilon = call.number("epsilon", 1e-5)
    if axis == len(shape) - 1:
        call.done("LayerNorm", [x, gamma, beta], epsilon=epsilon)
    else:
        call.done(
            "Reshape", [call.emit("LayerNorm", [x, gamma, beta], epsilon=epsilon)], shape=shape
        )


def _row(call: Call, name: str, shape: tuple[int, ...], width: int) -> str:
    if call.builder.shape(name) != shape and call.builder.tensors[name].size != width:
        name = call.emit("Expand", [name], shape=shape)
    return call.reshaped(name, (width,))


@onnx_op("RMSNormalization", since=23, limits="becomes Mul, ReduceMean, Add, Sqrt, Div, Mul")
def _rmsnorm(call: Call) -> None:
    x = call.inputs[0]
    shape = call.shape()
    axis = call.axis(call.integer("axis", -1), len(shape))
    if call.builder.dtype(x) is not DType.F32:
        raise UnsupportedError("the operand is not f32")
    square = call.emit("Mul", [x, x])
    mean = call.emit("ReduceMean", [square], axes=tuple(range(axis, len(shape))), keepdims=True)
    epsilon = call.builder.scalar(call.number("epsilon", 1e-5), DType.F32)
    root = call.emit("Sqrt", [call.emit("Add", [mean, epsilon])])
    call.done("Mul", [call.emit("Div", [x, root]), call.inputs[1]])
