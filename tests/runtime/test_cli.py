"""The command line as such: help, start-up, usage, unforeseen failures."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runtime.cli import group

TSPC = [sys.executable, "-m", "tspc"]


def test_help_starts_in_a_fifth_of_a_second() -> None:
    """Processor time, since other processes have a share of the clock's."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([*TSPC, "--help"], capture_output=True, text=True, check=True)
        assert "Exit codes" in done.stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(3)) < 0.2


@pytest.mark.parametrize("name", group.COMMANDS)
def test_every_command_explains_itself(cli: Any, name: str) -> None:
    done = cli(name, "--help")
    assert done.code == 0
    assert "Examples:" in done.out
    assert f"tspc {name}" in done.out
    assert "--json" in done.out


def test_help_lists_every_command(cli: Any) -> None:
    done = cli("--help")
    assert re.findall(r"^  (\w+)  ", done.out.split("Commands:")[1], re.MULTILINE) == list(
        group.COMMANDS
    )
    assert cli().code == 2


def test_version(cli: Any) -> None:
    assert cli("--version").out.startswith("tspc")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["chek"], "TSP802", "did you mean `tspc check`"),
        (["frobnicate"], "TSP802", "no command 'frobnicate'"),
        (["compile"], "TSP801", "Missing argument 'MODEL.onnx'"),
        (["compile", "m.onnx", "--fast"], "TSP801", "--fast"),
        (["m.onnx", "--precision", "int3"], "TSP801", "'fp16', 'strict'"),
        (["m.onnx", "--dim", "seq"], "TSP804", "--dim name=N"),
        (["m.onnx", "--dim", "seq=-1"], "TSP804", "seq=-1"),
        (["m.onnx", "--dim", "seq=1", "--dim", "seq=2"], "TSP804", "two sizes"),
        (["m.onnx", "-o", "/nowhere/x.lpu"], "TSP803", "no folder"),
        (["check", "m.onnx", "-i", "x"], "TSP804", "-i name=file.npy"),
        (["run", "x.lpu", "--threads", "0"], "TSP801", "--threads"),
        (["info"], "TSP804", "one of the two"),
        (["explain", "TSPX"], "TSP804", "not an error number"),
        (["explain", "042"], "TSP804", "no error has the number"),
    ],
)
def test_usage_errors(cli: Any, arguments: list[str], code: str, text: str) -> None:
    done = cli(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {code}: ")
    assert text in done.err
    told = cli(*arguments, "--json")
    assert told.json["error"]["code"] == code
    assert told.json["error"]["exit_code"] == 2


def test_a_chip_that_does_not_exist(cli: Any) -> None:
    done = cli("info", "--chip", "tsp9", "--json")
    assert (done.code, done.json["error"]["code"]) == (3, "TSP151")
    assert "tsp1-deep" in done.err


def test_a_chip_describes_itself(cli: Any) -> None:
    facts = cli("info", "--chip", "tsp1", "--json").json
    assert facts["fields"]["mem.slices"] == {
        "value": 44,
        "source": "published",
        "note": "a hemisphere",
    }
    assert "144 queues, 220.0 MiB" in cli("info", "--chip", "tsp1").out


def test_an_unforeseen_failure_is_one_line_and_a_file(
    cli: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("isa.machine.load_chip", broken)
    done = cli("info", "--chip", "tiny", "--json")
    assert done.code == 70
    assert re.fullmatch(
        r"error: TSP999: internal error: ZeroDivisionError: a b \(traceback in .*\)\n", done.err
    )
    assert done.json["error"]["exit_code"] == 70
    (kept,) = tmp_path.iterdir()
    assert "in broken" in kept.read_text()
    assert str(kept) in done.err


def test_running_out_of_memory_is_a_limit(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("isa.machine.load_chip", greedy)
    assert cli("info", "--chip", "tiny").code == 4


def test_an_interrupt_ends_with_130(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    monkeypatch.setattr("isa.machine.load_chip", interrupted)
    # Who starts a job in the background has it ignore interrupts, and Python then leaves them ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = cli("info", "--chip", "tiny")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.code, done.out) == (130, "")
    assert done.err.strip() == "interrupted"


def test_a_reader_that_leaves_early_gets_no_traceback() -> None:
    script = f"{' '.join(TSPC)} info --chip tsp1 2>&1 >/dev/full; {' '.join(TSPC)} info --chip tsp1 | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    assert "Exception ignored" not in done.stdout + done.stderr


def test_commands_that_need_no_model_import_no_onnx() -> None:
    script = (
        "import sys, json; from runtime.cli import main; main(['info', '--chip', 'tiny', '--json']); "
        "print({'onnx', 'onnx_ir', 'onnx_shape_inference', 'onnxscript', 'llvmlite'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert json.loads(first)["chip"] == "tiny"
    assert second == "set()"
