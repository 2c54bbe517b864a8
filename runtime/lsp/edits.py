"""Changes of a text: its canonical form, and the nearest spelling of a word that is not known."""

from __future__ import annotations

import re
from typing import Final

from lsprotocol.types import (
    CodeAction,
    CodeActionKind,
    Diagnostic,
    Position,
    Range,
    TextEdit,
    WorkspaceEdit,
)

from isa.assembly.format import format_text
from runtime.lsp.text import Text

_WORD: Final = re.compile(r"\.?[A-Za-z_][\w.]*")


def formatting(text: Text) -> list[TextEdit]:
    """What brings a text into its form: at most one edit, from the first line that changes to the last."""
    before, after = text.lines, format_text("\n".join(text.lines)).split("\n")
    if after == before:
        return []
    short = min(len(before), len(after))
    same = tail = 0
    while same < short - 1 and before[same] == after[same]:
        same += 1
    while tail < short - 1 - same and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    end = "\r\n" if "\r\n" in text.source else "\n"
    new = end.join([*after[same : len(after) - tail], *([""] if tail else [])])
    last = text.span(len(before) - 1, 0, len(before[-1])).end
    stop = Position(len(before) - tail, 0) if tail else last
    return [TextEdit(Range(Position(same, 0), stop), new)]


def spelling(text: Text, diagnostics: list[Diagnostic]) -> list[CodeAction]:
    """For each diagnostic that knows the nearest spelling, the change of its word to it."""
    actions = []
    for d in diagnostics:
        nearest = d.data.get("nearest") if isinstance(d.data, dict) else None
        line, column = text.at(d.range.start)
        word = _WORD.match(text.lines[line], column)
        if isinstance(nearest, str) and word:
            there = text.span(line, *word.span())
            edit = WorkspaceEdit(changes={text.uri: [TextEdit(there, nearest)]})
            title, kind = f"Change to {nearest}", CodeActionKind.QuickFix
            actions.append(CodeAction(title, kind, [d], is_preferred=True, edit=edit))
    return actions
