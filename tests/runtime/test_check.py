"""The comparison's own road, with a compiler that hands out the program made by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import compiler
from compiler.frontend import import_model
from compiler.graph import Graph
from isa.errors import LimitError
from isa.instruction import BY_OPCODE
from isa.program import Program


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The ONNX model that ``tiny_program`` computes."""
    from onnx import TensorProto, helper, save

    def info(name: str, kind: int) -> Any:
        return helper.make_tensor_value_info(name, kind, ["rows", 32])

    nodes = [
        helper.make_node("Relu", ["x"], ["y"], name="rectify"),
        helper.make_node("Add", ["ids", "one"], ["next"], name="count"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [info("x", TensorProto.FLOAT), info("ids", TensorProto.INT64)],
        [info("y", TensorProto.FLOAT), info("next", TensorProto.INT64)],
        [helper.make_tensor("one", TensorProto.INT64, [], [1])],
    )
    path = tmp_path / "tiny.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@dataclass
class FakeReport:
    cycles: int
    mxm_bound_cycles: int = 0
    instructions: int = 36
    nodes: int = 2
    sram_weight_bytes: int = 0
    sram_peak_bytes: int = 2048
    seconds: dict[str, float] = field(default_factory=lambda: {"import": 0.5, "schedule": 0.25})
    peak_bytes: dict[str, int] = field(default_factory=lambda: {"import": 1 << 20, "schedule": 0})


@dataclass
class FakeCompilation:
    graph: Graph
    program: Program
    report: FakeReport

    def dump(self, stage: str) -> str:
        return f"form of {stage}\n"


@dataclass
class FakeCompiler:
    """``compile_model`` with a program made beforehand; ``limit`` is how many kept tensors fit."""

    program: Program
    cycles: int = 57
    limit: int = 99
    calls: list[Sequence[str]] = field(default_factory=list)

    def __call__(self, source: Any, *, keep: Sequence[str] = (), dims: Any, **_: Any) -> Any:
        self.calls.append(keep)
        if len(keep) > self.limit:
            raise LimitError(420, "too large")
        graph = import_model(source, dims)
        port = self.program.outputs[0]
        kept = tuple(dataclasses.replace(port, name=name) for name in keep if name != port.name)
        program = dataclasses.replace(self.program, outputs=self.program.outputs + kept)
        return FakeCompilation(graph, program, FakeReport(self.cycles))


Install = Callable[..., FakeCompiler]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tiny_program: Program) -> Install:
    def put(program: Program = tiny_program, cycles: int = 57, limit: int = 99) -> FakeCompiler:
        fake = FakeCompiler(program, cycles, limit)
        monkeypatch.setattr(compiler, "compile_model", fake, raising=False)
        return fake

    return put


def with_op(program: Program, old: str, new: str) -> Program:
    """The program with one VXM operation in place of another of the same form."""
    bursts = program.bursts.copy()
    opcodes = {cls.mnemonic: opcode for opcode, cls in BY_OPCODE.items()}
    bursts["opcode"][bursts["opcode"] == opcodes[old]] = opcodes[new]
    return dataclasses.replace(program, bursts=bursts)


def test_a_match_passes(cli: Any, install: Install, model: Path) -> None:
    install()
    done = cli("check", model, "--dim", "rows=2", "--json")
    assert done.code == 0, done.err
    assert done.json["passed"] is True
    assert [o["name"] for o in done.json["outputs"]] == ["y", "next"]
    assert done.json["outputs"][0].keys() >= {"relative_l2", "cosine", "max_abs", "max_ulp"}
    assert done.json["cycles_predicted"] == done.json["cycles_executed"] == 57
    text = cli("check", model, "--dim", "rows=2").out
    assert "tiny.onnx: passed" in text
    assert "fp32" in text
    assert "cycles predicted 57, verified 57, executed 57" in text


def test_given_inputs_are_used(cli: Any, install: Install, model: Path, tmp_path: Path) -> None:
    install()
    np.save(tmp_path / "ids.npy", np.full((2, 32), 10))
    done = cli("check", model, "--dim", "rows=2", "-i", f"ids={tmp_path}/ids.npy")
    assert (done.code, "TSP605" in done.err) == (3, True)


def test_a_mismatch_fails(cli: Any, install: Install, tiny_program: Program, model: Path) -> None:
    install(with_op(tiny_program, "relu", "abs"))
    done = cli("check", model, "--dim", "rows=2", "--json")
    assert done.code == 1
    assert done.json["passed"] is False
    assert done.json["error"]["code"] == "TSP701"
    assert [o["passed"] for o in done.json["outputs"]] == [False, True]
    assert "output 'y': relative L2" in done.err
    assert "--per-node" in done.err


def test_one_wrong_integer_fails(
    cli: Any, install: Install, tiny_program: Program, model: Path
) -> None:
    install(with_op(tiny_program, "add", "sub"))
    done = cli("check", model, "--dim", "rows=2")
    assert done.code == 1
    assert "output 'next': 64 of 64 elements differ" in done.err
    assert "FAILED" in done.out


def test_cycles_that_differ_fail(cli: Any, install: Install, model: Path) -> None:
    install(cycles=58)
    done = cli("check", model, "--dim", "rows=2", "--json")
    assert (done.code, done.json["passed"]) == (1, False)
    assert done.json["error"]["message"] == "cycles predicted 58, verified 57, executed 57"


def test_per_node_names_the_first_divergence(
    cli: Any, install: Install, tiny_program: Program, model: Path
) -> None:
    install(with_op(tiny_program, "relu", "abs"))
    done = cli("check", model, "--dim", "rows=2", "--per-node", "--json")
    assert done.code == 1
    assert done.json["first_divergence"]["op"] == "Relu"
    assert done.json["first_divergence"]["origin"] == ["rectify"]
    assert "the first node to leave its tolerance is" in done.err
    done = cli("check", model, "--dim", "rows=2", "--per-node")
    assert "first to leave tolerance" in done.out


def test_per_node_of_a_match(cli: Any, install: Install, model: Path) -> None:
    fake = install()
    done = cli("check", model, "--dim", "rows=2", "--per-node")
    assert done.code == 0
    assert "1 node tensors within tolerance" in done.out
    assert [len(keep) for keep in fake.calls] == [0, 1]


def test_per_node_of_a_model_too_large_to_keep(cli: Any, install: Install, model: Path) -> None:
    install(limit=0)
    assert cli("check", model, "--dim", "rows=2", "--per-node").code == 4


def test_compile_reports(cli: Any, install: Install, model: Path, tmp_path: Path) -> None:
    install()
    out = tmp_path / "out.lpu"
    data = cli(model, "--dim", "rows=2", "-o", out, "--json").json
    assert data.keys() >= {"cycles", "mxm_bound_cycles", "instructions", "sram_bytes", "seconds"}
    assert (data["cycles"], data["seconds"], data["output"]) == (57, 0.75, str(out))
    assert data["stages"]["import"] == {"seconds": 0.5, "peak_bytes": 1 << 20}
    assert cli("verify", out).code == 0
    text = cli("compile", model, "--dim", "rows=2", "--timing").out
    assert "not written" in text
    assert "stages" in text


def test_compile_dumps(cli: Any, install: Install, model: Path, tmp_path: Path) -> None:
    install()
    done = cli(model, "--dim", "rows=2", "--dump", "tiles")
    assert done.out == "form of tiles\n"
    assert "57" in done.err
    assert cli(model, "--dim", "rows=2", "--dump", "asm", "--json").json["dump"]["stage"] == "asm"
    cli(model, "--dim", "rows=2", "--dump-dir", tmp_path / "d" / "e")
    names = sorted(path.name for path in (tmp_path / "d" / "e").iterdir())
    assert names == ["asm.txt", "graph.txt", "placement.txt", "schedule.txt", "tiles.txt"]


def test_a_promise_broken_is_internal_and_writes_nothing(
    cli: Any, install: Install, model: Path, tmp_path: Path
) -> None:
    install(cycles=56)
    out = tmp_path / "out.lpu"
    done = cli(model, "--dim", "rows=2", "-o", out)
    assert (done.code, out.exists()) == (70, False)
    assert "TSP950" in done.err


def test_a_model_is_never_overwritten(cli: Any, install: Install, model: Path) -> None:
    install()
    before = model.read_bytes()
    assert cli(model, "-o", model).code == 2
    assert model.read_bytes() == before
