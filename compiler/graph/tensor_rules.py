"""Rules of the operations that contract, reduce or move: see `compiler.graph.rules`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from compiler.graph.rules import (
    Attrs,
    Result,
    axis_of,
    broadcast,
    define,
    infer,
    integer,
    ints,
    need,
    number,
    require,
)
from compiler.graph.types import DType, Shape, Tensor

Inputs = Sequence[Tensor | None]


@define(
    "Linear(x, w, b?) {transposed}", 2, 3, "x[..., K] @ w[K, N] + b[N]; w is [N, K] if transposed"
)
def _linear(attrs: Attrs, inputs: Inputs) -> Result:
    x, w = need(inputs[0]), need(inputs[1])
    require(len(w.shape) == 2 and len(x.shape) >= 1, "w must have 2 dimensions and x at least 1")
    k, n = reversed(w.shape) if attrs["transposed"] else w.shape
    require(x.shape[-1] == k, f"x has {x.shape[-1]} columns and w {k} rows")
    bias = inputs[2] if len(inputs) > 2 else None
    require(bias is None or bias.shape == (n,), f"b must be [{n}]")
    for tensor in (x, w, bias):
        require(tensor is None or tensor.dtype is DType.F32, "operands must be f32")
    return (*x.shape[:-1], n), DType.F32


@define("MatMul(a, b)", 2, 2, "numpy.matmul of two tensors of at least 2 dimensions")
def _matmul(_attrs: Attrs, inputs: Inputs) -> Result:
    a, b = need(inputs[0]), need(inputs[1])
    require(len(a.shape) >= 2 and len(b.shape) >= 2, "operands need at least 2 dimensions")
    require(a.shape[-1] == b.shape[-2], f"inner sizes differ: {a.shape} and {b.shape}")
    require(
        a.dtype is b.dtype and a.dtype is not DType.BOOL, "operands must be numbers of one dtype"
    )
    return (*broadcast([a.shape[:-2], b.shape[:-2]]), a.shape[-2], b.shape[-1]), a.dtype


@define(
    "Attention(q, k, v, bias?) {heads, scale, nan_to_zero}",
    3,
    4,
    "softmax(q k^T * scale + bias) v a head; q [B, Sq, H], k [B, Sk, H], v [B, Sk, Hv], bias "
    "broadcast to [B, heads, Sq, Sk]; head h has columns h*H/heads and on; NaN rows of the softmax "
    "give 0 if nan_to_zero",
)
def _attention(attrs: Attrs, inputs: Inputs) -> Result:
    q, k, v = need(inputs[0]), need(inputs[1]), need(inputs[2])
    width = integer(attrs, "heads")
    require(width > 0, "heads must be a positive integer")
    number(attrs, "scale")
    require(isinstance(attrs["nan_to_zero"], bool), "nan_to_zero must be a bool")
    require(all(len(t.shape) == 3 for t in (q, k, v)), "q, k and v must have 3 dimensions")
    require(q.shape[0] == k.shape[0] == v.shape[0], "batch sizes of q, k and v differ")
    require(q.shape[2] == k.shape[2], "widths of q and k differ")
    require(k.shape[1] == v.shape[1], "lengths of k and v differ")
    require(q.shape[2] % width == 0 and v.shape[2] % width == 0, "width is not a multiple of heads")
    bias = inputs[3] if len(inputs) > 3 else None
    if bias is not None:
        full = (q.shape[0], width, q.shape[1], k.shape[1])
        require(len(bias.shape) == 4, "bias must have 4 dimensions")
        require(
            broadcast([bias.shape, full]) == full, f"bias {bias.shape} does not broadcast to {full}"
        )
    for tensor in (q, k, v, bias):
        require(tensor is None or tensor.dtype is DType.F32, "operands must be f32")
    return (*q.shape[:2], v.shape[2]), DType.F32


@define("LayerNorm(x, gamma, beta) {epsilon}", 3, 3, "over the last axis; gamma and beta [H]")
@define("RmsNorm(x, gamma, beta) {epsilon}", 3, 3, "LayerNorm of what has mean 0, not centred")
def _layernorm(attrs: Attrs, inputs: Inputs) -> Result:
    x, gamma, beta = (need(tensor) for tensor in inputs)
    number(attrs, "epsilon")
    require(len(x.shape) >= 1, "x must have a dimension")
    require(gamma.shape == beta.shape == x.shape[-1:], f"gamma and beta must be {x.shape[-1:]}")
    require(x.dtype is gamma.dtype is beta.dtype is DType.F32, "operands must be f32")
    return x.shape, x.dtype


@define("Softmax(x) {axis}", 1, 1, "exp(x - max) / sum along one axis")
def _softmax(attrs: Attrs, inputs: Inputs) -> Result:
    x = need(inputs[0])
    axis_of(attrs, x)
    require(x.dtype.is_float, "x must be floating point")
    return x.shape, x.dtype


@define("Embedding(table, ids)", 2, 2, "table[ids]: table [rows, H], ids i32 in 0..rows-1")
def _embedding(_attrs: Attrs, inputs: Inputs) -> Result:
    table, ids = need(inputs[0]), need(inputs[1])
    require(len(table.shape) == 2, "table must have 2 dimensions")
    require(ids.dtype in (DType.I32, DType.I64), "ids must be integers")
    return (*ids.shape, table.shape[1]), table.dtype


@define("Reshape(x) {shape}", 1, 1, "the same elements in row-major order")
def _reshape(attrs: Attrs, inputs: Inputs) -> Result:
    x, shape = need(inputs[0]), ints(attrs, "shape")
    require(min(shape, default=0) >= 0, "sizes must not be negative")
    require(math.prod(shape) == x.size, f"{x.shape} does not have the elements of {shape}")
    return shape, x.dtype


@define("Expand(x) {shape}", 1, 1, "x broadcast to exactly this shape")
def _expand(attrs: Attrs, inputs: Inputs) -> Result:
    x, shape = need(inputs[0]), ints(attrs, "shape")
    require(broadcast([x.shape, shape]) == shape, f"{x.shape} does not broadcast to {shape}")
    return shape, x.dtype


@define("Transpose(x) {perm}", 1, 1, "axis i of the result is axis perm[i] of x")
def _transpose(attrs: Attrs, inputs: Inputs) -> Result:
    x, perm = need(inputs[0]), ints(attrs, "perm")
    require(sorted(perm) == list(range(len(x.shape))), f"{perm} does not permute the axes")
    return tuple(x.shape[axis] for axis in perm), x.dtype


def _axes(attrs: Attrs, rank: int) -> tuple[int, ...]:
    axes = ints(attrs, "axes")
    require(list(axes) == sorted(set(axes)), "axes must be ascending and distinct")
    require(all(0 <= axis < rank for axis in axes), f"axes {axes} are outside the shape")
    return axes


def _reduce(attrs: Attrs, inputs: Inputs) -> Result:
    x = need(inputs[0])
    axes, keep = _axes(attrs, len(x.shape)), attrs["keepdims"]
    require(isinstance(keep, bool), "keepdims must be a bool")
    require(x.dtype is not DType.BOOL, "x must be numbers")
    shape = tuple(
        1 if axis in axes else size for axis, size in enumerate(x.shape) if keep or axis not in axes
    )
    return shape, x.dtype


for _name, _what in [("Sum", "sum"), ("Mean", "mean"), ("Max", "largest")]:
    define(f"Reduce{_name}(x) {{axes, keepdims}}", 1, 1, f"{_what} over the axes")(_reduce)


@define("Concat(x, ...) {axis}", 1, 1 << 16, "joined along one axis")
def _concat(attrs: Attrs, inputs: Inputs) -> Result:
    tensors = [need(tensor) for tensor in inputs]
    first = tensors[0]
    cut = axis_of(attrs, first)

    def rest(shape: Shape) -> tuple[Shape, Shape]:
        return shape[:cut], shape[cut + 1 :]

    for tensor in tensors:
        require(tensor.dtype is first.dtype, "dtypes differ")
        require(
            rest(tensor.shape) == rest(first.shape), f"{tensor.shape} does not join {first.shape}"
        )
    total = sum(tensor.shape[cut] for tensor in tensors)
    return (*first.shape[:cut], total, *first.shape[cut + 1 :]), first.dtype


@define(
    "Slice(x) {starts, ends, axes, steps}",
    1,
    1,
    "x[start:end:step] along the axes; 0 <= start <= end <= size",
)
def _slice(attrs: Attrs, inputs: Inputs) -> Result:
    x = need(inputs[0])
    axes, starts = _axes(attrs, len(x.shape)), ints(attrs, "starts")
    ends, steps = ints(attrs, "ends"), ints(attrs, "steps")
    require(len(axes) == len(starts) == len(ends) == len(steps), "lists differ in length")
    shape = list(x.shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        require(
            0 <= start <= end <= x.shape[axis] and step >= 1, f"range of axis {axis} is not inside"
        )
        shape[axis] = len(range(start, end, step))
    return tuple(shape), x.dtype


@define("Take(x, indices) {axis}", 2, 2, "x[..., indices, ...] with constant indices", final=False)
def _take(attrs: Attrs, inputs: Inputs) -> Result:
    x, indices = need(inputs[0]), need(inputs[1])
    require(indices.dtype in (DType.I32, DType.I64), "indices must be integers")
    cut = axis_of(attrs, x)
    return (*x.shape[:cut], *indices.shape, *x.shape[cut + 1 :]), x.dtype


@define("TakeFlat(x, indices)", 2, 2, "elements of x by constant row-major index", final=False)
def _take_flat(_attrs: Attrs, inputs: Inputs) -> Result:
    x, indices = need(inputs[0]), need(inputs[1])
    require(indices.dtype in (DType.I32, DType.I64), "indices must be integers")
    return indices.shape, x.dtype


# Imported from here so that whoever infers has registered the rules above.
__all__ = ["infer"]
