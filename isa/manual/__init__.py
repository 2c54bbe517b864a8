"""The instruction set manual: everything in it is read from the declarations, the grammar and the chip file.

``page`` is an instruction's page, ``unit_page`` a unit's, ``chip_page`` a chip's: Markdown each. ``make docs`` makes a site of
them (``runtime/site.py``).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, Final

from isa import explain
from isa.assembly import assemble
from isa.assembly.syntax import rule_of
from isa.errors import VerifyError
from isa.fields import field_range
from isa.instruction import REGISTRY, DType, Instruction, Kind, Operand
from isa.machine import Fact, Machine
from isa.manual.examples import example, line
from isa.manual.picture import picture, table
from isa.manual.source import helpers, meaning, source
from isa.ops.vxm import VxmInstruction, from_planes, to_planes
from isa.verify import verify

UNITS: Final = {
    "MEM": "memory slices",
    "VXM": "vector unit",
    "MXM": "matrix units",
    "SXM": "exchange units",
    "ICU": "every queue",
    "C2C": "chip-to-chip links",
}
ROLES: Final = ("weights", "activations", "accumulate")
SECTIONS: Final = (
    "Syntax",
    "Encoding",
    "Operands",
    "Types",
    "Timing",
    "Meaning",
    "Example",
    "Errors",
)
"""The headings of an instruction's page, in order; none is empty."""
_RULE: Final = "| --- | --- | --- | --- |"
_MEANINGS: Final = {
    Kind.UINT: "number",
    Kind.INT: "signed number, two's complement",
    Kind.FLAG: "flag",
    Kind.STREAM: "stream: E0.., then W0..",
    Kind.STREAM_OR_NONE: "stream + 1, or 0 for none",
    Kind.DTYPE: "type: " + ", ".join(f"{int(t)} {t.name.lower()}" for t in DType),
    Kind.SOURCE: "source: kind (0 none, 1 stream, 2 ALU, 3 immediate), index << 2, delay << 8",
    Kind.BITS32: "the immediate's raw bits",
}
_WRITTEN: Final = {
    Kind.UINT: "`17`, `0x11`",
    Kind.INT: "`-3`",
    Kind.FLAG: "its name, or nothing",
    Kind.STREAM: "`E3`, `W12`",
    Kind.STREAM_OR_NONE: "`-> E4`, `-> W8`, `-> E4, W8`, or nothing",
    Kind.DTYPE: "`i8`, `i16`, `i32`, `f16`, `f32`",
    Kind.SOURCE: "`E3`, `E3~2`, `alu5`, `alu5~4`, `#1.5`, `#0x3fc00000`",
    Kind.BITS32: "with a source that is `#...`",
}


def page(cls: type[Instruction], machine: Machine) -> str:
    """An instruction's page."""
    parts = (
        (f"# `{cls.mnemonic}`", *_summary(cls, machine)),
        ("## Syntax", f"```text\n{rule_of(cls)}\n```", f"`{line(cls, machine)}`"),
        ("## Encoding", f"```text\n{picture(cls)}\n```", "\n".join(table(cls, _holds(cls)))),
        ("## Operands", "\n".join(_operands(cls, machine))),
        ("## Types", *_types(cls)),
        ("## Timing", *_timing(cls, machine)),
        ("## Meaning", *_meaning(cls)),
        ("## Example", *_example(cls, machine)),
        ("## Errors", "\n".join(_errors(cls))),
    )
    return "\n\n".join(text for part in parts for text in part) + "\n"


def _summary(cls: type[Instruction], machine: Machine) -> Iterator[str]:
    if cls.extension:
        fact = dict(machine.facts)[cls.extension]
        yield f"*Extension*, on chips with `{cls.extension}`: {fact.note}."
    yield inspect.cleandoc(cls.__doc__ or "")
    role = f", the {ROLES[cls.role]} queue of a plane" if cls.role >= 0 else ""
    yield f"Unit: {cls.unit}, {UNITS[cls.unit]}{role}."
    if cls.unit == "VXM":
        yield _alus(cls, machine)


def _alus(cls: type[Instruction], machine: Machine) -> str:
    """Which ALUs do it, and what they can read."""
    last = machine["vxm.large_alus"] - 1 if cls.large else machine["vxm.alus"] - 1
    which = "the large ones only" if cls.large else "any"
    return (
        f"ALUs: {which}, VXM_0 .. VXM_{last}. Each reads and drives every aligned stream group of either direction; "
        f"{machine.name} ties no row of ALUs to some of them."
    )


def _holds(cls: type[Instruction]) -> dict[str, str]:
    """What each field of the word holds."""
    wait = "0" if cls.word_only else "cycles since the queue's previous instruction"
    fixed = {"opcode": f"{cls.opcode:#04x}", "wait": wait, "zero": "0"}
    return fixed | {o.name: _MEANINGS[o.kind] for o in cls.operands}


def _operands(cls: type[Instruction], machine: Machine) -> Iterator[str]:
    if not cls.operands:
        yield "None."
        return
    yield f"| operand | holds | on {machine.name} | in assembly |"
    yield "| --- | --- | --- | --- |"
    for o in cls.operands:
        low, high = field_range(o, machine)
        strided = "; a repeat's stride advances it" if o.strided else ""
        yield f"| `{o.name}` | {_MEANINGS[o.kind]}{strided} | {low} .. {high} | {_WRITTEN[o.kind]} |"


def _flags(operands: tuple[Operand, ...]) -> Iterator[str]:
    names = [f"with and without `{o.name}`" for o in operands if o.kind is Kind.FLAG]
    if any(o.kind is Kind.STREAM_OR_NONE for o in operands):
        names.append("result onto an eastward group, a westward one, both or none")
    if names:
        yield f"Variants: {'; '.join(names)}."


def _types(cls: Any) -> Iterator[str]:
    if cls.unit == "VXM":
        yield "\n".join(_typed(cls))
    elif cls.types:
        rows = (f"| {t.name.lower()} | {t.planes} |" for t in cls.types)
        yield "\n".join(("| type | byte planes |", "| --- | --- |", *rows))
    elif any(o.kind is Kind.STREAM for o in cls.operands):
        yield "None: it moves bytes. A wider type goes a byte plane at a time, each on a stream of its own."
    else:
        yield "None: it touches no data."
    yield from _flags(cls.operands)


def _typed(cls: Any) -> Iterator[str]:
    """Types of the sources and of the result, a row each for what ``dtype`` can be, whatever ``to`` is if there is one."""
    yield "| sources | result | byte planes |"
    yield "| --- | --- | --- |"
    zero = {o.name: 0 for o in cls.operands}
    targets = [{"to": int(to)} for to in DType] if "to" in zero else [{}]
    for dtype in cls.types:
        made = [cls(**zero | {"dtype": int(dtype)} | to) for to in targets]
        taken = [made[0].source_dtype(i) for i in range(cls.arity)]
        names, planes = _listed(taken)
        results, widths = _listed([instr.result_dtype for instr in made])
        yield f"| {names} | {results} | {planes} -> {widths} |"


def _listed(types: list[DType]) -> tuple[str, str]:
    """Names of types, and their byte planes."""
    return ", ".join(t.name.lower() for t in types), ", ".join(str(t.planes) for t in types)


def fact_row(name: str, fact: Fact) -> str:
    """A chip field as a table row: name, value, where it comes from, note."""
    return f"| `{name}` | {fact.value} | {fact.source} | {fact.note} |"


def chip_fields(cls: type[Instruction], machine: Machine) -> dict[str, Fact]:
    """The chip fields that an instruction's timing, description or meaning names."""
    facts = dict(machine.facts)
    text = f"{cls.__doc__} {meaning(cls)} {helpers(cls)}"
    named = re.findall(r"\b[a-z0-9]+\.[a-z0-9_]+\b", text)
    own = [f"timing.{cls.timing}"] if cls.timing else []
    return {name: facts[name] for name in dict.fromkeys([*own, *named]) if name in facts}


def _timing(cls: type[Instruction], machine: Machine) -> Iterator[str]:
    if cls.word_only:
        yield "It is no dispatch: it shapes those of the queue's other instructions."
    elif cls.timing:
        yield (
            f"Operands are sampled in the cycle of dispatch (`d_skew` = 0). The effect comes `d_func` = "
            f"`timing.{cls.timing}` = {machine.timing(cls.timing)} cycles later; on a stream it is readable at the unit's "
            f"own position then, and `streams.hop` = {machine['streams.hop']} later at each further one."
        )
    else:
        yield "Operands are sampled in the cycle of dispatch (`d_skew` = 0). No result of its own: `d_func` = 0."
    fields = chip_fields(cls, machine)
    if fields:
        rows = (fact_row(name, fact) for name, fact in fields.items())
        yield "\n".join((f"| field of {machine.name} | value | source | note |", _RULE, *rows))


def _meaning(cls: type[Instruction]) -> Iterator[str]:
    yield f"```python\n{meaning(cls)}\n```"
    used = helpers(cls)
    if used:
        yield f"where\n\n```python\n{used}\n```"
    if cls.max_ulp:
        rows = (f"| {t.name.lower()} | {ulp} |" for t, ulp in cls.max_ulp.items())
        yield (
            "Largest error in units of the last place of the true result, measured over every value of the type, "
            "subnormals and infinities among them:"
        )
        yield "\n".join(("| type | ULP |", "| --- | --- |", *rows))


def _example(cls: type[Instruction], machine: Machine) -> Iterator[str]:
    text = example(cls, machine)
    yield f"```asm\n{text}```"
    try:
        yield f"It takes {verify(assemble(text)).cycles} cycles on {machine.name}."
    except VerifyError as error:
        yield f"It assembles; the verifier refuses it: {error.code}."


def _errors(cls: type[Instruction]) -> Iterator[str]:
    yield "| number | demands, or says |"
    yield "| --- | --- |"
    for p in explain.pages():
        dispatched = () if cls.word_only else ("all", cls.unit)
        if {cls.mnemonic, *dispatched} & set(p.instructions):
            yield f"| {p.code} | {p.title} |"


def unit_page(unit: str, machine: Machine) -> str:
    """A unit's page: what its instructions have in common, and a table of them."""
    classes = of_unit(unit)
    modules = dict.fromkeys(inspect.getmodule(cls) for cls in classes)
    parts = [f"# {unit}: {UNITS[unit]}", *(inspect.cleandoc(m.__doc__ or "") for m in modules)]
    rows = [f"| `{c.mnemonic}` | {c.opcode:#04x} | {_first(c)} | {_notes(c)} |" for c in classes]
    parts.append("\n".join(("| instruction | opcode | does | |", _RULE, *rows)))
    if unit == "VXM":
        shared = (from_planes, to_planes, VxmInstruction.fetch, VxmInstruction.execute)
        shown = "\n\n".join(source(f) for f in shared)
        parts.append(f"What all of them do around `compute`:\n\n```python\n{shown}\n```")
    facts = [
        (n, f)
        for n, f in machine.facts
        if n.startswith((f"{unit.lower()}.", f"timing.{unit.lower()}_"))
    ]
    if facts:
        rows = [fact_row(name, fact) for name, fact in facts]
        parts.append(
            "\n".join((f"| field of {machine.name} | value | source | note |", _RULE, *rows))
        )
    return "\n\n".join(parts) + "\n"


def of_unit(unit: str) -> list[type[Instruction]]:
    """A unit's instructions by opcode."""
    return sorted((c for c in REGISTRY.values() if c.unit == unit), key=lambda c: c.opcode)


def _first(cls: type[Instruction]) -> str:
    """The first sentence of an instruction's description, as a table cell."""
    return (
        inspect.cleandoc(cls.__doc__ or "")
        .partition("\n\n")[0]
        .replace("\n", " ")
        .replace("|", "\\|")
    )


def _notes(cls: type[Instruction]) -> str:
    notes = (
        "large ALUs" * cls.large,
        "extension" * bool(cls.extension),
        "word only" * cls.word_only,
    )
    return ", ".join(note for note in notes if note)


def chip_page(machine: Machine) -> str:
    """A chip's page: every field, its value, and where that comes from."""
    size = 2 * machine.slices * machine.words * machine.lanes / 2**20
    parts = [
        f"# Chip `{machine.name}`",
        f"{machine.lanes} lanes, {machine.positions} positions, {machine.queues} instruction queues, {size:,.1f} MiB.",
        "Sources: *published* (papers, product brief), *inferred* (arithmetic on published numbers), *assumed* (ours, since "
        "nothing is published), *extension* (assumed, and outside the published instruction set; the note says why).",
        "\n".join(
            (
                "| field | value | source | note |",
                _RULE,
                *(fact_row(n, f) for n, f in machine.facts),
            )
        ),
        f"ABI hash, of every field but name and clock: `{machine.abi_hash}`.",
    ]
    return "\n\n".join(parts) + "\n"


__all__ = [
    "SECTIONS",
    "UNITS",
    "chip_page",
    "example",
    "helpers",
    "line",
    "meaning",
    "of_unit",
    "page",
    "unit_page",
]
