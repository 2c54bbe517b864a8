"""The error-function and tanh chains that exporters write for GELU."""

from __future__ import annotations

import math

from compiler.builder import Builder, rewrite
from compiler.graph import Graph, Node

_CLOSE = 1e-6


def fuse_gelu(graph: Graph) -> Graph:
    """Products x * (1 + erf(x / sqrt(2))) * 0.5, in any order, become Gelu; so does the tanh form."""
    return rewrite(graph, _visit)


# x * (erf(x / sqrt(2)) + 1) * 0.5 == Gelu(x) {none}
# x * (tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)) + 1) * 0.5 == Gelu(x) {tanh}
def _visit(b: Builder, node: Node) -> str | None:
    if node.op != "Mul":
        return None
    halves, names, origin = 1.0, [], list(node.origin)
    for name in node.inputs:
        inner = b.producer(name, "Mul")
        if inner is None or _gate(b, name) or b.uniform(name) is not None:
            parts = [name]
        else:
            parts = list(inner.inputs)
            # Only the product that holds the gate or the half belongs to the chain.
            if not any(_gate(b, part) or b.uniform(part) is not None for part in parts):
                parts = [name]
            else:
                origin = [*inner.origin, *origin]
        for part in parts:
            value = b.uniform(part)
            if value is not None and b.tensors[part].size == 1:
                halves *= value
            else:
                names.append(part)
    if len(names) != 2 or not math.isclose(halves, 0.5, rel_tol=_CLOSE):
        return None
    for x, gate in (names, names[::-1]):
        found = _gate(b, gate)
        if found is not None and (origins := _matches(b, x, found)) is not None:
            approximate = "none" if found.op == "Erf" else "tanh"
            gate_node = b.nodes[gate]
            every = [*origins, *found.origin, *gate_node.origin, *origin]
            attrs = {"approximate": approximate}
            return b.emit("Gelu", [x], attrs, out=node.output, name=node.name, origin=every)
    return None


def _gate(b: Builder, name: str) -> Node | None:
    """The Erf or Tanh node of `1 + f`, if `name` is one."""
    add = b.producer(name, "Add")
    if add is None:
        return None
    for inner, one in (add.inputs, add.inputs[::-1]):
        if b.uniform(one) == 1 and b.tensors[one].size == 1:
            found = b.producer(inner)
            return found if found is not None and found.op in ("Erf", "Tanh") else None
    return None


def _matches(b: Builder, x: str, gate: Node) -> list[str] | None:
    """The origins of what computes the operand of the gate from `x`; None if it is not GELU's."""
    if gate.op == "Erf":
        scale, rest, origin = _scaled(b, gate.inputs[0])
        return origin if rest == x and math.isclose(scale, math.sqrt(0.5), rel_tol=_CLOSE) else None
    scale, rest, origin = _scaled(b, gate.inputs[0])
    add = b.producer(rest, "Add")
    if add is None or not math.isclose(scale, math.sqrt(2 / math.pi), rel_tol=_CLOSE):
        return None
    for plain, cubic in (add.inputs, add.inputs[::-1]):
        factor, cube, more = _scaled(b, cubic)
        power = b.producer(cube)
        if plain != x or power is None or not math.isclose(factor, 0.044715, rel_tol=1e-4):
            continue
        if power.op == "Pow" and power.inputs[0] == x and b.uniform(power.inputs[1]) == 3:
            return [*power.origin, *more, *add.origin, *origin]
    return None


def _scaled(b: Builder, name: str) -> tuple[float, str, list[str]]:
    """`name` as scale * rest, with the origins of the scaling."""
    node = b.producer(name)
    if node is not None and node.op in ("Mul", "Div"):
        for rest, constant in (node.inputs, node.inputs[::-1])[: 2 if node.op == "Mul" else 1]:
            value = b.uniform(constant)
            if value and b.tensors[constant].size == 1:
                return (1 / value if node.op == "Div" else value), rest, list(node.origin)
    return 1.0, name, []
