"""A page an error number of assembler and verifier: what is demanded and why, a wrong example and a right one.

A page is ``TSPnnn.md`` beside this file:

    # Title, but for a rule of the verifier, whose title is its line in ``isa.verify.RULES``

    Instructions: what it is about, as units or mnemonics separated by spaces; all; or program, for what is about none

    Prose.

    ## Wrong

    Fenced blocks: ``asm`` is a text to assemble, ``asm NAME`` a file beside it, ``python`` a text that binds ``program``.

    ## Right

    The same.

The wrong example raises the number in the assembler or the verifier, the right one is certified: a test holds each page
to that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from isa.assembly import assemble
from isa.errors import TspcError
from isa.program import Program
from isa.verify import RULES, verify

PAGES: Final = Path(__file__).parent
_FENCE: Final = re.compile(r"^```(asm|python) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ABOUT: Final = re.compile(r"^Instructions: (.+)\n+", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """One example: Markdown with fenced blocks."""

    markdown: str

    @cached_property
    def text(self) -> str:
        """The program's text; files beside it are left out."""
        return next(f[3] for f in _FENCE.finditer(self.markdown) if not f[2])

    def program(self) -> Program:
        """What the text makes. Raises what the assembler or the builder raises."""
        blocks = list(_FENCE.finditer(self.markdown))
        language = next(f[1] for f in blocks if not f[2])
        if language == "python":
            names: dict[str, Any] = {}
            exec(compile(self.text, "example", "exec"), names)
            program: Program = names["program"]
            return program
        with TemporaryDirectory() as folder:
            for block in blocks:
                if block[2]:
                    (Path(folder) / block[2]).write_text(block[3], encoding="utf-8")
            return assemble(self.text, where="example.asm", folder=folder)

    def errors(self) -> tuple[TspcError, ...]:
        """What assembler and verifier say: nothing for a program that may run."""
        try:
            return verify(self.program(), collect=True)
        except TspcError as error:
            return tuple(getattr(error, "errors", (error,)))


@dataclass(frozen=True)
class Page:
    """What a number means. ``instructions`` are units, mnemonics, ``all`` or ``program``."""

    number: int
    title: str
    instructions: tuple[str, ...]
    about: str
    wrong: Example
    right: Example

    @property
    def code(self) -> str:
        """``TSPnnn``."""
        return f"TSP{self.number}"


def numbers() -> tuple[int, ...]:
    """The numbers that have a page."""
    return tuple(sorted(int(path.stem[3:]) for path in PAGES.glob("TSP*.md")))


def page(number: int) -> Page | None:
    """The page of an error number, where there is one."""
    path = PAGES / f"TSP{number}.md"
    return parse(number, path.read_text(encoding="utf-8")) if path.is_file() else None


@cache
def pages() -> tuple[Page, ...]:
    """All pages, by number."""
    found = (page(number) for number in numbers())
    return tuple(p for p in found if p is not None)


def parse(number: int, text: str) -> Page:
    """A page from its text. Raises ``ValueError`` naming what is missing."""
    head, *rest = re.split(r"^## (Wrong|Right)\n+", text, flags=re.MULTILINE)
    parts = dict(zip(rest[::2], rest[1::2], strict=True))
    title = re.match(r"# (.+)\n+", head)
    about = _ABOUT.search(head)
    if parts.keys() != {"Wrong", "Right"} or about is None or (number in RULES) is bool(title):
        missing = "`Instructions:`, `## Wrong`, `## Right`, and `# title` unless it is a rule's"
        raise ValueError(f"the page of TSP{number} needs {missing}")
    return Page(
        number,
        title[1] if title else RULES[number],
        tuple(about[1].split()),
        head[about.end() :].strip(),
        Example(parts["Wrong"].strip()),
        Example(parts["Right"].strip()),
    )
