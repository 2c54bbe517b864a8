"""The cycles that an author's times come to, shown behind them."""

from __future__ import annotations

from lsprotocol.types import InlayHint, InlayHintKind, Range

from isa.assembly.analysis import Analysis
from isa.assembly.written import take_apart
from runtime.lsp.text import Text


def hints(text: Text, analysis: Analysis, there: Range) -> list[InlayHint]:
    """For each dispatch in a range of lines whose time is no number: the cycle it begins in, or the first and the last."""
    cycles: dict[int, set[int]] = {}
    for bursts in analysis.bursts.values():
        for row, source in bursts:
            line = source.number - 1
            if source.where == text.where and there.start.line <= line <= there.end.line:
                cycles.setdefault(line, set()).add(int(row[3]))
    found = []
    for line, first in sorted(cycles.items()):
        written = take_apart(text.lines[line]) if line < len(text.lines) else None
        if written is None or not written.time.text or written.time.text.isdigit():
            continue
        end = written.time.column - 1 + len(written.time.text)
        shown = f"= {min(first)}" + (f" .. {max(first)}" if len(first) > 1 else "")
        where = text.span(line, end, end).start
        found.append(InlayHint(where, shown, InlayHintKind.Parameter, padding_left=True))
    return found
