"""The default run: one command, nothing given, everything shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any


def children_seconds() -> float:
    """Processor time of all processes that this one has waited for."""
    times = os.times()
    return times.children_user + times.children_system


def test_the_demo_passes_in_under_ten_seconds() -> None:
    """Of processor time: other work on the host does not count."""
    before = children_seconds()
    done = subprocess.run(
        [sys.executable, "-m", "tspc", "demo", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = children_seconds() - before
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["passed"] is True
    assert data["cycles_predicted"] == data["cycles_executed"] == data["cycles"]
    assert [o["name"] for o in data["outputs"]] == ["last_hidden_state"]
    assert data["instructions"] > data["nodes"] > 10
    assert seconds < 10


def test_the_demo_says_what_happened(cli: Any) -> None:
    done = cli("demo")
    assert (done.code, done.err) == (0, "")
    for text in ("MXM bound", "us at 900 MHz", "digest", "input_ids int64[2, 19]", "passed"):
        assert text in done.out
