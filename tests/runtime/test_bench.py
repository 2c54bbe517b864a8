from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from emulator.jit.peak import measured_peak
from isa.errors import UsageError
from runtime import bench, bench_iree, bench_load


def test_two_calls_alternate_and_the_first_turn_only_warms_up() -> None:
    calls: list[str] = []

    def slow() -> None:
        calls.append("slow")
        time.sleep(0.01)

    a, b = bench.alternating(slow, lambda: calls.append("fast"), 3)
    assert calls == ["slow", "fast"] * 4
    assert len(a) == len(b) == 3
    assert min(a) > 0.009 > min(b)


def test_the_machine_is_named() -> None:
    facts = bench.machine_facts()
    assert {"cpu", "cores", "python", "numpy", "onnxruntime"} <= facts.keys()


def test_a_row_reads() -> None:
    row = bench.Row(
        "m", "tsp1", "jit", 2, 9, 1.5, 3 << 20, 2000, 1000, 0.02, 0.01, 2.0, 1.9, 1e11, 0.85, 1e-3
    )
    assert dict(zip(bench.HEADER, row.cells(), strict=True)) == {
        "model": "m",
        "threads": "2",
        "compile": "1.5 s",
        "peak": "3 MiB",
        "cycles": "2,000",
        "of bound": "2.00 x",
        "JIT": "20.0 ms",
        "onnxruntime": "10.0 ms",
        "ratio": "2.00 x",
        "of best": "1.90 x",
        "FMA peak": "85%",
        "relative L2": "1.0e-03",
    }


def test_loading_is_timed_in_fresh_processes_with_and_without_a_cache(
    tiny_lpu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process finds in the cache decides, not how long it takes: other work on the host may take any time."""
    child, caches = bench_load._child, list[dict[str, int]]()

    def watched(*arguments: Any) -> Any:
        done = child(*arguments)
        files = (p for p in Path(arguments[-1]).rglob("*") if p.is_file())
        caches.append({str(p): p.stat().st_mtime_ns for p in files})
        return done

    monkeypatch.setattr(bench_load, "_child", watched)
    found = bench_load.loading(tiny_lpu, 1, runs=2)
    first, same, second, _ = caches
    assert first
    assert first == same
    assert not first.keys() & second.keys()
    steps = {"import", "read", "verify", "prepare", "run"}
    for seconds in (found.cold, found.warm):
        assert seconds.keys() == steps | {"total", "resolve"}
        assert seconds["total"] == pytest.approx(sum(seconds[step] for step in steps))
    assert min(found.cold_peak_bytes, found.warm_peak_bytes) > 10 << 20
    cold, warm, both = bench.load_lines(found)
    assert cold.startswith("load to first result, empty kernel cache: ")
    assert warm.startswith("load to first result, warm kernel cache: ")
    assert both.startswith("verify ")


def test_a_load_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"TSP807.*ended with 1"):
        bench_load.loading(tmp_path / "none.lpu", 1, runs=1)


def test_a_core_multiplies_and_adds_faster_than_its_clock() -> None:
    assert 1e9 < measured_peak() < 1e13


def test_a_compilation_that_fails_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_text("no model")
    with pytest.raises(UsageError, match=r"TSP807.*ended with 3"):
        bench.compiled(tmp_path / "m.onnx", "tsp1", tmp_path / "m.lpu")
    assert "TSP101" in capfd.readouterr().err


def test_a_rival_reads_beside_ours() -> None:
    row = bench.Row(
        "m", "tsp1", "jit", 1, 9, 1.5, 3 << 20, 2000, 1000, 0.02, 0.01, 2.0, 1.9, 1e11, 0.85, 1e-3
    )
    other = bench_iree.Rival("3.0", 6.0, 4 << 20)
    subject = bench.Subject("m", [row], None, other)
    assert subject.lines() == [
        "m, compilation by IREE 3.0: 6.0 s, peak 4 MiB; tspc takes 0.25 x its time and 0.75 x its memory"
    ]


def test_a_rival_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"TSP807.*pip install \./no-such-package failed: "):
        bench_iree.installed(tmp_path / "home", "./no-such-package")


def test_an_environment_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"TSP807.*no environment can be made in"):
        bench_iree.installed(tmp_path / "file" / "home")
