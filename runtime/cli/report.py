"""``tspc report``."""

from __future__ import annotations

from pathlib import Path

import click

from runtime.cli.options import (
    dim_option,
    emit,
    energy_option,
    examples,
    file_argument,
    json_option,
    precision_option,
    program_or_model_chip_option,
    top_option,
)


@click.command(
    "report",
    epilog=examples(
        "tspc report model.lpu",
        "tspc report model.onnx --dim batch=1 --dim seq=128 --top 30",
        "tspc report model.lpu --html run.html --trace run.json",
        "tspc report model.lpu --energy energies.toml --json",
    ),
)
@file_argument("PROGRAM_OR_MODEL")
@program_or_model_chip_option
@dim_option
@precision_option
@top_option
@energy_option
@click.option(
    "--tokens", type=click.IntRange(0), help="Tokens a run; default: the size of the ids."
)
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the report and a timeline of every unit as one page.",
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the run as Chrome trace JSON.",
)
@json_option
def command(
    file: Path,
    chip: str | None,
    dims: dict[str, int],
    precision: str,
    top: int,
    energy: Path | None,
    tokens: int | None,
    html: Path | None,
    trace: Path | None,
    as_json: bool,
) -> None:
    """Say where a program's cycles go, and why not fewer.

    The program is verified and run once on seeded inputs. Every unit-cycle of the run belongs to a node or to a named cause of
    idleness; lower bounds say what each resource alone would need; the critical path says what waited for what.
    """
    from runtime.cli.programs import program_or_model
    from runtime.files import check_target, write_whole
    from runtime.ledger import Cost, executed
    from runtime.ledger.events import read_energies
    from runtime.ledger.render import text, to_dict
    from runtime.timeline import chrome_trace, page

    for target in (html, trace):
        if target is not None:
            check_target(target, file)
    energies = read_energies(energy) if energy else None
    program = program_or_model(file, chip, dims, precision)
    ledger = executed(program, energies)
    cost = Cost.of(program, ledger.cycles, tokens)
    if html is not None:
        write_whole(html, page(ledger, cost).encode())
    if trace is not None:
        write_whole(trace, chrome_trace(ledger))
    emit(as_json, to_dict(ledger, cost), "" if as_json else text(ledger, cost, top))
