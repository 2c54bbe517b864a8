"""A document as the server keeps it; columns count characters here, and the client's units outside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from lsprotocol.types import Position, Range
from pygls.uris import to_fs_path
from pygls.workspace import PositionCodec

_WORD: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"?|[@#.!x/+-]?(?:[\w.]|\{[^{}]*\})+(?:~(?:\w|\{[^{}]*\})+)?'
)
_SPACE: Final = re.compile(r"\s*")


@dataclass(frozen=True)
class Text:
    """A version of a document. Lines end where the assembler ends them."""

    uri: str
    source: str
    version: int
    codec: PositionCodec

    @cached_property
    def lines(self) -> list[str]:
        """Without their ends."""
        return self.source.replace("\r\n", "\n").split("\n")

    @cached_property
    def path(self) -> Path | None:
        """The file, for a document that has one."""
        path = to_fs_path(self.uri) if self.uri.startswith("file:") else None
        return Path(path) if path else None

    @property
    def where(self) -> str:
        """Its name in messages of the assembler."""
        return str(self.path) if self.path else ""

    @property
    def folder(self) -> Path | None:
        """The folder that it may read from."""
        return self.path.parent if self.path else None

    def at(self, position: Position) -> tuple[int, int]:
        """Line and column, from 0, of a position; the end of the text for one behind it."""
        if position.line >= len(self.lines):
            return len(self.lines) - 1, len(self.lines[-1])
        line, column, units = self.lines[position.line], 0, 0
        while column < len(line) and units < position.character:
            units += self.codec.client_num_units(line[column])
            column += 1
        return position.line, column

    def span(self, line: int, start: int, end: int) -> Range:
        """Columns of a line, all from 0, as a range."""
        shown = self.lines[line] if 0 <= line < len(self.lines) else ""
        return span(self.codec, shown, line, start, end)

    def whole(self, line: int) -> Range:
        """A line without the space around it."""
        shown = self.lines[line] if 0 <= line < len(self.lines) else ""
        return self.span(line, *extent(shown, 0))


def span(codec: PositionCodec, text: str, line: int, start: int, end: int) -> Range:
    """Columns of ``text``, which is line ``line`` of some document, as a range."""
    first, last = (codec.client_num_units(text[:n]) for n in (start, end))
    return Range(Position(line, first), Position(line, last))


def extent(text: str, column: int) -> tuple[int, int]:
    """First and last column, from 0, of what an error's ``column`` (from 1; 0: the line) points at.

    Of an error behind the end of a line it is the last character, for an editor to have something to underline.
    """
    if not column:
        return len(text) - len(text.lstrip()), len(text.rstrip())
    start = max(0, min(column - 1, len(text) - 1))
    word = _WORD.match(text, start)
    return start, word.end() if word else min(start + 1, len(text))
