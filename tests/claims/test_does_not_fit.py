"""Claim: a model that does not fit is refused, soon, with what takes the memory by tensor."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler import compile_model
from isa.errors import LimitError
from isa.machine import load_chip
from tests.claims.subjects import DEMO, changed

SOON = 20.0
"""Seconds of processor time; a refusal that takes minutes is as good as none."""


def model(nodes: list[Any], shape: tuple[int, ...], **weights: Any) -> Any:
    """A model from ``x`` to ``y``, both float32 ``shape``."""
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "xy"]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "made", ends[:1], ends[1:], tensors)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def refusal(*arguments: Any) -> LimitError:
    """What a compilation says."""
    start = time.process_time()
    with pytest.raises(LimitError) as caught:
        compile_model(*arguments)
    assert time.process_time() - start < SOON
    assert caught.value.exit_code == 4
    assert "--chip" in caught.value.hint
    return caught.value


def test_bert_base_on_the_published_chip(materialized: Any) -> None:
    said = refusal(materialized("bert.dynamo.static"), {}, "tsp1").message
    assert "does not fit chip tsp1" in said
    assert "MiB  m.embeddings.word_embeddings.weight" in said.splitlines()[1]


def test_a_giant_product_on_a_small_chip() -> None:
    weight = np.ones((512, 1024), np.float32)
    node = helper.make_node("MatMul", ["x", "giant"], ["h"])
    back = helper.make_node("MatMul", ["h", "lesser"], ["y"])
    made = model([node, back], (4, 512), giant=weight, lesser=weight.T.copy())
    said = refusal(made, {}, "tiny").message.splitlines()
    assert "giant" in said[1] + said[2]
    assert "lesser" in said[1] + said[2]


def test_results_that_do_not_fit_where_the_weights_do() -> None:
    """What a result takes is told like what a weight takes, and what is free but scattered does not hold it up."""
    small = changed(load_chip("tsp1"), mem__words=64)
    said = refusal(DEMO, {"batch": 2, "seq": 32}, small).message
    assert "words are taken, of results" in said
    assert "by %layer0.attn" in said
    assert "word_embeddings" in said


def test_an_operand_that_waits_too_long_is_a_limit_of_the_chip() -> None:
    """Five cycles an operation make a chain of the demonstration keep an operand for longer than registers hold."""
    slow = changed(load_chip("tsp1"), timing__vxm_alu=5)
    error = refusal(DEMO, {"batch": 1, "seq": 8}, slow)
    assert error.number == 414
    assert "vxm.max_delay = 63" in error.message
