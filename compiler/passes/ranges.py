"""Which inputs index a table, and how far they may reach."""

from __future__ import annotations

from compiler.graph import Graph, GraphInput
from compiler.passes.movement import MOVES

_FOLLOWED = ("Identity", "Cast", *MOVES)


def find_ranges(graph: Graph) -> Graph:
    """Set `valid_range` of inputs that reach an Embedding unchanged: 0 to the last row of the smallest."""
    producers = graph.producers()
    last: dict[str, int] = {}
    for node in graph.nodes:
        if node.op != "Embedding":
            continue
        name = node.inputs[1]
        while name in producers and producers[name].op in _FOLLOWED:
            name = producers[name].inputs[0]
        rows = graph.tensors[node.inputs[0]].shape[0]
        last[name] = min(rows - 1, last.get(name, rows - 1))
    inputs = tuple(
        GraphInput(given.tensor, given.abi_dtype, (0, last[given.tensor.name]))
        if given.tensor.name in last
        else given
        for given in graph.inputs
    )
    return Graph(graph.name, inputs, graph.outputs, graph.nodes, graph.tensors, graph.constants)
