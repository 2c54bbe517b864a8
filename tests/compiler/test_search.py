"""The search over schedules: which are tried, which is taken, and that it is the same one every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compiler import compile_model
from compiler.scheduling import EFFORTS, Placement, Schedule, search
from compiler.scheduling.effort import FRUGAL, variants
from compiler.scheduling.scheduler import Progress, Variant, schedule
from compiler.tiles import TileGraph
from isa.errors import LimitError, UsageError
from isa.machine import Machine, load_chip
from isa.verify import verify

DIMS = {"batch": 1, "seq": 16}


def test_efforts_contain_one_another() -> None:
    assert variants(1) == [Variant()]
    for effort in (2, 3):
        assert variants(effort)[: EFFORTS[effort - 1]] == variants(effort - 1)
        assert len(set(variants(effort))) == EFFORTS[effort]
    assert [v.trials for v in variants(0)] == [1]


def test_the_shortest_is_taken(demo_model: Path) -> None:
    """Of the variants scheduled one by one, none is shorter; the program is legal, and the same again."""
    made = compile_model(demo_model, DIMS, effort=2)
    machine = load_chip("tsp1")
    each = [schedule(made.tiles, machine, None, v)[1].cycles for v in variants(2)]
    assert len(set(each)) > 1, "the variants make no difference"
    assert made.report.cycles == min(each) == verify(made.program).cycles
    again = compile_model(demo_model, DIMS, effort=2)
    assert again.program.bursts.tobytes() == made.program.bursts.tobytes()


def test_a_variant_without_room_is_passed_over(
    demo_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles, machine = compile_model(demo_model, DIMS).tiles, load_chip("tsp1")
    tried: list[Variant] = []

    def stand_in(
        tiles: TileGraph, machine: Machine, progress: Progress | None, variant: Variant
    ) -> tuple[Placement, Schedule]:
        tried.append(variant)
        if len(tried) == 1:
            raise LimitError(413, "no room")
        return schedule(tiles, machine, progress, variant)

    monkeypatch.setattr("compiler.scheduling.effort.schedule", stand_in)
    found = search(tiles, machine, 2)
    assert tried == variants(2)
    assert found[1].cycles == min(
        schedule(tiles, machine, None, v)[1].cycles for v in variants(2)[1:]
    )


@pytest.mark.parametrize("enough", [*FRUGAL, -1.0])
def test_weights_are_copied_less_where_no_variant_has_room(
    demo_model: Path, monkeypatch: pytest.MonkeyPatch, enough: float
) -> None:
    """Step by step; if nothing helps, the first refusal stands."""
    tiles, machine = compile_model(demo_model, DIMS).tiles, load_chip("tsp1")
    tried: list[Variant] = []

    def stand_in(
        tiles: TileGraph, machine: Machine, progress: Progress | None, variant: Variant
    ) -> tuple[Placement, Schedule]:
        tried.append(variant)
        if variant.copy_below > enough:
            raise LimitError(413, f"no room for schedule {len(tried)}")
        return schedule(tiles, machine, progress, variant)

    monkeypatch.setattr("compiler.scheduling.effort.schedule", stand_in)
    if enough < 0:
        with pytest.raises(LimitError, match=r"TSP413: no room for schedule 1$"):
            search(tiles, machine, 2)
    else:
        assert search(tiles, machine, 2)[1].cycles > 0
    least = [share for share in FRUGAL if share >= enough]
    assert tried == [*variants(2), *(replace(Variant(), copy_below=share) for share in least)]


def test_an_effort_that_there_is_not(demo_model: Path) -> None:
    with pytest.raises(UsageError, match=r"TSP809.*no effort 4"):
        compile_model(demo_model, DIMS, effort=4)


def test_progress_goes_from_start_to_end_once(demo_model: Path) -> None:
    tiles, machine = compile_model(demo_model, DIMS).tiles, load_chip("tsp1")
    seen: list[float] = []
    search(tiles, machine, 2, lambda i, n: seen.append(i / n))
    assert seen == sorted(seen)
    assert 0 < seen[0] < 0.25 < 0.75 < seen[-1] <= 1
