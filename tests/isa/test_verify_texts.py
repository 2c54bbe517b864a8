"""Every rule refuses at least five programs, in words that the cases spell out; and every part of every rule is needed."""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import isa.verify
from isa.errors import VerifyError
from isa.program import Program, burst_order
from isa.verify import RULES, context, fields, matrix, report, verify
from tests.isa.verify_texts import FOLDER, LONGEST, Text, refusals, texts

TEXTS: Final = tuple(texts())
OF_RULE: Final = {rule: [t for t in TEXTS if t.rule == rule] for rule in RULES}
STRUCTURAL: Final = frozenset(range(300, 312)) | {320, 334, 337}
"""Rules that later ones rely on: without them those have nothing sound to look at."""
FEWEST: Final = 5


@pytest.mark.parametrize("text", TEXTS, ids=lambda t: f"{t.rule}: {t.heading}")
def test_a_program_is_refused_in_these_words(text: Text) -> None:
    program = text.program()
    assert refusals(program) == text.expected
    assert {r.number for r in verify(program, collect=True)} == {text.rule}


def test_every_rule_has_five_programs_that_it_refuses() -> None:
    assert {rule for rule, cases in OF_RULE.items() if len(cases) < FEWEST} == set()
    assert {t.rule for t in TEXTS} == RULES.keys()


def test_cases_are_short_distinct_and_headed_by_their_rule() -> None:
    for path in FOLDER.glob("*.txt"):
        assert path.read_text().partition("\n")[0] == f"{path.stem}: {RULES[int(path.stem)]}"
    assert [t.heading for t in TEXTS if t.lines >= LONGEST] == []
    assert len({t.heading for t in TEXTS}) == len(TEXTS)
    assert len({(t.assembly, t.changes) for t in TEXTS}) == len(TEXTS)


def _without(text: Text) -> str:
    """What is said of a case by a verifier from which something is missing."""
    try:
        return text.said()
    except (ArithmeticError, LookupError, ValueError) as error:
        return f"{type(error).__name__}\n"


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_verifier_without_a_rule_fails_these_tests(
    rule: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(RULES, rule)
    for text in OF_RULE[rule]:
        assert _without(text) != text.expected


@pytest.mark.parametrize("rule", sorted(RULES.keys() - STRUCTURAL))
def test_nothing_else_catches_what_a_rule_refuses(
    rule: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the rule, some program that breaks it is let through."""
    monkeypatch.delitem(RULES, rule)
    assert any(_without(t) == "" for t in OF_RULE[rule])


def _sites() -> Iterator[tuple[str, int]]:
    """Every place of the verifier that may refuse: file and line of the call."""
    for path in Path(isa.verify.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else ""
                name = function.id if isinstance(function, ast.Name) else name
                if name in ("flag", "refuse", "refuse_burst") and path.stem != "report":
                    yield path.stem, node.lineno


def _caller() -> tuple[str, int]:
    """The place of the verifier outside ``report`` and ``flag`` that asked for a refusal."""
    frame: Any = sys._getframe(1)
    while frame.f_code.co_filename in (__file__, report.__file__) or frame.f_code is FLAG:
        frame = frame.f_back
    return Path(frame.f_code.co_filename).stem, frame.f_lineno


FLAG: Final = fields.flag.__code__


def test_every_place_that_refuses_is_met_and_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call that refuses is made by some case; left out, that case is told something else."""
    record = report._record
    met: dict[tuple[str, int], list[Text]] = {}
    skipped: list[tuple[str, int]] = []

    def watching(ctx: context.Context, rule: int, refusal: VerifyError) -> None:
        place = _caller()
        if place in skipped:
            return
        if not skipped:
            met.setdefault(place, []).append(now[0])
        record(ctx, rule, refusal)  # type: ignore[arg-type]

    monkeypatch.setattr(report, "_record", watching)
    now: list[Text] = [TEXTS[0]]
    for text in TEXTS:
        now[0] = text
        text.said()
    inner = {line for name, line in _sites() if name == "fields" and _in_flag(line)}
    expected = {site for site in _sites() if not (site[0] == "fields" and site[1] in inner)}
    expected.remove(_input_words(expected))
    assert met.keys() == expected
    for place, cases in met.items():
        skipped[:] = [place]
        assert any(_without(text) != text.expected for text in cases), place


def _in_flag(line: int) -> bool:
    return FLAG.co_firstlineno <= line <= max(n for _, _, n in FLAG.co_lines() if n)


def _input_words(sites: set[tuple[str, int]]) -> tuple[str, int]:
    """The limit on words of inputs: half a gigabyte of pieces, which no text of 40 lines has."""
    source = Path(isa.verify.layout.__file__).read_text().splitlines()
    found = [s for s in sites if s[0] == "layout" and "words of input pieces" in source[s[1] - 1]]
    assert len(found) == 1
    return found[0]


def test_verdicts_do_not_depend_on_how_much_is_looked_at_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(context, "PART", 3)
    monkeypatch.setattr(matrix, "BLOCK", 1)
    for text in TEXTS:
        if text.rule != 300:
            assert {r.number for r in verify(text.program(), collect=True)} == {text.rule}


MOVE: Final = re.compile(r"(?:this|the other|the) (\w+) from @(-?\d+) to ((?:@\d+(?: or )?)+)")


def _moved(program: Program, burst: int, cycle: int) -> Program:
    bursts = program.bursts.copy()
    bursts["cycle"][burst] = cycle
    order = burst_order(bursts)
    lines = tuple(program.lines[i] for i in order)
    return dataclasses.replace(program, bursts=bursts[order], lines=lines)


@pytest.mark.parametrize("text", TEXTS, ids=lambda t: f"{t.rule}: {t.heading}")
def test_a_move_that_is_advised_helps(text: Text) -> None:
    """Done as the help says, the first refusal is gone."""
    program = text.program()
    first = verify(program, collect=True)[0]
    for name, start, targets in MOVE.findall(first.hint):
        for target in re.findall(r"\d+", targets):
            tried = [
                i
                for i, b in enumerate(program.bursts)
                if int(b["cycle"]) == int(start) and program.instruction(i).mnemonic == name
            ]
            after = [verify(_moved(program, i, int(target)), collect=True) for i in tried]
            assert any(text.rule not in {r.number for r in found} for found in after)
