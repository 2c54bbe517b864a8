"""Element by element, operands broadcast."""

from __future__ import annotations

from compiler.frontend.dtypes import dtype_of
from compiler.frontend.registry import Call, UnsupportedError, onnx_op


@onnx_op("Add", "Sub", "Mul", "Div", "And", "Or", "Xor", "Equal", "Less", "Greater", since=7)
@onnx_op("LessOrEqual", "GreaterOrEqual", since=12)
@onnx_op("Neg", "Abs", "Sqrt", "Reciprocal", "Exp", "Tanh", "Sigmoid", "Relu", since=6)
@onnx_op("Erf", "IsNaN", "Where", since=9)
@onnx_op("Not")
def _same(call: Call) -> None:
    call.done(call.op, call.inputs)


@onnx_op("Identity")
def _identity(call: Call) -> None:
    call.done("Identity", call.inputs)


@onnx_op("IsInf", since=10, limits="both signs are detected")
def _isinf(call: Call) -> None:
    if not (call.integer("detect_negative", 1) and call.integer("detect_positive", 1)):
        raise UnsupportedError("only one sign of infinity is detected")
    call.done("IsInf", call.inputs)


def _chain(call: Call, op: str, *, last: bool) -> str:
    total = call.inputs[0]
    rest = list(call.inputs[1:])
    for item in rest[:-1] if last else rest:
        total = call.emit(op, [total, item])
    if last and rest:
        call.done(op, [total, rest[-1]])
    elif last:
        call.alias(total)
    return total


@onnx_op("Min", "Max", since=8)
def _extreme(call: Call) -> None:
    _chain(call, call.op, last=True)


@onnx_op("Sum", since=8)
def _sum(call: Call) -> None:
    _chain(call, "Add", last=True)


@onnx_op("Mean", since=8)
def _mean(call: Call) -> None:
    total = _chain(call, "Add", last=False)
    count = call.builder.scalar(len(call.inputs), call.builder.dtype(total))
    call.done("Div", [total, count])


@onnx_op("Pow", since=7)
def _pow(call: Call) -> None:
    base, exponent = call.inputs
    wanted = call.builder.dtype(base)
    given = call.builder.dtype(exponent)
    if given is not wanted:
        if given.is_float and not wanted.is_float:
            value = call.builder.uniform(exponent)
            if value is None or not value.is_integer():
                raise UnsupportedError("integers to powers that are not one whole constant")
        exponent = call.emit("Cast", [exponent], to=wanted.value)
    if call.builder.uniform(exponent) == 2 and call.builder.tensors[exponent].size == 1:
        call.done("Mul", [base, base])
    else:
        call.done("Pow", [base, exponent])


@onnx_op("Cast", since=6)
def _cast(call: Call) -> None:
    wanted = dtype_of(call.integer("to"), f"node '{call.name}' (Cast)")
    call.done("Cast", call.inputs[:1], to=wanted.value)


@onnx_op("CastLike", since=15)
def _castlike(call: Call) -> None:
    call.done("Cast", call.inputs[:1], to=call.builder.dtype(call.inputs[1]).value)


@onnx_op("Clip", since=6, limits="becomes Max and Min")
def _clip(call: Call) -> None:
    dtype = call.builder.dtype(call.inputs[0])
    low = call.inputs[1] if call.has(1) else ""
    high = call.inputs[2] if call.has(2) else ""
    if call.opset < 11:
        low = call.builder.scalar(call.number("min"), dtype) if "min" in call.attrs else ""
        high = call.builder.scalar(call.number("max"), dtype) if "max" in call.attrs else ""
    steps = [(op, bound) for op, bound in (("Max", low), ("Min", high)) if bound]
    value = call.inputs[0]
    for op, bound in steps[:-1]:
        value = call.emit(op, [value, bound])
    if steps:
        call.done(steps[-1][0], [value, steps[-1][1]])
    else:
        call.alias(value)


@onnx_op("Gelu", since=20)
def _gelu(call: Call) -> None:
    call.done("Gelu", call.inputs, approximate=call.attr("approximate", str, "none"))


@onnx_op("Swish", since=24, limits="becomes x * Sigmoid(alpha * x)")
def _swish(call: Call) -> None:
    x = call.inputs[0]
    alpha = call.number("alpha", 1.0)
    dtype = call.builder.dtype(x)
    scaled = x if alpha == 1 else call.emit("Mul", [x, call.builder.scalar(alpha, dtype)])
    call.done("Mul", [x, call.emit("Sigmoid", [scaled])])


@onnx_op("LeakyRelu", since=6, limits="becomes Where(x < 0, alpha * x, x)")
def _leaky(call: Call) -> None:
    x = call.inputs[0]
    dtype = call.builder.dtype(x)
    negative = call.emit("Less", [x, call.builder.scalar(0, dtype)])
    scaled = call.emit("Mul", [x, call.builder.scalar(call.number("alpha", 0.01), dtype)])
    call.done("Where", [negative, scaled, x])


@onnx_op("Dropout", since=7, limits="inference only")
def _dropout(call: Call) -> None:
    if call.has(2) and call.array(2, "training_mode").any():
        raise UnsupportedError("training mode")
    call.alias(call.inputs[0])
    if len(call.outputs) > 1 and call.outputs[1]:
        mask = call.builder.scalar(1, dtype_of(9, ""))
        call.results[1] = call.emit("Expand", [mask], shape=call.shape())
