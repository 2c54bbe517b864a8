"""What is wrong with a text, as an editor shows it: assembler's errors, or else the verifier's refusals at their lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
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
from isa.assembly.errors import AssemblyError
from isa.assembly.sources import Source
from isa.assembly.written import code_of
from isa.errors import TspcError, VerifyError
from isa.explain import PAGES
from isa.verify import verify
from runtime.lsp.outline import Outline
from runtime.lsp.text import Text, extent, span

SOURCE: Final = "tspc"
_NEAREST: Final = re.compile(r"did you mean ([\w.]+)\?")
_REACHED: Final = re.compile(r"(.*) at (.*):([0-9]+)", re.DOTALL)
_PARTY: Final = re.compile(r"@([0-9]+) (\S+): ([a-z]\w*)")
_OTHER: Final = re.compile(r"`([a-z]\w*)[^`]*` of (\S+) (?:in cycle |@)([0-9]+)")
_NAMED: Final = re.compile(r"(?:input|output|tensor) '(.*?)'")


def diagnostics(text: Text, analysis: Analysis, outline: Outline) -> list[Diagnostic]:
    """All errors of the assembler; of a text that assembles, the verifier's refusals."""
    if analysis.errors:
        return [_assembler(text, error) for error in analysis.errors]
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


def _assembler(text: Text, error: AssemblyError) -> Diagnostic:
    """An error at its place; one of an included file at the line that includes it."""
    there = span(text.codec, error.text, error.line - 1, *extent(error.text, error.column))
    steps = list(_steps(text, error))
    if error.place == text.where:
        return _make(text, error, there, steps)
    what = DiagnosticRelatedInformation(Location(_uri(text, error.place), there), error.message)
    own = next((s.location for s in reversed(steps) if s.location.uri == text.uri), None)
    return _make(text, error, own.range if own else text.whole(0), [what, *steps])


def _steps(text: Text, error: AssemblyError) -> Iterator[DiagnosticRelatedInformation]:
    """The calls and files through which an error's line was reached, innermost first."""
    for step in error.trace:
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
    """A refusal at the line of the dispatch that it names first, and at those of the others."""
    party = _PARTY.search(error.where)
    line = analysis.line_of(party[2], int(party[1]), party[3]) if party else None
    others = [
        (match[0], analysis.line_of(match[2], int(match[3]), match[1]))
        for match in _OTHER.finditer(error.message)
    ]
    related = [
        DiagnosticRelatedInformation(_location(text, source), said.replace("`", ""))
        for said, source in others
        if source is not None
    ]
    shown = VerifyError(error.number, f"{error.where}: {error.message}", hint=error.hint)
    if line is None:
        named = _NAMED.match(error.where)
        found = outline.find(named[1], 0) if named else []
        own = [d for d in found if not d.file]
        return _make(text, shown, text.whole(own[0].line if own else 0), related)
    at = _location(text, line)
    if at.uri != text.uri:
        related.insert(0, DiagnosticRelatedInformation(at, shown.message))
    steps = [s for s in map(_REACHED.fullmatch, line.trace) if s and s[2] == text.where]
    own_line = int(steps[-1][3]) - 1 if steps else 0
    return _make(text, shown, at.range if at.uri == text.uri else text.whole(own_line), related)


def _location(text: Text, source: Source) -> Location:
    """A line without its comment."""
    code = code_of(source.text)
    return Location(
        _uri(text, source.where), span(text.codec, code, source.number - 1, *extent(code, 0))
    )
