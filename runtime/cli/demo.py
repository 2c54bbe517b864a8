"""``tspc demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runtime.cli.options import emit, examples, json_option
from runtime.cli.progress import progress

if TYPE_CHECKING:
    from runtime.check import CheckResult
    from runtime.report import CompileSummary

MODEL = Path(__file__).parents[1] / "data" / "demo.onnx"
DIMS = {"batch": 2, "seq": 19}


@click.command("demo", epilog=examples("tspc demo", "tspc demo --json"))
@json_option
def command(as_json: bool) -> None:
    """Compile, verify, run and check the transformer that is shipped, and say what happened."""
    from runtime.check import Request, check
    from runtime.cli.failures import Reported, print_error

    with progress("demo") as report:
        result = check(Request(MODEL, DIMS, progress=report))
    data = {**_summary(result).to_dict(), **result.to_dict()}
    emit(as_json, data, _text(result))
    if (error := result.error()) is not None:
        print_error(error)
        raise Reported(error.exit_code)


def _summary(result: CheckResult) -> CompileSummary:
    from runtime.report import CompileSummary

    return CompileSummary(MODEL.name, result.compilation, result.certificate, "fp16")


def _text(result: CheckResult) -> str:
    """The road, one paragraph a stage."""
    from runtime.cli.check import text_of

    given = ", ".join(
        f"{name} {array.dtype}{list(array.shape)}" for name, array in result.feeds.items()
    )
    return "\n".join(
        [
            "A two-layer transformer encoder, compiled for the default chip:",
            _summary(result).text(written=False),
            "The verifier proved every rule of the machine from the program alone:",
            f"  {result.certificate.cycles:,} cycles, digest {result.certificate.digest[:16]}",
            f"The emulator ran it on {given};",
            "onnx.reference (numpy) ran the model itself on the same arrays:",
            text_of(MODEL.name, result),
        ]
    )
