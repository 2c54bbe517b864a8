"""The nearest spelling of wrong names: what is found, and that looking for it is bounded, however much is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from unittest import mock

import pytest

from isa.assembly import AssemblyError, AssemblyErrors, assemble
from isa.assembly.spelling import FEW, MOST, limited, nearest

LABELS = 3000


@pytest.fixture
def compared() -> Iterator[list[int]]:
    """How many names each search compares."""
    counts: list[int] = []

    def counted(name: str, known: list[str], n: int) -> list[str]:
        counts.append(len(known))
        return get_close_matches(name, known, n)

    with mock.patch("isa.assembly.spelling.get_close_matches", counted):
        yield counts


def errors(lines: list[str]) -> tuple[AssemblyError, ...]:
    with pytest.raises(AssemblyErrors) as caught:
        assemble("\n".join(lines))
    return caught.value.errors


def test_many_names_and_many_wrong_ones(compared: list[int]) -> None:
    """All are reported; the first with their spelling. Without a bound 9,000,000 names would be compared."""
    right = [f"place{i}: @{i} MEM_E0: read 0, E0" for i in range(LABELS)]
    wrong = [f"@plaec{i} MEM_E1: read 0, E0" for i in range(LABELS)]
    found = errors([*right, *wrong])
    assert [(e.number, e.line, e.column) for e in found] == [
        (209, LABELS + i + 1, 2) for i in range(LABELS)
    ]
    assert found[7].hint == "did you mean place7?"
    assert found[-1].hint == f".let plaec{LABELS - 1} = ... defines one"
    assert len(compared) > 50
    assert sum(compared) <= MOST + FEW


def test_few_names_and_many_wrong_ones(compared: list[int]) -> None:
    found = errors(
        [".let rows = 4", *(f"@rwos+{i} MEM_E1: read 0, E{i % 28}" for i in range(2000))]
    )
    assert len(found) == 2000
    assert {e.hint for e in found} == {"did you mean rows?"}
    assert sum(compared) <= MOST + FEW


def test_wrong_queues_and_instructions(compared: list[int]) -> None:
    found = errors([f"@{i} MEM_X{i}: read 0, E0\n@{i} MEM_E1: reda 0, E0" for i in range(2000)])
    assert len(found) == 4000
    assert found[0].hint.startswith("did you mean MEM_")
    assert found[1].hint == "did you mean read?"
    assert sum(compared) <= MOST + FEW


@pytest.mark.parametrize("wrong", ["name70", "nmae700", "naame700", "name70o", "Name700"])
def test_a_slip_of_the_pen_among_many(wrong: str) -> None:
    """Left out, exchanged, put in, replaced; the one name that is so near is found among more than are compared."""
    known = ["name700", *(f"x{i}" for i in range(10 * FEW))]
    assert nearest(wrong, known) == "did you mean name700?"


def test_of_many_names_the_last_are_compared() -> None:
    known = [*(f"x{i}" for i in range(10 * FEW)), "normalise"]
    assert nearest("normalisation", known) == "did you mean normalise?"
    assert nearest("normalisation", known[::-1], "none") == "none"


def test_a_name_of_any_length() -> None:
    assert nearest("a" * 100_000, [f"x{i}" for i in range(10 * FEW)], "none") == "none"


def test_behind_the_bound_answers_are_remembered(compared: list[int]) -> None:
    with limited():
        assert nearest("rwos", ["rows"]) == "did you mean rows?"
        for i in range(MOST // FEW + 1):
            nearest(f"{i}", [f"x{n}" for n in range(FEW)])
        before = len(compared)
        assert nearest("rwos", ["rows"]) == "did you mean rows?"
        assert nearest("rwso", ["rows"], "none") == "none"
        assert len(compared) == before
    assert nearest("rwso", ["rows"]) == "did you mean rows?"
