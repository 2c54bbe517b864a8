"""``tspc compile``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isa.errors import InternalError
from runtime.cli.collection import collection_put_off
from runtime.cli.options import (
    chip_option,
    dim_option,
    effort_option,
    emit,
    examples,
    file_argument,
    json_option,
    output_option,
    precision_option,
)
from runtime.cli.progress import progress

if TYPE_CHECKING:
    from compiler import Compilation
    from isa.verify import Certificate
    from runtime.compile_cache import CompileCache, Request
    from runtime.report import CompileSummary

STAGES = ("graph", "tiles", "placement", "schedule", "asm")


@click.command(
    "compile",
    epilog=examples(
        "tspc model.onnx",
        "tspc compile model.onnx --dim batch=1 --dim seq=128 -o model.lpu",
        "tspc compile model.onnx --chip tsp1-deep --precision strict --timing",
        "tspc compile model.onnx -O3 -o model.lpu",
        "tspc compile model.onnx --dump graph | less",
    ),
)
@file_argument("MODEL.onnx")
@output_option("OUT.lpu", "Write the program here.")
@chip_option
@dim_option
@precision_option
@effort_option
@click.option(
    "--dump", type=click.Choice(STAGES), help="Print this stage's form instead of the report."
)
@click.option(
    "--dump-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write every stage's form into this folder.",
)
@click.option("--timing", is_flag=True, help="Show seconds and peak memory a stage.")
@click.option(
    "--cache/--no-cache",
    default=True,
    show_default=True,
    envvar="TSPC_CACHE",
    show_envvar=True,
    help="Take an unchanged model's program from the last time. --timing and --dump compile anew.",
)
@json_option
@collection_put_off()
def command(
    file: Path,
    output: Path | None,
    chip: str,
    dims: dict[str, int],
    precision: str,
    effort: int,
    dump: str | None,
    dump_dir: Path | None,
    timing: bool,
    cache: bool,
    as_json: bool,
) -> None:
    """Compile an ONNX model into a verified program and report what it takes."""
    from isa.machine import load_chip
    from runtime.compile_cache import CompileCache, Request
    from runtime.files import check_target, make_folder, write_whole

    if output is not None:
        check_target(output, file)
    request = Request(file, dims, load_chip(chip), precision, effort)
    kept = CompileCache() if cache and not (timing or dump or dump_dir) else None
    if kept is not None and _unchanged(kept, request, output, as_json):
        return
    from compiler import compile_model
    from runtime.report import CompileSummary

    with progress(f"compiling {file.name}") as report:
        compilation = compile_model(
            file, dims=dims, chip=chip, precision=precision, progress=report, effort=effort
        )
    certificate = verify_and_write(compilation, output)
    if dump_dir is not None:
        make_folder(dump_dir)
        for stage in STAGES:
            write_whole(dump_dir / f"{stage}.txt", compilation.dump(stage).encode())
    summary = CompileSummary(file.name, compilation, certificate, precision, str(output or ""))
    if kept is not None:
        _keep(kept, request, summary)
    _report(summary, dump, timing, as_json)


def _unchanged(kept: CompileCache, request: Request, output: Path | None, as_json: bool) -> bool:
    """Whether the program was there from before; then it is written and reported."""
    from runtime.files import writing
    from runtime.report import written_text

    started = time.perf_counter()
    hit = kept.find(request)
    if hit is None:
        return False
    if output is not None:
        with writing(output):
            hit.copy_to(output)
    seconds = time.perf_counter() - started
    data = hit.data | {
        "cached": True,
        "seconds": round(seconds, 4),
        "output": str(output or "") or None,
    }
    text = f"{hit.text}\n  unchanged since it was compiled: taken from the cache\n{written_text(output)}"
    emit(as_json, data, text)
    return True


def _keep(kept: CompileCache, request: Request, summary: CompileSummary) -> None:
    """Put the program where the next call finds it."""
    from compiler.frontend import data_files
    from isa.binary import write

    program = summary.compilation.program
    external = data_files(request.model)
    kept.keep(
        request,
        lambda path: write(program, path),
        external,
        summary.to_dict(),
        summary.text(written=False),
    )


def verify_and_write(compilation: Compilation, output: Path | None) -> Certificate:
    """Hold the program against the verifier, and its cycles against the schedule's, before a byte of it is written."""
    from isa.binary import write
    from isa.verify import verify
    from runtime.files import writing

    certificate = verify(compilation.program)
    if certificate.cycles != compilation.report.cycles:
        counts = f"{compilation.report.cycles} cycles, the verifier counts {certificate.cycles}"
        raise InternalError(950, f"the schedule promises {counts}")
    if output is not None:
        with writing(output):
            write(compilation.program, output)
    return certificate


def _report(summary: CompileSummary, dump: str | None, timing: bool, as_json: bool) -> None:
    text = "\n".join([summary.text(), *([summary.timing_text()] if timing else [])])
    data = summary.to_dict()
    if dump is not None:
        form = summary.compilation.dump(dump)
        data |= {"dump": {"stage": dump, "text": form}}
        click.echo(text, err=True)
        text = form.rstrip("\n")
    emit(as_json, data, text)
