from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from compiler.graph import (
    OPS,
    Constant,
    DType,
    Graph,
    GraphInput,
    GraphOutput,
    Node,
    ShapeError,
    Tensor,
    infer,
    macs,
    parse_graph,
    print_graph,
)
from compiler.reference import KERNELS, evaluate, execute
from isa.errors import InputError, InternalError

WEIGHTS = Constant.of("w", np.arange(12, dtype=np.float32).reshape(3, 4))
LOW = Constant.of("low", np.array([-np.inf, 0.1, 1e-30, 3], dtype=np.float32))


def graph() -> Graph:
    tensors = [Tensor("x", (2, 3), DType.F32), WEIGHTS.tensor, LOW.tensor]
    tensors += [Tensor(name, (2, 4), DType.F32) for name in ("product", "y")]
    return Graph(
        "small",
        (GraphInput(tensors[0], DType.F32),),
        (GraphOutput("result", "y", DType.F32),),
        (
            Node(
                "mm", "Linear", ("x", "w", ""), ("product",), {"transposed": False}, ("MatMul_0",)
            ),
            Node("max", "Max", ("product", "low"), ("y",), {}, ("a", "b")),
        ),
        {tensor.name: tensor for tensor in tensors},
        {"w": WEIGHTS, "low": LOW},
    )


def test_text_reads_as_it_is_written() -> None:
    lines = print_graph(graph()).splitlines()
    assert lines[1] == 'input "x" f32[2,3] abi=f32'
    assert lines[2].startswith('constant "w" f32[3,4] sha256=')
    assert lines[4] == (
        'node "mm" Linear("x", "w", "") {"transposed": false} -> "product" f32[2,4] from ["MatMul_0"]'
    )
    assert lines[6] == 'output "result" = "y" abi=f32'


def test_text_round_trips_and_small_constants_keep_their_bits() -> None:
    text = print_graph(graph())
    parsed = parse_graph(text, {"w": WEIGHTS})
    assert print_graph(parsed) == text
    x = {"x": np.ones((2, 3), np.float32)}
    np.testing.assert_array_equal(evaluate(parsed, x)["result"], evaluate(graph(), x)["result"])


def test_a_constant_known_by_digest_has_a_shape_and_no_elements() -> None:
    parsed = parse_graph(print_graph(graph()))
    assert parsed.tensors["w"].shape == (3, 4)
    with pytest.raises(InputError, match="TSP131"):
        parsed.constants["w"].value()


def test_data_that_is_not_what_the_text_names_is_refused() -> None:
    other = Constant.of("w", np.zeros((3, 4), np.float32))
    with pytest.raises(InputError, match="TSP132"):
        parse_graph(print_graph(graph()), {"w": other})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('nodes "x"', ":1:1: expected one of graph, input, constant, node, output"),
        ("graph name", ":1:7: expected a name in double quotes"),
        ('input "x" f33[2] abi=f32', "a dtype, one of f32"),
        ('input "x" f32[2] abi=f32 more', ":1:25: expected the end of the line"),
        ('constant "c" f32[2] = [1]', "2 elements"),
        ('constant "c" i32[1] = ["a"]', "elements that are i32"),
        ('node "n" Add("a" "b") {} -> "c" f32[]', ", or )"),
        ('output "x" = "nothing" abi=f32', "made by no node"),
    ],
)
def test_text_errors_point_at_the_place(line: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_graph(line)
    assert caught.value.number == 130
    assert said in str(caught.value)


def change(**fields: Any) -> Graph:
    whole = graph()
    first, second = whole.nodes
    return replace(whole, nodes=(first, replace(second, **fields)))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda: change(inputs=("later", "low")), "uses 'later' before it is defined"),
        (lambda: change(outputs=("product",)), "defines 'product' a second time"),
        (lambda: change(op="Equal"), "listed is"),
        (lambda: change(op="Nothing"), "no operation 'Nothing'"),
        (lambda: change(inputs=("product", "w")), "do not broadcast"),
        (lambda: replace(graph(), nodes=graph().nodes[:1]), "made by no node"),
        (lambda: replace(graph(), nodes=graph().nodes[::-1]), "before it is defined"),
    ],
)
def test_verify_names_what_is_broken(broken: Any, said: str) -> None:
    with pytest.raises(InternalError) as caught:
        broken().verify()
    assert said in str(caught.value)


def test_multiply_accumulates_come_from_shapes() -> None:
    assert macs(graph()) == 2 * 3 * 4
    q = Tensor("q", (2, 5, 8), DType.F32)
    k, v = Tensor("k", (2, 7, 8), DType.F32), Tensor("v", (2, 7, 4), DType.F32)
    attrs = {"heads": 2, "scale": 1.0, "nan_to_zero": False}
    node = Node("a", "Attention", ("q", "k", "v"), ("o",), attrs, ())
    out = Tensor("o", (2, 5, 4), DType.F32)
    tensors = {tensor.name: tensor for tensor in (q, k, v, out)}
    inputs = tuple(GraphInput(tensor, DType.F32) for tensor in (q, k, v))
    whole = Graph("a", inputs, (GraphOutput("o", "o", DType.F32),), (node,), tensors, {})
    whole.verify()
    assert macs(whole) == 2 * 5 * 7 * (8 + 4)


def test_every_operation_has_a_meaning_and_every_meaning_an_operation() -> None:
    assert set(OPS) == set(KERNELS)


POINTWISE = sorted(name for name, spec in OPS.items() if spec.elementwise)


@pytest.mark.parametrize("op", POINTWISE)
@given(data=st.data())
def test_a_rule_gives_the_shape_and_dtype_that_the_meaning_has(op: str, data: Any) -> None:
    attrs = {"to": "i32", "approximate": "none"}
    shape = data.draw(array_shapes(max_dims=3, max_side=3))
    operands, tensors = [], []
    for index in range(OPS[op].low):
        kind = data.draw(st.sampled_from([DType.F32, DType.I32, DType.BOOL]))
        operands.append(data.draw(arrays(kind.numpy, shape[index:], fill=st.nothing())))
        tensors.append(Tensor(str(index), operands[-1].shape, kind))
    try:
        result = infer(op, attrs, tensors)
    except ShapeError:
        return
    value = execute(op, attrs, operands)
    assert (value.shape, value.dtype) == (result[0], result[1].numpy)
