"""A model may come from anywhere: numbered errors, no traceback, hang or large allocation."""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from compiler.frontend import import_model
from compiler.frontend.source import DataFolder
from isa.errors import InputError, TspcError
from tests.compiler.small_models import model, node

VALUES = np.arange(8, dtype=np.float32)


def external(**fields: str) -> ModelProto:
    """x + w, with the 8 elements of w in a file."""
    source = model([node("Add", "x w", "y")], {"x": (8,)}, "y", {"w": VALUES})
    weight = source.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "w.bin", **fields}.items():
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    return source


def write(folder: Path, source: ModelProto) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "m.onnx"
    path.write_bytes(source.SerializeToString())
    return path


def refused(number: int, source: Path | ModelProto) -> str:
    with pytest.raises(TspcError) as caught:
        import_model(source)
    assert caught.value.number == number, str(caught.value)
    return str(caught.value)


def test_external_data_is_read_when_it_is_looked_at(tmp_path: Path) -> None:
    path = write(tmp_path, external(location="w.bin", offset="4096"))
    (tmp_path / "w.bin").write_bytes(bytes(4096) + VALUES.tobytes())
    constant = import_model(path).constants["w"]
    np.testing.assert_array_equal(constant.value(), VALUES)
    os.truncate(tmp_path / "w.bin", 4100)
    with pytest.raises(InputError, match=r"TSP106.*cut short"):
        constant.value()


@pytest.mark.parametrize(
    "location",
    [
        "",
        "/etc/passwd",
        "../w.bin",
        "a/../../w.bin",
        "a/..",
        "./w.bin",
        "a\\w.bin",
        "w\0.bin",
        "absent",
    ],
)
def test_external_data_stays_in_the_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "w.bin").write_bytes(VALUES.tobytes())
    assert "external data" in refused(104, write(tmp_path / "m", external(location=location)))


def _link(folder: Path) -> None:
    (folder / "real").write_bytes(VALUES.tobytes())
    (folder / "w.bin").symlink_to("real")


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "w.bin")


def _folder(folder: Path) -> None:
    (folder / "w.bin").mkdir()


@pytest.mark.parametrize("make", [_link, _fifo, _folder])
def test_external_data_is_a_regular_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    refused(104, write(tmp_path, external()))


def test_a_linked_folder_on_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "w.bin").write_bytes(VALUES.tobytes())
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "in").symlink_to(tmp_path / "out")
    refused(104, write(tmp_path / "m", external(location="in/w.bin")))
    with pytest.raises(InputError, match="TSP104"):
        DataFolder(tmp_path / "m").open("in/w.bin")


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({"offset": "-1"}, 105),
        ({"offset": "1e3"}, 105),
        ({"length": "31"}, 105),
        ({"offset": "1"}, 106),
        ({"offset": "9" * 19}, 106),
        ({"offset": "9" * 30}, 105),
    ],
)
def test_offset_and_length_lie_inside_the_file(
    tmp_path: Path, fields: dict[str, str], number: int
) -> None:
    (tmp_path / "w.bin").write_bytes(VALUES.tobytes())
    refused(number, write(tmp_path, external(**fields)))


def test_a_model_in_memory_has_no_folder() -> None:
    assert "give the model as a path" in refused(104, external())


def test_files_that_are_no_model(tmp_path: Path) -> None:
    whole = write(tmp_path, model([node("Neg", "x", "y")], {"x": (2,)}, "y"))
    data = whole.read_bytes()
    for content in (b"", b"not a model" * 9, data[:-3], os.urandom(64)):
        whole.write_bytes(content)
        refused(101, whole)
    refused(100, tmp_path)
    refused(100, tmp_path / "absent.onnx")
    os.mkfifo(tmp_path / "pipe")
    refused(100, tmp_path / "pipe")


def test_a_tensor_with_two_sets_of_elements() -> None:
    source = model([node("Add", "x w", "y")], {"x": (8,)}, "y", {"w": VALUES})
    source.graph.initializer[0].float_data.append(1)
    assert "both raw and typed" in refused(105, source)
    source = model([node("Add", "x w", "y")], {"x": (8,)}, "y", {"w": VALUES})
    source.graph.initializer[0].dims[0] = 9
    assert "has 32 bytes; its shape needs 36" in refused(105, source)


def test_a_value_is_defined_once_and_before_its_use() -> None:
    twice = model([node("Neg", "x", "y"), node("Abs", "x", "y")], {"x": (2,)}, "y")
    assert "'y' is defined twice" in refused(107, twice)
    late = model([node("Neg", "z", "y"), node("Abs", "x", "z")], {"x": (2,)}, "y")
    assert "uses 'z'" in refused(108, late)
    extra = model([node("Neg", "x", "y z")], {"x": (2,)}, "y z")
    assert "output 'z' is made by no node" in refused(108, extra)


def test_constants_too_large_to_hold_are_refused_without_holding_them() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shape = np.array([1000, 1000, 1000, 100], dtype=np.int64)
    nodes = [
        node("ConstantOfShape", "s", "t"),
        node("ReduceSum", "t", "u"),
        node("Add", "x u", "y"),
    ]
    assert "takes 400000000000 bytes" in refused(403, model(nodes, {"x": (1,)}, "y", {"s": shape}))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000  # KiB


def _nested(depth: int) -> ModelProto:
    """Functions f0 .. fn, each calling the one before it ten times."""
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("f", 1)]
    functions = [helper.make_function("f", "f0", ["a"], ["b"], [node("Neg", "a", "b")], opsets)]
    for level in range(1, depth):
        body = [node(f"f{level - 1}", f"t{i}", f"t{i + 1}", domain="f") for i in range(10)]
        functions.append(helper.make_function("f", f"f{level}", ["t0"], ["t10"], body, opsets))
    call = node(f"f{depth - 1}", "x", "y", domain="f")
    return model(
        [call], {"x": (1,)}, "y", functions=functions, opsets=[helper.make_opsetid("f", 1)]
    )


def test_a_computed_constant_does_not_grow_without_bound() -> None:
    """Two Expands and their sum are 6.7 GiB to fold, from a file of 300 bytes; the node's result is named."""
    nodes = [
        node("Expand", "one shape", "wide"),
        node("Expand", "two shape", "other"),
        node("Add", "wide other", "sum"),
        node("ReduceSum", "sum", "total", keepdims=0),
        node("Add", "x total", "y"),
    ]
    one, two = np.array([1, 2], dtype=np.float32)
    weights = {"one": one, "two": two, "shape": np.array([30_000, 20_000])}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message = refused(403, model(nodes, {"x": (4,)}, "y", weights))
    assert message.startswith("TSP403: constant 'wide' of shape [30000, 20000]"), message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 18  # KiB


def test_functions_that_multiply_or_call_themselves_are_refused() -> None:
    assert "nodes, functions expanded" in refused(402, _nested(15))
    assert "nest deeper" in refused(402, _nested(100))
    looped = _nested(2)
    looped.functions[0].node[0].op_type, looped.functions[0].node[0].domain = "f1", "f"
    assert "calls itself" in refused(109, looped)


def test_damaged_bytes_give_numbered_errors(demo_model: Path, tmp_path: Path) -> None:
    """Whatever a byte is changed to: a graph or one numbered error of the user's."""
    rng = random.Random(5)
    data = demo_model.read_bytes()
    head = [index for index in range(len(data)) if data[index] < 128][:6000]
    path = tmp_path / "m.onnx"
    codes: set[int] = set()
    for _ in range(150):
        mutant = bytearray(data)
        for _ in range(rng.choice([1, 1, 3])):
            mutant[rng.choice(head)] = rng.randrange(128)
        path.write_bytes(mutant)
        try:
            import_model(path, {"batch": 1, "seq": 5})
        except TspcError as error:
            codes.add(error.exit_code)
    assert codes <= {3, 4}
