from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from isa.errors import UsageError
from runtime.explain import CAUSES, STAGES, explain

RUNTIME = Path(__file__).parents[2] / "runtime"


def numbers_raised() -> set[int]:
    calls = (
        node
        for path in RUNTIME.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    )
    return {
        int(call.args[0].value)
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id.endswith("Error")
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, int)
    }


def test_every_number_of_the_runtime_has_its_paragraph() -> None:
    assert {n for n in numbers_raised() if n not in CAUSES and n not in (190, 191)} == set()


@pytest.mark.parametrize("number", sorted(CAUSES))
def test_causes_belong_to_stages(number: int) -> None:
    assert explain(number).startswith(CAUSES[number])
    assert number // 100 in STAGES


def test_the_verifiers_rules_explain_themselves() -> None:
    assert "a stream that is read carries a value" in explain(341)


def test_numbers_that_no_stage_has() -> None:
    with pytest.raises(UsageError):
        explain(42)


def test_the_command(cli: Any) -> None:
    assert cli("explain", "tsp701").out.startswith("TSP701: An output differs")
    assert cli("explain", "701", "--json").json["code"] == "TSP701"


def test_a_page_has_both_examples_and_what_is_said_of_the_wrong_one(cli: Any) -> None:
    text = cli("explain", "341").out
    assert (
        text.index("Wrong:")
        < text.index("TSP341: example.asm:5:21: @6 MEM_E0: write")
        < text.index("Right:")
    )
    assert "```" not in text
    assert cli("explain", "341", "--json").json["right"].startswith(".chip tiny\n")
