"""``tspc diff``: exact to the cycle, by node, with a reason; a gate for CI that 0 makes strict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isa.binary import read, write

SAXPY = Path(__file__).parents[3] / "examples" / "kernels" / "saxpy.asm"


@pytest.fixture
def kernels(cli: Any, tmp_path: Path) -> tuple[Path, Path, Path]:
    """saxpy over 4 rows, the same with all one cycle later, and over 6 rows."""
    made = [tmp_path / f"{name}.lpu" for name in ("four", "later", "six")]
    for target, rows in ((made[0], 4), (made[2], 6)):
        assert cli("asm", SAXPY, "-D", f"n={rows}", "-o", target).code == 0
    program = read(made[0])
    program.bursts["cycle"] += 1
    write(program, made[1])
    return made[0], made[1], made[2]


def test_the_same_program_differs_in_nothing(cli: Any, kernels: tuple[Path, ...]) -> None:
    done = cli("diff", kernels[0], kernels[0], "--fail-over", "0")
    assert done.code == 0, done.err
    assert done.out.startswith("no difference: ")


def test_one_cycle_is_a_difference(cli: Any, kernels: tuple[Path, ...]) -> None:
    """All of it a cycle later: one of 47 cycles more, spent waiting for the first dispatch. Zero percent allows none."""
    done = cli("diff", kernels[0], kernels[1], "--fail-over", "0", "--json")
    assert done.code == 1
    assert done.json["cycles_percent"] == pytest.approx(100 / 47)
    totals = {t["name"]: t["delta"] for t in done.json["totals"]}
    assert totals == {
        "cycles": 1,
        "instructions": 0,
        "bursts": 0,
        "constant bytes": 0,
        "peak bytes": 0,
    }
    assert done.json["error"]["code"] == "TSP705"
    [node] = done.json["nodes"]
    assert node["reasons"] == ["+1 waiting: before the unit's first dispatch"]
    assert cli("diff", kernels[0], kernels[1], "--fail-over", "2.2").code == 0
    assert cli("diff", kernels[1], kernels[0], "--fail-over", "0").code == 0


def test_more_rows_are_more_work(cli: Any, kernels: tuple[Path, ...]) -> None:
    """Two rows more: two cycles, and of every burst two dispatches; 2 operations and 12 words a row."""
    done = cli("diff", kernels[0], kernels[2], "--json")
    assert done.code == 0, done.err
    totals = {t["name"]: t["delta"] for t in done.json["totals"]}
    assert totals["cycles"] == 2
    assert totals["instructions"] == 2 * 14
    [node] = done.json["nodes"]
    figures = {f["name"]: f["delta"] for f in node["figures"]}
    assert figures["VXM cycles"] == 4
    assert figures["MEM.read cycles"] == 16
    assert figures["read_bytes"] == 16 * 320
    assert node["path_cycles"]["delta"] == 2


def test_nodes_of_one_model_only(cli: Any, demo_model: Path) -> None:
    """A model against a kernel: every node is only in one of them."""
    done = cli("diff", demo_model, SAXPY, "--dim", "batch=1", "--dim", "seq=4", "--json")
    assert done.code == 0, done.err
    reasons = {n["node"]: n["reasons"] for n in done.json["nodes"] if n["node"]}
    assert len(reasons) > 10
    assert all(given == ["only in the first"] for given in reasons.values())
