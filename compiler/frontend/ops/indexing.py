"""Choosing elements by index."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from compiler.frontend.registry import VALUE_ELEMENTS, Call, UnsupportedError, onnx_op
from compiler.graph import Array, DType


@onnx_op("Slice", since=10, limits="the bounds are known at compile time")
def _slice(call: Call) -> None:
    shape = call.shape()
    starts, ends = call.ints(1, "the starts"), call.ints(2, "the ends")
    given = call.ints(3, "the axes") if call.has(3) else tuple(range(len(starts)))
    steps = call.ints(4, "the steps") if call.has(4) else (1,) * len(starts)
    if not len(starts) == len(ends) == len(given) == len(steps) or 0 in steps:
        raise UnsupportedError("starts, ends, axes and steps do not fit each other")
    axes = [call.axis(axis, len(shape)) for axis in given]
    source, bounds = call.inputs[0], []
    for axis, start, end, step in sorted(zip(axes, starts, ends, steps, strict=True)):
        chosen = range(*slice(start, end, step).indices(shape[axis]))
        if step < 0:
            if len(chosen) > VALUE_ELEMENTS:
                raise UnsupportedError(f"{len(chosen)} elements are reversed")
            indices = call.builder.literal(np.array(chosen, dtype=np.int64))
            source = call.emit("Take", [source, indices], axis=axis)
            chosen = range(len(chosen))
        bounds.append((axis, chosen.start, max(chosen.start, chosen.stop), chosen.step))
    columns = [tuple(row[column] for row in bounds) for column in range(4)]
    names = ("axes", "starts", "ends", "steps")
    attrs: dict[str, Any] = dict(zip(names, columns, strict=True))
    call.done("Slice", [source], **attrs)


def _indices(call: Call, index: int, size: int) -> Array:
    array = call.array(index, "the indices")
    if array.dtype.kind != "i":
        raise UnsupportedError("the indices must be integers")
    if array.size and not (-size <= array.min() and array.max() < size):
        raise UnsupportedError(f"indices reach outside an axis of size {size}")
    return np.asarray(np.where(array < 0, array + size, array).astype(np.int64))


@onnx_op("Gather", limits="the indices are known at compile time, or the table is (axis 0, f32)")
def _gather(call: Call) -> None:
    shape = call.shape()
    axis = call.axis(call.integer("axis", 0), len(shape))
    if not call.is_constant(1):
        _embedding(call, axis)
        return
    indices = _indices(call, 1, shape[axis])
    chosen = _progression(indices)
    if chosen is None or call.is_constant(0):
        taken = call.builder.literal(indices)
        call.done("Take", [call.inputs[0], taken], axis=axis)
        return
    bounds = {"axes": (axis,), "starts": (chosen.start,), "ends": (chosen[-1] + 1,)}
    part = call.emit("Slice", call.inputs[:1], **bounds, steps=(chosen.step,))
    call.done("Reshape", [part], shape=(*shape[:axis], *indices.shape, *shape[axis + 1 :]))


def _progression(indices: Array) -> range | None:
    """The ascending arithmetic progression that the indices are, in row-major order."""
    flat = indices.ravel()
    if flat.size == 0:
        return None
    step = int(flat[1] - flat[0]) if flat.size > 1 else 1
    if step < 1 or (np.diff(flat) != step).any():
        return None
    return range(int(flat[0]), int(flat[-1]) + 1, step)


def _embedding(call: Call, axis: int) -> None:
    table, ids = call.inputs[:2]
    if not call.is_constant(0):
        raise UnsupportedError("data and indices both depend on an input of the model")
    if axis != 0 or call.builder.dtype(table) is not DType.F32:
        raise UnsupportedError(
            "indices that depend on an input are taken along axis 0 of an f32 table"
        )
    if call.builder.dtype(ids) not in (DType.I64, DType.I32):
        ids = call.emit("Cast", [ids], to=DType.I32.value)
    rows, *rest = call.shape()
    if len(rest) == 1:
        call.done("Embedding", [table, ids])
        return
    flat = call.reshaped(table, (rows, math.prod(rest)))
    found = call.emit("Embedding", [flat, ids])
    call.done("Reshape", [found], shape=(*call.shape(1), *rest))


@onnx_op("GatherND", since=11, limits="the indices are known at compile time; batch_dims is 0")
def _gather_nd(call: Call) -> None:
    if call.integer("batch_dims", 0):
        raise UnsupportedError("batch_dims is not 0")
    shape, indices = call.shape(), call.array(1, "the indices")
    depth = indices.shape[-1] if indices.ndim else 0
    if not 1 <= depth <= len(shape):
        raise UnsupportedError(f"indices {list(indices.shape)} do not fit data {list(shape)}")
    sizes = np.array(shape[:depth])
    wrapped = np.where(indices < 0, indices + sizes, indices)
    if wrapped.size and (wrapped.min() < 0 or (wrapped >= sizes).any()):
        raise UnsupportedError(f"indices reach outside data of shape {list(shape)}")
    head = np.ravel_multi_index(tuple(np.moveaxis(wrapped, -1, 0)), shape[:depth])
    flat = call.reshaped(call.inputs[0], (math.prod(shape[:depth]), *shape[depth:]))
    call.done("Take", [flat, call.builder.literal(np.asarray(head, dtype=np.int64))], axis=0)


@onnx_op("GatherElements", since=11, limits="the indices are known at compile time")
def _gather_elements(call: Call) -> None:
    shape = call.shape()
    axis = call.axis(call.integer("axis", 0), len(shape))
    indices = _indices(call, 1, shape[axis])
    if indices.ndim != len(shape):
        raise UnsupportedError(f"indices {list(indices.shape)} do not fit data {list(shape)}")
    grid: list[Array] = list(np.indices(indices.shape))
    grid[axis] = indices
    for other, size in enumerate(shape):
        if other != axis and indices.shape[other] > size:
            raise UnsupportedError(f"indices {list(indices.shape)} do not fit data {list(shape)}")
    flat = np.asarray(np.ravel_multi_index(tuple(grid), shape), dtype=np.int64)
    call.done("TakeFlat", [call.inputs[0], call.builder.literal(flat)])
