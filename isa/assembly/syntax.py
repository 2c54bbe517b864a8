"""Between an instruction's declaration and its text: operand order, each kind's form, and the grammar held to both.

Importing this module compares every rule of ``assembly.lark`` with its class; a rule without a class, a class without a
rule, or a rule that says other operands than its class fails here, naming both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

import isa.ops
from isa.fields import complaint, field_range
from isa.instruction import REGISTRY, DType, Instruction, Kind, Operand, Source, SourceKind
from isa.machine import Machine

GRAMMAR: Final = Path(isa.ops.__file__).parents[1] / "assembly.lark"
_LAST: Final = (Kind.BITS32, Kind.STREAM_OR_NONE)
_DELAYED: Final = re.compile(r"(E|W|alu)([0-9]+)(?:~([0-9]+))?")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|inf|nan)")
_STREAM: Final = re.compile(r"([EW])([0-9]+)")
_LONG: Final = 20
"""No number has more digits than this: longer ones are refused before they cost anything."""


class BindError(Exception):
    """Operand ``index`` of the text (counted from 0, results last) is wrong."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(message)
        self.index = index
        self.message = message


@cache
def text_order(mnemonic: str) -> tuple[tuple[int, Operand], ...]:
    """Positions and operands as they stand in text: declaration order, the immediate and the results behind the rest."""
    operands = list(enumerate(REGISTRY[mnemonic].operands))
    return tuple(sorted(operands, key=lambda p: p[1].kind in _LAST and _LAST.index(p[1].kind) + 1))


def rule_of(cls: type[Instruction]) -> str:
    """The right side of the rule that ``assembly.lark`` must have for ``cls``."""
    parts: list[str] = []
    results = False
    for _, o in text_order(cls.mnemonic):
        comma = '"," ' if parts else ""
        if o.kind is Kind.STREAM_OR_NONE:
            results = True
        elif o.kind is Kind.FLAG:
            parts.append(f"[{comma}{o.name.upper()}]")
        elif o.kind is Kind.BITS32:
            parts.append(f"[{comma}{o.kind.name}]")
        else:
            parts.append(f"{comma}{o.kind.name}")
    return " ".join([f'"{cls.mnemonic}"', *parts, *(["[_results]"] if results else [])])


def compare_grammar(grammar: str, classes: Iterable[type[Instruction]]) -> None:
    """Raise ``TypeError`` naming rule and class where grammar and instructions disagree."""
    known = {cls.mnemonic: cls for cls in classes}
    rules = dict(re.findall(r"^([a-z]\w*): *(\".*)$", grammar, re.MULTILINE))
    rules = {name: rule for name, rule in rules.items() if not rule.startswith('".')}
    listing = re.search(r"^\?instruction:((?:[^\n]|\n +\|)*)", grammar, re.MULTILINE)
    listed = re.findall(r"\w+", listing.group(1)) if listing else []
    for name, cls in known.items():
        if name not in rules or name not in listed:
            raise TypeError(
                f"class {cls.__name__} ({cls.__module__}) has no rule in {GRAMMAR.name}: add `{name}: {rule_of(cls)}`, "
                f"and {name} to `instruction`"
            )
        if " ".join(rules[name].split()) != rule_of(cls):
            raise TypeError(
                f"rule {name} of {GRAMMAR.name} is `{rules[name]}`, but class {cls.__name__} ({cls.__module__}) "
                f"declares `{rule_of(cls)}`"
            )
    for name in sorted({*rules, *listed} - known.keys()):
        raise TypeError(f"rule {name} of {GRAMMAR.name} has no class in isa/ops/")


compare_grammar(GRAMMAR.read_text(), REGISTRY.values())


def number(text: str) -> int:
    """A decimal or ``0x`` number; raises ``ValueError`` for any other text."""
    if len(text) <= _LONG and text.isdigit() and text.isascii():
        return int(text)
    if len(text) > _LONG:
        raise ValueError(f"{text[:_LONG]}... is too long a number")
    if text.startswith(("0x", "0X")):
        return int(text, 16)
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def stream_text(stream: int, machine: Machine) -> str:
    """``E3``, ``W0``."""
    n = machine.streams
    return f"E{stream}" if stream < n else f"W{stream - n}"


def stream_number(text: str, machine: Machine) -> int:
    """Inverse of ``stream_text``; raises ``ValueError``."""
    match = _STREAM.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a stream")
    index = number(match[2])
    if index >= machine.streams:
        last = machine.streams - 1
        raise ValueError(f"{machine.name} has no stream {text}: E0 .. E{last}, W0 .. W{last}")
    return index + (machine.streams if match[1] == "W" else 0)


def _delay_text(delay: int) -> str:
    return f"~{delay}" if delay else ""


def value_text(operand: Operand, value: int, machine: Machine, immediate: int = 0) -> str:
    """An operand's canonical text; empty for a flag, an immediate or a result that is not there."""
    match operand.kind:
        case Kind.DTYPE:
            return DType(value).name.lower()
        case Kind.STREAM:
            return stream_text(value, machine)
        case Kind.STREAM_OR_NONE:
            return f"{operand.direction}{value - 1}" if value else ""
        case Kind.FLAG:
            return operand.name if value else ""
        case Kind.BITS32:
            return f"imm={value:#x}" if value else ""
        case Kind.SOURCE:
            kind, index, delay = Source.unpack(value)
            if kind is SourceKind.STREAM:
                return stream_text(index, machine) + _delay_text(delay)
            if kind is SourceKind.ALU:
                return f"alu{index}" + _delay_text(delay)
            return f"#{immediate:#010x}" if kind is SourceKind.IMMEDIATE else "none"
    if operand.kind is Kind.UINT and operand.bits >= 16:
        return f"{value:#0{2 + operand.bits // 4}x}"
    return str(value)


def instruction_text(cls: type[Instruction], args: Sequence[int], machine: Machine) -> str:
    """Mnemonic and operands, canonical. The values must have passed ``isa.fields``."""
    immediate, shown = 0, False
    for value, o in zip(args, cls.operands, strict=False):
        if o.kind is Kind.BITS32:
            immediate = value
        shown |= o.kind is Kind.SOURCE and value == SourceKind.IMMEDIATE
    parts: list[str] = []
    results: list[str] = []
    for i, o in text_order(cls.mnemonic):
        if o.kind is Kind.BITS32 and shown:
            continue
        text = value_text(o, args[i], machine, immediate)
        if text:
            (results if o.kind is Kind.STREAM_OR_NONE else parts).append(text)
    text = f"{cls.mnemonic} {', '.join(parts)}" if parts else cls.mnemonic
    return f"{text} -> {', '.join(results)}" if results else text


def immediate_bits(text: str, dtype: DType) -> int:
    """The bits of ``#1.5`` or ``#-3`` as a value of ``dtype``."""
    if dtype.is_float:
        if not _FLOAT.fullmatch(text):
            raise ValueError(f"{text!r} is not a number")
        with np.errstate(over="ignore"):
            raw = np.array(float(text)).astype(dtype.numpy)
    else:
        value, info = number(text), np.iinfo(dtype.numpy)
        if not info.min <= value <= info.max:
            raise ValueError(f"{value} is outside {info.min} .. {info.max} of {dtype.name.lower()}")
        raw = np.array(value, dtype.numpy)
    return int.from_bytes(raw.tobytes(), "little")


def _source_code(text: str, machine: Machine) -> int:
    """The packed source of a text, an immediate's value aside; raises ``ValueError``."""
    if text == "none":
        return Source(SourceKind.NONE).pack()
    if text.startswith("#"):
        return Source(SourceKind.IMMEDIATE).pack()
    match = _DELAYED.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is neither a stream, an ALU nor an immediate")
    delay = number(match[3] or "0")
    if delay > machine["vxm.max_delay"]:
        raise ValueError(f"delay {delay} is above {machine['vxm.max_delay']}")
    if match[1] != "alu":
        return Source(SourceKind.STREAM, stream_number(match[1] + match[2], machine), delay).pack()
    if number(match[2]) >= machine["vxm.alus"]:
        raise ValueError(
            f"{machine.name} has no ALU {match[2]}: alu0 .. alu{machine['vxm.alus'] - 1}"
        )
    return Source(SourceKind.ALU, number(match[2]), delay).pack()


def parse_value(operand: Operand, text: str, machine: Machine) -> int:
    """An operand's value from its text; raises ``ValueError``."""
    match operand.kind:
        case Kind.UINT | Kind.INT:
            return _number_of(operand, text, machine)
        case Kind.DTYPE:
            if text.upper() not in DType.__members__ or text != text.lower():
                raise ValueError(f"{text!r} is not a type")
            return DType[text.upper()]
        case Kind.STREAM:
            return stream_number(text, machine)
        case Kind.STREAM_OR_NONE:
            if text[:1] != operand.direction:
                raise ValueError(f"{text!r} does not flow {operand.name}")
            return stream_number(text, machine) % machine.streams + 1
        case Kind.SOURCE:
            return _source_code(text, machine)
        case Kind.BITS32:
            text = text.removeprefix("imm=")
    return _number_of(operand, text, machine)


def _number_of(operand: Operand, text: str, machine: Machine) -> int:
    value = number(text)
    if operand.kind is Kind.UINT and text[:1] in "+-":
        raise ValueError(f"{operand.name} has no sign")
    low, high = field_range(operand, machine)
    if not low <= value <= high:
        raise ValueError(complaint(operand, value, machine))
    return value
