"""Every page keeps what it promises: its wrong example breaks exactly its rule, its right one is certified."""

from __future__ import annotations

import re

import pytest

from isa.explain import Page, numbers, page, parse
from isa.instruction import REGISTRY
from isa.verify import RULES, verify
from tests.isa.verify_texts import Text, texts

UNITS = {cls.unit for cls in REGISTRY.values()}


def known(number: int) -> Page:
    found = page(number)
    assert found is not None
    return found


@pytest.mark.parametrize("number", numbers())
def test_the_wrong_example_is_refused_under_the_number_alone(number: int) -> None:
    assert {error.number for error in known(number).wrong.errors()} == {number}


@pytest.mark.parametrize("number", numbers())
def test_the_right_example_is_certified(number: int) -> None:
    assert verify(known(number).right.program()).cycles > 0


@pytest.mark.parametrize("number", numbers())
def test_a_page_says_something_about_instructions_that_exist(number: int) -> None:
    found = known(number)
    assert set(found.instructions) <= {"all", "program", *UNITS, *REGISTRY}
    assert len(found.about) > 100
    assert found.wrong.text != found.right.text


def test_numbers_without_a_page() -> None:
    assert page(999) is None


def test_a_page_that_lacks_a_part_is_named() -> None:
    text = "Instructions: all\n\nWords.\n\n## Wrong\n\n```asm\n```\n"
    with pytest.raises(ValueError, match="TSP341 needs"):
        parse(341, text)
    with pytest.raises(ValueError, match="TSP201 needs"):
        parse(201, text + "\n## Right\n\n```asm\n```\n")


def test_files_beside_an_example_are_there() -> None:
    text = "# T\n\nInstructions: all\n\nWords.\n\n## Wrong\n\n```asm a.asm\n.let b = 3\n```\n\n"
    text += '```asm\n.include "a.asm"\n```\n\n## Right\n\n```asm\n```\n'
    found = parse(201, text)
    assert found.wrong.text == '.include "a.asm"\n'
    assert found.wrong.errors() == ()
    assert found.title == "T"


def test_every_rule_of_the_verifier_has_a_page() -> None:
    """A new rule needs ``isa/explain/TSPnnn.md``; its form stands in ``isa/explain/__init__.py``."""
    assert sorted(set(RULES) - set(numbers())) == []


@pytest.mark.parametrize("case", list(texts()), ids=lambda case: f"{case.rule}: {case.heading}")
def test_a_page_names_the_instructions_that_its_rule_refuses(case: Text) -> None:
    """What the verifier's own cases are refused for is among the instructions that the page is about."""
    refused = verify(case.program(), collect=True)
    about = known(case.rule).instructions
    for error in refused:
        spoken = re.search(r"@-?\d+ \S+: (\w+)", error.where)
        cls = REGISTRY.get(spoken[1]) if spoken else None
        assert cls is None or {"all", "program", cls.unit, cls.mnemonic} & set(about), error.where
