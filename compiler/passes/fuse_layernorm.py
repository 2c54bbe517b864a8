"""Layer normalization written out, as exporters below opset 17 do."""

from __future__ import annotations

from compiler.builder import Builder, rewrite
from compiler.graph import DType, Graph, Node


def fuse_layernorm(graph: Graph) -> Graph:
    """(x - mean) / sqrt(mean((x - mean)^2) + epsilon) * gamma + beta becomes LayerNorm."""
    return rewrite(graph, _visit)


# (c / sqrt(ReduceMean(c * c) + epsilon)) * gamma + beta == LayerNorm(x), with c = x - ReduceMean(x)
def _visit(b: Builder, node: Node) -> str | None:
    if node.op != "Add":
        return None
    for scaled, beta in (node.inputs, node.inputs[::-1]):
        product = b.producer(scaled, "Mul")
        if product is None:
            continue
        for normal, gamma in (product.inputs, product.inputs[::-1]):
            found = _normal(b, normal)
            if found is None:
                continue
            x, epsilon, origin = found
            row = b.shape(x)[-1:]
            if b.shape(gamma) == b.shape(beta) == row and b.dtype(x) is DType.F32:
                every = [*origin, *product.origin, *node.origin]
                attrs = {"epsilon": epsilon}
                inputs = [x, gamma, beta]
                return b.emit(
                    "LayerNorm", inputs, attrs, out=node.output, name=node.name, origin=every
                )
    return None


def _normal(b: Builder, name: str) -> tuple[str, float, list[str]] | None:
    """x, epsilon and origins if `name` is (x - mean) / sqrt(variance + epsilon) over the last axis."""
    divide = b.producer(name, "Div")
    root = b.producer(divide.inputs[1], "Sqrt") if divide else None
    shifted = b.producer(root.inputs[0], "Add") if root else None
    if divide is None or root is None or shifted is None:
        return None
    for variance, constant in (shifted.inputs, shifted.inputs[::-1]):
        epsilon, mean = b.uniform(constant), b.producer(variance, "ReduceMean")
        if epsilon is None or mean is None or not _over_last(b, mean):
            continue
        square, centred = b.producer(mean.inputs[0], "Mul"), divide.inputs[0]
        found = _centred(b, centred)
        if square is None or square.inputs != (centred, centred) or found is None:
            continue
        x, origin = found
        every = [
            *origin,
            *square.origin,
            *mean.origin,
            *shifted.origin,
            *root.origin,
            *divide.origin,
        ]
        return x, epsilon, every
    return None


def _centred(b: Builder, name: str) -> tuple[str, list[str]] | None:
    """x and origins if `name` is x - ReduceMean(x)."""
    subtract = b.producer(name, "Sub")
    mean = b.producer(subtract.inputs[1], "ReduceMean") if subtract else None
    if subtract is None or mean is None or mean.inputs[0] != subtract.inputs[0]:
        return None
    return (subtract.inputs[0], [*mean.origin, *subtract.origin]) if _over_last(b, mean) else None


def _over_last(b: Builder, mean: Node) -> bool:
    return (
        mean.attrs["axes"] == (len(b.shape(mean.inputs[0])) - 1,) and mean.attrs["keepdims"] is True
    )
