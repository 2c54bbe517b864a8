"""Claim: outputs agree with ``onnx.reference`` within the stated tolerance, whatever the padding, the export or the shape."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tspc
from runtime.compare import Reference
from runtime.feeds import random_feeds
from runtime.metrics import compare, tolerance_for

Arrays = dict[str, NDArray[Any]]
ROOT = Path(__file__).parents[2]


class Pair:
    """A model on the machine and in the reference."""

    def __init__(
        self, model: Path, dims: Mapping[str, int], chip: str = "tsp1", precision: str = "fp16"
    ) -> None:
        self.precision = precision
        self.session = tspc.Session(tspc.compile(model, dims, chip, precision))
        self.reference = Reference(model)

    def feeds(self, seed: int, kept: int | None = None) -> Arrays:
        """Seeded inputs; ``kept`` positions of every row are not padding."""
        feeds = random_feeds(self.session.program.inputs, seed)
        if kept is not None:
            for name in (name for name in feeds if "mask" in name):
                feeds[name][...] = np.arange(feeds[name].shape[-1]) < kept
        return feeds

    def agree(self, feeds: Arrays) -> list[NDArray[Any]]:
        """Run both on ``feeds`` and compare every output."""
        expected = self.reference.run(feeds)
        got = self.session.run(list(expected), feeds)
        for name, array in zip(expected, got, strict=True):
            tolerance = tolerance_for(array.dtype, self.precision)
            found = compare(name, array, expected[name], tolerance)
            assert found.passed, found
        return got


@pytest.mark.parametrize("precision", ["fp16", "strict"])
@pytest.mark.parametrize(("batch", "seq"), [(1, 1), (3, 7), (1, 32)])
def test_the_shipped_model(demo_model: Path, batch: int, seq: int, precision: str) -> None:
    pair = Pair(demo_model, {"batch": batch, "seq": seq}, precision=precision)
    for seed in range(3):
        pair.agree(pair.feeds(seed))


def test_padding_does_not_reach_what_is_kept(demo_model: Path) -> None:
    """Not a bit of a kept position depends on what stands in the padding."""
    pair = Pair(demo_model, {"batch": 1, "seq": 9})
    for kept in (1, 4, 8):
        feeds = pair.feeds(1, kept)
        (first,) = pair.session.run(None, feeds)
        feeds["input_ids"][:, kept:] = (feeds["input_ids"][:, kept:] + 17) % 63
        (second,) = pair.session.run(None, feeds)
        np.testing.assert_array_equal(first[:, :kept], second[:, :kept])


@pytest.mark.parametrize(
    ("name", "dims", "chip"),
    [
        ("minilm.dynamo.static", {}, "tsp1"),
        ("minilm.legacy.dynamic", {"batch": 1, "seq": 37}, "tsp1"),
        ("minilm.legacy.dynamic", {"batch": 3, "seq": 1}, "tsp1"),
        ("bert.dynamo.static.op23", {}, "tsp1-deep"),
    ],
)
def test_one_layer_of_an_encoder(
    filled_model: Any, name: str, dims: dict[str, int], chip: str
) -> None:
    pair = Pair(filled_model(name), dims, chip)
    pair.agree(pair.feeds(0))


@pytest.mark.nightly
@pytest.mark.parametrize("precision", ["fp16", "strict"])
def test_minilm_on_94_inputs(real_minilm: Path, precision: str) -> None:
    pair = Pair(real_minilm, {}, precision=precision)
    for seed, kept in enumerate(np.linspace(1, 128, 94).astype(int)):
        pair.agree(pair.feeds(seed, int(kept)))


@pytest.mark.nightly
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("seq", [1, 37, 128])
def test_minilm_at_any_shape(materialized: Callable[[str], Path], batch: int, seq: int) -> None:
    pair = Pair(materialized("minilm.legacy.dynamic"), {"batch": batch, "seq": seq})
    pair.agree(pair.feeds(0))


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "dims"),
    [
        ("bert.dynamo.static", {}),
        ("bert.dynamo.static.op23", {}),
        ("bert.legacy.dynamic", {"batch": 1, "seq": 1}),
        ("bert.legacy.dynamic", {"batch": 1, "seq": 37}),
        ("bert.legacy.dynamic", {"batch": 1, "seq": 128}),
    ],
)
def test_bert_base(materialized: Callable[[str], Path], name: str, dims: dict[str, int]) -> None:
    pair = Pair(materialized(name), dims, "tsp1-deep")
    for seed in range(2):
        pair.agree(pair.feeds(seed))


@pytest.mark.nightly
@pytest.mark.parametrize("seq", [1, 37, 128])
@pytest.mark.parametrize("batch", [1, 3])
def test_paraphrase_minilm(batch: int, seq: int) -> None:
    """Published weights, pooling in the graph, an int64 passthrough output."""
    model = ROOT / "models" / "paraphrase-MiniLM-L3-v2.onnx"
    if not model.is_file():
        pytest.skip("models/paraphrase-MiniLM-L3-v2.onnx is absent: `make models` gets it")
    pair = Pair(model, {"batch_size": batch, "sequence_length": seq})
    pair.agree(pair.feeds(0))


@pytest.mark.nightly
@pytest.mark.parametrize(("name", "chip"), [("minilm", "tsp1"), ("bert", "tsp1-deep")])
def test_the_same_bytes_from_another_process(
    materialized: Callable[[str], Path], tmp_path: Path, name: str, chip: str
) -> None:
    model = materialized(f"{name}.dynamo.static")
    written = []
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.lpu"
        arguments = [sys.executable, "-m", "tspc", str(model), "--chip", chip, "-o", str(out)]
        subprocess.run(arguments, check=True, env={"PYTHONHASHSEED": seed}, cwd=ROOT)
        written.append(out.read_bytes())
    assert written[0] == written[1]
