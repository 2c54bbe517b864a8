"""Claim: outputs agree with ``onnx.reference`` whatever the padding, and what is masked has no weight at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runtime.metrics import compare, tolerance_for
from tests.claims.subjects import DEMO
from tests.runtime.test_agreement import Arrays, Pair

BERT = ["bert.dynamo.static", "bert.dynamo.static.op23"]


def other_ids(feeds: Arrays, kept: int, by: int) -> Arrays:
    """The same inputs with other ids, and other types, in the padding."""
    changed = {name: values.copy() for name, values in feeds.items()}
    for name, values in changed.items():
        if "mask" not in name:
            values[..., kept:] = (values[..., kept:] + by) % (values.max() + 1)
    return changed


@pytest.fixture(scope="module")
def layer(filled_model: Any) -> Pair:
    """One layer of MiniLM, batch 1, sequence 128."""
    return Pair(filled_model("minilm.dynamo.static"), {})


@pytest.mark.parametrize("kept", [1, 2, 37, 64, 127])
def test_not_a_bit_of_a_kept_position_depends_on_the_padding(layer: Pair, kept: int) -> None:
    feeds = layer.feeds(kept, kept)
    (first,) = layer.session.run(None, feeds)
    for by in (1, 200):
        (second,) = layer.session.run(None, other_ids(feeds, kept, by))
        np.testing.assert_array_equal(first[:, :kept], second[:, :kept])


@pytest.mark.parametrize("kept", [1, 16, 37, 65, 128])
def test_an_encoder_layer_at_several_lengths_of_padding(layer: Pair, kept: int) -> None:
    layer.agree(layer.feeds(kept, kept))


@pytest.mark.parametrize("kept", [1, 37, 128])
def test_strict_at_several_lengths_of_padding(filled_model: Any, kept: int) -> None:
    pair = Pair(filled_model("minilm.dynamo.static"), {}, precision="strict")
    pair.agree(pair.feeds(kept, kept))


def test_a_row_of_a_batch_does_not_depend_on_the_others(filled_model: Any) -> None:
    pair = Pair(filled_model("minilm.legacy.dynamic"), {"batch": 3, "seq": 9})
    feeds = pair.feeds(3)
    (first,) = pair.agree(feeds)
    for values in feeds.values():
        values[1] = values[2]
    (second,) = pair.session.run(None, feeds)
    np.testing.assert_array_equal(first[[0, 2]], second[[0, 2]])
    assert (first[1] != second[1]).any()


def test_padding_is_as_good_as_absence() -> None:
    """What a padded program says of the kept positions is what the reference says of the sentence alone."""
    pair = Pair(DEMO, {"batch": 1, "seq": 12})
    for kept in (1, 5, 11):
        feeds = pair.feeds(kept, kept)
        (padded,) = pair.session.run(None, feeds)
        (name,) = pair.reference.names
        alone = pair.reference.run({k: v[:, :kept] for k, v in feeds.items()})[name]
        tolerance = tolerance_for(alone.dtype, "fp16")
        found = compare(name, np.ascontiguousarray(padded[:, :kept]), alone, tolerance)
        assert found.passed, found


@pytest.mark.parametrize(
    ("name", "dims"),
    [
        ("minilm.dynamo.static", {}),
        ("minilm.legacy.dynamic", {"batch": 2, "seq": 7}),
        ("bert.dynamo.static.op23", {}),
    ],
)
def test_a_row_that_is_all_padding_is_what_the_reference_makes_of_it(
    filled_model: Any, name: str, dims: dict[str, int]
) -> None:
    pair = Pair(filled_model(name), dims)
    feeds = pair.feeds(0, 0)
    pair.agree(feeds)


@pytest.mark.parametrize("name", BERT)
@pytest.mark.parametrize("kept", [1, 37, 128])
def test_a_layer_of_bert_base(filled_model: Any, name: str, kept: int) -> None:
    pair = Pair(filled_model(name), {}, "tsp1-deep")
    pair.agree(pair.feeds(kept, kept))


@pytest.mark.parametrize("seq", [1, 37, 128])
def test_a_layer_of_bert_base_at_other_lengths(filled_model: Any, seq: int) -> None:
    pair = Pair(filled_model("bert.legacy.dynamic"), {"batch": 1, "seq": seq}, "tsp1-deep")
    pair.agree(pair.feeds(seq))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("seq", [1, 37, 128])
def test_a_layer_of_minilm_at_other_shapes(filled_model: Any, batch: int, seq: int) -> None:
    pair = Pair(filled_model("minilm.legacy.dynamic"), {"batch": batch, "seq": seq})
    pair.agree(pair.feeds(seq))


@pytest.mark.parametrize("name", ["minilm.dynamo.static", "bert.dynamo.static"])
def test_a_layer_in_strict_precision(filled_model: Any, name: str) -> None:
    pair = Pair(filled_model(name), {}, "tsp1-deep", precision="strict")
    pair.agree(pair.feeds(0))
