"""Chains that only move elements, judged by where each element comes from.

A chain of Reshape, Transpose, Expand, Slice and Take is a map from positions of its result to elements of
its source. If that map counts through the source in order, perhaps repeating it along some axes, the chain
is a Reshape and an Expand, however it was written.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from compiler.builder import Builder, rewrite
from compiler.graph import Array, Attr, Graph, Node, Shape
from compiler.reference import execute

MOVES = ("Reshape", "Transpose", "Expand", "Slice", "Take", "TakeFlat")
_ELEMENTS = 1 << 23
_LENGTH = 12

Step = tuple[str, Shape, tuple[tuple[str, Attr], ...], bytes]


def movement(graph: Graph) -> Graph:
    """Replace each chain by the Reshape and Expand of its farthest source that equals it."""
    return rewrite(graph, _visit)


def _visit(b: Builder, node: Node) -> str | None:
    if node.op not in MOVES:
        return None
    chain: list[Step] = []
    best: tuple[str, Shape] | None = None
    origin: list[str] = []
    found_origin: tuple[str, ...] = ()
    at: Node | None = node
    shape = _result_shape(b, node)
    while at is not None and at.op in MOVES and len(chain) < _LENGTH:
        source = at.inputs[0]
        if max(b.tensors[source].size, int(np.prod(shape))) > _ELEMENTS:
            break
        indices = b.constants[at.inputs[1]].value() if len(at.inputs) > 1 else np.empty(0, np.int32)
        step = (at.op, b.shape(source), tuple(at.attrs.items()), _pack(indices))
        chain.append(step)
        origin = [*at.origin, *origin]
        narrow = _counts(shape, tuple(chain))
        if narrow is not None:
            best, found_origin = (source, narrow), tuple(origin)
        at = b.producer(source)
    if best is None:
        return None
    return _replace(b, node, best[0], best[1], shape, found_origin)


def _pack(indices: Array) -> bytes:
    head = np.array([indices.ndim, *indices.shape], dtype=np.int64)
    return head.tobytes() + indices.astype(np.int64).tobytes()


def _unpack(data: bytes) -> Array:
    flat = np.frombuffer(data, dtype=np.int64)
    rank = int(flat[0])
    return flat[1 + rank :].reshape(flat[1 : 1 + rank])


def _result_shape(b: Builder, node: Node) -> Shape:
    """The shape of a node that is not in the builder yet."""
    from compiler.graph import infer

    return infer(node.op, node.attrs, [b.tensors[name] for name in node.inputs])[0]


def _replace(
    b: Builder, node: Node, source: str, narrow: Shape, shape: Shape, origin: tuple[str, ...]
) -> str | None:
    if node.op == "Expand" and source == node.inputs[0]:
        return None
    if node.op == "Reshape" and source == node.inputs[0] and narrow == shape:
        return None
    if narrow == shape:
        if b.shape(source) == shape:
            return source
        attrs: dict[str, Attr] = {"shape": shape}
        return b.emit("Reshape", [source], attrs, out=node.output, name=node.name, origin=origin)
    inner = source
    if b.shape(source) != narrow:
        inner = b.emit("Reshape", [source], {"shape": narrow}, origin=origin)
    return b.emit(
        "Expand", [inner], {"shape": shape}, out=node.output, name=node.name, origin=origin
    )


@lru_cache(maxsize=4096)
def _counts(shape: Shape, chain: tuple[Step, ...]) -> Shape | None:
    """The shape that, counting through the source in order and broadcast to `shape`, is the chain.

    `chain` goes from the result to the source. None if there is no such shape.
    """
    positions = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    for op, source, attrs, packed in chain:
        if op == "Reshape":
            continue  # It keeps the order of the elements.
        elements = np.arange(int(np.prod(source)), dtype=np.int64).reshape(source)
        operands = [elements, _unpack(packed)] if op.startswith("Take") else [elements]
        positions = execute(op, dict(attrs), operands).ravel()[positions]
    count = int(np.prod(chain[-1][1]))
    if positions.size == 0:
        return None
    narrow = positions[
        tuple(
            slice(0, 1) if (positions == positions.take([0], axis=axis)).all() else slice(None)
            for axis in range(positions.ndim)
        )
    ]
    if narrow.size == count and np.array_equal(narrow.ravel(), np.arange(count)):
        return tuple(narrow.shape)
    return None
