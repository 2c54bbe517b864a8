"""What a text defines, read off its lines: it needs no text without errors. Files that it includes are read too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from isa.assembly.blocks import MOST_BYTES, OPENERS
from isa.assembly.called import kernel_call
from isa.assembly.expressions import ExpressionError
from isa.assembly.tensors import inside
from isa.assembly.written import code_of, take_apart

_DIRECTIVE: Final = re.compile(r"\s*\.([a-z]\w*)\s*")
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_PARAMETER: Final = re.compile(r"(?<=[(,])\s*([A-Za-z_]\w*)")
_MACRO: Final = re.compile(r"([A-Za-z_]\w*)\s*\(([^()]*)")
_QUOTED: Final = re.compile(r'"([^"\\]*)"')
_KINDS: Final = {
    "let": "name",
    "param": "parameter",
    "set": "value",
    "tensor": "tensor",
    "in": "port",
    "out": "port",
    "input": "input",
    "output": "output",
}
_DEEPEST: Final = 8
CALLED: Final = ("macro", "kernel")
"""What is called by name: these names are seen everywhere."""


@dataclass(frozen=True)
class Definition:
    """A name and where it is defined. Lines and columns count from 0."""

    name: str
    kind: str
    """name, parameter, value, tensor, input, output, label, loop, macro, kernel, argument or port"""
    file: str
    """Empty: the text itself."""
    line: int
    column: int
    text: str
    """Its line."""
    end: int
    """The last line that belongs to it."""
    first: int
    last: int
    """The lines of the text itself in which it is seen."""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outline:
    """The definitions of a text, in order, those of included files where they are included."""

    definitions: tuple[Definition, ...]

    @cached_property
    def _named(self) -> dict[str, list[Definition]]:
        found: dict[str, list[Definition]] = {}
        for d in self.definitions:
            found.setdefault(d.name, []).append(d)
        return found

    def seen(self, line: int) -> dict[str, Definition]:
        """By name, the innermost definition that can be seen at a line."""
        there = (d for d in self.definitions if d.kind in CALLED or d.first <= line <= d.last)
        return {d.name: d for d in sorted(there, key=lambda d: d.first - d.last)}

    def find(self, name: str, line: int) -> list[Definition]:
        """The definitions of a name, the one seen at a line first, and no ``.set`` before what it sets."""
        named = self._named.get(name, [])
        return sorted(
            named,
            key=lambda d: (d.kind == "value", not d.first <= line <= d.last, d.last - d.first),
        )


def outline(lines: Sequence[str], root: Path | None = None) -> Outline:
    """The outline of a text that may include files within ``root``."""
    return Outline(tuple(_Scan("", root, root, 0).run(lines)))


@dataclass
class _Block:
    """An open block: what its end completes."""

    kind: str
    head: int = -1
    """The macro that it is the body of."""
    own: list[int] = field(default_factory=list)
    """What is seen up to its end."""


@dataclass
class _Scan:
    """Reads the lines of one file; entries of ``found`` are named by their place there."""

    file: str
    root: Path | None
    folder: Path | None
    depth: int
    found: list[Definition] = field(default_factory=list)
    blocks: list[_Block] = field(default_factory=lambda: [_Block("text")])

    def run(self, lines: Sequence[str]) -> list[Definition]:
        for number, line in enumerate(lines):
            first = line.lstrip()[:1]
            if first == ".":
                self._directive(line, number)
            elif first not in ("", ";", "@") and ":" in line:
                written = take_apart(line) or kernel_call(line)
                if written is not None and written.label.text:
                    self._add(written.label.text, "label", number, written.label.column - 1, line)
        while self.blocks:
            self._close(len(lines) - 1)
        return self.found

    def _add(self, name: str, kind: str, number: int, column: int, line: str) -> int:
        """A definition that the innermost block with names of its own holds; gives its place."""
        block = next(b for b in reversed(self.blocks) if b.kind != "if")
        block.own.append(len(self.found))
        shown = code_of(line).strip()
        self.found.append(
            Definition(name, kind, self.file, number, column, shown, number, number, number)
        )
        return len(self.found) - 1

    def _close(self, line: int) -> None:
        block = self.blocks.pop()
        for i in block.own:
            self.found[i] = replace(self.found[i], last=line)
        if block.head >= 0:
            self.found[block.head] = replace(self.found[block.head], end=line)

    def _directive(self, line: str, number: int) -> None:
        directive = _DIRECTIVE.match(line)
        if directive is None:
            return
        name, at = directive[1], directive.end()
        if name == "end" and len(self.blocks) > 1:
            self._close(number)
        elif name == "include":
            self._include(line, number)
        elif name in OPENERS:
            self._open(name, line, at, number)
        elif name in ("input", "output"):
            quoted = _QUOTED.match(line, at)
            if quoted:
                self._add(quoted[1], name, number, at + 1, line)
        elif name in _KINDS:
            word = _NAME.match(line, at)
            if word:
                self._add(word[0], _KINDS[name], number, at, line)

    def _open(self, kind: str, line: str, at: int, number: int) -> None:
        """The head of a block: a macro or kernel and its arguments, or a loop and its name, are defined."""
        called = _MACRO.match(line, at) if kind in CALLED else None
        head = self._add(called[1], kind, number, at, line) if called else -1
        self.blocks.append(_Block(kind, head))
        if called:
            names = list(_PARAMETER.finditer(line, called.start(2), called.end(2)))
            self.found[head] = replace(self.found[head], arguments=tuple(n[1] for n in names))
            for name in names:
                self._add(name[1], "argument", number, name.start(1), line)
            if kind == "kernel":
                self._add("t", "argument", number, at, line)  # The cycle of a call.
        loop = _NAME.match(line, at) if kind == "for" else None
        if loop:
            self._add(loop[0], "loop", number, at, line)

    def _include(self, line: str, number: int) -> None:
        """The definitions of an included file, confined as the assembler confines it; none if it cannot be read."""
        name = _QUOTED.search(code_of(line))
        if name is None or self.root is None or self.folder is None or self.depth == _DEEPEST:
            return
        try:
            beside = (self.folder / name[1]).resolve().relative_to(self.root.resolve())
            path = inside(self.root, str(beside))
            if path.stat().st_size > MOST_BYTES:
                return
            lines = path.read_bytes().decode("utf-8").split("\n")
        except (ExpressionError, OSError, ValueError):
            return
        block = next(b for b in reversed(self.blocks) if b.kind != "if")
        for d in _Scan(str(path), self.root, path.parent, self.depth + 1).run(lines):
            if d.last == len(lines) - 1 or d.kind in CALLED:
                block.own.append(len(self.found))
                self.found.append(replace(d, first=number, last=number))
