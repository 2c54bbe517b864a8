"""What lowering is promised: no operation or dtype that exists on the host alone."""

from __future__ import annotations

from compiler.graph import OPS, Graph, Node
from isa.errors import InputError

_LISTED = 50


def check_legal(graph: Graph) -> Graph:
    """The same graph; raises TSP120 with every node that the machine has no form of."""
    problems = [line for node in graph.nodes if (line := _problem(graph, node))]
    problems += [
        f"input {given.tensor.name}: dtype {given.tensor.dtype.value}"
        for given in graph.inputs
        if not given.tensor.dtype.on_machine
    ]
    if problems:
        shown = "\n".join(f"  {line}" for line in problems[:_LISTED])
        raise InputError(
            120,
            f"{len(problems)} node(s) cannot be compiled:\n{shown}",
            hint="`tspc ops` lists what is supported",
        )
    return graph


def _problem(graph: Graph, node: Node) -> str:
    shapes = [
        f"{graph.tensors[name].dtype.value}{list(graph.tensors[name].shape)}" if name else "-"
        for name in node.inputs
    ]
    place = f"{', '.join(node.origin) or node.name}: {node.op} of {', '.join(shapes)}"
    result = graph.tensors[node.output]
    if not OPS[node.op].final:
        return f"{place}: the indices neither keep the order of the elements nor are evenly spaced"
    if not result.dtype.on_machine:
        return f"{place}: dtype {result.dtype.value}"
    if node.op == "Embedding" and node.inputs[0] not in graph.constants:
        return f"{place}: the table depends on an input of the model"
    return ""
