"""Blocks of authored assembly: loops, conditions, macros and included files, down to single lines in their scopes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from isa.assembly.advice import FORMS
from isa.assembly.called import kernel_call
from isa.assembly.contracts import CLAUSES, wrong
from isa.assembly.expressions import ExpressionError, Value
from isa.assembly.kernels import Kernels
from isa.assembly.lines import Word
from isa.assembly.names import Scope, unknown
from isa.assembly.render import WrittenError, value_of, whole
from isa.assembly.sources import Lines, Source, StopError, place
from isa.assembly.tensors import FILE, inside
from isa.assembly.written import code_of, find, split

BLOCK: Final = 210
LIMIT: Final = 211
MOST_LINES: Final = 1_000_000
"""Lines that blocks may expand to."""
DEEPEST: Final = 32
"""Blocks, calls and included files within each other."""
MOST_BYTES: Final = 1 << 24
"""Of an included file."""
OPENERS: Final = ("for", "if", "macro", "kernel")
_DIRECTIVE: Final = re.compile(r"\s*\.([a-z]\w*)\b\s*")
_CALL: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*\(")
_FOR: Final = re.compile(r"([A-Za-z_]\w*)\s+in\s+")
_MACRO: Final = re.compile(r"([A-Za-z_]\w*)\s*\(([^()]*)\)\s*")
_NAME: Final = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Macro:
    """A macro's parameters and body, and the scope it was defined in."""

    parameters: tuple[str, ...]
    body: tuple[Source, ...]
    scope: Scope


@dataclass
class Blocks:
    """Walks a text's lines, and those its blocks stand for."""

    lines: Lines
    root: Path | None
    macros: dict[str, Macro] = field(default_factory=dict)
    expanded: int = 0
    kernels: Kernels = field(init=False)
    _open: list[tuple[Path, str]] = field(default_factory=list)
    """The files being included, outermost first."""

    def __post_init__(self) -> None:
        self.kernels = Kernels(self.lines, self.run)

    def run(self, sources: Sequence[Source], scope: Scope, depth: int = 0) -> None:
        """Take every line in order. Raises ``StopError``."""
        at = 0
        while at < len(sources):
            source = sources[at]
            first = source.text.lstrip()[:1]
            if depth:
                self._count(source)
            if first in ("", ";") or (first != "." and not _calls(source.text)):
                self.lines.line(source, scope)
                at += 1
                continue
            try:
                at = self._statement(sources, at, scope, depth)
            except WrittenError as error:
                inner = error.error
                self.lines.note(inner.code, inner.message, source, error.column, inner.hint)
                at = self._after(sources, at)

    def _count(self, source: Source) -> None:
        self.expanded += 1
        if self.expanded > MOST_LINES:
            message = f"blocks expand to more than {MOST_LINES:,} lines"
            self.lines.note(LIMIT, message, source, hint="repeat with x{n}, or split the text")
            raise StopError

    def _statement(self, sources: Sequence[Source], at: int, scope: Scope, depth: int) -> int:
        """One line or block; returns where the next begins."""
        source = sources[at]
        directive = _DIRECTIVE.match(source.text)
        name = directive[1] if directive else ""
        rest = Word("", 0)
        if directive:
            text = code_of(source.text)[directive.end() :].rstrip()
            rest = Word(text, directive.end() + 1)
        if name in OPENERS:
            return self._block(name, rest, sources, at, scope, depth)
        if name in ("end", "else"):
            hint = (
                "it closes .for, .if, .macro or .kernel"
                if name == "end"
                else "it belongs between .if and .end"
            )
            raise WrittenError(
                ExpressionError(f".{name} without a block", code=BLOCK, hint=hint), rest.column
            )
        if name in CLAUSES:
            hint = "it belongs at the head of a .kernel, above what the kernel does"
            raise wrong(f".{name} outside a kernel's head", rest.column, hint)
        if name == "include":
            self._include(source, rest, scope, depth)
        elif called := kernel_call(source.text):
            self._deeper(source, depth)
            self.kernels.call(source, called, scope, depth)
        else:
            call = None if directive else self._call_of(source)
            if call:
                self._call(source, call, scope, depth)
            else:
                self.lines.line(source, scope)
        return at + 1

    def _block(
        self, name: str, rest: Word, sources: Sequence[Source], at: int, scope: Scope, depth: int
    ) -> int:
        """A loop, condition or macro with its body; returns where the next statement begins."""
        end, other = self._bounds(sources, at)
        if end == len(sources):
            error = ExpressionError(f".{name} without .end", code=BLOCK, hint="close it with .end")
            raise WrittenError(error, rest.column)
        source, body = sources[at], sources[at + 1 : end]
        self._deeper(source, depth)
        if name == "for":
            self._loop(source, rest, body, scope, depth)
        elif name in ("macro", "kernel"):
            self._define(name, rest, body, scope, source)
        else:
            holds = whole(rest.text, rest.column, self.lines.names(scope))
            cut = other - at - 1
            self.run(body[:cut] if holds else body[cut + 1 :], scope, depth + 1)
        return end + 1

    def _bounds(self, sources: Sequence[Source], at: int) -> tuple[int, int]:
        """Where the block that opens at ``at`` has its ``.end`` and its ``.else`` (the same, if it has none)."""
        depth, other = 0, -1
        for i in range(at + 1, len(sources)):
            directive = _DIRECTIVE.match(sources[i].text)
            name = directive[1] if directive else ""
            if name in OPENERS:
                depth += 1
            elif name == "end":
                if depth == 0:
                    return i, i if other < 0 else other
                depth -= 1
            elif name == "else" and depth == 0:
                other = i
        return len(sources), len(sources)

    def _after(self, sources: Sequence[Source], at: int) -> int:
        """Where to go on behind a statement that failed."""
        directive = _DIRECTIVE.match(sources[at].text)
        if directive and directive[1] in OPENERS:
            end, _ = self._bounds(sources, at)
            return min(end + 1, len(sources)) if end < len(sources) else at + 1
        return at + 1

    def _deeper(self, source: Source, depth: int) -> None:
        if depth >= DEEPEST:
            message = f"more than {DEEPEST} blocks, calls and files within each other"
            self.lines.note(
                LIMIT, message, source, hint="does a macro call itself, or a file include itself?"
            )
            raise StopError

    def _loop(
        self, source: Source, rest: Word, body: Sequence[Source], scope: Scope, depth: int
    ) -> None:
        head = _FOR.match(rest.text)
        dots = rest.text.find("..", head.end()) if head else -1
        if not head or dots < 0:
            raise WrittenError(
                ExpressionError("unexpected form", code=BLOCK, hint=".for i in 0..4"), rest.column
            )
        stop = rest.text[dots + 2 :]
        step_at = re.search(r"\bstep\b", stop)
        names, column = self.lines.names(scope), rest.column
        low = whole(rest.text[head.end() : dots], column + head.end(), names)
        high = whole(stop[: step_at.start()] if step_at else stop, column + dots + 2, names)
        step = (
            whole(stop[step_at.end() :], column + dots + 2 + step_at.end(), names) if step_at else 1
        )
        if step == 0:
            raise WrittenError(ExpressionError("a loop's step is not 0", code=BLOCK), column)
        for value in range(low, high, step):
            inner = Scope(scope)
            self._own(inner, head[1], value, rest.column)
            self._count(source)
            self.run(body, inner, depth + 1)

    def _own(self, scope: Scope, name: str, value: Value, column: int) -> None:
        try:
            scope.define(name, value)
        except ExpressionError as error:
            raise WrittenError(error, column) from None

    def _define(
        self, kind: str, rest: Word, body: Sequence[Source], scope: Scope, source: Source
    ) -> None:
        head = _MACRO.fullmatch(rest.text)
        given = split(head[2], rest.column + head.start(2)) if head and head[2].strip() else []
        defaults = {}
        for i, word in enumerate(given):
            name, equals, value = word.text.partition("=")
            if equals and kind == "kernel" and value.strip():
                given[i] = Word(name.strip(), word.column)
                at = len(word.text) - len(value.lstrip())
                defaults[given[i].text] = Word(value.strip(), word.column + at)
        parameters = tuple(word.text for word in given)
        if (
            not head
            or not all(_NAME.fullmatch(p) for p in parameters)
            or len({*parameters}) < len(parameters)
        ):
            error = ExpressionError("unexpected form", code=BLOCK, hint=FORMS[kind])
            raise WrittenError(error, rest.column)
        if head[1] in self.macros or head[1] in self.kernels.known:
            raise WrittenError(
                ExpressionError(f"{kind} {head[1]} is defined already", code=BLOCK), rest.column
            )
        if kind == "kernel":
            called = Word(head[1], rest.column)
            self.kernels.define(called, parameters, defaults, body, scope, source)
        else:
            self.macros[head[1]] = Macro(parameters, tuple(body), scope)

    def _call_of(self, source: Source) -> re.Match[str] | None:
        """The head of a macro's call, if the line has that form."""
        call = _CALL.match(source.text)
        if not call:
            return None
        text = code_of(source.text).rstrip()
        return call if text.endswith(")") and find(text, call.end(), ")") == len(text) - 1 else None

    def _call(self, source: Source, call: re.Match[str], scope: Scope, depth: int) -> None:
        name, column = call[1], call.start(1) + 1
        if name in self.kernels.known:
            hint = f"@t {name}(...), or @arrives {name}(...)"
            raise WrittenError(
                ExpressionError(f"kernel {name} is called for a cycle", code=BLOCK, hint=hint),
                column,
            )
        if name not in self.macros:
            error = unknown("macro", name, list(self.macros), f".macro {name}(...) defines one")
            raise WrittenError(error, column)
        macro = self.macros[name]
        text = code_of(source.text).rstrip()[call.end() : -1]
        given = split(text, call.end() + 1) if text.strip() else []
        if len(given) != len(macro.parameters):
            message = f"{name} takes {len(macro.parameters)} arguments, not {len(given)}"
            hint = f"{name}({', '.join(macro.parameters)})"
            raise WrittenError(ExpressionError(message, code=BLOCK, hint=hint), column)
        self._deeper(source, depth)
        names, inner = self.lines.names(scope), Scope(macro.scope)
        for parameter, word in zip(macro.parameters, given, strict=True):
            self._own(inner, parameter, value_of(word.text, word.column, names), word.column)
        trace = (f"in macro {name}, called at {place(source)}", *source.trace)
        self.run([s._replace(trace=trace) for s in macro.body], inner, depth + 1)

    def _include(self, source: Source, rest: Word, scope: Scope, depth: int) -> None:
        self._deeper(source, depth)
        name = value_of(rest.text, rest.column, self.lines.names(scope))
        try:
            if not isinstance(name, str):
                raise ExpressionError("unexpected form", code=FILE, hint='.include "file.asm"')
            path = inside(self.root, _joined(self.root, source.folder, name))
            self._no_cycle(path, name)
            if path.stat().st_size > MOST_BYTES:
                raise ExpressionError(f"{name!r} is larger than {MOST_BYTES} bytes", code=LIMIT)
            text = path.read_bytes().decode("utf-8")
        except ExpressionError as error:
            raise WrittenError(error, rest.column) from None
        except (OSError, UnicodeDecodeError) as error:
            raise WrittenError(
                ExpressionError(f"{name!r} cannot be read: {error}", code=FILE), rest.column
            ) from None
        shown = str(PurePosixPath(source.where).parent / name) if source.where else name
        trace = (f"included at {place(source)}", *source.trace)
        inner = [Source(t, n, shown, path.parent, trace) for n, t in enumerate(text.split("\n"), 1)]
        self._open.append((path, name))
        self.run(inner, scope, depth + 1)
        self._open.pop()

    def _no_cycle(self, path: Path, name: str) -> None:
        """Raise ``ExpressionError`` where a file is included while it is being read."""
        files, names = [f for f, _ in self._open], [n for _, n in self._open]
        if path in files:
            way = " -> ".join([*names[files.index(path) :], name])
            hint = "take what both need into a third file"
            raise ExpressionError(f"{name!r} includes itself: {way}", code=FILE, hint=hint)


def _calls(text: str) -> bool:
    """Whether a line may be the call of a macro or a kernel: nothing else ends with a parenthesis."""
    return ")" in text and code_of(text).rstrip().endswith(")")


def _joined(root: Path | None, folder: Path | None, name: str) -> str:
    """``name``, relative to the folder of the file that includes it, as a path relative to the root."""
    if root is None or folder is None or Path(name).is_absolute():
        return name
    return os.path.join(os.path.relpath(os.path.realpath(folder), os.path.realpath(root)), name)
