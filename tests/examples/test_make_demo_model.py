from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

SCRIPT = Path(__file__).parents[2] / "examples" / "make_demo_model.py"


def run(model: onnx.ModelProto, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> list[Any]:
    return list(ReferenceEvaluator(model).run(None, {"input_ids": ids, "attention_mask": mask}))


@pytest.fixture
def ids() -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, 64, (2, 16))


def test_the_script_reproduces_the_shipped_model(demo_model: Path) -> None:
    """One home for the weights: the bytes in the repository are those that the script writes."""
    made = runpy.run_path(str(SCRIPT))["demo_model"]()
    assert made.SerializeToString(deterministic=True) == demo_model.read_bytes()


def test_the_model_is_valid_and_small(demo_model: Path) -> None:
    assert demo_model.stat().st_size < 90_000
    onnx.checker.check_model(onnx.load(demo_model))


def test_padding_changes_nothing(demo_model: Path, ids: NDArray[np.int64]) -> None:
    """Masked positions have no influence on the others, whatever their ids are."""
    model = onnx.load(demo_model)
    mask = np.ones_like(ids)
    mask[:, 10:] = 0
    [padded] = run(model, ids, mask)
    [alone] = run(model, ids[:, :10], mask[:, :10])
    np.testing.assert_allclose(padded[:, :10], alone, atol=1e-5)


def test_activations_are_near_one_and_attention_is_not_uniform(
    demo_model: Path, ids: NDArray[np.int64]
) -> None:
    model = onnx.load(demo_model)
    for layer in (0, 1):
        name = f"layer{layer}.attn.softmax"
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    hidden, *attention = run(model, ids, np.ones_like(ids))
    assert 0.5 < hidden.std() < 2
    for weights in attention:
        assert weights.max(axis=-1).mean() > 4 / 16
