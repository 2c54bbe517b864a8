"""The source of the documentation site: the pages of ``docs/``, and those made from declarations, rules and chip files.

Run as a script, ``python -m runtime.site FOLDER`` writes it for Sphinx (``docs/conf.py``); ``make docs`` does both.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from isa import explain
from isa.instruction import REGISTRY
from isa.machine import CHIPS, load_chip
from isa.manual import UNITS, chip_page, of_unit, page, unit_page
from runtime.explain import CAUSES, STAGES

ROOT: Final = Path(__file__).parents[1]
CHIP: Final = "tsp1"
"""The chip whose timing the instructions' pages state."""
WHOLE: Final = ("README", "CONTRIBUTING", "CHANGELOG")
ORDER: Final = (
    "tutorial",
    "cli",
    "program",
    "machine",
    "verifier",
    "errors",
    "debugger",
    "emulators",
    "numerics",
)
"""Pages of ``docs/`` that come first in the contents; the rest follow by name."""


def pages() -> dict[str, str]:
    """Every page of the site: its path, without suffix, and its Markdown."""
    found = dict(_written())
    machine = load_chip(CHIP)
    chips = sorted(path.stem for path in CHIPS.glob("*.toml"))
    for mnemonic, cls in REGISTRY.items():
        found[f"instructions/{mnemonic}"] = page(cls, machine)
    for unit in UNITS:
        listed = _contents(cls.mnemonic for cls in of_unit(unit))
        found[f"instructions/{unit}"] = unit_page(unit, machine) + listed
    found["instructions/index"] = _instructions()
    for name in chips:
        found[f"chips/{name}"] = chip_page(load_chip(name))
    found["chips/index"] = (
        "# Chips\n\nEvery field, its value, and where that comes from.\n"
        + _contents(chips, hidden=False)
    )
    for explained in explain.pages():
        found[f"errors/{explained.code}"] = _error(explained)
    found["errors/index"] = _errors()
    return {path: _linked(path, text, found.keys()) for path, text in found.items()}


def _contents(paths: Iterable[str], hidden: bool = True, depth: int = 1) -> str:
    """A table of contents, as Sphinx wants every page to be in one."""
    option = ":hidden:\n" if hidden else ""
    listed = "\n".join(paths)
    return f"\n```{{toctree}}\n{option}:maxdepth: {depth}\n\n{listed}\n```\n"


def _written() -> Iterator[tuple[str, str]]:
    """The pages that people write, their links as they are on the site."""
    own = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
    first = [name for name in ORDER if name in own]
    rest = sorted(own.keys() - {*first, "index"})
    made = ("instructions/index", "chips/index", "errors/index")
    for name, text in own.items():
        yield name, _from_repository(text)
    listed = _contents((*first, *made, *rest, *WHOLE))
    yield "index", _from_repository(own["index"]) + listed
    for name in WHOLE:
        yield name, _from_repository((ROOT / f"{name}.md").read_text(encoding="utf-8"))


def _from_repository(text: str) -> str:
    """A page with its links as they are on the site, where pages lie side by side and other files are only named."""

    def link(found: re.Match[str]) -> str:
        path = found[2].removeprefix("../").removeprefix("docs/") or "index.md"
        if ".md" in path:
            return f"[{found[1]}]({path})"
        return f"`{path}`" if found[1] == path else f"{found[1]} (`{path}`)"

    return re.sub(r"(?<!!)\[([^\]]*)\]\(((?!https?:|#)[^)\s]+)\)", link, text)


def _instructions() -> str:
    text = f"# Instructions\n\nA page an instruction, by unit. Timing is that of [{CHIP}](../chips/{CHIP}.md).\n"
    for unit, title in UNITS.items():
        listed = ", ".join(f"[`{c.mnemonic}`]({c.mnemonic}.md)" for c in of_unit(unit))
        text += f"\n- [{unit}: {title}]({unit}.md): {listed}"
    return text + "\n" + _contents(UNITS)


def _error(found: explain.Page) -> str:
    """A page about an error number, with what is said about its wrong example; reached by links, not in the contents."""
    said = "\n".join(str(error) for error in found.wrong.errors())
    parts = (
        "---\norphan: true\n---",
        f"# {found.code}: {found.title}",
        f"Instructions: {_about(found)}.",
        found.about,
        "## Wrong",
        found.wrong.markdown,
        f"is refused:\n\n```text\n{said}\n```",
        "## Right",
        found.right.markdown,
        STAGES[found.number // 100],
    )
    return "\n\n".join(parts) + "\n"


def _about(found: explain.Page) -> str:
    """Links to what a page is about."""
    words = {
        "all": "[all](../instructions/index.md)",
        "program": "none, but the program as a whole",
    }
    shown = (words.get(name, f"[{name}](../instructions/{name}.md)") for name in found.instructions)
    return ", ".join(shown)


def _errors() -> str:
    """All that have a page, and the paragraphs of others."""
    rows = (f"| {p.code} | {p.title} |" for p in explain.pages())
    causes = (f"| TSP{number} | {cause} |" for number, cause in CAUSES.items())
    parts = (
        "# Errors explained",
        "[All error numbers](../errors.md). Those of assembler and verifier have a page each:",
        "\n".join(("| number | about |", "| --- | --- |", *rows)),
        "Of others `tspc explain` says:",
        "\n".join(("| number | means |", "| --- | --- |", *causes)),
    )
    return "\n\n".join(parts) + "\n"


def _linked(path: str, text: str, known: Iterable[str]) -> str:
    """Numbers in tables lead to their pages, and names of instructions in a unit's table to theirs."""
    up = "../" * path.count("/")
    names = {*known}

    def number(found: re.Match[str]) -> str:
        page = f"errors/{found[1]}"
        return f"| [{found[1]}]({up}{page}.md) |" if page in names else found[0]

    text = re.sub(r"^\| (TSP\d{3}) \|", number, text, flags=re.MULTILINE)
    if path.partition("instructions/")[2] in UNITS:
        text = re.sub(r"^\| `(\w+)` \| (0x)", r"| [`\1`](\1.md) | \2", text, flags=re.MULTILINE)
    return text


def write(folder: Path) -> int:
    """Write every page below ``folder``, and pictures beside them; gives how many pages."""
    found = pages()
    for path, text in found.items():
        target = folder / f"{path}.md"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    for picture in (ROOT / "docs").glob("*.svg"):
        shutil.copy(picture, folder)
    return len(found)


if __name__ == "__main__":
    print(f"{write(Path(sys.argv[1]))} pages")
