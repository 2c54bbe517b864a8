"""``tspc report``: text, data, a table of energies, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isa.errors import InputError
from runtime.ledger.events import EVENTS, read_energies

ROOT = Path(__file__).parents[3]
ENERGIES = ROOT / "examples" / "energies.toml"


def test_a_kernel_in_assembly(cli: Any) -> None:
    done = cli("report", ROOT / "examples" / "kernels" / "saxpy.asm")
    assert done.code == 0, done.err
    assert done.out.startswith("program: 171 cycles on tsp1, 0.2 us at 900 MHz\n")
    assert "dependence path" in done.out
    assert "  (no node)  171      100.0%" in done.out


def test_a_model_as_data(cli: Any, demo_model: Path) -> None:
    dims = ["--dim", "batch=1", "--dim", "seq=5"]
    done = cli("report", demo_model, *dims, "--energy", ENERGIES, "--json")
    assert done.code == 0, done.err
    data = done.json
    compiled = cli("compile", demo_model, *dims, "--json").json
    assert data["cycles"] == compiled["cycles"]
    assert {b["name"]: b["cycles"] for b in data["bounds"]}["multiply-accumulates"] == (
        compiled["mxm_bound_cycles"]
    )
    assert all(b["gap"] == data["cycles"] - b["cycles"] for b in data["bounds"])
    for unit in data["units"]:
        spent = sum(unit["busy"].values()) + sum(unit["idle"].values())
        assert spent == unit["unit_cycles"] == unit["units"] * data["cycles"]
    assert sum(n["path_cycles"] for n in data["nodes"]) <= data["cycles"]
    energies = data["energies_pj"]
    for node in data["nodes"]:
        expected = sum(energies[name] * count for name, count in node["events"].items())
        assert node["picojoules"] == pytest.approx(expected)
    assert data["cost"]["tokens"] == 5


def test_top_limits_the_nodes(cli: Any, demo_model: Path) -> None:
    done = cli("report", demo_model, "--dim", "batch=1", "--dim", "seq=5", "--top", "2")
    assert done.code == 0, done.err
    table = done.out.split("nodes: ")[1].split("\n\n")[0].splitlines()
    assert len(table) == 2 + 2 + 1
    assert table[-1].startswith("  and ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "missing or unknown: dispatches, "),
        ("[picojoules]\nmac_f16 = 1\n", "missing or unknown: dispatches, "),
        ("[picojoules", "not a table of energies: "),
        (ENERGIES.read_text().replace("0.5", '"much"'), "mac_f16 = 'much' is not a number"),
        (ENERGIES.read_text().replace("0.5", "-1"), "mac_f16 = -1 is not a number"),
        (ENERGIES.read_text() + "magic = 1\n", "missing or unknown: magic"),
    ],
)
def test_a_table_of_energies_is_whole(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "e.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_energies(path)
    assert caught.value.number == 594
    assert caught.value.message.startswith(problem)
    assert caught.value.where == str(path)


def test_the_example_has_every_event() -> None:
    assert read_energies(ENERGIES).keys() == EVENTS.keys()
