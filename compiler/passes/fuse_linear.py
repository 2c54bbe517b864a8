"""MatMul with constant weights, and the Add of a constant row after it."""

from __future__ import annotations

from compiler.builder import Builder, rewrite
from compiler.graph import DType, Graph, Node


def fuse_linear(graph: Graph) -> Graph:
    """Matrix products with weights become Linear, with their bias."""
    return rewrite(graph, _visit)


def _visit(b: Builder, node: Node) -> str | None:
    return (
        _weights(b, node) if node.op == "MatMul" else _bias(b, node) if node.op == "Add" else None
    )


# MatMul(x, w) == Linear(x, w)
def _weights(b: Builder, node: Node) -> str | None:
    x, w = node.inputs
    if w not in b.constants or len(b.shape(w)) != 2 or b.dtype(w) is not DType.F32:
        return None
    attrs = {"transposed": False}
    return b.emit("Linear", [x, w, ""], attrs, out=node.output, name=node.name, origin=node.origin)


# Linear(x, w) + row == Linear(x, w, row)
def _bias(b: Builder, node: Node) -> str | None:
    for product, row in (node.inputs, node.inputs[::-1]):
        linear = b.producer(product, "Linear")
        if linear is None or linear.inputs[2] or row not in b.constants or b.uses[product] > 1:
            continue
        shape, width = b.shape(row), b.shape(product)[-1]
        if (
            b.tensors[row].size != width
            or len(shape) > len(b.shape(product))
            or shape[-1:] != (width,)
        ):
            continue
        bias = b.emit("Reshape", [row], {"shape": (width,)}, out=b.fresh(row))
        origin = linear.origin + node.origin
        inputs = [*linear.inputs[:2], bias if shape != (width,) else row]
        return b.emit(
            "Linear", inputs, linear.attrs, out=node.output, name=linear.name, origin=origin
        )
    return None
