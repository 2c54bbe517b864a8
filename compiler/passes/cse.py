"""Equal nodes are computed once, equal constants kept once."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.builder import EAGER_BYTES, Builder, rewrite
from compiler.graph import Attr, Graph, Node

Key = tuple[str, tuple[str, ...], tuple[tuple[str, Attr], ...]]


def share(graph: Graph) -> Graph:
    """Common subexpressions: one node for all with the same operation, operands and attributes."""
    seen: dict[Key, str] = {}
    constants = _equal_constants(graph)

    def visit(b: Builder, node: Node) -> str | None:
        inputs = tuple(constants.get(name, name) for name in node.inputs)
        key = (node.op, inputs, _key(node.attrs))
        if key in seen:
            return seen[key]
        attrs = node.attrs
        result = b.emit(node.op, inputs, attrs, out=node.output, name=node.name, origin=node.origin)
        seen[key] = result
        return result

    return rewrite(graph, visit)


def _key(attrs: Mapping[str, Attr]) -> tuple[tuple[str, Attr], ...]:
    return tuple(sorted(attrs.items()))


def _equal_constants(graph: Graph) -> dict[str, str]:
    """Small constants to the first with the same bytes."""
    first: dict[tuple[object, ...], str] = {}
    same: dict[str, str] = {}
    for name, constant in graph.constants.items():
        tensor = constant.tensor
        if tensor.nbytes <= EAGER_BYTES:
            key = (tensor.dtype, tensor.shape, constant.value().tobytes())
            same[name] = first.setdefault(key, name)
    return same
