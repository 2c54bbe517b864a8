"""What a word of a text means: the manual's page, a name's value, a queue, a field of the chip, a directive, a function."""

from __future__ import annotations

import re
from typing import Any, Final

from isa.assembly.analysis import Analysis
from isa.assembly.expressions import Stream
from isa.assembly.names import Alu, Label
from isa.assembly.ports import Contract, Port
from isa.assembly.tensors import Tensor
from isa.assembly.written import code_of, take_apart
from isa.instruction import REGISTRY
from isa.machine import Machine
from isa.manual import page
from runtime.lsp.outline import CALLED, Definition, Outline
from runtime.lsp.text import Text
from runtime.lsp.words import DIRECTIVES, FUNCTIONS, UNITS

_TOKEN: Final = re.compile(r"\.?[A-Za-z_]\w*(?:\.[A-Za-z0-9_]\w*)*")
_PLACEHOLDER: Final = re.compile(r"\$\{\d+:([^}]*)\}|\$\d+")


def token_at(line: str, column: int) -> tuple[str, int] | None:
    """The word at a column, or ending there, and where it begins; none in a comment."""
    for match in _TOKEN.finditer(code_of(line)):
        if match.start() <= column <= match.end():
            return match[0], match.start()
    return None


def name_at(line: str, column: int) -> tuple[str, int] | None:
    """As ``token_at``, of ``x.rows`` the part that the column is in: a name, or a name with its attribute."""
    token = token_at(line, column)
    if token is None:
        return None
    base = token[0].partition(".")[0]
    return (base, token[1]) if base and column <= token[1] + len(base) else token


def is_mnemonic(line: str, start: int) -> bool:
    """Whether a word stands where an instruction's name does."""
    written = take_apart(line)
    return written is not None and written.mnemonic.column == start + 1


def hover(
    text: Text, line: int, column: int, outline: Outline, analysis: Analysis | None, machine: Machine
) -> tuple[str, int, int] | None:  # fmt: skip
    """Markdown about the word at a column, with the word's first and last column; None where nothing is known."""
    token = token_at(text.lines[line], column)
    if token is None:
        return None
    word, start = token
    if word in REGISTRY and is_mnemonic(text.lines[line], start):
        return page(REGISTRY[word], machine), start, start + len(word)
    name, at = name_at(text.lines[line], column) or token
    found = _name(name, text, line, outline, analysis)
    if found:
        return found, at, at + len(name)
    known = _machine(word, machine) or _word(word)
    return (known, start, start + len(word)) if known else None


def _name(
    name: str, text: Text, line: int, outline: Outline, analysis: Analysis | None
) -> str | None:
    """A name that the text defines: its value here, and its definition."""
    definitions = outline.find(name, line)
    scope = analysis.scope_at(text.where, line + 1) if analysis else None
    value = scope.find(name) if scope else None
    base, _, attribute = name.partition(".")
    call = scope.find(base) if scope and attribute else None
    value = call.out(attribute) if isinstance(call, Contract) else value
    shown = [f"```\n{d.text}\n```" for d in definitions[:1]]
    if value is not None:
        shown.insert(0, f"**{name}**: {describe(value)}")
    return "\n\n".join(shown) or None


def describe(value: Any) -> str:
    """A value in a line."""
    match value:
        case bool() | int():
            return f"{int(value)}" + (f" = {value:#x}" if value > 9 else "")
        case Stream() | Alu():
            return f"stream {value}" if isinstance(value, Stream) else f"output of ALU {value[0]}"
        case Tensor():
            places = ", ".join(f"slice {s} word {a:#x}" for s, a in value.places)
            use = f" {value.use}" if value.use else ""
            return f"{value.dtype.name.lower()} [{value.rows}, {value.cols}]{use}; planes: {places}"
        case Label():
            last = f" .. {value.end}" if value.end != value.cycle else ""
            return f"dispatched in cycle {value.cycle}{last}; done in {value.done}"
        case Contract():
            outs = "; ".join(f"{p.name}: {describe(p)}" for p in value.outs)
            return f"{value.kernel} called for cycle {value.start}" + (f"; {outs}" if outs else "")
        case Port():
            kind = value.dtype.name.lower() if value.dtype else "byte planes"
            return f"{value.stream} {kind} at {value.unit} in cycle {value.cycle} .. {value.end}"
    return str(value)


def summary(definition: Definition) -> str:
    """A definition in a few words."""
    if definition.kind in CALLED:
        return f"{definition.kind}({', '.join(definition.arguments)})"
    return definition.kind


def _machine(word: str, machine: Machine) -> str | None:
    """A queue or a field of the chip."""
    if word in machine.queue_names:
        queue = machine.queue_names.index(word)
        kind = machine.queue_kinds[queue]
        size = "large " if kind == "VXM" and is_large(word, machine) else ""
        takes = sorted(c.mnemonic for c in REGISTRY.values() if belongs(c.mnemonic, word, machine))
        return (
            f"**{word}**: a {size}{kind} queue of {machine.name} at position "
            f"{machine.queue_positions[queue]} of {machine.positions}\n\nTakes {', '.join(takes)}."
        )
    facts = dict(machine.facts)
    if word in facts:
        fact = facts[word]
        note = f": {fact.note}" if fact.note else ""
        return f"**{word}** = {fact.value} on {machine.name} [{fact.source}{note}]"
    return None


def is_large(queue: str, machine: Machine) -> bool:
    """Whether a VXM queue's ALU takes large operations."""
    return int(queue.removeprefix("VXM_")) < machine["vxm.large_alus"]


def belongs(mnemonic: str, queue: str, machine: Machine) -> bool:
    """Whether an instruction may stand on a queue of the chip."""
    cls, number = REGISTRY[mnemonic], machine.queue_names.index(queue)
    kind = machine.queue_kinds[number]
    if cls.unit == "ICU":
        return True
    if cls.unit != kind or (cls.large and not is_large(queue, machine)):
        return False
    return cls.role < 0 or (number - machine.mxm_queue) % 3 == cls.role


def _word(word: str) -> str | None:
    """A directive, a function, or a place."""
    known = DIRECTIVES.get(word) or FUNCTIONS.get(word)
    if known:
        form = _PLACEHOLDER.sub(lambda m: m[1] or "", known[0])
        return f"```\n{form}\n```\n\n{known[1]}"
    return f"**{word}**: {UNITS[word]}" if word in UNITS else None
