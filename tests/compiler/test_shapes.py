"""Shapes that are not round: blocks of unequal rows, heads that share vectors, words that are used again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto

from compiler import compile_model
from compiler.reference import evaluate
from compiler.scheduling.core import Core
from compiler.scheduling.liveness import mixed_up
from compiler.scheduling.memory import Memory, Written
from compiler.scheduling.tables import Tables
from compiler.tiles import Buffer, MatrixJob
from emulator.jit import Kernel
from isa.instruction import DType
from isa.machine import load_chip
from isa.verify import verify
from runtime.feeds import random_feeds
from tests.compiler.small_models import model, node

TOLERANCE = 3e-3
"""Relative L2 with operands of matrix products rounded to fp16; see docs/numerics.md."""
STRICT = 1e-5
"""The same with hi and lo parts."""


def difference(
    source: Path | ModelProto,
    dims: dict[str, int],
    chip: str = "tsp1",
    precision: str = "fp16",
) -> float:
    """Largest relative L2 of an output against the numpy meaning of the graph, after compile, verify and run."""
    built = compile_model(source, dims, chip, precision=precision)
    assert mixed_up(built.tiles, built.placement, built.schedule) == []
    assert verify(built.program).cycles == built.report.cycles
    feeds: dict[str, NDArray[np.generic]] = random_feeds(built.program.inputs, seed=7)
    got, trace = Kernel(built.program).run(feeds)
    assert trace.cycles == built.report.cycles
    names = {i.tensor.name: i.tensor.dtype.numpy for i in built.graph.inputs}
    want = evaluate(built.graph, {n: feeds[n].astype(t) for n, t in names.items()})
    found = []
    for output in built.graph.outputs:
        exact = want[output.tensor].astype(np.float64)
        found.append(np.linalg.norm(got[output.name] - exact) / np.linalg.norm(exact))
    return float(max(found))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("seq", [1, 2, 5, 15, 16, 17, 31])
def test_shipped_model(demo_model: Path, batch: int, seq: int) -> None:
    """Batches of odd sequences on the shipped model."""
    assert difference(demo_model, {"batch": batch, "seq": seq}) < TOLERANCE


@pytest.mark.parametrize(
    ("batch", "seq"), [(1, 63), (1, 97), (1, 100), (1, 129), (1, 200), (3, 37)]
)
def test_encoder_layer(filled_model: Callable[..., Path], batch: int, seq: int) -> None:
    """One MiniLM layer; at 97 and 100 rows, words freed by one tensor are written by two ops of another."""
    layer = filled_model("minilm.legacy.dynamic")
    assert difference(layer, {"batch": batch, "seq": seq}) < TOLERANCE


@pytest.mark.parametrize("columns", [320, 384, 480, 496, 640, 768])
def test_a_mean_over_lanes(columns: int) -> None:
    """Of rows of several vectors; a last one of at most half a vector lets the others be folded onto that many lanes."""
    weights = np.random.default_rng(3).standard_normal((64, columns), np.float32)
    nodes = [
        node("MatMul", "x w", "product"),
        node("Relu", "product", "r"),
        node("ReduceMean", "r", "mean", axes=[-1], keepdims=1),
        node("Sub", "r mean", "y"),
    ]
    source = model(nodes, {"x": [5, 64]}, "y", {"w": weights}, opset=17)
    assert difference(source, {}) < TOLERANCE
    assert difference(source, {}, precision="strict") < STRICT
    jobs = [op for op in compile_model(source, {}, "tsp1").tiles.ops if isinstance(op, MatrixJob)]
    windows = {p.window for j in jobs for p in j.passes if str(p.weights.tile) == "@ones"}
    assert windows == {160 if columns % 320 in range(1, 161) else 320}


def test_words_are_not_written_before_their_last_tenant_is_read() -> None:
    """A later op may write other rows of a block at an earlier cycle, but not while the words still hold something else."""
    machine = load_chip("tsp1")
    memory = Memory(machine)
    core = Core(machine, Tables(machine), memory)
    scratch = memory.scratch
    assert scratch(3, 1, 8, 0) is not None
    core.commit()
    first = memory.fragment(Buffer("first", DType.I8, 8, 320), 0, 0)
    first.users, first.last_read = 1, 999
    core.new_copy(first, 0, [(3, 1, 2 * machine["mem.words"] - 8)])
    core.used(first, 0)
    second = memory.fragment(Buffer("second", DType.I8, 8, 320), 0, 0)
    address = scratch(3, 1, 8, 1000)
    assert address == 2 * machine["mem.words"] - 8
    core.commit()
    core.new_copy(second, 0, [(3, 1, address)])
    early, late = np.full(88, 500), np.full(88, 1500)
    assert core.take_writes(second, 0, early, 4, 1) is None
    assert core.take_writes(second, 0, late, 4, 1) is not None


def test_words_of_a_copy_that_nobody_reads_are_dead_once_it_is_written() -> None:
    """A result goes to both hemispheres; the copy that is read may be done with before the other is written."""
    memory = Memory(load_chip("tsp1"))
    core = Core(memory.machine, Tables(memory.machine), memory)
    address = memory.scratch(3, 1, 8, 0)
    assert address is not None
    core.commit()
    fragment = memory.fragment(Buffer("both", DType.I8, 8, 320, both=True), 0, 0)
    fragment.users = 1
    copy = core.new_copy(fragment, 0, [(3, 1, address)])
    copy.written[0].append(Written(0, 8, 1000, 2))
    core.used(fragment, 500)
    assert memory.scratch(3, 1, 8, 1013) != address
    assert memory.scratch(3, 1, 8, 1014) == address


def attention_model(
    bias: tuple[int, ...], queries: int, keys: int, heads: int, size: int = 16, batch: int = 1
) -> ModelProto:
    """One attention of `x` on `z`, or of `x` on itself if they are as long; its products q, k and v, and a bias."""
    random = np.random.default_rng(3)
    width = heads * size
    weights = {
        n: random.standard_normal((width, width), np.float32) / 4 for n in ("wq", "wk", "wv")
    }
    other = "x" if keys == queries else "z"
    nodes = [
        node("MatMul", f"{x} w{n}", f"{n}0")
        for n, x in zip("qkv", ("x", other, other), strict=True)
    ]
    nodes += [node("Reshape", f"{n}0 split{n == 'q':d}", f"{n}1") for n in "qkv"]
    nodes += [
        node("Transpose", "q1", "q", perm=[0, 2, 1, 3]),
        node("Transpose", "k1", "k", perm=[0, 2, 3, 1]),
        node("Transpose", "v1", "v", perm=[0, 2, 1, 3]),
        node("MatMul", "q k", "scores"),
        node("Add", "scores bias", "biased"),
        node("Softmax", "biased", "p", axis=-1),
        node("MatMul", "p v", "mixed"),
        node("Transpose", "mixed", "turned", perm=[0, 2, 1, 3]),
        node("Reshape", "turned merge", "y"),
    ]
    constants = {
        **weights,
        "bias": 3 * random.standard_normal(bias, np.float32),
        "split1": np.array([batch, queries, heads, size]),
        "split0": np.array([batch, keys, heads, size]),
        "merge": np.array([batch, queries, width]),
    }
    inputs = {"x": (batch, queries, width), "z": (batch, keys, width)}
    return model(nodes, {n: inputs[n] for n in ("x", other)}, "y", constants)


@pytest.mark.parametrize("bias", [(1, 1, 1, 16), (1, 2, 1, 16), (1, 2, 16, 16), (1, 1, 16, 16)])
def test_attention_bias(bias: tuple[int, ...]) -> None:
    """A bias for all heads, for each head, for each query: heads are scored together only if they share it."""
    assert difference(attention_model(bias, 16, 16, 2), {}) < TOLERANCE


@pytest.mark.parametrize(
    ("queries", "keys", "heads", "bias"),
    [
        (321, 321, 2, (1, 1, 1, 321)),
        (384, 384, 3, (1, 1, 1, 384)),
        (330, 330, 2, (1, 2, 330, 330)),
        (645, 645, 1, (1, 1, 645, 645)),
        (325, 20, 2, (1, 2, 1, 20)),
        (20, 700, 2, (1, 1, 20, 700)),
        (33, 322, 5, (1, 1, 1, 322)),
    ],
)
def test_attention_over_more_than_a_vector(
    queries: int, keys: int, heads: int, bias: tuple[int, ...]
) -> None:
    """Queries in blocks, keys in cuts, each alone and both; on itself and on another sequence; every kind of bias."""
    assert difference(attention_model(bias, queries, keys, heads), {}) < TOLERANCE


def test_a_batch_of_long_attentions() -> None:
    """Blocks and cuts begin anew in every item; hi and lo parts are accumulated over all cuts."""
    source = attention_model((2, 1, 1, 336), 336, 336, 2, batch=2)
    assert difference(source, {}) < TOLERANCE
    assert difference(source, {}, precision="strict") < STRICT
