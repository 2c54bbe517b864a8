"""Functions on fp16 go by way of fp32; on types that the machine has no such function for, the node is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, save

import tspc
from compiler.reference import execute
from isa.errors import InputError

SHAPE = [4, 32]


def saved(folder: Path, op: str, kind: int, exponent: float | None, operands: int) -> Path:
    """A model of one node named ``act``."""
    names = ["x", "z"][:operands]
    tensors = []
    if exponent is not None:
        tensors = [numpy_helper.from_array(np.array(exponent, np.float32), "p")]
    nodes = [helper.make_node(op, names + [t.name for t in tensors], ["y"], name="act")]
    inputs = [helper.make_tensor_value_info(n, kind, SHAPE) for n in names]
    outputs = [helper.make_tensor_value_info("y", kind, SHAPE)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    opset = helper.make_opsetid("", 20)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=10), folder / "m.onnx")
    return folder / "m.onnx"


def result(path: Path, feeds: dict[str, NDArray[Any]]) -> NDArray[Any]:
    (found,) = tspc.run(tspc.compile(path), feeds)
    return found


@pytest.mark.parametrize(
    ("op", "truth"),
    [
        ("Exp", np.exp),
        ("Tanh", np.tanh),
        ("Sqrt", np.sqrt),
        ("Reciprocal", lambda x: 1 / x),
        ("Sigmoid", lambda x: 1 / (1 + np.exp(-x))),
    ],
)
def test_functions_on_fp16_round_once(tmp_path: Path, op: str, truth: Any) -> None:
    """Half a place of fp16, and what fp32 adds to it; subnormal and large arguments are no worse."""
    x = np.abs(np.random.RandomState(0).randn(*SHAPE)).astype(np.float16)
    x[0, :4] = 6e-8, 6e-5, 11.0, 0.0625
    got = result(saved(tmp_path, op, TensorProto.FLOAT16, None, 1), {"x": x})
    with np.errstate(over="ignore", invalid="ignore"):
        exact = truth(x.astype(np.float64))
        place = np.spacing(np.abs(exact).astype(np.float16)).astype(np.float64)
        near = exact.astype(np.float16)
    assert got.dtype == np.float16
    assert (np.isinf(got) == np.isinf(near)).all()
    finite = np.isfinite(near)
    assert (np.abs(got.astype(np.float64) - exact) / place)[finite].max() < 0.51


def test_division_of_fp16(tmp_path: Path) -> None:
    rng = np.random.RandomState(1)
    x, z = (rng.randn(*SHAPE).astype(np.float16) for _ in range(2))
    got = result(saved(tmp_path, "Div", TensorProto.FLOAT16, None, 2), {"x": x, "z": z})
    assert (got == x / z).mean() > 0.99
    np.testing.assert_allclose(got, x / z, rtol=2**-10)


@pytest.mark.parametrize(("op", "exponent", "operands"), [("Div", None, 2), ("Pow", -1.0, 1)])
def test_functions_on_integers_are_refused_by_name(
    tmp_path: Path, op: str, exponent: float | None, operands: int
) -> None:
    path = saved(tmp_path, op, TensorProto.INT32, exponent, operands)
    with pytest.raises(InputError) as caught:
        tspc.compile(path)
    assert caught.value.number == 125
    assert str(caught.value) == (
        f"TSP125: node 'act': {op} cannot be mapped: there is no {op} on i32; cast it to float before"
    )


def test_a_fractional_power_of_integers_is_no_whole_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="integers to powers that are not one whole constant"):
        tspc.compile(saved(tmp_path, "Pow", TensorProto.INT32, 2.5, 1))


def test_products_of_integers_are_powers(tmp_path: Path) -> None:
    x = np.arange(-64, 64, dtype=np.int32).reshape(SHAPE)
    got = result(saved(tmp_path, "Pow", TensorProto.INT32, 3.0, 1), {"x": x})
    assert (got == x**3).all()


def test_integers_divide_towards_zero_at_the_ends_of_their_type() -> None:
    low, high = -(2**31), 2**31 - 1
    a = np.array([low, low, low, high, -7, 7, -7, 6, 5, low], np.int32)
    b = np.array([1, 2, 3, low, 2, -2, -2, -3, 0, high], np.int32)
    expected = [int(int(x) / int(y)) if y else 0 for x, y in zip(a, b, strict=True)]
    got = execute("Div", {}, [a, b])
    assert got.dtype == np.int32
    assert got.tolist() == expected
