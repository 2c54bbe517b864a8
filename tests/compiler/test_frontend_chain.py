"""The importer against `onnx.reference`: every tensor of a graph, not only its outputs.

Shapes come from onnx-shape-inference and constants from onnxscript's optimizer; the operations of a `Graph` have rules and a
meaning of their own. What ONNX's evaluator computes on the untouched file knows of neither.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from compiler.frontend import import_raw
from compiler.reference import evaluate
from tests.compiler.small_models import FLOAT, feeds
from tests.conftest import FilledModel

TOLERANCE = 1e-4
"""Of activations near 1: both sides add up to 3,072 fp32 products a sum, in different orders, over 12 layers."""
SIZES = {"batch": 2, "seq": 37}
GRAPHS = {
    "minilm.dynamo.static": {},
    "minilm.legacy.dynamic": SIZES,
    "bert.dynamo.static": {},
    "bert.dynamo.static.op23": {},
    "bert.legacy.dynamic": SIZES,
}


@pytest.mark.parametrize("name", GRAPHS)
def test_every_tensor_is_what_onnx_computes(name: str, filled_model: FilledModel) -> None:
    """Shape, element type and values of every tensor that a node of ONNX and one of the graph both make."""
    path = filled_model(name)
    graph = import_raw(path, GRAPHS[name])
    source = onnx.load(path)
    made = {item.output for item in graph.nodes}
    inner = [o for item in source.graph.node for o in item.output if o in made]
    assert len(inner) >= 0.75 * len(graph.nodes) > 30
    del source.graph.output[:]
    source.graph.output.extend(helper.make_tensor_value_info(o, FLOAT, None) for o in inner)
    given = feeds(graph, seed=3)
    given["attention_mask"] = np.ones_like(given["attention_mask"])
    given["attention_mask"][:, 30:] = 0
    with np.errstate(all="ignore"):
        wanted = ReferenceEvaluator(source).run(None, given)
        found = evaluate(graph, given)
    for tensor, want in zip(inner, wanted, strict=True):
        assert (found[tensor].shape, found[tensor].dtype) == (want.shape, want.dtype), tensor
        np.testing.assert_allclose(
            found[tensor], want, rtol=TOLERANCE, atol=TOLERANCE, err_msg=tensor
        )
