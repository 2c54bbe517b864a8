"""What is wrong with a text, as an editor shows it: assembler's errors, or else the verifier's refusals at their lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from lsprotocol.types import (
    CodeDescription,
    Diagnostic,
    DiagnosticRelatedInformation,
    DiagnosticSeverity,
    Location,
    Position,
    Range,
)
from pygls.uris import from_fs_path

from isa.assembly.analysis import Analysis
from isa.assembly.sources import Source
from isa.assembly.written import code_of
from isa.errors import TspcError, VerifyError
from isa.explain import PAGES
from isa.program import Line
from isa.verify import Refusal, verify
from runtime.lsp.outline import Outline
from runtime.lsp.text import Text, extent, span

SOURCE: Final = "tspc"
_NEAREST: Final = re.compile(r"did you mean ([\w.]+)\?")
_REACHED: Final = re.compile(r"(.*) at (.*):([0-9]+)", re.DOTALL)
_PARTY: Final = re.compile(r"@-?[0-9]+ \S+: ")
_OTHER: Final = re.compile(r"`([a-z]\w*)[^`]*` of (\S+) @([0-9]+)")
_NAMED: Final = re.compile(r"(?:input|output|tensor) '(.*?)'")


def diagnostics(text: Text, analysis: Analysis, outline: Outline) -> list[Diagnostic]:
    """All errors of the assembler; of a text that assembles, the verifier's refusals."""
    if analysis.errors:
        return [
            _pointed(text, e, Line(e.place, e.line, e.text, e.trace), e.column, [])
            for e in analysis.errors
        ]
    program = analysis.program
    if program is None or not (len(program.bursts) or program.inputs or program.outputs):
        return []
    return [_verifier(text, analysis, outline, e) for e in verify(program, collect=True)]


def _make(
    text: Text, error: TspcError, where: Range, related: list[DiagnosticRelatedInformation]
) -> Diagnostic:
    """A diagnostic; its help, and whoever else is party to it, are related information."""
    page = PAGES / f"{error.code}.md"
    nearest = _NEAREST.search(error.hint)
    if error.hint:
        help_ = DiagnosticRelatedInformation(Location(text.uri, where), f"help: {error.hint}")
        related = [*related, help_]
    return Diagnostic(
        where,
        error.message,
        DiagnosticSeverity.Error,
        error.code,
        CodeDescription(page.as_uri()) if page.is_file() else None,
        SOURCE,
        related_information=related,
        data={"nearest": nearest[1]} if nearest else None,
    )


def _pointed(
    text: Text,
    error: TspcError,
    line: Line,
    column: int,
    related: list[DiagnosticRelatedInformation],
) -> Diagnostic:
    """An error at a column of a line; one of an included file at the line that includes it, and leading to its place."""
    there = span(text.codec, line.text, line.number - 1, *extent(code_of(line.text), column))
    steps = list(_steps(text, line.trace))
    if line.file == text.where:
        return _make(text, error, there, [*related, *steps])
    what = DiagnosticRelatedInformation(Location(_uri(text, line.file), there), error.message)
    own = next((s.location for s in reversed(steps) if s.location.uri == text.uri), None)
    where = own.range if own else text.whole(0)
    return _make(text, error, where, [what, *related, *steps])


def _steps(text: Text, trace: Sequence[str]) -> Iterator[DiagnosticRelatedInformation]:
    """The calls and files through which a line was reached, innermost first."""
    for step in trace:
        reached = _REACHED.fullmatch(step)
        if reached:
            what, where, number = reached.groups()
            line = int(number) - 1
            own = where in (text.where, "line")
            at = text.whole(line) if own else Range(Position(line, 0), Position(line, 0))
            uri = text.uri if own else _uri(text, where)
            yield DiagnosticRelatedInformation(Location(uri, at), what)


def _uri(text: Text, place: str) -> str:
    """The document of a file by the name that the assembler gives it."""
    return text.uri if place == text.where else from_fs_path(str(Path(place).resolve())) or text.uri


def _verifier(text: Text, analysis: Analysis, outline: Outline, error: VerifyError) -> Diagnostic:
    """A refusal at the word of the dispatch that it is about; who else is party to it is related."""
    party = _PARTY.search(error.where)
    place = error.where[party.start() :] if party else error.where
    shown = VerifyError(error.number, f"{place}: {error.message}", hint=error.hint)
    related = [
        DiagnosticRelatedInformation(_location(text, source), match[0].replace("`", ""))
        for match in _OTHER.finditer(error.message)
        if (source := analysis.line_of(match[2], int(match[3]), match[1]))
    ]
    if isinstance(error, Refusal) and error.line is not None:
        return _pointed(text, shown, error.line, error.column, related)
    named = _NAMED.match(error.where)
    own = [d for d in outline.find(named[1], 0) if not d.file] if named else []
    return _make(text, shown, text.whole(own[0].line if own else 0), related)


def _location(text: Text, source: Source) -> Location:
    """A line without its comment."""
    code = code_of(source.text)
    return Location(
        _uri(text, source.where), span(text.codec, code, source.number - 1, *extent(code, 0))
    )
