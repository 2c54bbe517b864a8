"""The importer against onnx_ir, onnx-shape-inference and onnxscript's optimizer: other people's work on the same files.

The importer infers shapes and folds constants itself, in one walk (docs/graph.md says why). These libraries share no line
with it: what they infer must be what it infers, and a model that went through them first must mean the same.
"""

from pathlib import Path

import numpy as np
import onnx_ir
import pytest
from onnx_shape_inference import infer_symbolic_shapes
from onnxscript import optimizer

from compiler import reference
from compiler.frontend import import_model, import_raw
from compiler.graph import DType, Graph
from tests.conftest import FilledModel

SIZES = {"batch": 2, "seq": 37}
GRAPHS = {
    "minilm.dynamo.static": {},
    "minilm.legacy.dynamic": SIZES,
    "bert.dynamo.static": {},
    "bert.dynamo.static.op23": {},
    "bert.legacy.dynamic": SIZES,
}
_DTYPES = {
    DType.F32: onnx_ir.DataType.FLOAT,
    DType.I64: onnx_ir.DataType.INT64,
    DType.I32: onnx_ir.DataType.INT32,
    DType.BOOL: onnx_ir.DataType.BOOL,
}


def _inferred(path: Path, dims: dict[str, int]) -> onnx_ir.Model:
    """The model with `dims` in place of its symbolic dimensions and every shape that follows."""
    model = onnx_ir.load(path)
    for value in model.graph.inputs:
        assert value.shape is not None
        sizes = [d if isinstance(d, int) else dims[str(d.value)] for d in value.shape]
        value.shape = onnx_ir.Shape(sizes)
    for node in model.graph:
        for value in node.outputs:
            value.shape = None
    found: onnx_ir.Model = infer_symbolic_shapes(model)
    return found


@pytest.mark.parametrize("name", GRAPHS)
def test_every_shape_is_what_onnx_shape_inference_finds(
    name: str, filled_model: FilledModel
) -> None:
    """Every tensor that depends on an input and that both name has the same shape and element type in both."""
    path = filled_model(name)
    model = _inferred(path, GRAPHS[name])
    theirs = {v.name: v for node in model.graph for v in node.outputs}
    graph = import_raw(path, GRAPHS[name])
    ours = [graph.tensors[node.output] for node in graph.nodes if node.output in theirs]
    compared = 0
    for tensor in ours:
        value = theirs[tensor.name]
        if value.shape is not None and value.shape.is_static():
            assert value.shape.numpy() == tensor.shape, tensor.name
            assert value.dtype == _DTYPES[tensor.dtype], tensor.name
            compared += 1
    # The rest: constants folded on one side alone, and shapes that the library leaves symbolic behind a Reshape.
    assert compared >= 0.75 * len(ours) >= 0.4 * len(graph.nodes)


def _outputs(graph: Graph) -> list[np.ndarray]:
    random = np.random.RandomState(3)
    feeds = {}
    for item in graph.inputs:
        values = random.randint(0, 2, item.tensor.shape)
        feeds[item.tensor.name] = values.astype(item.tensor.dtype.numpy)
    found = reference.evaluate(graph, feeds)
    return [found[output.tensor] for output in graph.outputs]


@pytest.mark.parametrize("name", GRAPHS)
def test_a_model_optimized_by_onnxscript_means_the_same(
    name: str, filled_model: FilledModel, tmp_path: Path
) -> None:
    """Folded, inlined and rewritten by somebody else first, the model gives what it gives without."""
    path = filled_model(name)
    model = _inferred(path, GRAPHS[name])
    optimizer.optimize(model, onnx_shape_inference=False)
    changed = tmp_path / "optimized.onnx"
    onnx_ir.save(model, changed)
    direct = _outputs(import_model(path, GRAPHS[name]))
    detour = _outputs(import_model(changed))
    for a, b in zip(direct, detour, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
