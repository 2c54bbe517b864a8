"""A dispatch as an author writes it: taken apart with columns, and put together again as a canonical line.

    label: @time queue: mnemonic operand, operand -> result x count /interval +stride !node   ; comment

Whatever is an expression ends at whitespace outside parentheses, except that an operator with whitespace on both sides
joins what stands beside it: ``read base + 4, E0 +1`` has the operand ``base + 4`` and the stride ``+1``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Final, NamedTuple

from isa.assembly.lines import Word
from isa.instruction import REGISTRY

OPEN: Final = {"(": ")", "{": "}", "[": "]"}
CLOSE: Final = frozenset(OPEN.values())
_LABEL: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*:(?=\s*@|\s*$|[^:]*:)")
_SUFFIX: Final = re.compile(r"x(?=[0-9({])|[/+!](?=[^\s/])|-(?=[^\s>])")
_MNEMONIC: Final = re.compile(r"\s*([a-z][a-z0-9_]*)")
_SPACE: Final = " \t\r\f"


@cache
def _marks(stops: str) -> re.Pattern[str]:
    """Quoted texts (one without an end goes to the end), brackets and stops: what ``find`` looks at."""
    return re.compile(rf'"(?:[^"\\]|\\.)*(?:"|\\?$)|[][(){{}}]|[{re.escape(stops)}]', re.DOTALL)


def find(text: str, start: int, stops: str) -> int:
    """The first of ``stops`` outside brackets and quotes from ``start`` on; the text's length if there is none."""
    depth = 0
    for mark in _marks(stops).finditer(text, start):
        c = mark[0]
        if depth == 0 and c in stops:
            return mark.start()
        if c in OPEN:
            depth += 1
        elif c in CLOSE:
            depth = max(0, depth - 1)
    return len(text)


def code_of(text: str) -> str:
    """A line without its comment."""
    if '"' not in text:
        return text.partition(";")[0]
    for mark in _marks(";").finditer(text):
        if mark[0] == ";":
            return text[: mark.start()]
    return text


def split(text: str, column: int, separator: str = ",") -> list[Word]:
    """The parts of a text between separators outside brackets, stripped; ``column`` is its first character's."""
    parts, start = [], 0
    while start <= len(text):
        end = find(text, start, separator)
        part = text[start:end]
        parts.append(Word(part.strip(), column + start + len(part) - len(part.lstrip())))
        start = end + 1
    return parts


def words(text: str, column: int) -> list[Word]:
    """The parts of a text between whitespace outside brackets."""
    return [w for w in split(text, column, _SPACE) if w.text]


class Written(NamedTuple):
    """A dispatch in an author's words; what is absent is empty. ``time`` stands without its ``@``."""

    label: Word
    time: Word
    queue: Word
    mnemonic: Word
    positional: Sequence[Word]
    results: Sequence[Word]
    suffixes: Sequence[Word]


NOTHING: Final = Word("", 0)


@lru_cache(maxsize=1 << 12)
def take_apart(line: str) -> Written | None:
    """A line's parts, or None where it has not the form of a dispatch.

    Where parts begin and end does not depend on which digits stand in a row, nor on how many (``isa.assembly.planned``).
    """
    text = code_of(line)
    label, at = NOTHING, 0
    named = _LABEL.match(text)
    if named:
        label, at = Word(named[1], named.start(1) + 1), named.end()
    while at < len(text) and text[at] in _SPACE:
        at += 1
    time = NOTHING
    if text[at : at + 1] == "@":
        end = find(text, at, _SPACE)
        time, at = Word(text[at + 1 : end], at + 2), end
    if label.text and not text[at:].strip() and not time.text:
        return Written(label, time, NOTHING, NOTHING, (), (), ())
    colon = find(text, at, ":")
    name = text[at:colon]
    queue = Word(name.strip(), at + 1 + len(name) - len(name.lstrip()))
    mnemonic = _MNEMONIC.match(text, colon + 1)
    if (
        colon == len(text)
        or not queue.text
        or find(queue.text, 0, _SPACE) < len(queue.text)
        or not mnemonic
    ):
        return None
    operation = Word(mnemonic[1], mnemonic.start(1) + 1)
    return Written(label, time, queue, operation, *_operands(text, mnemonic.end(), mnemonic[1]))


def _operands(text: str, start: int, mnemonic: str) -> tuple[list[Word], list[Word], list[Word]]:
    """Operands, results and suffixes from ``start`` on."""
    bare = mnemonic in REGISTRY and not REGISTRY[mnemonic].operands
    end = start if bare else _first_suffix(text, start)
    arrow = text.find("->", start, end)
    stop = end if arrow < 0 else arrow
    positional = split(text[start:stop], start + 1) if text[start:stop].strip() else []
    results = split(text[arrow + 2 : end], arrow + 3) if arrow >= 0 else []
    return positional, results, words(text[end:], end + 1)


def _first_suffix(text: str, start: int) -> int:
    """Where the suffixes begin: behind whitespace that follows an operand, and tight before what they belong to."""
    at = start
    while True:
        at = find(text, at, _SPACE)
        if at >= len(text):
            return len(text)
        before = text[start:at].rstrip()
        while at < len(text) and text[at] in _SPACE:
            at += 1
        joined = before[-1:] in ("", ",", "+", "-", "*", "/", "%", "(", ">", "<", "=", "&", "|")
        if _SUFFIX.match(text, at) and not joined:
            return at


@dataclass
class Canonical:
    """A canonical line under construction, with the author's column of every part."""

    text: str = ""
    parts: list[tuple[int, int, bool]] = field(default_factory=list)

    def add(self, text: str, word: Word | None = None, behind: int = 0) -> None:
        """Append ``text``, standing for ``word``; equal to it from character ``behind`` on, if it is the same there."""
        if word is not None:
            same = word.text.endswith(text[behind:]) and len(word.text) == len(text) - behind
            self.parts.append(
                (len(self.text) + 1, word.column - behind if same else word.column, same)
            )
        self.text += text

    def column(self, column: int) -> int:
        """The author's column of a column of ``text``; 0 stays 0."""
        best = (1, 1, False)
        for part in self.parts:
            if part[0] <= column:
                best = part
        return best[1] + (column - best[0] if best[2] else 0) if column else 0
