"""``format_text``: a text in its one form: blocks indented, words spaced, comments where they were."""

from __future__ import annotations

import re
from typing import Final

from isa.assembly.blocks import OPENERS
from isa.assembly.contracts import CLAUSES, tight
from isa.assembly.render import suffix_order
from isa.assembly.written import NOTHING, Written, code_of, take_apart

_DIRECTIVE: Final = re.compile(r"\s*\.([a-z]\w*)\b\s*")
_INDENT: Final = "  "
_VERBATIM: Final = ("data", "meta", "node", "fact", "input", "output", "piece")
"""Directives whose words are left as they are: they are written by tools, or carry texts."""


def format_text(text: str) -> str:
    """The same text, canonical: it assembles to the same program, and formatting it again changes nothing.

    A line that is no statement keeps its words; blank lines come one at a time, and none at either end.
    """
    depth, lines = 0, list[str]()
    for line in text.replace("\t", " ").split("\n"):
        code, comment = code_of(line), line[len(code_of(line)) :].rstrip()
        directive = _DIRECTIVE.match(code)
        name = directive[1] if directive else ""
        if name in ("end", "else"):
            depth = max(0, depth - 1)
        shown = _statement(code, name)
        behind = ("  " if shown else "") + comment if comment else ""
        lines.append((_INDENT * depth + shown + behind).rstrip() if shown or comment else "")
        if name in OPENERS or name == "else":
            depth += 1
    kept = [x for i, x in enumerate(lines) if x or (i and lines[i - 1])]
    while kept and not kept[-1]:
        kept.pop()
    return "\n".join(kept) + "\n" if kept else ""


def _statement(code: str, name: str) -> str:
    """A line without its comment, in its form."""
    if name in _VERBATIM:
        return code.strip()
    if name in CLAUSES:
        head, colon, rest = tight(code).strip().partition(":")
        return _spaced(f"{head.rstrip()}{colon} {rest.strip()}" if colon else head)
    if name:
        return _spaced(code.strip())
    written = take_apart(code)
    return _spaced(code.strip()) if written is None else _dispatch(written)


def _dispatch(w: Written) -> str:
    """A dispatch: single spaces, suffixes in their order, none that says nothing."""
    label = f"{w.label.text}:" if w.label.text else ""
    time = f"@{w.time.text}" if w.time is not NOTHING else ""
    if not w.mnemonic.text:
        return label
    operands = ", ".join(_spaced(o.text) for o in w.positional)
    results = ", ".join(_spaced(o.text) for o in w.results)
    body = f"{w.queue.text}: {w.mnemonic.text}"
    parts = [label, time, body, operands, f"-> {results}" if results else ""]
    kept = [s.text for s in w.suffixes]
    if len({s[:1].replace("-", "+") for s in kept}) == len(kept):
        kept = sorted((s for s in kept if s != "/1"), key=suffix_order)
    return " ".join(p for p in [*parts, *kept] if p)


def _spaced(text: str) -> str:
    """Runs of whitespace outside quotes as one space, none before a comma and one behind it."""
    out, at = "", 0
    while at < len(text):
        quote = _quote(text, at)
        plain = re.sub(r"\s+", " ", text[at:quote])
        out += re.sub(r" ?, ?(?=\S|$)", ", ", plain) if not out.endswith('"') else plain
        end = text.find('"', quote + 1)
        while end > 0 and text[end - 1] == "\\":
            end = text.find('"', end + 1)
        stop = len(text) if end < 0 else end + 1
        out += text[quote:stop]
        at = stop if quote < len(text) else len(text)
    return out.rstrip(" ")


def _quote(text: str, start: int) -> int:
    """The next quotation mark; the text's length if there is none."""
    at = text.find('"', start)
    return len(text) if at < 0 else at
