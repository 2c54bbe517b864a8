"""What the libraries of the import chain would do unasked, and must not: crash, copy weights, fold without bound, lose names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper
from onnx_ir import Shape, SymbolicDim
from onnx_shape_inference import registry

from compiler.frontend import import_model, import_raw
from compiler.frontend.source import DataFile
from compiler.graph import Array
from compiler.reference import evaluate
from tests.compiler.small_models import BOOL, check, feeds, model, node
from tests.compiler.test_frontend import CASES, X, ints, text
from tests.compiler.test_frontend_chain import GRAPHS
from tests.conftest import FilledModel


@pytest.fixture
def no_native_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way into onnx's own shape inference, which ends the process on malformed models, fails."""

    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("onnx's own shape inference was called")

    native = onnx.onnx_cpp2py_export.shape_inference
    for module in (onnx.shape_inference, native):
        for name in dir(module):
            if name.startswith("infer_"):
                monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(onnx.checker, "check_model", refuse)
    with pytest.raises(pytest.fail.Exception):
        onnx.shape_inference.infer_shapes(onnx.ModelProto())


@pytest.mark.usefixtures("no_native_inference")
@pytest.mark.parametrize("name", GRAPHS)
def test_native_shape_inference_is_never_called(name: str, filled_model: FilledModel) -> None:
    import_model(filled_model(name), GRAPHS[name])


@pytest.mark.usefixtures("no_native_inference")
def test_nor_is_it_for_any_operator() -> None:
    for nodes, weights in CASES.values():
        import_model(model(nodes, X, "y", weights))


LARGE = np.array([30_000, 20_000])
HOSTILE: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "Expand": ([node("Expand", "one s", "v")], {"s": LARGE}, "TSP403"),
    "Tile": ([node("Tile", "one s", "v")], {"s": LARGE[:1] * 10_000}, "TSP403"),
    "ConstantOfShape": ([node("ConstantOfShape", "s", "v")], {"s": LARGE}, "TSP403"),
    "Range": (
        [node("Range", "a b c", "v")],
        {"a": np.int64(0), "b": np.int64(10**9), "c": np.int64(1)},
        "TSP120",
    ),
    "Gather": (
        [node("Gather", "row c", "v"), node("Expand", "v s", "w")],
        {"c": ints(0), "s": LARGE},
        "TSP403",
    ),
    "MatMul": ([node("MatMul", "column row", "v")], {}, "TSP403"),
    "Where": ([node("Where", "yes column row", "v")], {"yes": np.array(True)}, "TSP403"),
    "Add": ([node("Add", "column row", "v")], {}, "TSP403"),
    "Concat": (
        [node("Concat", "row row row row", "t0", axis=0)]
        + [node("Concat", f"t{i} t{i} t{i} t{i}", f"t{i + 1}", axis=0) for i in range(6)]
        + [node("Identity", "t6", "v")],
        {},
        "TSP403",
    ),
    "Trilu": (
        [node("ConstantOfShape", "s", "t"), node("Trilu", "t", "v")],
        {"s": LARGE},
        "TSP403: constant 't'",
    ),
    "CumSum": (
        [node("Expand", "one s", "t"), node("CumSum", "t a", "v")],
        {"s": LARGE, "a": np.array(0)},
        "TSP403: constant 't'",
    ),
    "NonZero": (
        [node("Expand", "one s", "t"), node("NonZero", "t", "v")],
        {"s": LARGE},
        "TSP403: constant 't'",
    ),
    "Pad": ([node("Pad", "one s", "v")], {"s": np.array([0, 10**9])}, "TSP120"),
    "Resize": ([node("Resize", "column - - s", "v")], {"s": LARGE}, "TSP120"),
    "many": (
        [node("Range", "a b c", f"r{i}") for i in range(400)] + [node("Identity", "r0", "v")],
        {"a": np.float32(0), "b": np.float32(4_000_000), "c": np.float32(1)},
        "TSP403: constant 'r",
    ),
}
_SCRIPT = """
import resource, sys
from compiler.frontend import import_model
from isa.errors import TspcError
import_model(sys.argv[1])
used = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmSize"))
resource.setrlimit(resource.RLIMIT_AS, (used + (int(sys.argv[2]) << 20),) * 2)
for path in sys.argv[3:]:
    try:
        import_model(path)
        print("imported")
    except TspcError as error:
        print(str(error).replace("\\n", " "))
"""


def _saved(path: Path, source: ModelProto) -> str:
    path.write_bytes(source.SerializeToString())
    assert path.stat().st_size < 300_000
    return str(path)


def test_constants_are_not_folded_beyond_what_there_is_room_for(tmp_path: Path) -> None:
    """1 GiB more than a small import takes: each result would be 2.2 GiB and more, `many` of them 512 MiB in all."""
    base = {"one": np.ones(1, np.float32)}
    base |= {"column": np.ones((30_000, 1), np.float32), "row": np.ones((1, 20_000), np.float32)}
    files = []
    for name, (nodes, weights, _) in HOSTILE.items():
        nodes = [*nodes, node("ReduceSum", "v", "total", keepdims=0), node("Add", "x total", "y")]
        source = model(nodes, {"x": (4,)}, "y", base | weights)
        files.append(_saved(tmp_path / f"{name}.onnx", source))
    small = _saved(tmp_path / "small", model([node("Neg", "x", "y")], {"x": (4,)}, "y"))
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, small, "1024", *files],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.stderr == ""
    for (name, (_, _, said)), line in zip(HOSTILE.items(), done.stdout.splitlines(), strict=True):
        assert line.startswith(said), f"{name}: {line}"


def test_what_a_folded_tensor_would_take_is_told_with_its_name() -> None:
    nodes = [node("Tile", "w c", "wide"), node("ReduceSum", "wide", "s"), node("Add", "x s", "y")]
    weights = {"w": np.ones((100, 1), np.float32), "c": ints(3000, 3000)}
    said = text(403, model(nodes, {"x": (1,)}, "y", weights))
    assert said.startswith("TSP403: constant 'wide")
    assert "takes 3600000000 bytes" in said


def test_weights_are_not_read_by_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transposed, reshaped and multiplied: they are read when somebody looks at the graph's constants."""
    nodes = [
        node("Transpose", "w", "t", perm=[1, 0]),
        node("Reshape", "t shape", "r"),
        node("Mul", "r half", "h"),
        node("MatMul", "x h", "y"),
    ]
    weights = {
        "w": np.ones((300, 200), np.float32),
        "shape": ints(-1, 300),
        "half": np.float32(0.5),
    }
    onnx.save(
        model(nodes, {"x": (2, 200)}, "y", weights),
        tmp_path / "m.onnx",
        save_as_external_data=True,
        location="w.bin",
        size_threshold=1000,
    )
    reads: list[int] = []
    read = DataFile.read

    def noted(file: DataFile, offset: int, length: int) -> Array:
        reads.append(length)
        return read(file, offset, length)

    monkeypatch.setattr(DataFile, "read", noted)
    graph = import_raw(tmp_path / "m.onnx")
    assert reads == []
    assert np.unique(evaluate(graph, {"x": np.ones((2, 200), np.float32)})["y"]) == [100]
    assert reads == [240_000]


@pytest.mark.parametrize(
    "op", ["Concat", "Gather", "Add", "Cast", "Slice", "Where", "Neg", "Split", "Squeeze"]
)
def test_long_vectors_are_not_taken_for_sizes(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their shapes are inferred, but no rule makes a list of 16 million sizes of one."""
    size = 1 << 24
    c = {"c": ints(0), "e": ints(5), "t": np.array(True)}
    nodes = {
        "Concat": node("Concat", "i_x i_x", "z", axis=0),
        "Gather": node("Gather", "i_x c", "z"),
        "Add": node("Add", "i_x c", "z"),
        "Cast": node("Cast", "i_x", "z", to=6),
        "Slice": node("Slice", "i_x c e", "z"),
        "Where": node("Where", "t i_x c", "z"),
        "Neg": node("Neg", "i_x", "z"),
        "Split": node("Split", "i_x", "z rest", num_outputs=2),
        "Squeeze": node("Squeeze", "i_row c", "z"),
    }
    monkeypatch.setattr(SymbolicDim, "__init__", lambda *_: pytest.fail("a size got a name"))
    source = model(
        [nodes[op], node("Shape", "z", "y")], {"i_x": (size,), "i_row": (1, size)}, "y", c
    )
    graph = import_raw(source)
    lengths = {"Concat": 2 * size, "Gather": 1, "Slice": 5, "Split": size // 2}
    constant = graph.constants[graph.nodes[-1].inputs[0]]
    assert constant.value().tolist() == [lengths.get(op, size)]


def _biased() -> Any:
    body = [node("Add", "a a", "r", "add"), node("If", "c", "q", "either", **_branches("r"))]
    body.insert(
        0, node("Constant", "", "c", "no", value=onnx.numpy_helper.from_array(np.array(False)))
    )
    return helper.make_function("mine", "Inner", ["a"], ["q"], body, [helper.make_opsetid("", 20)])


def _branches(value: str) -> dict[str, Any]:
    return {
        name: helper.make_graph(
            [node(op, value, f"{name}.out", op.lower())],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}.out", BOOL, None)],
        )
        for name, op in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }


def test_nodes_keep_their_names_through_functions_and_branches() -> None:
    """The path of calls and the branch; the same names in two calls stay apart."""
    outer = helper.make_function(
        "mine",
        "Outer",
        ["a"],
        ["b"],
        [node("Inner", "a", "b", "inner", domain="mine")],
        [helper.make_opsetid("mine", 1)],
    )
    nodes = [
        node("Outer", "x", "t", "one", domain="mine"),
        node("Inner", "t", "y", "two", domain="mine"),
    ]
    own = [helper.make_opsetid("mine", 1)]
    graph = check(model(nodes, X, "y", opsets=own, functions=[_biased(), outer]))
    path = ("one/inner", "two")
    assert [n.origin for n in graph.nodes] == [
        (f"{call}/{name}",) for call in path for name in ("add", "either/abs")
    ]


def test_a_node_that_the_optimizer_replaces_keeps_its_name() -> None:
    """An empty operand of a Concat is dropped, which makes another node of it."""
    nodes = [node("Concat", "x none", "t", "joined", axis=1), node("Det", "t", "y", "det")]
    source = model(nodes, {"x": (2, 3)}, "y", {"none": np.zeros((2, 0), np.float32)})
    assert "det: Det (opset 20) of f32[2, 3]" in text(120, source)
    source.graph.node.pop()
    source.graph.node.append(node("Neg", "t", "y", "minus"))
    assert import_raw(source).nodes[-1].origin == ("minus",)
    kept = model(
        [node("Concat", "x none x", "y", "joined", axis=1)],
        {"x": (2, 3)},
        "y",
        {"none": np.zeros((2, 0), np.float32)},
    )
    assert [n.origin for n in import_raw(kept).nodes] == [("joined",)]


def test_an_input_that_a_function_gives_back_keeps_its_name() -> None:
    function = helper.make_function(
        "mine", "Same", ["a"], ["a"], [node("Neg", "a", "r")], [helper.make_opsetid("", 20)]
    )
    nodes = [node("Same", "x", "t", domain="mine"), node("Neg", "t", "y")]
    graph = check(
        model(nodes, X, "y", opsets=[helper.make_opsetid("mine", 1)], functions=[function])
    )
    assert [given.tensor.name for given in graph.inputs] == ["x"]


def test_a_function_for_another_opset() -> None:
    """From 13 on operators mean the same; before, the call is named."""

    def source(opset: int) -> ModelProto:
        function = helper.make_function(
            "mine", "F", ["a"], ["b"], [node("Neg", "a", "b")], [helper.make_opsetid("", opset)]
        )
        call = [node("F", "x", "y", "call", domain="mine")]
        return model(call, X, "y", opsets=[helper.make_opsetid("mine", 1)], functions=[function])

    check(source(15))
    assert "call: function 'F' is for opset 11, the model for 20" in text(109, source(11))


def test_shapes_that_the_library_and_the_graph_do_not_agree_on_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither is believed: with a wrong rule in the library the node is named, with both shapes."""
    right = registry.get("", "Exp", version=20)
    assert right is not None

    def wrong(context: Any, item: Any) -> None:
        right(context, item)
        item.outputs[0].shape = Shape([4, 3, 2])

    get = registry.get

    def rule(domain: str, op: str, version: int) -> Any:
        return wrong if op == "Exp" else get(domain, op, version)

    monkeypatch.setattr(registry, "get", rule)
    said = text(120, model([node("Exp", "x", "t", "power"), node("Neg", "t", "y")], X, "y"))
    assert (
        "power: Exp (opset 20) of f32[2, 3, 4]: its result is f32[2, 3, 4] by its operation" in said
    )
    assert "f32[4, 3, 2] by shape inference" in said


def _runtime(nodes: list[Any], weights: dict[str, Any]) -> Callable[[], str]:
    return lambda: text(120, model(nodes, {"x": (2, 3), "i_n": (1,)}, "y", weights))


@pytest.mark.parametrize("op", ["Squeeze", "Split", "Slice", "ReduceSum"])
def test_an_operand_that_only_a_run_knows_is_not_taken_for_an_absent_one(op: str) -> None:
    """Rules of the library infer a shape all the same: as if axes or sizes were not given."""
    operands = {"Slice": "x c c i_n", "ReduceSum": "x i_n"}.get(op, "x i_n")
    said = _runtime([node(op, operands, "y", "it")], {"c": ints(0)})()
    assert f"it: {op} (opset 20)" in said
    assert "depends on an input of the model" in said


def test_what_softmax_means_below_opset_13_is_not_asked_of_onnx() -> None:
    nodes = [node("Softmax", "c", "s", axis=1), node("Mul", "x s", "y")]
    graph = import_model(model(nodes, X, "y", {"c": np.ones((2, 3, 4), np.float32)}, opset=11))
    found = evaluate(graph, feeds(graph))["y"]
    np.testing.assert_allclose(found, feeds(graph)["x"] / 12, rtol=1e-6)
