"""``tspc asm``."""

from __future__ import annotations

from pathlib import Path

import click

from isa.errors import UsageError
from runtime.cli.options import emit, examples, file_argument, json_option, output_option


def parse_parameters(
    _ctx: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> dict[str, int | float]:
    """Numbers by name from ``name=value`` texts. Raises UsageError TSP804."""
    found: dict[str, int | float] = {}
    for text in given:
        name, sign, value = text.partition("=")
        try:
            number = float(value) if any(c in value.lower() for c in ".en") else int(value)
        except ValueError:
            sign = ""
        if not sign or not name.isidentifier() or len(value) > 30:
            raise UsageError(804, f"not a parameter: {text!r}", hint="write -D name=128")
        found[name] = number
    return found


@click.command(
    "asm",
    epilog=examples(
        "tspc asm kernel.asm -o kernel.lpu",
        "tspc asm kernel.asm --explicit",
        "tspc asm kernel.asm --chip tiny -D n=37",
    ),
)
@file_argument("KERNEL.asm")
@output_option("OUT.lpu", "Write the program here.")
@click.option("--chip", metavar="NAME_OR_FILE", help="Chip, where the text does not name one.")
@click.option(
    "-D",
    "--define",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=parse_parameters,
    help="Value of a .param of the text; repeatable.",
)
@click.option(
    "--explicit", is_flag=True, help="Print the schedule with every time, delay and address found."
)
@json_option
def command(
    file: Path,
    output: Path | None,
    chip: str | None,
    parameters: dict[str, int | float],
    explicit: bool,
    as_json: bool,
) -> None:
    """Assemble a text into a program. All its errors are reported at once; `tspc verify` judges the program."""
    from isa.assembly import listing
    from isa.binary import write
    from runtime.cli.programs import assembled
    from runtime.files import check_target, writing

    if output is not None:
        check_target(output, file)
    program = assembled(file, chip, parameters)
    if output is not None:
        with writing(output):
            write(program, output)
    data = {
        "chip": program.machine.name,
        "bursts": len(program.bursts),
        "instructions": program.instructions,
        "output": str(output) if output else None,
    }
    if explicit:
        shown = listing(program)
        emit(as_json, data | {"assembly": shown}, shown.rstrip("\n"))
        return
    text = (
        f"{file.name}: {len(program.bursts):,} bursts, {program.instructions:,} instructions "
        f"for chip {program.machine.name}\n"
    )
    text += f"  wrote {output}" if output else "  not written: -o OUT.lpu writes it"
    emit(as_json, data, text)
