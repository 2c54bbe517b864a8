"""``tspc verify``."""

from __future__ import annotations

from pathlib import Path

import click

from isa.errors import VerifyError
from runtime.cli.failures import Reported, print_error
from runtime.cli.options import emit, examples, expected_chip_option, file_argument, json_option


@click.command(
    "verify", epilog=examples("tspc verify model.lpu", "tspc verify kernel.asm --chip tiny --json")
)
@file_argument("PROGRAM")
@expected_chip_option
@json_option
def command(file: Path, chip: str | None, as_json: bool) -> None:
    """Prove from its bytes alone that a program keeps every rule of its chip.

    PROGRAM is a .lpu file or assembly. A refusal names instruction, unit, cycle and stream, several at once.
    """
    from isa.verify import verify
    from runtime.cli.programs import program_of

    program = program_of(file, chip)
    try:
        certificate = verify(program)
    except VerifyError:
        errors = verify(program, collect=True)
        if as_json:
            listed = [error.to_dict() for error in errors]
            emit(True, {"verified": False, "errors": listed, "error": listed[0]}, "")
        for error in errors:
            print_error(error)
        raise Reported(errors[0].exit_code) from None
    data = {
        "verified": True,
        "chip": program.machine.name,
        "cycles": certificate.cycles,
        "instructions": certificate.instructions,
        "digest": certificate.digest,
    }
    text = (
        f"{file.name}: verified for chip {program.machine.name}\n"
        f"  {certificate.cycles:,} cycles, {certificate.instructions:,} instructions\n"
        f"  digest {certificate.digest}"
    )
    emit(as_json, data, text)
