from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from compiler.frontend import import_model
from compiler.graph import DType
from compiler.ops_table import supported_ops
from compiler.reference import erf, evaluate
from isa.errors import TspcError
from tests.compiler.small_models import BOOL, check, feeds, model, node, ops

W = np.random.default_rng(1).standard_normal((4, 6)).astype(np.float32)
ROW = np.arange(6, dtype=np.float32)
X = {"x": (2, 3, 4)}


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


def text(number: int, source: Any, dims: Any = None) -> str:
    with pytest.raises(TspcError) as caught:
        import_model(source, dims)
    assert caught.value.number == number
    return str(caught.value)


CASES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "add": ([node("Add", "x c", "y")], {"c": ROW[:4]}),
    "sum of one": ([node("Sum", "x", "y")], {}),
    "sum of three": ([node("Sum", "x c x", "y")], {"c": ROW[:4]}),
    "mean": ([node("Mean", "x c", "y")], {"c": ROW[:4]}),
    "min of three": ([node("Min", "x c x", "y")], {"c": ROW[:4]}),
    "clip": ([node("Clip", "x low high", "y")], {"low": np.float32(0), "high": np.float32(1)}),
    "clip above": ([node("Clip", "x - high", "y")], {"high": np.float32(1)}),
    "pow 2": ([node("Pow", "x c", "y")], {"c": np.float32(2)}),
    "pow int": ([node("Pow", "x c", "y")], {"c": ints(3)}),
    "leaky": ([node("LeakyRelu", "x", "y", alpha=0.3)], {}),
    "gelu": ([node("Gelu", "x", "y")], {}),
    "gelu tanh": ([node("Gelu", "x", "y", approximate="tanh")], {}),
    "erf": ([node("Erf", "x", "y")], {}),
    "where": ([node("Less", "x c", "t"), node("Where", "t x c", "y")], {"c": ROW[:4]}),
    "cast": ([node("Cast", "x", "t", to=7), node("Mul", "t c", "y")], {"c": ints(3)}),
    "softmax": ([node("Softmax", "x", "y", axis=1)], {}),
    "reduce": ([node("ReduceSum", "x c", "y", keepdims=0)], {"c": ints(-1, 0)}),
    "reduce all": ([node("ReduceMean", "x", "y")], {}),
    "reduce none": ([node("ReduceMax", "x", "y", noop_with_empty_axes=1)], {}),
    "reduce min": ([node("ReduceMin", "x c", "y")], {"c": ints(1)}),
    "reduce l2": ([node("ReduceL2", "x c", "y")], {"c": ints(2)}),
    "lp": ([node("LpNormalization", "x", "y", axis=-1)], {}),
    "reshape": ([node("Reshape", "x c", "y")], {"c": ints(0, -1, 2)}),
    "flatten": ([node("Flatten", "x", "y", axis=-1)], {}),
    "squeeze": ([node("Unsqueeze", "x c", "t"), node("Squeeze", "t", "y")], {"c": ints(0, -1)}),
    "transpose": ([node("Transpose", "x", "y")], {}),
    "expand": ([node("Expand", "x c", "y")], {"c": ints(5, 1, 1, 4)}),
    "tile": ([node("Tile", "x c", "t"), node("Neg", "t", "y")], {"c": ints(1, 1, 1)}),
    "concat": ([node("Concat", "x x", "y", axis=-2)], {}),
    "slice": (
        [node("Slice", "x s e a p", "y")],
        {"s": ints(-1), "e": ints(2**63 - 1), "a": ints(1), "p": ints(1)},
    ),
    "slice steps": (
        [node("Slice", "x s e a p", "y")],
        {"s": ints(0, 1), "e": ints(-1, 9), "a": ints(2, 1), "p": ints(2, 1)},
    ),
    "gather one": ([node("Gather", "x c", "y", axis=1)], {"c": np.int64(-1)}),
    "gather every other": ([node("Gather", "x c", "y", axis=2)], {"c": ints(0, 2)}),
    "layer norm": (
        [node("LayerNormalization", "x g b", "y", epsilon=1e-3)],
        {"g": ROW[:4], "b": ROW[1:5]},
    ),
    "layer norm of two axes": (
        [node("LayerNormalization", "x g", "y", axis=1)],
        {"g": np.ones((3, 4), np.float32)},
    ),
    "matmul": ([node("MatMul", "x w", "y")], {"w": W}),
    "matmul row": ([node("MatMul", "x w", "y")], {"w": ROW[:4]}),
    "matmul batched": ([node("MatMul", "x w", "y")], {"w": np.stack([W, W + 1])}),
    "matmul of data": (
        [node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t", "y")],
        {},
    ),
    "dropout": ([node("Dropout", "x", "t"), node("Neg", "t", "y")], {}),
    "range": (
        [node("Range", "a b c", "t"), node("Add", "x t", "y")],
        {"a": np.float32(1), "b": np.float32(9), "c": np.float32(2)},
    ),
    "shape": (
        [
            node("Shape", "x", "s", start=1),
            node("ConstantOfShape", "s", "t"),
            node("Add", "x t", "y"),
        ],
        {},
    ),
    "host functions": ([node("Cos", "c", "t"), node("Mul", "x t", "y")], {"c": ROW[:4]}),
    "trilu": ([node("Trilu", "c", "t", upper=0), node("Add", "x t", "y")], {"c": W[:3, :4]}),
}


@pytest.mark.parametrize("case", CASES)
def test_an_operator_means_what_onnx_says(case: str) -> None:
    nodes, weights = CASES[case]
    check(model(nodes, X, "y", weights))


@pytest.mark.parametrize("opset", [11, 12, 17])
def test_older_forms_take_axes_as_attributes(opset: int) -> None:
    axes: dict[str, Any] = {"axes": [0]} if opset < 13 else {}
    operand = "s" if opset < 13 else "s a"
    nodes = [node("Softmax", "x", "s", axis=2), node("Unsqueeze", operand, "y", **axes)]
    check(model(nodes, X, "y", {"a": ints(0)}, opset=opset))


def test_softmax_below_opset_13_runs_over_all_axes_from_its_own() -> None:
    """By the text of Softmax-11; `onnx.reference` computes Softmax-13 instead."""
    graph = import_model(model([node("Softmax", "x", "y", axis=1)], X, "y", opset=11))
    arrays = feeds(graph)
    want = np.exp(arrays["x"])
    want /= want.sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(evaluate(graph, arrays)["y"], want, rtol=1e-5)


@pytest.mark.parametrize("flags", [{}, {"transB": 1}, {"transA": 1}, {"alpha": 0.5, "beta": 2.0}])
def test_gemm_becomes_a_linear_layer(flags: dict[str, Any]) -> None:
    w = np.ascontiguousarray(W.T) if flags.get("transB") else W
    shape = (4, 3) if flags.get("transA") else (3, 4)
    graph = check(
        model([node("Gemm", "x w b", "y", **flags)], {"x": shape}, "y", {"w": w, "b": ROW})
    )
    assert "Linear" in ops(graph)
    if flags in ({}, {"transB": 1}):
        assert ops(graph) == ["Linear"]
        assert graph.nodes[0].attrs["transposed"] is bool(flags)


@pytest.mark.parametrize("mask", ["", "f_mask", "b_mask"])
@pytest.mark.parametrize("causal", [0, 1])
def test_attention_of_four_dimensions(mask: str, causal: int) -> None:
    shape = (2, 3, 5, 4)
    inputs: dict[str, Any] = {"q": shape, "k": shape, "v": shape}
    if mask:
        inputs[mask] = (5, 5)
    nodes = [node("Attention", f"q k v {mask}", "y", is_causal=causal, scale=0.25)]
    source = model(nodes, inputs, "y", opset=23)
    if mask != "b_mask":
        assert "Attention" in ops(check(source))
        return
    # A row without one allowed key is NaN by the mathematics and 0 or NaN by version: allow the diagonal.
    graph = import_model(source)
    arrays = feeds(graph) | {"b_mask": np.tri(5, dtype=np.bool_)}
    explicit = model(
        [node("Attention", "q k v f_mask", "y", scale=0.25)],
        {"q": shape, "k": shape, "v": shape, "f_mask": (5, 5)},
        "y",
        opset=23,
    )
    low = np.where(arrays["b_mask"], 0, -np.inf).astype(np.float32)
    want = evaluate(import_model(explicit), arrays | {"f_mask": low})
    np.testing.assert_array_equal(evaluate(graph, arrays)["y"], want["y"])


def test_an_embedding_tells_the_range_of_its_ids() -> None:
    nodes = [
        node("Gather", "w i_ids", "t"),
        node("Gather", "v i_ids", "u"),
        node("Add", "t u", "y"),
    ]
    graph = check(model(nodes, {"i_ids": (2, 5)}, "y", {"w": W, "v": W[:3]}))
    assert [g.valid_range for g in graph.inputs] == [(0, 2)]
    assert graph.inputs[0].tensor.dtype is DType.I32
    assert graph.inputs[0].abi_dtype is DType.I64


def test_an_input_that_is_an_output_stays_as_an_identity_of_its_own_dtype() -> None:
    graph = check(model([node("Identity", "i_a", "y", "pass")], {"i_a": (2,)}, "y"))
    assert ops(graph) == ["Identity"]
    assert graph.nodes[0].origin == ("pass",)
    assert graph.outputs[0].abi_dtype is DType.I64
    assert graph.tensors[graph.outputs[0].tensor].dtype is DType.I32


def test_a_constant_beyond_32_bits_is_refused_and_a_slice_bound_is_not() -> None:
    source = model([node("Add", "i_a c", "y")], {"i_a": (2,)}, "y", {"c": ints(2**40)})
    assert "from 1099511627776" in text(123, source)


DYNAMIC = model([node("Add", "x z", "y")], {"x": ("batch", 4), "z": ("batch", None)}, "y")


def test_a_dimension_is_bound_by_name_or_by_place() -> None:
    graph = import_model(DYNAMIC, {"batch": 3, "z.1": 1})
    assert [g.tensor.shape for g in graph.inputs] == [(3, 4), (3, 1)]
    assert import_model(DYNAMIC, {"x.0": 3, "z.1": 1, "x.1": 4}).tensors["y"].shape == (3, 4)


def test_every_unbound_dimension_is_listed_with_its_flag() -> None:
    assert "--dim batch=N --dim z.1=N" in text(110, DYNAMIC)


@pytest.mark.parametrize(
    ("dims", "number", "said"),
    [
        ({"batch": 1, "z.1": 1, "seq": 2}, 111, "no dimension 'seq'"),
        ({"x.1": 5, "batch": 1, "z.1": 1}, 112, "5 (x.1), 4 (the model)"),
        ({"batch": 2, "x.0": 3, "z.1": 1}, 112, "2 (batch), 3 (x.0)"),
        ({"batch": 0}, 113, "positive integer"),
        ({"batch": 1 << 40}, 404, "at most"),
    ],
)
def test_a_wrong_binding_is_refused(dims: dict[str, int], number: int, said: str) -> None:
    assert said in text(number, DYNAMIC, dims)


def test_all_unsupported_nodes_are_listed_at_once() -> None:
    nodes = [
        node("Det", "x", "a", "first"),
        node("Neg", "a", "b"),
        node("Sin", "x", "c", "second"),
        node("Reshape", "x i_n", "d", "third"),
        node("Add", "b c", "y"),
    ]
    said = text(120, model(nodes, {"x": (2, 2), "i_n": (1,)}, "y"))
    assert "first: Det (opset 20) of f32[2, 2]: operator is not supported" in said
    assert (
        "second: Sin (opset 20) of f32[2, 2]: the operand (operand 0) depends on an input" in said
    )
    assert "third: Reshape (opset 20) of f32[2, 2], i64[1]: the shape (operand 1) depends" in said
    assert "3 node(s)" in said


def test_moves_that_the_machine_has_no_form_of_are_named_too() -> None:
    source = model([node("Gather", "x c", "y", "shuffle")], {"x": (4,)}, "y", {"c": ints(2, 0, 1)})
    assert "shuffle: Take of f32[4], i32[3]" in text(120, source)


def test_shapes_that_do_not_fit_name_the_node() -> None:
    source = model([node("Add", "x c", "y", "sum")], X, "y", {"c": ROW})
    assert "sum: Add (opset 20) of f32[2, 3, 4], f32[6]: shapes (2, 3, 4) and (6,)" in text(
        120, source
    )


def test_newer_opsets_and_other_element_types_are_refused() -> None:
    assert "opset 99" in text(121, model([node("Neg", "x", "y")], X, "y", opset=99))
    given = helper.make_tensor_value_info("x", TensorProto.COMPLEX64, (1,))
    source = model([node("Neg", "x", "y")], X, "y")
    source.graph.input[0].CopyFrom(given)
    assert "complex64" in text(122, source)


def test_constants_in_nodes_and_unused_domains() -> None:
    constant = node("Constant", "", "c", value=numpy_helper.from_array(ROW[:4]))
    source = model(
        [constant, node("Add", "x c", "y")], X, "y", opsets=[helper.make_opsetid("ai.onnx.ml", 3)]
    )
    assert ops(check(source)) == ["Add"]


def test_functions_are_expanded_with_their_attributes() -> None:
    body = [helper.make_node("Constant", [], ["c"]), node("Add", "a c", "r", "add")]
    reference = body[0].attribute.add()
    reference.name, reference.ref_attr_name, reference.type = "value_float", "bias", 1
    function = helper.make_function(
        "mine", "Biased", ["a"], ["r"], body, [helper.make_opsetid("", 20)], ["bias"]
    )
    nodes = [
        node("Biased", "x", "t", "one", domain="mine", bias=1.5),
        node("Biased", "t", "y", "two", domain="mine", bias=2.0),
    ]
    own = [helper.make_opsetid("mine", 1)]
    graph = check(model(nodes, X, "y", opsets=own, functions=[function]))
    assert [n.origin for n in graph.nodes] == [("one/add",), ("two/add",)]


@pytest.mark.parametrize("condition", [True, False])
def test_a_known_branch_is_taken(condition: bool) -> None:
    branches = {
        name: helper.make_graph(
            [node(op, "x", name)], name, [], [helper.make_tensor_value_info(name, BOOL, None)]
        )
        for name, op in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }
    source = model([node("If", "c", "y", **branches)], X, "y", {"c": np.array(condition)})
    assert ops(check(source)) == (["Neg"] if condition else ["Abs"])


def test_erf_is_exact_to_1e_12() -> None:
    import math

    x = np.concatenate([np.linspace(-7, 7, 4001), [np.inf, -np.inf, 1e-300]])
    want = np.array([math.erf(value) for value in x])
    assert np.abs(erf(x) - want).max() < 1e-12
    assert np.isnan(erf(np.array([np.nan]))).all()


def test_the_table_of_operators_comes_from_the_registry() -> None:
    rows = {row["op"]: row for row in supported_ops()}
    assert rows["Add"] == {
        "op": "Add",
        "opsets": [7, 26],
        "dtypes": ["f32", "f16", "i32", "i16", "i8"],
        "limits": "",
    }
    assert "mapped only as part of" in str(rows["Softmax"]["limits"])
    assert rows["And"]["dtypes"] == ["bool"]
    assert "depend" in str(rows["Gather"]["limits"]) or "known" in str(rows["Gather"]["limits"])
