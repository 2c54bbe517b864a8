"""Every way in which a model can be refused: one numbered error, its exit code, no traceback, nothing written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, load, numpy_helper, save

from isa.machine import CHIPS

BOUND = ("--dim", "batch=1", "--dim", "seq=5")


@pytest.fixture
def refused(cli: Any, tmp_path: Path) -> Callable[..., str]:
    """``refused(code, exit, *arguments)``: what stderr says, once all else about the refusal holds."""

    def check(code: str, exit_code: int, *arguments: object) -> str:
        out = tmp_path / "written.lpu"
        out.write_bytes(b"what was there before")
        before = sorted(os.listdir(tmp_path))
        done = cli(*arguments, "-o", out, "--json")
        assert re.match(f"error: {code}: ", done.err), done.err
        assert "Traceback" not in done.err
        assert done.json == {"error": done.json["error"]}
        assert (done.code, done.json["error"]["exit_code"]) == (exit_code, exit_code)
        assert re.fullmatch(code, done.json["error"]["code"])
        assert out.read_bytes() == b"what was there before"
        assert sorted(os.listdir(tmp_path)) == before
        return str(done.err)

    return check


def made(path: Path, nodes: list[Any], weights: list[Any] = [], shape: Any = (2, 4)) -> Path:  # noqa: B006 - not written.
    """A model from ``x`` to ``y``, both float32 of one shape."""
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "xy"]
    graph = helper.make_graph(nodes, "made", ends[:1], ends[1:], weights)
    opsets = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_files_that_are_no_models(refused: Any, demo_model: Path, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("this is not a model\n" * 50)
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "cut.onnx").write_bytes(demo_model.read_bytes()[:-1000])
    (tmp_path / "noise.onnx").write_bytes(np.random.default_rng(0).bytes(5000))
    os.mkfifo(tmp_path / "pipe.onnx")
    for name, code in (
        ("text.onnx", "TSP101"),
        ("empty.onnx", "TSP101"),
        ("cut.onnx", "TSP101"),
        ("noise.onnx", "TSP101"),
        ("pipe.onnx", "TSP100"),
        ("none.onnx", "TSP100"),
        (".", "TSP100"),
    ):
        assert str(tmp_path / name) in refused(code, 3, "compile", tmp_path / name)


def test_an_unbound_dimension_says_what_to_add(refused: Any, demo_model: Path) -> None:
    said = refused("TSP110", 3, demo_model)
    assert "--dim batch=N --dim seq=N" in said
    assert "--dim seq=N" in refused("TSP110", 3, demo_model, "--dim", "batch=1")


@pytest.mark.parametrize(
    ("sizes", "code", "exit_code"),
    [
        (("seq=5", "length=3"), "TSP111", 3),
        (("seq=0",), "TSP113", 3),
        (("seq=99999999999",), "TSP404", 4),
    ],
)
def test_other_dimensions(
    refused: Any, demo_model: Path, sizes: tuple[str, ...], code: str, exit_code: int
) -> None:
    given = [text for size in sizes for text in ("--dim", size)]
    refused(code, exit_code, demo_model, "--dim", "batch=1", *given)


def test_unsupported_nodes_are_all_listed(refused: Any, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Hardmax", ["r"], ["h"], name="first_bad"),
        helper.make_node("Det", ["h"], ["d"], name="second_bad"),
        helper.make_node("ThresholdedRelu", ["r"], ["y"], name="third_bad"),
    ]
    said = refused("TSP120", 3, made(tmp_path / "m.onnx", nodes))
    for text in ("first_bad", "second_bad", "third_bad", "Hardmax (opset 17) of f32[2, 4]"):
        assert text in said


@pytest.mark.parametrize(
    "location", ["../secret.bin", "/etc/passwd", "link.bin", "gone.bin", "x/../../s"]
)
def test_external_data_stays_in_its_folder(refused: Any, tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    weight = numpy_helper.from_array(np.zeros((4, 4), np.float32), "w")
    path = made(folder / "m.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [weight])
    model = load(path, load_external_data=False)
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    assert location in refused("TSP104", 3, path)


@pytest.fixture
def small_chip(tmp_path: Path) -> Path:
    """``tsp1`` with 64 words a bank: 3.4 MiB."""
    text = re.sub(r"(words = \{ value = )[\d_]+", r"\g<1>64", (CHIPS / "tsp1.toml").read_text())
    path = tmp_path / "small.toml"
    path.write_text(text)
    return path


def test_what_does_not_fit_names_the_tensors_that_take_the_memory(
    refused: Any, tmp_path: Path, small_chip: Path
) -> None:
    weights = [
        numpy_helper.from_array(np.ones(shape, np.float32), name)
        for name, shape in (("wide_weight", (64, 40_000)), ("tall_weight", (40_000, 64)))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "wide_weight"], ["h"], name="up"),
        helper.make_node("MatMul", ["h", "tall_weight"], ["y"], name="down"),
    ]
    path = made(tmp_path / "m.onnx", nodes, weights, (2, 64))
    said = refused("TSP410", 4, path, "--chip", small_chip)
    assert "wide_weight" in said
    assert "tall_weight" in said


def test_a_chip_file_that_is_none(refused: Any, demo_model: Path, tmp_path: Path) -> None:
    (tmp_path / "chip.toml").write_text("[mem]\nslices = 4\n")
    refused("TSP150", 3, demo_model, *BOUND, "--chip", tmp_path / "chip.toml")
    refused("TSP151", 3, demo_model, *BOUND, "--chip", "tsp9")


def test_a_process_ends_as_the_function_does(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    done = subprocess.run(
        [sys.executable, "-m", "tspc", tmp_path / "text.onnx", "-o", tmp_path / "o.lpu"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: TSP101: ")
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == ["text.onnx"]


def test_check_refuses_as_compile_does(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    done = cli("check", tmp_path / "text.onnx", "--json")
    assert (done.code, done.json["error"]["code"]) == (3, "TSP101")


def test_ops_are_listed_from_the_code(cli: Any) -> None:
    rows = {row["op"]: row for row in cli("ops", "--json").json["ops"]}
    assert rows.keys() >= {"MatMul", "Gather", "LayerNormalization", "Erf", "Where", "IsNaN"}
    assert rows["MatMul"].keys() == {"op", "opsets", "dtypes", "limits"}
    assert "LayerNormalization" in cli("ops").out
