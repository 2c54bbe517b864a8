"""What the fixtures give runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

HIDDEN = {"minilm": 384, "bert": 768}


@pytest.mark.parametrize(
    "name", ["minilm.dynamo.static", "minilm.legacy.dynamic", "bert.dynamo.static.op23"]
)
def test_a_cut_graph_runs(filled_model: Callable[[str], Path], name: str) -> None:
    model = onnx.load(filled_model(name))
    onnx.checker.check_model(model)
    norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    assert len(norms) == 3
    ids = np.random.default_rng(0).integers(0, 512, (1, 128))
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": 0 * ids}
    result: Any = ReferenceEvaluator(model).run(None, feeds)
    assert result[0].shape == (1, 128, HIDDEN[name.partition(".")[0]])
    assert np.isfinite(result[0]).all()


def test_a_whole_graph_keeps_its_weights_beside_it(materialized: Callable[[str], Path]) -> None:
    path = materialized("minilm.dynamo.static")
    assert path.with_suffix(".bin").stat().st_size == 90_419_200
