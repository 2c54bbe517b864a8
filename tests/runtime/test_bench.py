from __future__ import annotations

import time
from pathlib import Path

import pytest

from isa.errors import UsageError
from runtime import bench


def test_two_calls_alternate_and_the_first_turn_only_warms_up() -> None:
    calls: list[str] = []

    def slow() -> None:
        calls.append("slow")
        time.sleep(0.01)

    a, b = bench.alternating(slow, lambda: calls.append("fast"), 3)
    assert calls == ["slow", "fast"] * 4
    assert a > 0.009 > b


def test_the_machine_is_named() -> None:
    facts = bench.machine_facts()
    assert {"cpu", "cores", "python", "numpy", "onnxruntime"} <= facts.keys()


def test_a_row_reads() -> None:
    row = bench.Row("m", "tsp1", 1.5, 3 << 20, 0.25, 2000, 1000, 0.02, 0.01, 2.0, 1e-3, 1, 9)
    assert dict(zip(bench.HEADER, row.cells(), strict=True)) == {
        "model": "m",
        "compile": "1.5 s",
        "peak": "3 MiB",
        "load": "0.2 s",
        "cycles": "2,000",
        "of bound": "2.00 x",
        "JIT": "20.0 ms",
        "onnxruntime": "10.0 ms",
        "ratio": "2.00 x",
        "relative L2": "1.0e-03",
    }


def test_a_compilation_that_fails_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_text("no model")
    with pytest.raises(UsageError, match=r"TSP807.*ended with 3"):
        bench.compiled(tmp_path / "m.onnx", "tsp1", tmp_path / "m.lpu")
    assert "TSP101" in capfd.readouterr().err
