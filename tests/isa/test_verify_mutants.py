"""Damaged program files: an error with a number, soon, or a program that both emulators run alike behind guard pages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from emulator.jit import guarded
from emulator.jit.regions import ALIGN
from isa.verify import RULES
from tests.isa.verify_mutants import Summary, write_bases

ROOT: Final = Path(__file__).parents[2]
BATCHES: Final = 8
BATCH: Final = 500
NIGHTLY: Final = 50
"""Batches of the nightly run: 25,000 mutants that the others have not seen."""
SLOWEST: Final = 1.0
"""Seconds of processor time that reading and verifying one may take."""
PROBE: Final = """
import sys
from emulator.jit import guarded
from emulator.jit.regions import ALIGN
guarded.at_front = sys.argv[1] == "front"
data = guarded.guarded(int(sys.argv[2]))
import ctypes
ctypes.memset(data.ctypes.data + int(sys.argv[3]), 0, 1)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sound files, and kernels as they get compiled."""
    made = tmp_path_factory.mktemp("mutants")
    write_bases(made)
    return made


def judged(first: int, count: int, folder: Path) -> dict[str, Any]:
    """What a process of its own says of a range of mutants; a signal fails with the mutant's number."""
    command = [
        sys.executable,
        "-m",
        "tests.isa.verify_mutants",
        str(first),
        str(count),
        str(folder),
    ]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    at = (folder / f"at.{first}").read_text().strip()
    assert done.returncode == 0, f"mutant {at}: exit {done.returncode}\n{done.stderr[-2000:]}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(summary: Summary) -> None:
    """Nothing unforeseen, nothing slow; and enough was met for that to mean something."""
    assert summary.faults == []
    assert summary.seconds < SLOWEST
    assert summary.accepted == summary.compared + summary.long
    assert summary.compared > summary.judged // 10
    assert sum(summary.refused.values()) + summary.accepted == summary.judged
    rules = {code for code in summary.refused if int(code[3:]) in RULES}
    forms = {code for code in summary.refused if code.startswith("TSP5")}
    assert len(rules) > 10
    assert len(forms) > 10


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_damaged_file_is_refused_or_runs_alike_on_both_emulators(
    batch: int, folder: Path
) -> None:
    summary = Summary()
    summary.add(judged(batch * BATCH, BATCH, folder))
    assert summary.judged == BATCH
    check(summary)


@pytest.mark.nightly
@pytest.mark.parametrize("batch", range(BATCHES, BATCHES + NIGHTLY))
def test_many_more(batch: int, folder: Path) -> None:
    summary = Summary()
    summary.add(judged(batch * BATCH, BATCH, folder))
    check(summary)


@pytest.mark.parametrize(
    ("side", "size", "offset", "fatal"),
    [
        ("end", 4096, 4095, False),
        ("end", 4096, 4096, True),
        ("end", 64, 64, True),
        ("end", 8192, -1, True),
        ("front", 100, -1, True),
        ("front", 100, 99, False),
        ("front", 5000, 8192, True),
    ],
)
def test_an_access_outside_a_buffer_ends_the_process(
    side: str, size: int, offset: int, fatal: bool
) -> None:
    command = [sys.executable, "-c", PROBE, side, str(size), str(offset)]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ, PYTHONPATH=str(ROOT)))
    assert (done.returncode < 0) == fatal


@pytest.mark.parametrize("size", [0, 1, 63, 64, 4096, 4097, 1 << 21])
@pytest.mark.parametrize("front", [False, True])
def test_a_guarded_buffer_is_zeroed_aligned_and_whole(
    size: int, front: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "at_front", front)
    data = guarded.guarded(size)
    assert data.shape == (size,)
    assert not data.any()
    data[:] = 7
    assert np.all(data == 7)
    assert size == 0 or data.ctypes.data % ALIGN == 0
