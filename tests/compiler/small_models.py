"""Small ONNX models, and what they compute by `onnx.reference` and by the imported graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from compiler.frontend import import_model, import_raw
from compiler.graph import Graph
from compiler.reference import evaluate

Array = NDArray[Any]
FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL
_CODES = {"f": FLOAT, "i": TensorProto.INT64, "b": BOOL}


def node(op: str, inputs: str, outputs: str, name: str = "", **attrs: Any) -> NodeProto:
    """A node; operands and results are separated by spaces, `-` is an absent operand."""
    operands = ["" if item == "-" else item for item in inputs.split()]
    return helper.make_node(op, operands, outputs.split(), name=name or outputs.split()[0], **attrs)


def model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Sequence[int | str | None]],
    outputs: str,
    weights: Mapping[str, Any] | None = None,
    opset: int = 20,
    **more: Any,
) -> ModelProto:
    """A model. An input is float32, or int64 or bool if its name begins with `i_` or `b_`."""
    given = [
        helper.make_tensor_value_info(
            name, _CODES.get(name[0], FLOAT) if name[1:2] == "_" else FLOAT, shape
        )
        for name, shape in inputs.items()
    ]
    results = [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs.split()]
    tensors = [numpy_helper.from_array(np.asarray(w), name) for name, w in (weights or {}).items()]
    graph = helper.make_graph(nodes, "small", given, results, tensors)
    opsets = [helper.make_opsetid("", opset), *more.pop("opsets", [])]
    return helper.make_model(graph, opset_imports=opsets, **more)


def feeds(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Seeded inputs: normal floats, integers within their range, half of the booleans true."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    for given in graph.inputs:
        shape, kind = given.tensor.shape, given.abi_dtype.numpy.kind
        low, high = given.valid_range or (0, 1)
        if kind == "f":
            arrays[given.tensor.name] = rng.standard_normal(shape).astype(given.abi_dtype.numpy)
        else:
            arrays[given.tensor.name] = rng.integers(low, high + 1, shape).astype(
                given.abi_dtype.numpy
            )
    return arrays


def check(source: ModelProto, dims: Mapping[str, int] | None = None, seed: int = 0) -> Graph:
    """Import, and require the outputs of `onnx.reference`, before the passes and after. The graph."""
    graph = import_model(source, dims)
    arrays = feeds(graph, seed)
    with np.errstate(all="ignore"):
        wanted = ReferenceEvaluator(source).run(None, arrays)
    for found in (graph, import_raw(source, dims)):
        got = evaluate(found, arrays)
        for output, want in zip(found.outputs, wanted, strict=True):
            assert got[output.name].shape == want.shape
            assert got[output.name].dtype == want.dtype
            np.testing.assert_allclose(got[output.name], want, rtol=1e-5, atol=1e-6)
    return graph


def ops(graph: Graph) -> list[str]:
    """The operations of a graph, in order."""
    return [item.op for item in graph.nodes]
