from __future__ import annotations

import pytest

from compiler.capacity import NO_ROOM, constant_words, within_capacity
from compiler.tiles import Buffer, MatrixJob, Pass, Rows, TileGraph, Weights, WeightTile
from isa.errors import LimitError
from isa.instruction import DType
from isa.machine import load_chip


def graph(columns: int, jobs: int = 1) -> TileGraph:
    """One tile of weights driven by an input, ``jobs`` times."""
    machine = load_chip("tiny")
    tile = WeightTile("w[0:32].0", columns, lambda: None)  # type: ignore[arg-type, return-value]
    rows = Rows(Buffer("x.N", DType.F16, 4, 40, origin="x"), 0, 0, 4)
    job = MatrixJob(0, DType.F16, (Pass(Weights(0, columns, tile), rows, 0, 8, 0, True),))
    return TileGraph(machine.lanes, ops=[job] * jobs)


def test_words_are_counted_once_a_tensor() -> None:
    words = constant_words(graph(9, jobs=3), load_chip("tiny"))
    assert words == {"w": 2 * 16, "x": 4 * 2 * 2}


def test_what_cannot_fit_is_refused_before_scheduling() -> None:
    with (
        pytest.raises(LimitError, match=r"TSP410.*chip tiny(.|\n)*3.66 MiB  w"),
        within_capacity(graph(60_000), load_chip("tiny")),
    ):
        pytest.fail("it was scheduled")


def test_a_scheduler_without_room_tells_the_same() -> None:
    with (
        pytest.raises(LimitError, match=r"TSP410: no room for 'y'(.|\n)*MiB  w"),
        within_capacity(graph(9), load_chip("tiny")),
    ):
        raise LimitError(NO_ROOM, "no room for 'y'")


def test_other_limits_pass_through() -> None:
    with pytest.raises(LimitError, match="TSP402"), within_capacity(graph(9), load_chip("tiny")):
        raise LimitError(402, "overflow")
