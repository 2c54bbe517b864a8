"""``tspc diff``."""

from __future__ import annotations

from pathlib import Path

import click

from isa.errors import ComparisonError
from runtime.cli.failures import Reported, print_error
from runtime.cli.options import (
    dim_option,
    emit,
    energy_option,
    examples,
    json_option,
    precision_option,
    program_or_model_chip_option,
    top_option,
)


@click.command(
    "diff",
    epilog=examples(
        "tspc diff before.lpu after.lpu",
        "tspc diff before.lpu after.lpu --fail-over 0",
        "tspc diff model.onnx changed.onnx --dim seq=128 --energy energies.toml --json",
    ),
)
@click.argument("before", metavar="A", type=click.Path(path_type=Path))
@click.argument("after", metavar="B", type=click.Path(path_type=Path))
@program_or_model_chip_option
@dim_option
@precision_option
@top_option
@energy_option
@click.option(
    "--fail-over",
    type=click.FloatRange(0),
    metavar="PERCENT",
    help="Exit with 1 if B takes more cycles than A by more than this; 0 allows none.",
)
@json_option
def command(
    before: Path,
    after: Path,
    chip: str | None,
    dims: dict[str, int],
    precision: str,
    top: int,
    energy: Path | None,
    fail_over: float | None,
    as_json: bool,
) -> None:
    """Say what changed between two programs: cycles, instructions, memory, energy, by node, and why.

    Cycles of this machine are exact, so a change of one cycle is one.
    """
    from runtime.cli.programs import program_or_model
    from runtime.ledger import executed
    from runtime.ledger.diff import difference
    from runtime.ledger.events import read_energies

    energies = read_energies(energy) if energy else None
    programs = [program_or_model(file, chip, dims, precision) for file in (before, after)]
    found = difference(*(executed(program, energies) for program in programs))
    error = None
    if fail_over is not None and found.percent > fail_over:
        cycles = found.totals[0]
        error = ComparisonError(
            705,
            f"{cycles.after:,.0f} cycles instead of {cycles.before:,.0f}: {found.percent:+.4f} %, "
            f"more than {fail_over:g} %",
            where=str(after),
            hint="`tspc report` of both says where they go",
        )
    data = found.to_dict()
    if error is not None:
        data["error"] = error.to_dict()
    emit(as_json, data, found.text(top))
    if error is not None:
        print_error(error)
        raise Reported(error.exit_code)
