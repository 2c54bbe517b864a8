"""The mean of a layer normalization, taken before what it normalizes is there.

Each term of a sum can be centred alone: a product with constant weights by centring those over their columns, a table by centring
its rows, both when compiling. Only another term, such as the residual, needs its mean computed, and is known long before.
"""

from __future__ import annotations

from compiler.builder import Builder, rewrite
from compiler.graph import Attr, Graph, Node


def centre(graph: Graph) -> Graph:
    """LayerNorm of a sum of which at most one term has a mean that must be computed becomes RmsNorm of centred terms."""
    return rewrite(graph, _visit)


# LayerNorm(a + b) == RmsNorm((a - mean(a)) + (b - mean(b)))
def _visit(b: Builder, node: Node) -> str | None:
    if node.op != "LayerNorm":
        return None
    x, gamma, beta = node.inputs
    computed, constant = _terms(b, x, x)
    if computed > 1 or constant == 0:
        return None
    centred = _centred(b, x, x, node)
    return b.emit(
        "RmsNorm", [centred, gamma, beta], node.attrs, out=node.output, name=node.name, origin=node.origin
    )  # fmt: skip


def _terms(b: Builder, name: str, x: str) -> tuple[int, int]:
    """How many terms of ``name`` need a mean that is computed, and how many are centred by their constants."""
    node = _known(b, name, x)
    if node is None:
        return (0, 0) if name in b.constants else (1, 0)
    if node.op != "Add":
        return 0, 1
    counts = [_terms(b, term, x) for term in node.inputs]
    return sum(computed for computed, _ in counts), sum(constant for _, constant in counts)


def _known(b: Builder, name: str, x: str) -> Node | None:
    """The node that makes a tensor, if it can be made centred instead: nobody else reads it or the table it is from."""
    node = b.producer(name)
    if node is None or b.uses.get(name) != 1:
        return None
    if node.op == "Add":
        return node if all(b.shape(term)[-1:] == b.shape(x)[-1:] for term in node.inputs) else None
    if node.op == "Linear":
        return node if node.inputs[1] in b.constants else None
    table = node.inputs[0]
    once = node.op == "Embedding" and table in b.constants and b.uses.get(table) == 1
    return node if once else None


def _centred(b: Builder, name: str, x: str, norm: Node) -> str:
    """A tensor minus its mean over the last axis."""
    node = _known(b, name, x)
    if node is None:
        return _less_mean(b, name, len(b.shape(name)) - 1, norm)
    if node.op == "Add":
        inputs = [_centred(b, term, x, norm) for term in node.inputs]
    elif node.op == "Linear":
        weights, bias = node.inputs[1], node.inputs[2] if len(node.inputs) > 2 else ""
        inputs = [
            node.inputs[0],
            _less_mean(b, weights, 0 if node.attrs["transposed"] else 1, norm),
        ]
        inputs.append(_less_mean(b, bias, 0, norm) if bias else "")
    else:
        inputs = [_less_mean(b, node.inputs[0], 1, norm), node.inputs[1]]
    return b.emit(
        node.op, inputs, node.attrs, out=f"{name}.centred", name=node.name, origin=node.origin
    )


def _less_mean(b: Builder, name: str, axis: int, norm: Node) -> str:
    attrs: dict[str, Attr] = {"axes": (axis,), "keepdims": True}
    mean = b.emit("ReduceMean", [name], attrs, out=f"{name}.mean", origin=norm.origin)
    return b.emit("Sub", [name, mean], out=f"{name}.centred", origin=norm.origin)
