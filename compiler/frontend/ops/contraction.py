"""Matrix products and attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from compiler.frontend.registry import Call, UnsupportedError, onnx_op
from compiler.graph import DType


@onnx_op("MatMul", limits="f32; int32 is not")
def _matmul(call: Call) -> None:
    a, b = call.inputs
    first, second = call.shape(0), call.shape(1)
    if not first or not second:
        raise UnsupportedError("an operand is a scalar")
    left = call.reshaped(a, (1, *first)) if len(first) == 1 else a
    right = call.reshaped(b, (*second, 1)) if len(second) == 1 else b
    weights = call.is_constant(1) and len(second) == 2 and call.builder.dtype(b) is DType.F32
    if weights and not call.is_constant(0):
        call.done("Linear", [a, b, ""], transposed=False)
        return
    if len(first) > 1 and len(second) > 1:
        call.done("MatMul", [left, right])
        return
    product = call.emit("MatMul", [left, right])
    shape = list(call.builder.shape(product))
    if len(second) == 1:
        del shape[-1]
    if len(first) == 1:
        del shape[-1 if len(second) == 1 else -2]
    call.done("Reshape", [product], shape=tuple(shape))


@onnx_op("Gemm", since=7)
def _gemm(call: Call) -> None:
    a, b = call.inputs[:2]
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    if len(call.shape(0)) != 2 or len(call.shape(1)) != 2:
        raise UnsupportedError("operands must have 2 dimensions")
    if call.integer("transA", 0):
        a = call.emit("Transpose", [a], perm=(1, 0))
    turned = bool(call.integer("transB", 0))
    if call.is_constant(1) and not call.is_constant(0) and call.builder.dtype(b) is DType.F32:
        op, operands = "Linear", [a, b, ""]
    else:
        op, operands = "MatMul", [a, call.emit("Transpose", [b], perm=(1, 0)) if turned else b]
    attrs = {"transposed": turned} if op == "Linear" else {}
    steps = []
    if alpha != 1:
        steps.append(("Mul", call.builder.scalar(alpha, call.builder.dtype(a))))
    if call.has(2) and beta != 0:
        bias = call.inputs[2]
        if beta != 1:
            bias = call.emit("Mul", [bias, call.builder.scalar(beta, call.builder.dtype(bias))])
        steps.append(("Add", bias))
    if not steps:
        call.done(op, operands, **attrs)
        return
    value = call.emit(op, operands, **attrs)
    for step, other in steps[:-1]:
        value = call.emit(step, [value, other])
    call.done(steps[-1][0], [value, steps[-1][1]])


@onnx_op(
    "Attention",
    since=23,
    limits="f32; as many K/V heads as Q heads; no cache, softcap or score output",
)
def _attention(call: Call) -> None:
    if any(call.has(index) for index in (4, 5, 6)) or any(call.outputs[1:]):
        raise UnsupportedError("a key/value cache, padding lengths or a second output")
    if call.number("softcap", 0.0) or call.attrs.get("softmax_precision", 1) != 1:
        raise UnsupportedError("softcap or softmax_precision")
    flat = [len(call.shape(index)) == 3 for index in range(3)]
    if len(set(flat)) != 1 or not (flat[0] or len(call.shape(0)) == 4):
        raise UnsupportedError("q, k and v must all have 3 or all have 4 dimensions")
    if flat[0]:
        heads, others = call.integer("q_num_heads"), call.integer("kv_num_heads")
        q, k, v = call.inputs[:3]
    else:
        heads, others = call.shape(0)[1], call.shape(1)[1]
        q, k, v = (_merged(call, index) for index in range(3))
    if heads != others or heads < 1:
        raise UnsupportedError(f"{heads} query heads and {others} key/value heads")
    scale = call.number("scale", 0.0) or 1 / math.sqrt(call.builder.shape(q)[2] / heads)
    operands = [q, k, v]
    if bias := _bias(call, call.builder.shape(q)[1], call.builder.shape(k)[1]):
        operands.append(bias)
    # A row without any key gives 0 in every opset: version 23 does not say so, its reference does so.
    masked = len(operands) > 3
    attrs: dict[str, Any] = {"heads": heads, "scale": scale, "nan_to_zero": masked}
    if flat[0]:
        call.done("Attention", operands, **attrs)
        return
    result = call.emit("Attention", operands, **attrs)
    batch, rows, width = call.builder.shape(result)
    apart = call.reshaped(result, (batch, rows, heads, width // heads))
    call.done("Transpose", [apart], perm=(0, 2, 1, 3))


def _merged(call: Call, index: int) -> str:
    batch, heads, rows, width = call.shape(index)
    turned = call.emit("Transpose", [call.inputs[index]], perm=(0, 2, 1, 3))
    return call.reshaped(turned, (batch, rows, heads * width))


def _bias(call: Call, rows: int, keys: int) -> str:
    """The additive mask of 4 dimensions, "" if there is none."""
    zero, low = (call.builder.scalar(value, DType.F32) for value in (0.0, -np.inf))
    bias = call.inputs[3] if call.has(3) else ""
    if bias and call.builder.dtype(bias) is DType.BOOL:
        bias = call.emit("Where", [bias, zero, low])
    if call.integer("is_causal", 0):
        allowed = call.builder.literal(np.tri(rows, keys, dtype=np.bool_))
        causal = call.emit("Where", [allowed, zero, low])
        bias = call.emit("Add", [bias, causal]) if bias else causal
    if not bias:
        return ""
    shape = call.builder.shape(bias)
    return call.reshaped(bias, (*(1,) * (4 - len(shape)), *shape))
