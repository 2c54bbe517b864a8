"""Checks on a parsed model before anything is made of it: limits, duplicate names, recursion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from isa.errors import InputError, LimitError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

NODES = 200_000
"""Most nodes of a model, functions expanded."""

NESTING = 64
"""Deepest nesting of functions and subgraphs."""


def validate(model: ModelProto) -> None:
    """Refuse what would not end, or would mean two things.

    Raises:
        InputError: TSP107 a value defined twice, TSP109 functions that call each other, TSP105 sparse
            weights.
        LimitError: TSP402 more than `NODES` nodes or deeper than `NESTING`.
    """
    graph = model.graph
    if graph.sparse_initializer:
        raise InputError(105, f"weight '{graph.sparse_initializer[0].values.name}' is sparse")
    names = [value.name for value in graph.input]
    _once(names, "input")
    _once([tensor.name for tensor in graph.initializer], "weight")
    taken = [name for node in graph.node for name in node.output if name]
    _once([*names, *taken], "value")
    _once([*(tensor.name for tensor in graph.initializer), *taken], "value")
    _once([value.name for value in graph.output], "output")
    _Counter(model).check()


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
        self.functions = {(f.domain, f.name): f for f in model.functions}
        self.counts: dict[tuple[str, str], int] = {}
        self.open: list[tuple[str, str]] = []

    def check(self) -> None:
        for function in self.model.functions:
            _once([name for node in function.node for name in node.output if name], "value")
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
            key = (node.domain, node.op_type)
            total += 1 + (self.function(key) if key in self.functions else 0)
            total += sum(self.nodes(graph.node, depth + 1) for graph in _subgraphs(node))
        return total

    def function(self, key: tuple[str, str]) -> int:
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
