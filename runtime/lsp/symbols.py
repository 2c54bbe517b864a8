"""Where names are defined, and the list of what a text defines."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lsprotocol.types import DocumentSymbol, Location, Range, SymbolKind
from pygls.uris import from_fs_path

from runtime.lsp.hover import name_at, summary
from runtime.lsp.outline import CALLED, Definition, Outline
from runtime.lsp.text import Text, span

_KINDS: Final = {
    "macro": SymbolKind.Function,
    "kernel": SymbolKind.Function,
    "port": SymbolKind.Interface,
    "label": SymbolKind.Event,
    "tensor": SymbolKind.Array,
    "input": SymbolKind.Array,
    "output": SymbolKind.Array,
    "parameter": SymbolKind.TypeParameter,
    "name": SymbolKind.Constant,
}
"""What is listed; loops' names, arguments and later values are not."""


def definition(text: Text, line: int, column: int, outline: Outline) -> list[Location]:
    """Where the name at a place is defined: one place, or the included file's."""
    token = name_at(text.lines[line], column)
    found = outline.find(token[0], line) if token else []
    return [_location(text, d) for d in found[:1]]


def _location(text: Text, d: Definition) -> Location:
    if not d.file:
        return Location(text.uri, text.span(d.line, d.column, d.column + len(d.name)))
    try:
        lines = Path(d.file).read_bytes().decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        lines = []
    shown = lines[d.line] if d.line < len(lines) else ""
    uri = from_fs_path(d.file) or text.uri
    return Location(uri, span(text.codec, shown, d.line, d.column, d.column + len(d.name)))


def symbols(text: Text, outline: Outline) -> list[DocumentSymbol]:
    """What the text itself defines, what stands in a macro or kernel below it."""
    found: list[DocumentSymbol] = []
    around: tuple[int, DocumentSymbol] | None = None
    for d in outline.definitions:
        if d.file or d.kind not in _KINDS:
            continue
        name = text.span(d.line, d.column, d.column + len(d.name))
        whole = Range(text.whole(d.line).start, text.whole(d.end).end)
        symbol = DocumentSymbol(d.name, _KINDS[d.kind], whole, name, summary(d), children=[])
        if around and d.line <= around[0]:
            around[1].children = [*(around[1].children or ()), symbol]
            continue
        found.append(symbol)
        if d.kind in CALLED:
            around = d.end, symbol
    return found
