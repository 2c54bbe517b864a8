"""Commands on programs: run, verify, asm, dis, info; and every way in which a program file or an input can be bad."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isa.binary import read, write
from isa.machine import Fact, Machine
from isa.program import Program

X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
IDS = (np.arange(64) % 10).reshape(2, 32)


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    """The arguments that feed the program."""
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "ids.npy", IDS)
    return ["-i", f"x={tmp_path}/x.npy", "-i", f"ids={tmp_path}/ids.npy"]


@pytest.mark.parametrize("engine", ["jit", "plain", "reference"])
def test_run_writes_its_outputs(
    cli: Any, tiny_lpu: Path, given: list[str], tmp_path: Path, engine: str
) -> None:
    out = tmp_path / "out"
    done = cli("run", tiny_lpu, *given, "-o", out, "--emulator", engine, "--json")
    assert done.code == 0, done.err
    assert done.json["instructions"] == 36
    assert done.json["cycles"] == cli("verify", tiny_lpu, "--json").json["cycles"]
    y, following = done.json["outputs"]
    assert y == {"name": "y", "shape": [2, 32], "dtype": "float32", "file": str(out / "y.npy")}
    assert following["dtype"] == "int64"
    np.testing.assert_array_equal(np.load(out / "y.npy"), np.maximum(X, 0))
    np.testing.assert_array_equal(np.load(out / "next.npy"), IDS + 1)
    assert sorted(os.listdir(out)) == ["next.npy", "y.npy"]


def test_run_without_a_folder_says_so(cli: Any, tiny_lpu: Path, given: list[str]) -> None:
    done = cli("run", tiny_lpu, *given)
    assert "y: float32[2, 32]" in done.out
    assert "not written" in done.out


@pytest.mark.parametrize(
    ("name", "array", "code", "text"),
    [
        ("z", X, "TSP601", "no input 'z'"),
        ("x", None, "TSP602", "'x' is not given"),
        ("x", X.astype(np.float64), "TSP603", "float64, not float32"),
        ("x", X[:1], "TSP604", "(1, 32), not (2, 32)"),
        ("ids", IDS + 5, "TSP605", "'ids'[0, 5] is 10, not in 0 .. 9"),
        ("ids", IDS - 2**40, "TSP605", "not in 0 .. 9"),
        ("ids", IDS.astype(np.float32), "TSP603", "float32, not int64"),
    ],
)
def test_bad_inputs_are_named_and_nothing_is_written(
    cli: Any, tiny_lpu: Path, tmp_path: Path, name: str, array: Any, code: str, text: str
) -> None:
    arrays = {"x": X, "ids": IDS, name: array}
    arguments = []
    for key, value in arrays.items():
        if value is not None:
            np.save(tmp_path / f"{key}.npy", value)
            arguments += ["-i", f"{key}={tmp_path}/{key}.npy"]
    out = tmp_path / "out"
    done = cli("run", tiny_lpu, *arguments, "-o", out, "--json")
    assert (done.code, done.json["error"]["code"]) == (3, code)
    assert text in done.err
    assert not out.exists()


def test_an_input_that_is_no_array(cli: Any, tiny_lpu: Path, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_text("1, 2")
    done = cli("run", tiny_lpu, "-i", f"x={tmp_path}/x.npy")
    assert (done.code, done.out) == (3, "")
    assert "TSP650" in done.err
    assert str(tmp_path / "x.npy") in done.err


def test_a_folder_that_cannot_be_made(cli: Any, tiny_lpu: Path, given: list[str]) -> None:
    done = cli("run", tiny_lpu, *given, "-o", tiny_lpu)
    assert (done.code, done.out) == (2, "")
    assert "TSP803" in done.err


def test_verify_certifies(cli: Any, tiny_lpu: Path) -> None:
    done = cli("verify", tiny_lpu, "--json")
    assert done.code == 0
    assert done.json["verified"] is True
    assert done.json["instructions"] == 36
    assert len(done.json["digest"]) == 64
    assert "verified for chip tiny" in cli("verify", tiny_lpu).out


@pytest.fixture
def late_lpu(tiny_program: Program, tmp_path: Path) -> Path:
    """The program with one write a cycle late."""
    bursts = tiny_program.bursts.copy()
    bursts["cycle"][np.flatnonzero(bursts["queue"] == tiny_program.machine.slices)] += 1
    path = tmp_path / "late.lpu"
    write(dataclasses.replace(tiny_program, bursts=bursts), path)
    return path


def test_a_refused_program_is_named_and_never_run(
    cli: Any, late_lpu: Path, given: list[str], tmp_path: Path
) -> None:
    done = cli("verify", late_lpu, "--json")
    assert (done.code, done.json["verified"]) == (5, False)
    assert done.json["error"]["code"] == "TSP341"
    assert "MEM_E0" in done.err
    assert done.err.count("error: TSP3") == len(done.json["errors"])
    for engine in ("jit", "plain", "reference"):
        out = tmp_path / "out"
        done = cli("run", late_lpu, *given, "-o", out, "--emulator", engine)
        assert (done.code, done.out, out.exists()) == (5, "", False)
        assert "TSP341" in done.err


def test_any_flipped_bit_is_refused(cli: Any, tiny_lpu: Path, tmp_path: Path) -> None:
    data = tiny_lpu.read_bytes()
    bad = tmp_path / "bad.lpu"
    for place in (0, 9, len(data) // 2, len(data) - 1):
        flipped = bytearray(data)
        flipped[place] ^= 4
        bad.write_bytes(flipped)
        done = cli("verify", bad, "--json")
        assert done.code == 3
        assert done.json["error"]["code"].startswith("TSP5")
        assert str(bad) in done.err


def test_files_that_are_no_programs(cli: Any, tiny_lpu: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.lpu").write_bytes(tiny_lpu.read_bytes()[:-100])
    (tmp_path / "empty.lpu").touch()
    (tmp_path / "text.lpu").write_text("hello\n" * 100)
    os.mkfifo(tmp_path / "pipe.lpu")
    for command in ("run", "verify", "dis", "info"):
        for name in ("cut.lpu", "empty.lpu", "text.lpu", "pipe.lpu", "none.lpu", "."):
            done = cli(command, tmp_path / name)
            assert (done.code, done.out) == (3, ""), (command, name)
            assert done.err.startswith("error: TSP5")
    done = cli("run", tmp_path / "model.onnx")
    assert (done.code, "tspc compile" in done.err) == (3, True)


def test_a_program_for_another_chip(cli: Any, tiny_lpu: Path, given: list[str]) -> None:
    done = cli("run", tiny_lpu, *given, "--chip", "tsp1", "--json")
    assert (done.code, done.json["error"]["code"]) == (3, "TSP521")
    assert "tiny" in done.err
    assert cli("run", tiny_lpu, *given, "--chip", "tiny").code == 0


def test_a_chip_that_only_has_the_name_of_a_preset(
    cli: Any, tiny_program: Program, tmp_path: Path
) -> None:
    facts = dict(tiny_program.machine.facts)
    facts["timing.mem_write"] = Fact(2, "assumed")
    other = Machine(tuple(sorted(facts.items())))
    write(dataclasses.replace(tiny_program, machine=other), tmp_path / "p.lpu")
    done = cli("info", tmp_path / "p.lpu", "--json")
    assert (done.code, done.json["error"]["code"]) == (3, "TSP521")


def test_assembly_makes_the_same_bytes(cli: Any, tiny_lpu: Path, tmp_path: Path) -> None:
    text, again = tmp_path / "tiny.asm", tmp_path / "again.lpu"
    assert cli("dis", tiny_lpu, "-o", text).code == 0
    assert cli("dis", tiny_lpu).out == text.read_text()
    assert cli("dis", tiny_lpu, "--json").json["assembly"] == text.read_text()
    done = cli("asm", text, "-o", again, "--json")
    assert done.json == {"chip": "tiny", "bursts": 18, "instructions": 36, "output": str(again)}
    assert again.read_bytes() == tiny_lpu.read_bytes()
    assert cli("verify", text).code == 0


def test_bad_assembly_leaves_the_old_program(cli: Any, tiny_lpu: Path, tmp_path: Path) -> None:
    cli("dis", tiny_lpu, "-o", tmp_path / "a.asm")
    lines = (tmp_path / "a.asm").read_text().replace(": relu", ": rely", 1)
    (tmp_path / "a.asm").write_text(lines)
    before = tiny_lpu.read_bytes()
    done = cli("asm", tmp_path / "a.asm", "-o", tiny_lpu)
    assert (done.code, done.out) == (3, "")
    assert "TSP2" in done.err
    assert tiny_lpu.read_bytes() == before
    assert cli("asm", tmp_path / "a.asm", "-o", tmp_path / "a.asm").code == 2


def test_info_describes_a_program(cli: Any, tiny_lpu: Path) -> None:
    data = cli("info", tiny_lpu, "--json").json
    assert data["inputs"][1] == {
        "name": "ids",
        "shape": [2, 32],
        "dtype": "int64",
        "on_chip": "i32",
        "range": [0, 9],
    }
    assert data["units"] == {"MEM": {"read": 16, "write": 16}, "VXM": {"relu": 2, "add": 2}}
    assert "ids: int64[2, 32] in [0, 9]" in cli("info", tiny_lpu).out


def test_programs_run_without_onnx(tiny_lpu: Path, given: list[str]) -> None:
    script = (
        "import sys; from runtime.cli import main; code = main(sys.argv[1:]); "
        "print(code, {'onnx', 'onnx_ir', 'onnxscript'} & set(sys.modules))"
    )
    arguments = [sys.executable, "-c", script, "run", str(tiny_lpu), *given]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 set()"


def test_the_file_may_be_read_only(cli: Any, tiny_lpu: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.lpu"
    shutil.copy(tiny_lpu, copy)
    copy.chmod(0o444)
    assert read(copy).instructions == 36
    assert cli("info", copy).code == 0
