"""Programs as commands take them: ``.lpu`` files and assembly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from isa.errors import InputError
from isa.machine import Machine, load_chip
from isa.program import Program
from runtime.api import load
from runtime.cli.progress import progress
from runtime.files import read_text

ASSEMBLY = (".asm", ".s")


def assembled(
    file: Path, chip: str | None, parameters: Mapping[str, int | float] | None = None
) -> Program:
    """The program of an assembly text, for ``chip`` or, where that is None, for the chip that the text names.

    Files that the text names are read from within its folder.
    """
    from isa.assembly import assemble

    machine: Machine | None = load_chip(chip) if chip else None
    return assemble(read_text(file), machine, str(file), file.parent, parameters)


def program_or_model(
    file: Path, chip: str | None, dims: Mapping[str, int], precision: str
) -> Program:
    """As ``program_of``; an ONNX model is compiled, for ``tsp1`` where no chip is given."""
    if file.suffix.lower() != ".onnx":
        return program_of(file, chip)
    from compiler import compile_model

    with progress(f"compiling {file.name}") as report:
        return compile_model(file, dims, chip or "tsp1", precision, report).program


def program_of(file: Path, chip: str | None) -> Program:
    """The program of a ``.lpu`` or ``.asm`` file. Raises InputError, TSP521 if it is for another chip."""
    if file.suffix.lower() in ASSEMBLY:
        return assembled(file, chip)
    if file.suffix.lower() == ".onnx":
        hint = f"compile it first: tspc compile {file} -o {file.stem}.lpu"
        raise InputError(591, "a model, not a program", where=str(file), hint=hint)
    return load(file, chip)
