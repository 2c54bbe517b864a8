"""The instruction set manual: everything in it is read from the declarations, the grammar and the chip file."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, Final

from isa.assembly.syntax import instruction_text, rule_of
from isa.binary.words import layout
from isa.fields import field_range
from isa.instruction import HEADER_BITS, REGISTRY, DType, Instruction, Kind, Operand
from isa.machine import Machine
from isa.ops.vxm import VxmInstruction

UNITS: Final = {
    "MEM": "memory slices",
    "VXM": "vector unit",
    "MXM": "matrix units",
    "SXM": "exchange units",
    "ICU": "every queue",
    "C2C": "chip-to-chip links",
}
ROLES: Final = ("weights", "activations", "accumulate")
_MEANINGS: Final = {
    Kind.UINT: "number",
    Kind.INT: "signed number",
    Kind.FLAG: "flag",
    Kind.STREAM: "stream: E0.., then W0..",
    Kind.STREAM_OR_NONE: "stream + 1, or 0 for none",
    Kind.DTYPE: "type: " + ", ".join(f"{int(t)} {t.name.lower()}" for t in DType),
    Kind.SOURCE: "source: kind (0 none, 1 stream, 2 ALU, 3 immediate), index << 2, delay << 8",
    Kind.BITS32: "raw bits of an immediate",
}
_PARTS: Final = ("execute", "compute", "exact", "bits")


def example(cls: type[Instruction], machine: Machine) -> str:
    """A line of assembly, with every operand at its smallest."""
    args = [1 if o.kind in (Kind.SOURCE, Kind.STREAM_OR_NONE) else 0 for o in cls.operands]
    kinds = machine.queue_kinds
    queue = kinds.index(cls.unit) if cls.unit in kinds else 0
    name = machine.queue_names[queue + max(cls.role, 0)]
    cycle = "" if cls.word_only else "@0 "
    return f"{cycle}{name}: {instruction_text(cls, args, machine)}"


def _operand(operand: Operand, offset: int, machine: Machine) -> str:
    low, high = field_range(operand, machine)
    bits = f"{offset + operand.bits - 1}..{offset}" if operand.bits > 1 else str(offset)
    strided = ", advanced by a repeat's stride" if operand.strided else ""
    return f"| {bits} | `{operand.name}` | {_MEANINGS[operand.kind]}{strided} | {low} .. {high} |"


def _encoding(cls: type[Instruction], machine: Machine) -> Iterator[str]:
    yield "| bits | field | holds | range |"
    yield "| --- | --- | --- | --- |"
    yield f"| 7..0 | opcode | | {cls.opcode:#04x} |"
    wait = "zero" if cls.word_only else "cycles since the queue's previous instruction"
    yield f"| {HEADER_BITS - 1}..8 | wait | {wait} | |"
    for operand, offset in layout(cls.opcode):
        yield _operand(operand, offset, machine)


def _timing(cls: type[Instruction], machine: Machine) -> str:
    if not cls.timing:
        return "No result of its own: `d_func` = 0. Operands are sampled in the cycle of dispatch."
    fact = dict(machine.facts)[f"timing.{cls.timing}"]
    note = f": {fact.note}" if fact.note else ""
    return (
        f"`d_func` = `timing.{cls.timing}` = {fact.value} cycles on {machine.name} [{fact.source}{note}]. "
        "Operands are sampled in the cycle of dispatch."
    )


def _source(function: Callable[..., Any]) -> str:
    return textwrap.dedent(inspect.getsource(function)).rstrip()


def meaning(cls: type[Instruction]) -> str:
    """The numpy source that defines an instruction; what all of a unit share stands with the unit."""
    shared = [getattr(VxmInstruction, name, None) for name in _PARTS]
    found = [getattr(cls, name) for name in _PARTS if hasattr(cls, name)]
    return "\n\n".join(_source(function) for function in found if function not in shared)


def _page(cls: type[Instruction], machine: Machine) -> Iterator[str]:
    yield f"### `{cls.mnemonic}`"
    if cls.extension:
        fact = dict(machine.facts)[cls.extension]
        yield f"*Extension*, on chips with `{cls.extension}`: {fact.note}."
    yield inspect.cleandoc(cls.__doc__ or "")
    role = f", {ROLES[cls.role]} queue of a plane" if cls.role >= 0 else ""
    large = " Only on large ALUs." if cls.large else ""
    types = getattr(cls, "types", ())
    restricted = f" Types: {', '.join(t.name.lower() for t in types)}." if types else ""
    yield f"Unit: {UNITS[cls.unit]}{role}.{large}{restricted}"
    if cls.max_ulp:
        worst = ", ".join(f"{ulp} ULP in {t.name.lower()}" for t, ulp in cls.max_ulp.items())
        yield f"Largest error, measured over every value of the type: {worst}."
    yield f"```\n{rule_of(cls)}\n\n{example(cls, machine)}\n```"
    yield "\n".join(_encoding(cls, machine))
    yield _timing(cls, machine)
    yield f"```python\n{meaning(cls)}\n```"


def _pages(machine: Machine) -> Iterator[str]:
    yield f"# Instruction set of {machine.name}"
    yield (
        "Cycle counts are those of this model machine. An instruction is a 128-bit word; encodings and most latencies are "
        "ours, and each latency says where it comes from."
    )
    for unit, title in UNITS.items():
        classes = [c for c in REGISTRY.values() if c.unit == unit]
        yield f"## {unit}: {title}"
        yield inspect.cleandoc(inspect.getmodule(classes[0]).__doc__ or "")
        if unit == "VXM":
            yield f"```python\n{_source(VxmInstruction.execute)}\n```"
        for cls in sorted(classes, key=lambda c: c.opcode):
            yield from _page(cls, machine)


def manual(machine: Machine) -> str:
    """The manual as Markdown: a section a unit, a subsection an instruction."""
    return "\n\n".join(_pages(machine)) + "\n"
