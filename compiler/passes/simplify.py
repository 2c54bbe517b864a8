"""Peephole rules: what an operation is when its operands are neutral, constant or broadcast.

A rule is a function of the builder and one node, under the equation it states. It gives the tensor that
stands for the result, or None. Rules run until none applies.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compiler.builder import Builder, rewrite
from compiler.graph import OPS, Attr, Graph, Node, Shape

_ROUNDS = 16

Rule = Callable[[Builder, Node], str | None]


def simplify(graph: Graph) -> Graph:
    """Apply every rule until nothing changes."""
    return _apply(graph, RULES)


def tidy(graph: Graph) -> Graph:
    """Apply the rules that only remove nodes: rows of weights keep the shape that fusions look for."""
    return _apply(graph, (_no_op, _collapse))


def _apply(graph: Graph, rules: tuple[Rule, ...]) -> Graph:
    def visit(b: Builder, node: Node) -> str | None:
        return next((found for rule in rules if (found := rule(b, node)) is not None), None)

    for _ in range(_ROUNDS):
        simpler = rewrite(graph, visit)
        if simpler.nodes == graph.nodes:
            break
        graph = simpler
    return graph


def _emit(b: Builder, node: Node, op: str, inputs: list[str], **attrs: Attr) -> str:
    """A node in the place of `node`, with its name and origin."""
    return b.emit(op, inputs, attrs, out=node.output, name=node.name, origin=node.origin)


def _expanded(b: Builder, node: Node, source: str, shape: Shape) -> str:
    """`source` broadcast to `shape`."""
    return source if b.shape(source) == shape else _emit(b, node, "Expand", [source], shape=shape)


# Identity(x) == x;  Cast(x) to its own dtype == x;  Reshape, Expand(x) to its own shape == x
# Transpose(x) {0, 1, ...} == x;  Slice(x) of all of it == x;  Concat(x) == x;  Reduce(x) over no axes == x
def _no_op(b: Builder, node: Node) -> str | None:
    x = node.inputs[0]
    same: dict[str, Callable[[], bool]] = {
        "Identity": lambda: True,
        "Cast": lambda: node.attrs["to"] == b.dtype(x).value,
        "Reshape": lambda: node.attrs["shape"] == b.shape(x),
        "Expand": lambda: node.attrs["shape"] == b.shape(x),
        "Transpose": lambda: node.attrs["perm"] == tuple(range(len(b.shape(x)))),
        "Slice": lambda: _slices_all(b, node),
        "Concat": lambda: len(node.inputs) == 1,
        "ReduceSum": lambda: node.attrs["axes"] == (),
        "ReduceMean": lambda: node.attrs["axes"] == (),
        "ReduceMax": lambda: node.attrs["axes"] == (),
    }
    return x if node.op in same and same[node.op]() else None


def _slices_all(b: Builder, node: Node) -> bool:
    axes, starts, ends, steps = (node.attrs[key] for key in ("axes", "starts", "ends", "steps"))
    assert isinstance(axes, tuple)
    return (
        starts == (0,) * len(axes)
        and steps == (1,) * len(axes)
        and ends == tuple(b.shape(node.inputs[0])[axis] for axis in axes)
    )


# Reshape(Reshape(x)) == Reshape(x);  Expand(Expand(x)) == Expand(x);  Not(Not(x)) == x
def _collapse(b: Builder, node: Node) -> str | None:
    if node.op not in ("Reshape", "Expand", "Not"):
        return None
    inner = b.producer(node.inputs[0], node.op)
    if inner is None:
        return None
    if node.op == "Not":
        return inner.inputs[0]
    return _emit(b, node, node.op, [inner.inputs[0]], **node.attrs)


_NEUTRAL: dict[str, tuple[float, bool]] = {
    "Add": (0, True),
    "Sub": (0, False),
    "Mul": (1, True),
    "Div": (1, False),
    "Pow": (1, False),
    "And": (1, True),
    "Or": (0, True),
    "Xor": (0, True),
}


# x + 0 == x - 0 == x * 1 == x / 1 == x ** 1 == x and true == x or false == x xor false == x
def _neutral(b: Builder, node: Node) -> str | None:
    if node.op not in _NEUTRAL:
        return None
    value, commutes = _NEUTRAL[node.op]
    shape = np.broadcast_shapes(*(b.shape(name) for name in node.inputs))
    for x, other in [node.inputs, node.inputs[::-1]][: 2 if commutes else 1]:
        if b.uniform(other) == value:
            return _expanded(b, node, x, shape)
    return None


# x and false == false;  x or true == true
def _absorbing(b: Builder, node: Node) -> str | None:
    if node.op not in ("And", "Or"):
        return None
    shape = np.broadcast_shapes(*(b.shape(name) for name in node.inputs))
    for name in node.inputs:
        if b.uniform(name) == (0 if node.op == "And" else 1):
            return b.emit("Expand", [name], {"shape": shape}, out=node.output)
    return None


# Where(true, a, b) == a;  Where(false, a, b) == b
def _decided(b: Builder, node: Node) -> str | None:
    if node.op != "Where" or (condition := b.uniform(node.inputs[0])) is None:
        return None
    shape = np.broadcast_shapes(*(b.shape(name) for name in node.inputs))
    return _expanded(b, node, node.inputs[1 if condition else 2], shape)


# a op constant == Expand(a op smaller constant), when the constant repeats itself along an axis
def _shrink(b: Builder, node: Node) -> str | None:
    if not OPS[node.op].elementwise:
        return None
    operands = [_shrunk(b, name) for name in node.inputs]
    if tuple(operands) == node.inputs:
        return None
    shape = np.broadcast_shapes(*(b.shape(name) for name in node.inputs))
    return _then_expand(b, node, operands, shape)


def _shrunk(b: Builder, name: str) -> str:
    array = b.small(name)
    if array is None or array.size <= 1:
        return name
    index = tuple(
        slice(0, 1) if (array == array.take([0], axis=axis)).all() else slice(None)
        for axis in range(array.ndim)
    )
    smaller = array[index]
    return name if smaller.shape == array.shape else b.literal(np.ascontiguousarray(smaller), name)


def _then_expand(b: Builder, node: Node, operands: list[str], shape: Shape) -> str:
    """`node` on other operands, its result broadcast to `shape`."""
    if np.broadcast_shapes(*(b.shape(name) for name in operands)) == shape:
        return _emit(b, node, node.op, operands, **node.attrs)
    inner = b.fresh(f"{node.output}/narrow")
    narrow = b.emit(node.op, operands, node.attrs, out=inner, name=node.name, origin=node.origin)
    return b.emit("Expand", [narrow], {"shape": shape}, out=node.output, origin=node.origin)


# Expand(a) op c == Expand(a op c), and == a op c where c is as large
def _sink_expand(b: Builder, node: Node) -> str | None:
    if not OPS[node.op].elementwise:
        return None
    operands = []
    for name in node.inputs:
        wide = b.producer(name, "Expand")
        operands.append(wide.inputs[0] if wide else name)
    if tuple(operands) == node.inputs:
        return None
    shape = np.broadcast_shapes(*(b.shape(name) for name in node.inputs))
    return _then_expand(b, node, operands, shape)


# Reduce(Expand(x)) == Expand(Reduce(x)) over axes that are not expanded
def _reduce_expand(b: Builder, node: Node) -> str | None:
    if node.op not in ("ReduceSum", "ReduceMean", "ReduceMax"):
        return None
    wide = b.producer(node.inputs[0], "Expand")
    axes, keep = node.attrs["axes"], node.attrs["keepdims"]
    if wide is None or not isinstance(axes, tuple):
        return None
    shape, source = b.shape(node.inputs[0]), b.shape(wide.inputs[0])
    source = (*(1,) * (len(shape) - len(source)), *source)
    if any(source[axis] != shape[axis] for axis in axes):
        return None
    x = b.emit("Reshape", [wide.inputs[0]], {"shape": source}, origin=wide.origin)
    result = tuple(
        1 if axis in axes else n for axis, n in enumerate(shape) if keep or axis not in axes
    )
    return _then_reduce(b, node, x, result)


def _then_reduce(b: Builder, node: Node, x: str, shape: Shape) -> str:
    inner = b.fresh(f"{node.output}/narrow")
    narrow = b.emit(node.op, [x], node.attrs, out=inner, name=node.name, origin=node.origin)
    return b.emit("Expand", [narrow], {"shape": shape}, out=node.output, origin=node.origin)


# Attention(q, k, v, Expand(bias)) == Attention(q, k, v, bias)
def _attention_bias(b: Builder, node: Node) -> str | None:
    if node.op != "Attention" or len(node.inputs) < 4:
        return None
    wide = b.producer(node.inputs[3], "Expand")
    if wide is None:
        return None
    source = b.shape(wide.inputs[0])
    shape = (*(1,) * (4 - len(source)), *source)
    bias = b.emit("Reshape", [wide.inputs[0]], {"shape": shape}, origin=wide.origin)
    return _emit(b, node, node.op, [*node.inputs[:3], bias], **node.attrs)


RULES: tuple[Rule, ...] = (
    _no_op,
    _collapse,
    _neutral,
    _absorbing,
    _decided,
    _shrink,
    _sink_expand,
    _reduce_expand,
    _attention_bias,
)
