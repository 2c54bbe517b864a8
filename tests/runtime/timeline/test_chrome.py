"""Chrome trace JSON: what the format demands, and that it is the program's bursts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runtime.api import load


def test_files_of_a_report(cli: Any, demo_model: Path, tmp_path: Path) -> None:
    program, trace, html = tmp_path / "p.lpu", tmp_path / "t.json", tmp_path / "t.html"
    made = cli("compile", demo_model, "--dim", "batch=1", "--dim", "seq=4", "-o", program)
    assert made.code == 0, made.err
    done = cli("report", program, "--trace", trace, "--html", html, "--json")
    assert done.code == 0, done.err
    bursts = load(program).bursts
    data = json.loads(trace.read_text())
    events = [e for e in data["traceEvents"] if e["ph"] == "X"]
    assert len(events) == len(bursts)
    assert sorted(e["ts"] for e in events) == sorted(int(c) for c in bursts["cycle"])
    assert all(e["dur"] >= 1 and e["ts"] + e["dur"] <= done.json["cycles"] for e in events)
    assert sum(e["args"]["dispatches"] for e in events) == int(bursts["count"].sum())
    named = {(e["pid"], e["tid"]) for e in data["traceEvents"] if e["name"] == "thread_name"}
    assert {(e["pid"], e["tid"]) for e in events} == named
    assert html.read_text().startswith("<!doctype html>")


def test_a_target_that_cannot_be_written_is_said_first(cli: Any, demo_model: Path) -> None:
    done = cli("report", demo_model, "--html", "/nowhere/at/all.html")
    assert done.code == 2
    assert "TSP803" in done.err
