"""Softmax(q k^T * scale + bias) v, as exporters write it, becomes Attention."""

from __future__ import annotations

from dataclasses import dataclass, field

from compiler.builder import Builder, rewrite
from compiler.graph import DType, Graph, Node, Shape


def fuse_attention(graph: Graph) -> Graph:
    """Products of a softmax over 4 dimensions with values become Attention.

    The operands are brought to [B, S, heads * width] by a Transpose and a Reshape, which the pass
    `movement` then cancels against the exporter's own.
    """
    return rewrite(graph, _visit)


@dataclass(slots=True)
class _Scores:
    """What the softmax is taken of: q [B, h, Sq, d], kt [B, h, d, Sk], a factor and biases."""

    q: str
    kt: str
    scale: float
    biases: list[str] = field(default_factory=list)
    origin: list[str] = field(default_factory=list)


# MatMul(Softmax(MatMul(q, kt) * scale + bias), v) == split(Attention(merge(q), merge(k), merge(v), bias))
def _visit(b: Builder, node: Node) -> str | None:
    if node.op != "MatMul":
        return None
    weights, v = node.inputs
    softmax, nan_to_zero, origin = _softmax(b, weights)
    if softmax is None:
        return None
    scores = _scores(b, softmax.inputs[0])
    if scores is None or not _fits(b, scores, b.shape(weights), v):
        return None
    batch, heads, rows, keys = b.shape(weights)
    every = [*scores.origin, *softmax.origin, *origin, *node.origin]

    def merged(name: str, perm: tuple[int, ...], length: int) -> str:
        turned = b.emit("Transpose", [name], {"perm": perm}, origin=every)
        width = b.tensors[turned].size // max(1, batch * length)
        return b.emit("Reshape", [turned], {"shape": (batch, length, width)}, origin=every)

    q = merged(scores.q, (0, 2, 1, 3), rows)
    k = merged(scores.kt, (0, 3, 1, 2), keys)
    values = merged(v, (0, 2, 1, 3), keys)
    bias = _bias(b, scores.biases, every)
    attrs = {"heads": heads, "scale": scores.scale, "nan_to_zero": nan_to_zero}
    out = b.fresh(f"{node.output}/merged")
    operands = [q, k, values, *([bias] if bias else [])]
    result = b.emit("Attention", operands, attrs, out=out, name=node.name, origin=every)
    width = b.shape(result)[2]
    shape = (batch, rows, heads, width // heads)
    apart = b.emit("Reshape", [result], {"shape": shape}, origin=every)
    return b.emit("Transpose", [apart], {"perm": (0, 2, 1, 3)}, out=node.output, origin=every)


def _softmax(b: Builder, weights: str) -> tuple[Node | None, bool, list[str]]:
    """The softmax over the last of 4 axes, and whether its NaN become 0: Where(IsNaN(p), 0, p)."""
    nan_to_zero, origin = False, []
    where = b.producer(weights, "Where")
    if where is not None:
        test = b.producer(where.inputs[0], "IsNaN")
        if test is None or test.inputs[0] != where.inputs[2] or b.uniform(where.inputs[1]) != 0:
            return None, False, []
        weights, nan_to_zero, origin = where.inputs[2], True, [*test.origin, *where.origin]
    softmax = b.producer(weights, "Softmax")
    if softmax is None or len(b.shape(weights)) != 4 or softmax.attrs["axis"] != 3:
        return None, False, []
    return softmax, nan_to_zero, origin


def _scores(b: Builder, name: str) -> _Scores | None:
    """`name` as MatMul(q, kt) * scale + biases."""
    node = b.producer(name)
    if node is None:
        return None
    if node.op == "MatMul":
        q, first, q_origin = _unscaled(b, node.inputs[0])
        kt, second, k_origin = _unscaled(b, node.inputs[1])
        return _Scores(q, kt, first * second, [], [*q_origin, *k_origin, *node.origin])
    if node.op in ("Mul", "Div"):
        rest, factor, origin = _unscaled(b, name)
        found = _scores(b, rest) if rest != name else None
        if found is None or found.biases:
            return None
        found.scale *= factor
        found.origin += origin
        return found
    if node.op == "Add":
        for inner, bias in (node.inputs, node.inputs[::-1]):
            if b.shape(inner) == b.shape(name) and (found := _scores(b, inner)) is not None:
                found.biases.append(bias)
                found.origin += node.origin
                return found
    return None


def _unscaled(b: Builder, name: str) -> tuple[str, float, list[str]]:
    """`name` as rest * factor: multiplied or divided by scalar constants."""
    factor = 1.0
    origin: list[str] = []
    while (node := b.producer(name)) is not None and node.op in ("Mul", "Div"):
        pairs = [node.inputs, node.inputs[::-1]][: 2 if node.op == "Mul" else 1]
        for rest, constant in pairs:
            value = b.uniform(constant)
            if value and b.tensors[constant].size == 1 and b.shape(rest) == b.shape(name):
                factor = factor * value if node.op == "Mul" else factor / value
                name, origin = rest, [*origin, *node.origin]
                break
        else:
            break
    return name, factor, origin


def _fits(b: Builder, scores: _Scores, shape: Shape, v: str) -> bool:
    """Whether no operand of the products is broadcast, and all are f32."""
    batch, heads, rows, keys = shape
    q, kt, values = b.shape(scores.q), b.shape(scores.kt), b.shape(v)
    if not len(q) == len(kt) == len(values) == 4 or b.dtype(v) is not DType.F32:
        return False
    width = q[3]
    return (
        q == (batch, heads, rows, width)
        and kt == (batch, heads, width, keys)
        and values[:3] == (batch, heads, keys)
    )


def _bias(b: Builder, biases: list[str], origin: list[str]) -> str:
    """The sum of the biases with 4 dimensions, "" if there is none."""
    if not biases:
        return ""
    total = biases[0]
    for other in biases[1:]:
        total = b.emit("Add", [total, other], origin=origin)
    shape = b.shape(total)
    if len(shape) == 4:
        return total
    return b.emit("Reshape", [total], {"shape": (*(1,) * (4 - len(shape)), *shape)}, origin=origin)
