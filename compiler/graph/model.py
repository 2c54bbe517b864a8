"""`Graph`: a model as operations on tensors with static shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from compiler.graph.rules import Attr, ShapeError
from compiler.graph.tensor_rules import infer
from compiler.graph.types import Constant, DType, Tensor
from isa.errors import InternalError


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of `compiler.graph.rules.OPS`.

    `inputs` and `outputs` are tensor names, "" an absent operand; there is one output. `origin` holds the
    names of the ONNX nodes it stands for, several after a fusion.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Attr]
    origin: tuple[str, ...]

    @property
    def output(self) -> str:
        """The name of the result."""
        return self.outputs[0]


@dataclass(frozen=True, slots=True)
class GraphInput:
    """What the user feeds.

    `abi_dtype` is the dtype of the user's array (i64 is narrowed to the tensor's i32 by the host, with a
    range check). `valid_range` is the inclusive range of an input that indexes a table, else None.
    """

    tensor: Tensor
    abi_dtype: DType
    valid_range: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class GraphOutput:
    """What the user gets: `tensor` under the user's `name`, widened to `abi_dtype` by the host."""

    name: str
    tensor: str
    abi_dtype: DType


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole model.

    `nodes` are in topological order; `tensors` has every name but "", constants included; an output's
    tensor is always made by a node.
    """

    name: str
    inputs: tuple[GraphInput, ...]
    outputs: tuple[GraphOutput, ...]
    nodes: tuple[Node, ...]
    tensors: dict[str, Tensor]
    constants: dict[str, Constant]

    def verify(self) -> None:
        """Check single definition before use, and every shape and dtype against its rule.

        Raises:
            InternalError: TSP901 or TSP902, naming the node.
        """
        defined: set[str] = set()
        for tensor in [given.tensor for given in self.inputs] + [
            c.tensor for c in self.constants.values()
        ]:
            self._define(tensor.name, defined, "a graph input or constant")
            if self.tensors.get(tensor.name) != tensor:
                raise InternalError(902, f"tensor '{tensor.name}' is not listed as {tensor}")
        for node in self.nodes:
            self._verify_node(node, defined)
        produced = {name for node in self.nodes for name in node.outputs}
        for output in self.outputs:
            if output.tensor not in produced:
                raise InternalError(902, f"output '{output.name}' is made by no node")
        if extra := set(self.tensors) - defined:
            raise InternalError(902, f"tensor '{min(extra)}' is listed and never defined")

    def _define(self, name: str, defined: set[str], by: str) -> None:
        if not name or name in defined:
            raise InternalError(902, f"{by} defines '{name}' a second time")
        defined.add(name)

    def _verify_node(self, node: Node, defined: set[str]) -> None:
        for name in node.inputs:
            if name and name not in defined:
                raise InternalError(
                    902, f"node '{node.name}' ({node.op}) uses '{name}' before it is defined"
                )
        operands = [self.tensors[name] if name else None for name in node.inputs]
        try:
            shape, dtype = infer(node.op, node.attrs, operands)
        except ShapeError as error:
            raise InternalError(901, error.message, where=f"node '{node.name}'") from None
        if len(node.outputs) != 1:
            raise InternalError(902, f"node '{node.name}' has {len(node.outputs)} outputs")
        self._define(node.output, defined, f"node '{node.name}'")
        listed, found = self.tensors.get(node.output), Tensor(node.output, shape, dtype)
        if listed != found:
            raise InternalError(902, f"node '{node.name}' gives {found}, listed is {listed}")

    def producers(self) -> dict[str, Node]:
        """Tensor name to the node that makes it."""
        return {name: node for node in self.nodes for name in node.outputs}

    def consumers(self) -> dict[str, list[Node]]:
        """Tensor name to the nodes that read it, in order; outputs of the graph are not counted."""
        users: dict[str, list[Node]] = {name: [] for name in self.tensors}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                if name:
                    users[name].append(node)
        return users

    def value(self, name: str) -> Constant | None:
        """The constant called `name`, if it is one."""
        return self.constants.get(name)

    def renamed(self, name: str) -> Graph:
        """The same graph under another name."""
        return replace(self, name=name)


def macs(graph: Graph) -> int:
    """Multiply-accumulates of all Linear, MatMul and Attention nodes, from shapes alone."""
    return sum(node_macs(graph, node) for node in graph.nodes)


def node_macs(graph: Graph, node: Node) -> int:
    """Multiply-accumulates of one node; 0 if it is not a contraction."""
    shapes = [graph.tensors[name].shape if name else () for name in node.inputs]
    out = graph.tensors[node.output].size
    if node.op == "Linear":
        return out * shapes[0][-1]
    if node.op == "MatMul":
        return out * shapes[0][-1]
    if node.op == "Attention":
        (batch, rows, width), keys = shapes[0], shapes[1][1]
        return batch * rows * keys * (width + math.prod(shapes[2][2:]))
    return 0
