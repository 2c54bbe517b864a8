"""``tspc asm``."""

from __future__ import annotations

from pathlib import Path

import click

from runtime.cli.options import emit, examples, file_argument, json_option, output_option


@click.command(
    "asm",
    epilog=examples("tspc asm kernel.asm -o kernel.lpu", "tspc asm kernel.asm --chip tiny"),
)
@file_argument("KERNEL.asm")
@output_option("OUT.lpu", "Write the program here.")
@click.option("--chip", metavar="NAME_OR_FILE", help="Chip, where the text does not name one.")
@json_option
def command(file: Path, output: Path | None, chip: str | None, as_json: bool) -> None:
    """Assemble a text into a program. All its errors are reported at once; `tspc verify` judges the program."""
    from isa.binary import write
    from runtime.cli.programs import assembled
    from runtime.files import check_target, writing

    if output is not None:
        check_target(output, file)
    program = assembled(file, chip)
    if output is not None:
        with writing(output):
            write(program, output)
    data = {
        "chip": program.machine.name,
        "bursts": len(program.bursts),
        "instructions": program.instructions,
        "output": str(output) if output else None,
    }
    text = (
        f"{file.name}: {len(program.bursts):,} bursts, {program.instructions:,} instructions "
        f"for chip {program.machine.name}\n"
    )
    text += f"  wrote {output}" if output else "  not written: -o OUT.lpu writes it"
    emit(as_json, data, text)
