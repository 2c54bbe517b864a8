"""64-bit integers become 32-bit: the machine has no others."""

from __future__ import annotations

import numpy as np

from compiler.builder import EAGER_BYTES, Builder
from compiler.graph import Array, Constant, DType, Graph, GraphInput, Node, Tensor
from isa.errors import InputError

_INT32 = np.iinfo(np.int32)


def narrow_int64(graph: Graph) -> Graph:
    """Inputs, constants and results of dtype i64 become i32; what the user feeds and gets stays i64.

    The host checks the range of what is fed. A constant that does not fit raises TSP123,
    here or, if it is large, when it is looked at.
    """
    builder = Builder(graph.name, reserved=frozenset(graph.tensors))
    for given in graph.inputs:
        tensor = given.tensor
        if tensor.dtype is DType.I64:
            tensor = Tensor(tensor.name, tensor.shape, DType.I32)
        builder.add_input(GraphInput(tensor, given.abi_dtype, given.valid_range))
    for constant in graph.constants.values():
        builder.add_constant(_narrow(constant))
    for node in graph.nodes:
        builder.keep(_narrow_cast(node))
    return builder.finish(graph.outputs)


def _narrow(constant: Constant) -> Constant:
    tensor = constant.tensor
    if tensor.dtype is not DType.I64:
        return constant

    def load() -> Array:
        wide = constant.value()
        if wide.size and (wide.min() < _INT32.min or wide.max() > _INT32.max):
            raise InputError(
                123,
                f"constant '{tensor.name}' has 64-bit integers from {wide.min()} to {wide.max()}",
                hint="the machine computes with 32-bit integers",
            )
        return wide.astype(np.int32)

    narrow = Constant(Tensor(tensor.name, tensor.shape, DType.I32), load)
    return Constant.of(tensor.name, load()) if tensor.nbytes <= EAGER_BYTES else narrow


def _narrow_cast(node: Node) -> Node:
    if node.op != "Cast" or node.attrs["to"] != DType.I64.value:
        return node
    attrs = {**node.attrs, "to": DType.I32.value}
    return Node(node.name, node.op, node.inputs, node.outputs, attrs, node.origin)
