"""An instruction word as a picture and as a table: every one of its bits, once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from isa.binary.words import layout
from isa.instruction import HEADER_BITS, WORD_BITS, Instruction

ROW: Final = 32
OPCODE_BITS: Final = 8


class Bits(NamedTuple):
    """A field of a word: its name, its first bit, and how many there are."""

    name: str
    first: int
    size: int


def fields(cls: type[Instruction]) -> list[Bits]:
    """All bits of a word from bit 0 on; the last field is what stays zero, if anything does."""
    found = [Bits("opcode", 0, OPCODE_BITS), Bits("wait", OPCODE_BITS, HEADER_BITS - OPCODE_BITS)]
    found += [Bits(f.operand.name, f.offset, f.operand.bits) for f in layout(cls.opcode)]
    end = found[-1].first + found[-1].size
    return [*found, Bits("zero", end, WORD_BITS - end)] if end < WORD_BITS else found


def picture(cls: type[Instruction]) -> str:
    """The word in rows of 32 bits, the lowest bit at the right; a field that crosses rows is named in each."""
    lines: list[str] = []
    for first in range(0, WORD_BITS, ROW):
        cells = [_cell(f, first) for f in reversed(fields(cls)) if _overlap(f, first)]
        rule = "+".join("-" * len(cell) for cell in cells)
        lines += [f"{'':>4} +{rule}+", f"{first + ROW - 1:>4} |{'|'.join(cells)}| {first}"]
        if first + ROW == WORD_BITS:
            lines.append(f"{'':>4} +{rule}+")
    return "\n".join(lines)


def _overlap(field: Bits, first: int) -> int:
    """How many bits of a row a field takes."""
    low, high = max(field.first, first), min(field.first + field.size, first + ROW)
    return max(0, high - low)


def _cell(field: Bits, first: int) -> str:
    """A field's name in two characters a bit, the border counted."""
    width = 2 * _overlap(field, first) - 1
    return field.name[:width].center(width)


def table(cls: type[Instruction], meanings: dict[str, str]) -> Iterator[str]:
    """The fields as a Markdown table."""
    yield "| bits | field | holds |"
    yield "| --- | --- | --- |"
    for name, first, size in fields(cls):
        bits = f"{first + size - 1}..{first}" if size > 1 else str(first)
        yield f"| {bits} | `{name}` | {meanings[name]} |"
