"""The pages as tests see them: text, fenced blocks, tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted(
    [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    + list((ROOT / "docs").glob("*.md"))
)
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """A line after ``$`` and what is shown below it."""

    line: str
    shown: str


def name_of(page: Path) -> str:
    """The page's path from the repository on."""
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def blocks(page: Path, language: str) -> Iterator[str]:
    """The fenced blocks of a language."""
    for found in _FENCE.finditer(page.read_text()):
        if found[1] == language:
            yield found[2]


def commands(page: Path) -> list[Command]:
    """All commands of the page's ``console`` blocks, in order."""
    found: list[Command] = []
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            found.append(Command(line, shown))
    return found


def table(page: Path, first: str) -> list[str]:
    """The lines of the table whose first header cell is ``first``."""
    lines = page.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rest = lines[start:]
    end = next((i for i, line in enumerate(rest) if not line.startswith("|")), len(rest))
    return rest[:end]


def cells(line: str) -> list[str]:
    """A table line's cells."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
