"""The assembler's errors are explained; ``tests/isa/test_explain.py`` holds each page to what it says."""

from __future__ import annotations

from isa.explain import numbers
from tests.docs.pages import ROOT, cells, table


def test_every_number_of_the_assembler_has_a_page() -> None:
    """A new one needs ``isa/explain/TSPnnn.md``; its form stands in ``isa/explain/__init__.py``."""
    listed = [cells(line)[0] for line in table(ROOT / "docs" / "errors.md", "number")[2:]]
    assembler = {int(number.removeprefix("TSP")) for number in listed if number[3] == "2"}
    assert len(assembler) > 20
    assert sorted(assembler - set(numbers())) == []
