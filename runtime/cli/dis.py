"""``tspc dis``."""

from __future__ import annotations

from pathlib import Path

import click

from runtime.cli.options import (
    emit,
    examples,
    expected_chip_option,
    file_argument,
    json_option,
    output_option,
)


@click.command(
    "dis", epilog=examples("tspc dis model.lpu | less", "tspc dis model.lpu -o model.asm")
)
@file_argument("PROGRAM.lpu")
@output_option("OUT.asm", "Write the text here instead of stdout.")
@expected_chip_option
@json_option
def command(file: Path, output: Path | None, chip: str | None, as_json: bool) -> None:
    """Print a program as assembly; `tspc asm` makes the same bytes of it again.

    Comments give the names that the program carries: of labels, tensors, inputs and outputs.
    """
    from isa.assembly import listing
    from runtime.cli.programs import program_of
    from runtime.files import check_target, write_whole

    if output is not None:
        check_target(output, file)
    text = listing(program_of(file, chip))
    if output is None:
        emit(as_json, {"assembly": text, "output": None}, text.rstrip("\n"))
        return
    write_whole(output, text.encode())
    data = {"assembly": None, "output": str(output)}
    emit(as_json, data, f"{file.name}: wrote {output}")
