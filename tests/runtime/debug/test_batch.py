"""``tspc debug`` from the command line: scripts, their failures, JSON, programs that are refused, the prompt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.debug.kernels import ADD, X

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``add.asm``, ``late.asm`` with one write a cycle late, ``x.npy``; it is the current folder."""
    (tmp_path / "add.asm").write_text(ADD)
    (tmp_path / "late.asm").write_text(ADD.replace("@19 MEM_E3", "@20 MEM_E3"))
    np.save(tmp_path / "x.npy", X)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def script(folder: Path, *lines: str) -> str:
    (folder / "s.dbg").write_text("\n".join(lines) + "\n")
    return "s.dbg"


GIVEN = ("-i", "x=x.npy", "--batch", "s.dbg")


def test_a_transcript(cli: Any, folder: Path) -> None:
    script(
        folder,
        "# the first sum",
        "goto 12",
        "",
        "p alu0 lanes 0..2",
        "expect alu0 lane 0 == -3",
        "quit",
        "step",
    )
    done = cli("debug", "add.asm", *GIVEN)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "> goto 12",
        "cycle 12",
        "  > VXM_1: relu f32, alu0 -> E4 (1 of 2, line 19, label clip)",
        "> p alu0 lanes 0..2",
        "alu0 = -3.0 -2.0 (f32)",
        "> expect alu0 lane 0 == -3",
        "as expected",
        "> quit",
    ]  # fmt: skip


def test_a_failed_expectation_fails_the_run_at_its_end(cli: Any, folder: Path) -> None:
    script(folder, "expect cycle 1", "goto 4", "expect cycle 4", "expect finished")
    done = cli("debug", "add.asm", *GIVEN)
    assert done.code == 1
    assert "FAILED: cycle 1: it is cycle 0\n> goto 4" in done.out
    message = (
        "error: TSP720: s.dbg:1: 2 of 3 expectations failed, the first: cycle 1: it is cycle 0"
    )
    assert done.err.strip() == message


def test_what_is_wrong_with_a_script_is_said_before_it_runs(cli: Any, folder: Path) -> None:
    script(folder, "goto 4", "setp", "", "print E4@VX", "step")
    done = cli("debug", "add.asm", *GIVEN)
    assert (done.code, done.out) == (2, "")
    assert "TSP820: s.dbg:2: no command 'setp'" in done.err
    assert "TSP821: s.dbg:4: no unit 'VX'" in done.err


def test_a_command_that_cannot_be_done_names_its_line(cli: Any, folder: Path) -> None:
    script(folder, "goto 4", "delete 1", "step")
    done = cli("debug", "add.asm", *GIVEN)
    assert done.code == 2
    assert done.out.startswith("> goto 4\n")
    assert "TSP820: s.dbg:2: no breakpoint 1" in done.err


def test_json_is_one_object(cli: Any, folder: Path) -> None:
    """96.0 is 0x42c00000, -4.0 is 0xc0800000."""
    script(
        folder, "goto 9", "print E0@VXM as f32 lanes 0..2", "who E0@VXM", "floor", "expect cycle 8"
    )
    done = cli("debug", "add.asm", *GIVEN, "--json")
    assert done.code == 1
    found = done.json
    assert (found["program"], found["chip"], found["verified"]) == ("add.asm", "tiny", True)
    stop, printed, who, floor, expect = found["results"]
    assert (stop["line"], stop["command"], stop["kind"], stop["cycle"]) == (1, "goto 9", "stop", 9)
    assert (printed["values"], printed["bits"]) == ([-4.0, -3.0], ["0xc0800000", "0xc0400000"])
    assert who["written"] == [
        {
            "queue": "MEM_W0",
            "instruction": "read 0x0000, E0",
            "dispatch": 1,
            "of": 2,
            "cycle": 3,
            "line": "14",
            "about": "x plane 0",
        }
    ]
    assert [r["queue"] for r in who["read"]] == ["VXM_0"]
    assert floor["streams"][3] == {"stream": "E3", "at": [13, 14], "lane0": [0x42, 0xC0]}
    assert (floor["units"][13], floor["units"][14]) == ("MEM_W0", "VXM")
    assert [b["queue"] for b in floor["busy"]] == ["VXM_0"]
    assert [(r["queue"], r["lands"]) for r in floor["inside"]] == []
    assert (expect["passed"], expect["found"]) == (False, "it is cycle 9")
    assert found["error"]["code"] == "TSP720"


def test_a_refused_program_is_debugged_only_when_asked(cli: Any, folder: Path) -> None:
    script(folder, "continue", "expect fault 910", "back", "expect cycle 20")
    refused = cli("debug", "late.asm", *GIVEN)
    assert (refused.code, refused.out) == (5, "")
    assert "TSP341" in refused.err
    assert "--unverified" in refused.err
    done = cli("debug", "late.asm", *GIVEN, "--unverified")
    assert done.code == 0, done.err
    first, _, stop = done.out.splitlines()[:3]
    assert first.startswith("refused by the verifier: TSP341: late.asm:23:27: @21 MEM_E3")
    assert stop == "cycle 21, cannot go on"
    as_data = cli("debug", "late.asm", *GIVEN, "--unverified", "--json").json
    assert (as_data["verified"], as_data["refusal"]["code"]) == (False, "TSP341")


def test_inputs_that_are_not_given_are_drawn(cli: Any, folder: Path) -> None:
    script(folder, "print x[0, 0..2]")
    first, same, other = (
        cli("debug", "add.asm", "--batch", "s.dbg", "--seed", seed).out for seed in (1, 1, 2)
    )
    assert first == same
    assert first != other


def test_parameters_of_the_text(cli: Any, folder: Path) -> None:
    text = ".chip tiny\n.param n = 1\n.tensor t i8 n 32 at MEM_W0:0\n.i8 5 x{n*32}\n@0 t: read E0\n"
    (folder / "t.asm").write_text(text)
    script(folder, "continue")
    ends = [
        cli("debug", "t.asm", "--batch", "s.dbg", "-D", f"n={n}").out.split()[3] for n in (1, 4)
    ]
    assert int(ends[1].rstrip(",")) - int(ends[0].rstrip(",")) == 3


def test_what_cannot_be_debugged(cli: Any, folder: Path) -> None:
    script(folder, "step")
    assert cli("debug", "add.asm", "--batch", "none.dbg").code == 3
    wrong = cli("debug", "add.asm", "-i", "z=x.npy", "--batch", "s.dbg")
    assert (wrong.code, "TSP601" in wrong.err) == (3, True)
    assert cli("debug", "none.lpu", "--batch", "s.dbg").code == 3


def prompt(folder: Path, typed: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-m", "tspc", "debug", *arguments]
    return subprocess.run(
        call, cwd=folder, env=environment, input=typed, capture_output=True, text=True, timeout=120
    )


def test_the_prompt(folder: Path) -> None:
    """An empty line steps again; a mistake ends nothing; the end of the input leaves."""
    done = prompt(folder, "step 9\nstpe\nstep\n\nexpect cycle 11\n", "add.asm", "-i", "x=x.npy")
    assert (done.returncode, done.stderr) == (0, "")
    said = [line.replace("(tspc) ", "") for line in done.stdout.splitlines()]
    assert "cycle 9" in said
    assert "TSP820: no command 'stpe'" in said
    assert "  help: did you mean step?" in said
    assert "as expected" in said


def test_a_script_from_the_standard_input(folder: Path) -> None:
    done = prompt(folder, "goto 3\n", "add.asm", "--batch", "-", "--json")
    assert json.loads(done.stdout)["results"][0]["cycle"] == 3
    wrong = prompt(folder, "goto\n", "add.asm", "--batch", "-")
    assert wrong.returncode == 2
    assert "TSP820: stdin:1: a cycle is missing" in wrong.stderr
