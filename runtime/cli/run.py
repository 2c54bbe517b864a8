"""``tspc run``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isa.errors import ComparisonError
from runtime.cli.options import (
    emit,
    examples,
    expected_chip_option,
    file_argument,
    inputs_option,
    json_option,
    output_option,
    threads_option,
)

if TYPE_CHECKING:
    from emulator.trace import Trace
    from isa.program import Program
    from runtime.api import Array


@click.command(
    "run",
    epilog=examples(
        "tspc run model.lpu -i input_ids=ids.npy -i attention_mask=mask.npy -o out/",
        "tspc run model.lpu -i x=x.npy --emulator reference --json",
    ),
)
@file_argument("PROGRAM.lpu")
@inputs_option
@output_option("DIR", "Write each output here as NAME.npy.")
@expected_chip_option
@threads_option
@click.option(
    "--emulator",
    "--engine",
    "engine",
    type=click.Choice(["jit", "plain", "reference"]),
    default="jit",
    show_default=True,
    help="plain: the JIT with every optimisation off; reference: the cycle-by-cycle interpreter, slow and obvious.",
)
@json_option
def command(
    file: Path,
    inputs: tuple[str, ...],
    output: Path | None,
    chip: str | None,
    threads: int,
    engine: str,
    as_json: bool,
) -> None:
    """Verify a program, run it on the emulator and write its outputs as .npy files."""
    from runtime.cli.programs import program_of
    from runtime.feeds import read_feeds

    feeds = read_feeds(inputs)
    program = program_of(file, chip)
    outputs, trace, verified = _execute(program, feeds, engine, threads)
    if trace.cycles != verified:
        raise ComparisonError(702, f"cycles verified {verified}, executed {trace.cycles}")
    files = write_arrays(outputs, output) if output is not None else {}
    listed = [
        {
            "name": name,
            "shape": list(array.shape),
            "dtype": str(array.dtype),
            "file": files.get(name),
        }
        for name, array in outputs.items()
    ]
    data = {"cycles": trace.cycles, "instructions": program.instructions, "outputs": listed}
    lines = [f"{file.name}: {trace.cycles:,} cycles, {program.instructions:,} instructions"]
    for entry in listed:
        target = f" -> {entry['file']}" if entry["file"] else ""
        lines.append(f"  {entry['name']}: {entry['dtype']}{entry['shape']}{target}")
    if not files:
        lines.append("  not written: -o DIR writes them")
    emit(as_json, data, "\n".join(lines))


def _execute(
    program: Program, feeds: dict[str, Array], engine: str, threads: int
) -> tuple[dict[str, Array], Trace, int]:
    """Outputs, what was counted, and the cycles that the verifier counted."""
    if engine != "reference":
        from runtime.api import Session

        session = Session(program, threads, engine)
        return (*session.execute(feeds), session.certificate.cycles)
    from emulator.reference import ReferenceInterpreter
    from isa.verify import verify

    verified = verify(program).cycles
    return (*ReferenceInterpreter(program).run(feeds), verified)


def write_arrays(arrays: dict[str, Array], folder: Path) -> dict[str, str]:
    """Write each array as a ``.npy`` file; the paths by array name."""
    import numpy as np

    from runtime.files import file_names, make_folder, write_whole

    make_folder(folder)
    names = file_names(list(arrays))
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        write_whole(folder / names[name], buffer.getvalue())
    return {name: str(folder / names[name]) for name in arrays}
