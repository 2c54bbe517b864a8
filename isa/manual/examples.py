"""A program for every instruction: written out beside this file, or, for the VXM, made from the declaration.

``examples/NAME.asm`` is the example of instruction NAME, or of all instructions of unit NAME that have none of their own. It
leaves out ``.chip`` and runs on every preset.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from isa.assembly.syntax import instruction_text
from isa.instruction import DType, Instruction, Kind, Operand, Source, SourceKind
from isa.machine import Machine

TEXTS: Final = Path(__file__).parent / "examples"
ROWS: Final = 4
GROUP: Final = 4
"""Streams from one operand of a VXM example to the next: the widest type's byte planes."""


def example(cls: type[Instruction], machine: Machine) -> str:
    """Assembly in which the instruction stands, beginning with ``.chip``. Raises ``TypeError`` where there is none."""
    paths = (TEXTS / f"{name}.asm" for name in (cls.mnemonic, cls.unit.lower()))
    path = next((path for path in paths if path.is_file()), None)
    if path is not None:
        text = path.read_text(encoding="utf-8")
    else:
        text = _vector(cls, machine) if cls.unit == "VXM" else ""
    if not _lines(cls, text):
        raise TypeError(f"{cls.__name__} has no example: write {TEXTS / cls.mnemonic}.asm")
    return f".chip {machine.name}\n{text}"


def line(cls: type[Instruction], machine: Machine) -> str:
    """The instruction's own line in its example."""
    return _lines(cls, example(cls, machine))[0]


def _lines(cls: type[Instruction], text: str) -> list[str]:
    """The lines that dispatch an instruction."""
    found = re.compile(rf"[^;]*: {cls.mnemonic}\b")
    return [line for line in map(str.strip, text.splitlines()) if found.match(line)]


def _value(operand: Operand, dtype: DType) -> int:
    """What an operand of a VXM example is."""
    match operand.kind:
        case Kind.DTYPE:
            return dtype if operand.name == "dtype" else DType.I8
        case Kind.SOURCE:
            return Source(SourceKind.STREAM, GROUP * "abc".index(operand.name)).pack()
        case Kind.STREAM_OR_NONE:
            return 1 + GROUP * 3 if operand.direction == "E" else 0
    return 0


def _vector(cls: Any, machine: Machine) -> str:
    """Operands from slices west of the VXM, the result to slices east of it."""
    dtype = DType.F32 if DType.F32 in cls.types else cls.types[-1]
    instr = cls(**{o.name: _value(o, dtype) for o in cls.operands})
    names = [o.name for o in cls.operands if o.kind is Kind.SOURCE]
    lines = []
    for i, name in enumerate(names):
        kind = instr.source_dtype(i).name.lower()
        lines.append(f".tensor {name} {kind} {ROWS} lanes at MEM_W{GROUP * i}:0 input")
    kind = instr.result_dtype.name.lower()
    lines.append(f".tensor y {kind} {ROWS} lanes at MEM_E0:0 output")
    lines.append(f".let t = earliest({names[-1]}, VXM)")
    for i, name in enumerate(names):
        lines.append(f"@reach(VXM, t) {name}: read E{GROUP * i}")
    lines.append(f"@arrives VXM_0: {instruction_text(cls, instr.args(), machine)} x{ROWS}")
    lines.append(f"@arrives y: write E{GROUP * 3}")
    return "\n".join(lines) + "\n"
