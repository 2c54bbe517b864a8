"""The `Graph` form: tensor operations with static shapes and weights by reference."""

from compiler.graph.model import Graph, GraphInput, GraphOutput, Node, macs, node_macs
from compiler.graph.rules import OPS, Attr, Attrs, OpSpec, ShapeError
from compiler.graph.tensor_rules import infer
from compiler.graph.text import parse_graph, print_graph
from compiler.graph.types import Array, Constant, DType, Shape, Tensor

__all__ = [
    "OPS",
    "Array",
    "Attr",
    "Attrs",
    "Constant",
    "DType",
    "Graph",
    "GraphInput",
    "GraphOutput",
    "Node",
    "OpSpec",
    "Shape",
    "ShapeError",
    "Tensor",
    "infer",
    "macs",
    "node_macs",
    "parse_graph",
    "print_graph",
]
