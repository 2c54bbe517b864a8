"""The grammar that editors highlight assembly by, in TextMate's form, made from the grammar and the declarations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from isa.assembly.blocks import OPENERS
from isa.assembly.lines import AUTHORED, DIRECTIVES, parser
from isa.assembly.names import FUNCTIONS
from isa.assembly.tensors import USES
from isa.instruction import REGISTRY
from isa.manual import UNITS

SCOPE: Final = "source.tsp"
_BLOCKS: Final = (*(f".{name}" for name in OPENERS), ".else", ".end", ".include")
_NAME: Final = r"[A-Za-z_]\w*"
_AUTHORS: Final = ("in", "step", "at", "none")


def _any(words: Iterable[str]) -> str:
    """One of ``words``, the longest first."""
    return "|".join(re.escape(w) for w in sorted(words, key=lambda w: (-len(w), w)))


def _rule(scope: str, match: str, **captures: str) -> dict[str, Any]:
    """A pattern; ``captures`` name the scope of a group: ``_1``."""
    groups = {key[1:]: {"name": f"{name}.tsp"} for key, name in captures.items()}
    return (
        ({"name": f"{scope}.tsp"} if scope else {})
        | {"match": match}
        | ({"captures": groups} if groups else {})
    )


def _statements(t: dict[str, str]) -> Iterable[dict[str, Any]]:
    """What a line begins with."""
    control = _any(d[1:] for d in _BLOCKS)
    others = _any(d[1:] for d in {*DIRECTIVES, *AUTHORED} - {*_BLOCKS, ".data"})
    yield _rule("comment.line.semicolon", t["COMMENT"])
    yield _rule("string.quoted.double", t["STRING"])
    data = rf"^\s*(\.data)\b\s+({t['BASE64']})"
    yield _rule("", data, _1="keyword.other.directive", _2="string.unquoted.base64")
    macro = rf"^\s*(\.(?:macro|kernel))\b\s*({_NAME})"
    yield _rule("", macro, _1="keyword.control.directive", _2="entity.name.function")
    yield _rule("", rf"^\s*(\.(?:{control}))\b", _1="keyword.control.directive")
    naming = rf"^\s*(\.(?:let|set|param|tensor|in|out))\b\s*({_NAME})"
    yield _rule("", naming, _1="keyword.other.directive", _2="entity.name.constant")
    yield _rule("", rf"^\s*(\.(?:{others}))\b", _1="keyword.other.directive")
    yield _rule("", rf"^\s*({_NAME})\s*(?=\()", _1="entity.name.function")
    label = rf"^\s*({_NAME})\s*:(?=\s*@|\s*(?:;|$)|[^:;]*:)"
    yield _rule("", label, _1="entity.name.label")
    yield _rule("constant.numeric.cycle", t["CYCLE"] + r"\b")
    yield _rule("keyword.operator.time", "@")


def _operations() -> Iterable[dict[str, Any]]:
    """Instructions, by unit; the colon before them is what tells them from names."""
    for unit in UNITS:
        names = _any(c.mnemonic for c in REGISTRY.values() if c.unit == unit)
        yield _rule("", rf":\s*({names})\b", _1=f"keyword.mnemonic.{unit.lower()}")


def _words(t: dict[str, str]) -> Iterable[dict[str, Any]]:
    """What stands within a line."""
    immediates = t["SOURCE"][t["SOURCE"].index("#") : t["SOURCE"].rindex("|none")]
    keywords = {w for w in t.values() if w.isalpha() and w not in REGISTRY} | {*_AUTHORS, *USES}
    yield _rule("constant.numeric.immediate", rf"(?:{immediates})(?![\w.])")
    yield _rule("keyword.operator.immediate", "#")
    yield _rule("entity.name.type.queue", r"\b[A-Z0-9]+_[A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*")
    yield _rule("storage.type", rf"\b(?:{t['DTYPE']})\b")
    yield _rule("variable.language.stream", rf"\b(?:{t['STREAM']})\b")
    yield _rule("variable.language.alu", r"\balu[0-9]+\b")
    yield _rule("constant.numeric.bits", rf"\b{t['BITS32']}\b")
    yield _rule("support.function", rf"\b(?:{_any(FUNCTIONS)})\b(?=\s*\()|\barrives\b")
    yield _rule("entity.name.function", rf"\b{_NAME}(?=\()")
    yield _rule("keyword.other.flag", rf"\b(?:{_any(keywords)})\b")
    yield _rule("constant.language", rf"\b{t['BOOL']}\b")
    yield _rule("constant.numeric.repeat", rf"(?<=\s)(?:{t['COUNT']}|{t['NODE']})\b")
    yield _rule("keyword.operator.repeat", r"(?<=\s)x(?=[{(])")
    yield _rule("keyword.operator.results", "->")
    number = r"\b(?:0x[0-9a-fA-F]+|[0-9]+(?:\.(?!\.)[0-9]*)?(?:[eE][+-]?[0-9]+)?)\b"
    yield _rule("constant.numeric", number)
    yield _rule("keyword.operator", r"\.\.|//|<<|>>|==|!=|<=|>=|[-+*/%&|<>=~!]")
    yield _rule("variable.other", rf"\b{_NAME}(?:\.[A-Za-z]\w*)*")


def grammar() -> str:
    """The grammar as JSON; the same bytes for the same declarations."""
    terminals = {str(t.name): str(t.pattern.value) for t in parser().terminals}
    patterns = [*_statements(terminals), *_operations(), *_words(terminals)]
    whole = {
        "name": "TSP assembly",
        "scopeName": SCOPE,
        "fileTypes": ["asm"],
        "patterns": patterns,
    }
    return json.dumps(whole, indent=2) + "\n"
