from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import load
from onnx.reference import ReferenceEvaluator

from compiler.frontend import import_model, import_raw
from compiler.graph import OPS, parse_graph, print_graph
from compiler.passes import PIPELINE
from compiler.reference import evaluate
from tests.compiler.small_models import check, feeds, model, node, ops

ROOT2 = np.float32(math.sqrt(2))
HALF, ONE = np.float32(0.5), np.float32(1)


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


GELUS = {
    "half last": [node("Mul", "x g", "p"), node("Mul", "p half", "y")],
    "half first": [node("Mul", "half x", "p"), node("Mul", "g p", "y")],
    "half on the gate": [node("Mul", "g half", "p"), node("Mul", "p x", "y")],
}


@pytest.mark.parametrize("tail", GELUS)
@pytest.mark.parametrize("scale", ["Div", "Mul"])
def test_the_erf_chain_is_gelu(tail: str, scale: str) -> None:
    factor = ROOT2 if scale == "Div" else 1 / ROOT2
    head = [node(scale, "x c", "t"), node("Erf", "t", "e"), node("Add", "one e", "g")]
    graph = check(
        model([*head, *GELUS[tail]], {"x": (2, 5)}, "y", {"c": factor, "half": HALF, "one": ONE})
    )
    assert ops(graph) == ["Gelu"]
    assert set(graph.nodes[0].origin) == {"t", "e", "g", "p", "y"}


def test_a_chain_that_is_nearly_gelu_is_left_alone() -> None:
    head = [node("Mul", "x c", "t"), node("Erf", "t", "e"), node("Add", "one e", "g")]
    weights = {"c": np.float32(0.7), "half": HALF, "one": ONE}
    graph = check(model([*head, *GELUS["half last"]], {"x": (2, 5)}, "y", weights))
    assert "Gelu" not in ops(graph)


def test_the_tanh_chain_is_gelu() -> None:
    nodes = [
        node("Pow", "x three", "p"),
        node("Mul", "p c", "q"),
        node("Add", "x q", "r"),
        node("Mul", "r s", "t"),
        node("Tanh", "t", "u"),
        node("Add", "u one", "g"),
        node("Mul", "x half", "h"),
        node("Mul", "h g", "y"),
    ]
    weights = {"three": np.float32(3), "c": np.float32(0.044715), "one": ONE, "half": HALF}
    weights["s"] = np.float32(math.sqrt(2 / math.pi))
    graph = check(model(nodes, {"x": (2, 5)}, "y", weights))
    assert ops(graph) == ["Gelu"]
    assert graph.nodes[0].attrs == {"approximate": "tanh"}


def test_layer_normalization_written_out() -> None:
    nodes = [
        node("ReduceMean", "x", "m", axes=[-1]),
        node("Sub", "x m", "c"),
        node("Pow", "c two", "s"),
        node("ReduceMean", "s", "v", axes=[-1]),
        node("Add", "v e", "w"),
        node("Sqrt", "w", "r"),
        node("Div", "c r", "n"),
        node("Mul", "n gamma", "g"),
        node("Add", "g beta", "y"),
    ]
    weights: dict[str, Any] = {"two": np.float32(2), "e": np.float32(1e-5)}
    weights |= {"gamma": np.arange(4, dtype=np.float32), "beta": np.ones(4, np.float32)}
    assert ops(check(model(nodes, {"x": (2, 3, 4)}, "y", weights, opset=13))) == ["LayerNorm"]


NORM = node("LayerNormalization", "s gamma beta", "y", epsilon=1e-5)


def norm_weights(width: int, **more: Any) -> dict[str, Any]:
    """Gamma and beta, and weights of 4 rows that are far from centred."""
    rng = np.random.default_rng(3)
    beta = rng.standard_normal(width, np.float32)
    w = rng.standard_normal((4, width), np.float32) + 1
    return {"gamma": beta * 2 - 1, "beta": beta, "w": w, **more}


@pytest.mark.parametrize("transposed", [False, True])
def test_a_layer_norm_of_a_product_is_centred_by_its_weights(transposed: bool) -> None:
    weights = norm_weights(6, b=np.arange(6, dtype=np.float32))
    if transposed:
        weights["w"] = np.ascontiguousarray(weights["w"].T)
    product = node("Gemm", "x w b", "s", transB=1) if transposed else node("MatMul", "x w", "p")
    nodes = [product, NORM] if transposed else [product, node("Add", "p b", "s"), NORM]
    graph = check(model(nodes, {"x": (3, 4)}, "y", weights))
    assert ops(graph) == ["Linear", "RmsNorm"]
    linear = graph.nodes[0]
    for name in linear.inputs[1:]:
        values = graph.constants[name].value()
        assert abs(values.mean(axis=0 if linear.attrs["transposed"] else -1)).max() < 1e-5


def test_the_mean_of_a_residual_is_taken_from_the_residual() -> None:
    """It does not wait for the product."""
    nodes = [node("MatMul", "x w", "p"), node("Add", "r p", "s"), NORM]
    graph = check(model(nodes, {"x": (3, 4), "r": (3, 6)}, "y", norm_weights(6)))
    assert sorted(ops(graph)) == ["Add", "Linear", "ReduceMean", "RmsNorm", "Sub"]
    mean = next(item for item in graph.nodes if item.op == "ReduceMean")
    assert (mean.inputs, mean.origin) == (("r",), ("y",))


def test_tables_and_constants_are_centred_row_by_row() -> None:
    rng = np.random.default_rng(5)
    weights = norm_weights(6, t=rng.standard_normal((9, 6), np.float32) + 5)
    weights["p"] = rng.standard_normal((3, 6), np.float32) - 2
    nodes = [node("Gather", "t i_ids", "e"), node("Add", "e p", "s"), NORM]
    assert ops(check(model(nodes, {"i_ids": (3,)}, "y", weights))) == [
        "Embedding",
        "Add",
        "RmsNorm",
    ]


KEPT = {
    "two residuals": ([node("MatMul", "x w", "p"), node("Add", "p r", "q"), node("Add", "q z", "s")], "y"),
    "nothing constant": ([node("Add", "r z", "s")], "y"),
    "the sum is an output": ([node("MatMul", "x w", "p"), node("Add", "p r", "s")], "y s"),
    "the product has another reader": (
        [node("MatMul", "x w", "p"), node("Add", "p r", "s"), node("Exp", "p", "e")], "y e",
    ),
    "a term is broadcast over columns": ([node("MatMul", "x w", "p"), node("Add", "p u", "s")], "y"),
}  # fmt: skip


@pytest.mark.parametrize("case", KEPT)
def test_what_is_not_centred(case: str) -> None:
    """A mean would have to be computed in more than one place, or nothing would be gained."""
    nodes, outputs = KEPT[case]
    inputs = {"x": (3, 4), "r": (3, 6), "z": (3, 6), "u": (3, 1)}
    used = {name: shape for name, shape in inputs.items() if any(name in n.input for n in nodes)}
    assert "LayerNorm" in ops(check(model([*nodes, NORM], used, outputs, norm_weights(6))))


@pytest.mark.parametrize("row", [(6,), (1, 1, 6)])
def test_a_constant_row_is_the_bias_of_the_layer_before_it(row: tuple[int, ...]) -> None:
    weights = {
        "w": np.eye(4, 6, dtype=np.float32),
        "b": np.arange(6, dtype=np.float32).reshape(row),
    }
    nodes = [node("MatMul", "x w", "t"), node("Add", "b t", "y")]
    graph = check(model(nodes, {"x": (2, 3, 4)}, "y", weights))
    assert ops(graph) == ["Linear"]
    assert graph.nodes[0].origin == ("t", "y")


def attention(form: str) -> list[Any]:
    """q, k, v [B, S, heads * width] and mask to y, with the scores scaled and K turned as in `form`."""
    split = [node("Reshape", f"{name} four", f"{name}4") for name in "qkv"]
    turn = [node("Transpose", f"{name}4", f"{name}t", perm=[0, 2, 1, 3]) for name in "qv"]
    if form == "dynamo":
        turn += [
            node("Transpose", "k4", "kt", perm=[0, 2, 1, 3]),
            node("Reshape", "kt three", "k3"),
            node("Transpose", "k3", "k3t", perm=[0, 2, 1]),
            node("Reshape", "k3t turned", "kk"),
        ]
    else:
        turn += [node("Transpose", "k4", "kk", perm=[0, 2, 3, 1])]
    if form == "divided":
        scores = [node("MatMul", "qt kk", "s"), node("Div", "s root", "d")]
    else:
        scores = [
            node("Mul", "qt c", "qs"),
            node("Mul", "c kk", "ks"),
            node("MatMul", "qs ks", "d"),
        ]
    tail = [
        node("Add", "d mask", "a"),
        node("Softmax", "a", "p", axis=-1),
        *([] if form == "divided" else [node("IsNaN", "p", "n"), node("Where", "n zero p", "pz")]),
        node("MatMul", "p vt" if form == "divided" else "pz vt", "o"),
        node("Transpose", "o", "ot", perm=[0, 2, 1, 3]),
        node("Reshape", "ot out", "y"),
    ]
    return [*split, *turn, *scores, *tail]


@pytest.mark.parametrize("form", ["dynamo", "legacy", "divided"])
@pytest.mark.parametrize(
    ("batch", "rows", "heads", "width"), [(2, 5, 3, 4), (1, 1, 2, 4), (1, 6, 1, 4)]
)
def test_attention_as_exporters_write_it(
    form: str, batch: int, rows: int, heads: int, width: int
) -> None:
    nodes = attention(form)
    weights = {
        "four": ints(batch, rows, heads, width),
        "three": ints(-1, rows, width),
        "turned": ints(batch, heads, width, rows),
        "out": ints(batch, rows, heads * width),
        "c": np.float32(width**-0.25),
        "root": np.float32(width**0.5),
        "zero": np.float32(0),
    }
    shape = (batch, rows, heads * width)
    source = model(
        nodes, {"q": shape, "k": shape, "v": shape, "mask": (batch, 1, 1, rows)}, "y", weights
    )
    graph = check(source)
    assert ops(graph) == ["Attention"]
    assert graph.nodes[0].inputs == ("q", "k", "v", "mask")
    attrs = graph.nodes[0].attrs
    assert attrs["heads"] == heads
    assert attrs["nan_to_zero"] is (form != "divided")
    assert math.isclose(float(str(attrs["scale"])), width**-0.5, rel_tol=1e-6)


def test_a_mask_by_flat_indices_is_a_reshape() -> None:
    """The legacy exporter's Flatten, Gather and Reshape; the constant true is And's neutral element."""
    batch, rows = 2, 5
    flat = np.arange(batch * rows).reshape(batch, 1, 1, rows)
    nodes = [
        node("Cast", "i_mask", "b", to=9),
        node("Reshape", "b column", "f"),
        node("Gather", "f index", "g"),
        node("Reshape", "g four", "h"),
        node("And", "every h", "a"),
        node("Where", "a zero low", "w"),
        node("Add", "s w", "y"),
    ]
    weights: dict[str, Any] = {
        "column": ints(-1, 1),
        "index": flat,
        "four": ints(batch, 1, 1, rows),
    }
    weights |= {"every": np.ones((1, 1, rows, 1), np.bool_), "zero": np.float32(0)}
    weights["low"] = np.float32(-1e30)
    graph = check(
        model(nodes, {"i_mask": (batch, rows), "s": (batch, 3, rows, rows)}, "y", weights)
    )
    assert sorted(ops(graph)) == ["Add", "Cast", "Reshape", "Where"]
    assert graph.tensors[graph.nodes[-1].inputs[1]].shape == (batch, 1, 1, rows)


def test_a_mask_by_gather_nd_is_a_reshape() -> None:
    index = np.stack(np.broadcast_arrays(np.arange(2)[:, None], np.arange(5)), -1)[:, None, None]
    nodes = [node("GatherND", "x index", "y")]
    assert ops(check(model(nodes, {"x": (2, 5)}, "y", {"index": index}))) == ["Reshape"]


def test_a_broadcast_moves_behind_what_it_feeds() -> None:
    nodes = [
        node("Unsqueeze", "m axes", "u"),
        node("Expand", "u shape", "e"),
        node("Mul", "x e", "p"),
        node("ReduceSum", "p one", "s", keepdims=0),
        node("ReduceSum", "e one", "c", keepdims=0),
        node("Clip", "c tiny", "d"),
        node("Div", "s d", "y"),
    ]
    weights = {"axes": ints(-1), "shape": ints(2, 3, 4), "one": ints(1), "tiny": np.float32(1e-9)}
    graph = check(model(nodes, {"m": (2, 3), "x": (2, 3, 4)}, "y", weights))
    assert sorted(ops(graph)) == ["Div", "Max", "Mul", "ReduceSum", "ReduceSum", "Reshape"]


NEUTRAL = [
    [node("Add", "x zero", "y")],
    [node("Sub", "x zero", "y")],
    [node("Mul", "ones x", "y")],
    [node("Div", "x ones", "y")],
    [node("Transpose", "x", "t", perm=[1, 0]), node("Transpose", "t", "y", perm=[1, 0])],
    [node("Reshape", "x flat", "t"), node("Reshape", "t back", "y")],
    [node("Cast", "x", "y", to=1)],
    [node("Where", "true x ones", "y")],
    [node("Slice", "x none all", "y")],
    [node("Concat", "x", "y", axis=0)],
]


@pytest.mark.parametrize("nodes", NEUTRAL)
def test_what_changes_nothing_is_gone(nodes: list[Any]) -> None:
    weights = {"zero": np.zeros((), np.float32), "ones": np.ones((1, 3), np.float32)}
    weights |= {"flat": ints(6), "back": ints(2, 3), "true": np.array(True)}
    weights |= {"none": ints(0), "all": ints(2)}
    assert ops(check(model([*nodes, node("Neg", "y", "z")], {"x": (2, 3)}, "z", weights))) == [
        "Neg"
    ]


def test_equal_nodes_are_computed_once() -> None:
    nodes = [node("Add", "x a", "p"), node("Add", "x b", "q"), node("Mul", "p q", "y")]
    weights = {"a": np.ones(3, np.float32) * 2, "b": np.ones(3, np.float32) * 2}
    assert ops(check(model(nodes, {"x": (2, 3)}, "y", weights))) == ["Add", "Mul"]


CORE = {"Linear", "Attention", "RmsNorm", "Gelu", "Embedding", "Add", "Reshape", "Cast", "Where"}
MEANS = {"ReduceMean", "Sub"}
CARRIED: dict[str, dict[str, int]] = {
    "minilm.dynamo.static": {},
    "minilm.legacy.dynamic": {"batch": 3, "seq": 37},
    "bert.dynamo.static": {},
    "bert.dynamo.static.op23": {},
    "bert.legacy.dynamic": {"batch": 2, "seq": 1},
}


@pytest.mark.parametrize("name", CARRIED)
def test_a_layer_of_each_exporter_is_canonical_and_equal(
    filled_model: Callable[..., Path], name: str
) -> None:
    """The passes leave the core operations, a narrow mask, true origins, and the same numbers."""
    path = filled_model(name)
    dims = CARRIED[name]
    graph = import_model(path, dims)
    counts = Counter(ops(graph))
    assert set(counts) == CORE | MEANS
    assert (counts["Linear"], counts["Attention"], counts["RmsNorm"]) == (6, 1, 3)
    assert (counts["ReduceMean"], counts["Sub"]) == (2, 2)  # of the residuals; tables are centred
    attention = next(item for item in graph.nodes if item.op == "Attention")
    batch, length = graph.inputs[0].tensor.shape
    assert graph.tensors[attention.inputs[3]].shape == (batch, 1, 1, length)
    onnx_names = {item.name for item in load(path, load_external_data=False).graph.node}
    assert all(item.origin and onnx_names.issuperset(item.origin) for item in graph.nodes)

    arrays = feeds(graph)
    arrays["attention_mask"][:, 0] = 1
    outputs: Any = ReferenceEvaluator(str(path)).run(None, arrays)
    want = outputs[0]
    for found in (graph, import_raw(path, dims)):
        got = evaluate(found, arrays)[graph.outputs[0].name]
        assert np.linalg.norm(got - want) <= 1e-5 * np.linalg.norm(want)


def test_a_graph_of_a_model_reads_as_it_is_written(demo_model: Path) -> None:
    graph = import_model(demo_model, {"batch": 2, "seq": 7})
    text = print_graph(graph)
    assert print_graph(parse_graph(text, graph.constants)) == text


def test_only_final_operations_are_left_and_passes_have_names(demo_model: Path) -> None:
    graph = import_model(demo_model, {"batch": 2, "seq": 7})
    assert all(OPS[item.op].final for item in graph.nodes)
    assert all(tensor.dtype.on_machine for tensor in graph.tensors.values())
    assert len({step.name for step in PIPELINE}) == len(PIPELINE)
