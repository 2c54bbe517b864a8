"""Checks on a parsed model before anything is made of it: limits, duplicate names, recursion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from isa.errors import InputError, LimitError

if TYPE_CHECKING:
    from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto

NODES = 200_000
"""Most nodes of a model, functions expanded."""

NESTING = 64
"""Deepest nesting of functions and subgraphs."""

NEWEST_OPSET = 26

FunctionKey = tuple[str, str, str]
"""Domain, name and overload of a model-local function."""


def validate(model: ModelProto) -> None:
    """Refuse what would not end, or would mean two things.

    Raises:
        InputError: TSP107 a value defined twice, TSP109 functions that call each other, TSP105 sparse
            weights, TSP121 an opset newer than `NEWEST_OPSET`.
        LimitError: TSP402 more than `NODES` nodes or deeper than `NESTING`.
    """
    graph = model.graph
    _check_text(model)
    if graph.sparse_initializer:
        raise InputError(105, f"weight '{graph.sparse_initializer[0].values.name}' is sparse")
    names = [value.name for value in graph.input]
    _once(names, "input")
    _once([tensor.name for tensor in graph.initializer], "weight")
    taken = [name for node in graph.node for name in node.output if name]
    _once([*names, *taken], "value")
    _once([*(tensor.name for tensor in graph.initializer), *taken], "value")
    _once([value.name for value in graph.output], "output")
    for item in model.opset_import:
        if not domain_of(item) and item.version > NEWEST_OPSET:
            raise InputError(
                121,
                f"the model uses opset {item.version}",
                hint=f"export it with opset {NEWEST_OPSET} or older",
            )
    _Counter(model).check()


def domain_of(item: NodeProto | FunctionProto | OperatorSetIdProto) -> str:
    """The domain that `item` names; "" is the standard one under both of its names."""
    return "" if item.domain == "ai.onnx" else item.domain


def key_of(item: NodeProto | FunctionProto, name: str) -> FunctionKey:
    """What a call and the function it calls have in common."""
    return domain_of(item), name, item.overload


def _check_text(model: ModelProto) -> None:
    """Protobuf gives bytes in place of text that is not UTF-8: TSP105."""
    graphs = [model.graph]
    nodes = [*(node for function in model.functions for node in function.node)]
    texts: list[object] = [item.domain for item in model.opset_import]
    for function in model.functions:
        texts += [function.name, function.domain, function.overload]
        texts += [*function.input, *function.output]
        texts += [*function.attribute, *(item.name for item in function.attribute_proto)]
        texts += [item.domain for item in function.opset_import]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            nodes += graph.node
            texts += [graph.name, *(tensor.name for tensor in graph.initializer)]
            for value in [*graph.input, *graph.output]:
                texts += [value.name, *(d.dim_param for d in value.type.tensor_type.shape.dim)]
            continue
        node = nodes.pop()
        texts += [node.name, node.op_type, node.domain, node.overload, *node.input, *node.output]
        for attribute in node.attribute:
            texts += [attribute.name, attribute.ref_attr_name, attribute.t.name]
        graphs += _subgraphs(node)
    if any(isinstance(text, bytes) for text in texts):
        raise InputError(105, "a name in the model is not UTF-8 text", hint="the file is damaged")


def _once(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen or not name:
            raise InputError(
                107, f"{what} '{name}' is defined twice" if name else f"{what} has no name"
            )
        seen.add(name)


class _Counter:
    """Counts nodes as expanded, each function once."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.functions = {key_of(f, f.name): f for f in model.functions}
        self.counts: dict[FunctionKey, int] = {}
        self.open: list[FunctionKey] = []

    def check(self) -> None:
        total = self.nodes(self.model.graph.node, 0)
        if total > NODES:
            raise LimitError(
                402, f"the model has {total} nodes, functions expanded; at most {NODES}"
            )

    def nodes(self, nodes: Iterable[NodeProto], depth: int) -> int:
        if depth + len(self.open) > NESTING:
            raise LimitError(402, f"functions and subgraphs nest deeper than {NESTING}")
        total = 0
        for node in nodes:
            key = key_of(node, node.op_type)
            total += 1 + (self.function(key) if key in self.functions else 0)
            total += sum(self.nodes(graph.node, depth + 1) for graph in _subgraphs(node))
        return total

    def function(self, key: FunctionKey) -> int:
        if key in self.open:
            raise InputError(109, f"function '{key[1]}' calls itself")
        if key not in self.counts:
            self.open.append(key)
            self.counts[key] = self.nodes(self.functions[key].node, 0)
            self.open.pop()
        return self.counts[key]


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def external_files(model: ModelProto) -> list[str]:
    """The files, as the model writes their paths, in which tensors of a valid model lie."""
    graphs, tensors = [model.graph], []
    nodes = [node for function in model.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            nodes += graph.node
            tensors += graph.initializer
            continue
        node = nodes.pop()
        tensors += [a.t for a in node.attribute if a.HasField("t")]
        graphs += _subgraphs(node)
    return sorted({e.value for t in tensors for e in t.external_data if e.key == "location"})
