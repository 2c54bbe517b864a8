"""What every operation of a `Graph` means, in numpy: the oracle of the passes, and the constant folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from compiler.graph import Array, Attrs, DType, Graph
from compiler.graph.rules import integer, ints, number
from isa.errors import InputError, InternalError

Operands = Sequence[Array]
Kernel = Callable[[Attrs, Operands], Array]

_ERF_STEP = 1.0 / 512
_ERF_END = 6.0


def evaluate(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Run the graph.

    Args:
        graph: a verified graph.
        inputs: an array an input, by name, of the input's shape; the dtype is converted.

    Returns:
        Every input and every node's result by tensor name, and every output by its own name and in its
        abi dtype. Constants are not among them.
    """
    values: dict[str, Array] = {}
    for given in graph.inputs:
        name, shape = given.tensor.name, given.tensor.shape
        if name not in inputs or np.shape(inputs[name]) != shape:
            raise InputError(
                601, f"input '{name}' of shape {list(shape)} is missing or of another shape"
            )
        values[name] = np.asarray(inputs[name]).astype(given.tensor.dtype.numpy)
    for node in graph.nodes:
        operands = [_operand(graph, values, name) for name in node.inputs if name]
        values[node.output] = execute(node.op, node.attrs, operands)
    for output in graph.outputs:
        values[output.name] = values[output.tensor].astype(output.abi_dtype.numpy)
    return values


def _operand(graph: Graph, values: Mapping[str, Array], name: str) -> Array:
    constant = graph.constants.get(name)
    return values[name] if constant is None else constant.value()


def execute(op: str, attrs: Attrs, operands: Operands) -> Array:
    """The result of one operation; absent operands are left out of `operands`."""
    kernel = KERNELS.get(op)
    if kernel is None:
        raise InternalError(903, f"operation '{op}' has no meaning in numpy")
    with np.errstate(all="ignore"):
        return np.asarray(kernel(attrs, operands))


def erf(x: Array) -> Array:
    """The error function, computed in float64 to 1e-13, in the dtype of `x`.

    Cubic Hermite interpolation between exact values of erf and its derivative on a grid of step 1/512.
    """
    wide = x.astype(np.float64)
    size = np.minimum(np.abs(np.nan_to_num(wide, nan=0.0)), _ERF_END - _ERF_STEP / 2)
    cell = (size / _ERF_STEP).astype(np.int64)
    t = size / _ERF_STEP - cell
    value, slope = _erf_table()
    left, right = value[cell], value[cell + 1]
    cubic = (
        left * (1 + 2 * t) * (1 - t) ** 2
        + right * t * t * (3 - 2 * t)
        + _ERF_STEP * (slope[cell] * t * (1 - t) ** 2 - slope[cell + 1] * t * t * (1 - t))
    )
    result = np.where(np.isnan(wide), wide, np.copysign(cubic, wide))
    return np.asarray(result.astype(x.dtype))


_ERF_CACHE: list[tuple[Array, Array]] = []


def _erf_table() -> tuple[Array, Array]:
    if not _ERF_CACHE:
        grid = np.arange(round(_ERF_END / _ERF_STEP) + 2) * _ERF_STEP
        values = np.array([math.erf(x) for x in grid])
        _ERF_CACHE.append((values, 2 / math.sqrt(math.pi) * np.exp(-grid * grid)))
    return _ERF_CACHE[0]


def _gelu(attrs: Attrs, x: Array) -> Array:
    one, half = x.dtype.type(1), x.dtype.type(0.5)
    if attrs["approximate"] == "tanh":
        inner = x.dtype.type(math.sqrt(2 / math.pi)) * (x + x.dtype.type(0.044715) * x * x * x)
        return np.asarray(half * x * (one + np.tanh(inner)))
    return np.asarray(half * x * (one + erf(x * x.dtype.type(math.sqrt(0.5)))))


def _divide(a: Array, b: Array) -> Array:
    """Integers divide towards zero, and by zero give zero."""
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    safe = np.where(b == 0, b.dtype.type(1), b)
    quotient = a // safe
    down = (a % safe != 0) & ((a < 0) != (safe < 0))  # numpy rounds towards minus infinity
    return np.asarray(np.where(b == 0, 0, quotient + down).astype(a.dtype))


def _power(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(np.power(a, b))
    return np.asarray(np.power(a.astype(np.float64), b.astype(np.float64)).astype(a.dtype))


def softmax(x: Array, axis: int) -> Array:
    """`exp(x - max) / sum` along `axis`; a row of -inf gives NaN."""
    shifted = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
    return np.asarray(shifted / shifted.sum(axis=axis, keepdims=True))


def _attention(attrs: Attrs, ops: Operands) -> Array:
    heads = integer(attrs, "heads")
    q, k, v = (x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3) for x in ops[:3])
    scores = q @ k.swapaxes(2, 3) * np.float32(number(attrs, "scale"))
    if len(ops) > 3:
        scores = scores + ops[3]
    weights = softmax(scores, 3)
    if attrs["nan_to_zero"]:
        weights = np.where(np.isnan(weights), np.float32(0), weights)
    merged = (weights @ v).transpose(0, 2, 1, 3)
    return np.asarray(merged.reshape(*merged.shape[:2], -1))


def _layernorm(attrs: Attrs, ops: Operands) -> Array:
    x, gamma, beta = ops
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return np.asarray(
        centred / np.sqrt(variance + np.float32(number(attrs, "epsilon"))) * gamma + beta
    )


def _rmsnorm(attrs: Attrs, ops: Operands) -> Array:
    x, gamma, beta = ops
    square = (x * x).mean(axis=-1, keepdims=True)
    return np.asarray(x / np.sqrt(square + np.float32(number(attrs, "epsilon"))) * gamma + beta)


def _linear(attrs: Attrs, ops: Operands) -> Array:
    product = ops[0] @ (ops[1].T if attrs["transposed"] else ops[1])
    return np.asarray(product + ops[2]) if len(ops) > 2 else np.asarray(product)


def _slice(attrs: Attrs, x: Array) -> Array:
    index = [slice(None)] * x.ndim
    for axis, start, end, step in zip(
        *(ints(attrs, name) for name in ("axes", "starts", "ends", "steps")), strict=True
    ):
        index[axis] = slice(start, end, step)
    return x[tuple(index)]


def _reduce(function: Callable[..., Array]) -> Kernel:
    def kernel(attrs: Attrs, ops: Operands) -> Array:
        axes, keep = ints(attrs, "axes"), bool(attrs["keepdims"])
        return np.asarray(function(ops[0], axis=axes, keepdims=keep)).astype(ops[0].dtype)

    return kernel


_UNARY: dict[str, Callable[[Array], Array]] = {
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Reciprocal": lambda x: np.asarray(x.dtype.type(1) / x),
    "Exp": np.exp,
    "Erf": erf,
    "Tanh": np.tanh,
    "Sigmoid": lambda x: np.asarray(x.dtype.type(1) / (x.dtype.type(1) + np.exp(-x))),
    "Relu": lambda x: np.maximum(x, x.dtype.type(0)),
    "Not": np.logical_not,
    "IsNaN": np.isnan,
    "IsInf": np.isinf,
    "Identity": lambda x: x,
}
_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
    "Min": np.minimum,
    "Max": np.maximum,
    "Pow": _power,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
    "Equal": np.equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
}


def _unary_kernel(function: Callable[[Array], Array]) -> Kernel:
    return lambda _attrs, ops: function(ops[0])


def _binary_kernel(function: Callable[[Array, Array], Array]) -> Kernel:
    return lambda _attrs, ops: function(ops[0], ops[1])


KERNELS: dict[str, Kernel] = {
    **{name: _unary_kernel(function) for name, function in _UNARY.items()},
    **{name: _binary_kernel(function) for name, function in _BINARY.items()},
    "Gelu": lambda attrs, ops: _gelu(attrs, ops[0]),
    "Where": lambda _attrs, ops: np.where(ops[0], ops[1], ops[2]),
    "Cast": lambda attrs, ops: ops[0].astype(DType(attrs["to"]).numpy),
    "Linear": _linear,
    "MatMul": lambda _attrs, ops: np.asarray(ops[0] @ ops[1]),
    "Attention": _attention,
    "LayerNorm": _layernorm,
    "RmsNorm": _rmsnorm,
    "Softmax": lambda attrs, ops: softmax(ops[0], integer(attrs, "axis")),
    "Embedding": lambda _attrs, ops: ops[0][ops[1]],
    "Reshape": lambda attrs, ops: ops[0].reshape(ints(attrs, "shape")),
    "Expand": lambda attrs, ops: np.broadcast_to(ops[0], ints(attrs, "shape")),
    "Transpose": lambda attrs, ops: ops[0].transpose(ints(attrs, "perm")),
    "ReduceSum": _reduce(np.sum),
    "ReduceMean": _reduce(np.mean),
    "ReduceMax": _reduce(np.max),
    "Concat": lambda attrs, ops: np.concatenate(ops, axis=integer(attrs, "axis")),
    "Slice": lambda attrs, ops: _slice(attrs, ops[0]),
    "Take": lambda attrs, ops: np.take(ops[0], ops[1], axis=integer(attrs, "axis")),
    "TakeFlat": lambda _attrs, ops: ops[0].ravel()[ops[1]],
}
