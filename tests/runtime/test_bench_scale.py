from __future__ import annotations

from pathlib import Path

import pytest

from runtime import bench_scale
from runtime.bench_scale import Point

SMALL = ("--hidden=32", "--heads=2", "--feed-forward=64", "--vocabulary=64", "--positions=128")


def test_a_line_and_how_far_from_it() -> None:
    exact = bench_scale.line([(2, 7.0), (4, 11.0), (8, 19.0)])
    assert exact.slope == pytest.approx(2)
    assert exact.start == pytest.approx(3)
    assert exact.worst == pytest.approx(0, abs=1e-9)
    assert bench_scale.line([(1, 1.0), (2, 4.0), (3, 9.0)]).worst > 0.1


def test_every_encoder_is_measured_once() -> None:
    assert bench_scale.wanted((2, 4), (32, 128)) == [(2, 32), (2, 128), (4, 128)]


def test_page_and_plot(tmp_path: Path) -> None:
    """A command of the documentation, on encoders small enough for a test."""
    sizes = ["--layers", "1", "2", "3", "--sequences", "16", "--runs=1", *SMALL]
    assert bench_scale.main(["--out", str(tmp_path), *sizes]) == 0
    text = (tmp_path / "scale.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert (
        len(rows) == 2 + 3 + 2 + 2
    )  # Two tables, each with a heading of two lines; 2 layers at 128 tokens are in both.
    assert "- cycles: " in text
    assert "<svg" in (tmp_path / "scale.svg").read_text()


def test_a_layer_costs_what_the_others_cost() -> None:
    points = [
        Point(n, bench_scale.MIDDLE, 1000 * n + 50, 900 * n, 10, 1 << 20, 1.5, 2 << 20, 0.25)
        for n in (2, 4, 8)
    ]
    text = bench_scale.page(points)
    assert "- cycles: 1,000 a layer and 50 besides; no point is further than 0.0% from" in text
    assert "| 4 | 128 | 4,050 | 1.12 | 10 | 1 | 1.5 | 2 | 250 |" in text


def test_a_model_that_does_not_fit_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--layers", "--sequences", "512", *SMALL]  # 512 tokens, 128 positions
    assert bench_scale.main(["--out", str(tmp_path), *sizes]) == 2
    assert "TSP807" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
