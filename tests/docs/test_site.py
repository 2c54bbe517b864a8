"""The site builds without a warning, and has a page for every instruction, unit, chip, error that is explained, and text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from isa import explain
from isa.instruction import REGISTRY
from isa.machine import CHIPS
from runtime.site import pages, write
from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def source() -> dict[str, str]:
    return pages()


def test_it_builds_and_nothing_is_warned_of(tmp_path: Path, source: dict[str, str]) -> None:
    """What ``make docs`` does: unknown links, pages that nothing leads to and blocks of no language are errors."""
    assert write(tmp_path / "site") == len(source)
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "-q", "-c", str(ROOT / "docs")]
    done = subprocess.run(
        [*command, str(tmp_path / "site"), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for path in source:
        assert (tmp_path / "html" / f"{path}.html").is_file(), path
    for picture in (ROOT / "docs").glob("*.svg"):
        assert (tmp_path / "html" / "_images" / picture.name).is_file(), picture


def test_nothing_is_left_out(source: dict[str, str]) -> None:
    wanted = {f"instructions/{mnemonic}" for mnemonic in REGISTRY}
    wanted |= {f"instructions/{cls.unit}" for cls in REGISTRY.values()}
    wanted |= {f"chips/{path.stem}" for path in CHIPS.glob("*.toml")}
    wanted |= {f"errors/TSP{number}" for number in explain.numbers()}
    wanted |= {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert wanted - source.keys() == set()


def test_instructions_are_reached_from_their_unit_and_from_the_index(
    source: dict[str, str],
) -> None:
    for mnemonic, cls in REGISTRY.items():
        assert f"[`{mnemonic}`]({mnemonic}.md)" in source[f"instructions/{cls.unit}"]
        assert f"[`{mnemonic}`]({mnemonic}.md)" in source["instructions/index"]


def test_a_page_of_an_error_shows_what_is_said(source: dict[str, str]) -> None:
    for found in explain.pages():
        shown = source[f"errors/{found.code}"]
        assert f"```text\n{found.code}: " in shown
        assert found.wrong.text in shown
        assert found.right.text in shown
