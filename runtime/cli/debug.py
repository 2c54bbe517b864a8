"""``tspc debug``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isa.errors import TspcError, VerifyError
from runtime.cli.asm import parse_parameters
from runtime.cli.failures import Reported, print_error
from runtime.cli.options import (
    emit,
    examples,
    expected_chip_option,
    file_argument,
    inputs_option,
    json_option,
)

if TYPE_CHECKING:
    from isa.program import Program
    from runtime.debug.session import Session


@click.command(
    "debug",
    epilog=examples(
        "tspc debug kernel.asm",
        "tspc debug model.lpu -i x=x.npy --batch checks.dbg",
        "echo 'break alu0 as f32 nan' | tspc debug kernel.lpu --batch - --json",
    ),
)
@file_argument("PROGRAM")
@inputs_option
@click.option("--seed", default=0, show_default=True, help="Draws the inputs that are not given.")
@click.option(
    "--batch",
    metavar="SCRIPT",
    help="Run the commands of a file (-: stdin), and exit with 1 where an expectation fails.",
)
@click.option("--unverified", is_flag=True, help="Debug a program that the verifier refuses.")
@expected_chip_option
@click.option(
    "-D",
    "--define",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    callback=parse_parameters,
    help="Value of a .param of an assembly text; repeatable.",
)
@json_option
def command(
    file: Path,
    inputs: tuple[str, ...],
    seed: int,
    batch: str | None,
    unverified: bool,
    chip: str | None,
    parameters: dict[str, int | float],
    as_json: bool,
) -> None:
    """Step through a program by cycle and instruction, forward and back; look at everything; ask who wrote it.

    PROGRAM is a .lpu file or assembly. The reference interpreter runs it. `help` lists the commands.
    """
    from runtime.cli.programs import ASSEMBLY, assembled, program_of
    from runtime.debug.session import Session
    from runtime.feeds import random_feeds, read_feeds

    given = read_feeds(inputs)
    if file.suffix.lower() in ASSEMBLY:
        program = assembled(file, chip, parameters)
    else:
        program = program_of(file, chip)
    refusal = _refusal(program)
    if refusal is not None and not unverified:
        refusal.hint += "; " * bool(refusal.hint) + "--unverified debugs it as it is"
        raise refusal
    drawn = random_feeds((p for p in program.inputs if p.name not in given), seed)
    session = Session(program, drawn | given, str(file))
    head = {
        "program": str(file),
        "chip": program.machine.name,
        "verified": refusal is None,
        "refusal": refusal.to_dict() if refusal else None,
    }
    if batch is not None:
        _batch(session, batch, head, as_json)
        return
    from runtime.debug.repl import Repl

    if refusal is not None:
        print(f"refused by the verifier: {refusal}")
    Repl(session).cmdloop()


def _refusal(program: Program) -> VerifyError | None:
    from isa.verify import verify

    try:
        verify(program)
    except VerifyError as error:
        return error
    return None


def _batch(session: Session, script: str, head: dict[str, Any], as_json: bool) -> None:
    """Run a script and print what it gives, a transcript or one object."""
    from runtime.debug.batch import ScriptError, read_script, run_script
    from runtime.debug.text import render
    from runtime.files import read_text

    where = "stdin" if script == "-" else script
    text = sys.stdin.read() if script == "-" else read_text(Path(script))
    try:
        lines = read_script(text, where, session.names)
    except ScriptError as wrong:
        for error in wrong.errors[1:]:
            print_error(error)
        raise
    if head["refusal"] and not as_json:
        r = head["refusal"]
        print(f"refused by the verifier: {r['code']}: {r['where']}: {r['message']}")
    results: list[dict[str, Any]] = []
    error_: TspcError | None = None
    try:
        for line, result in run_script(session, lines, where):
            results.append({"line": line.number, "command": line.text, **result})
            if not as_json:
                print(f"> {line.text}")
                if shown := render(result):
                    print(shown)
    except TspcError as error:
        error_ = error
    if as_json:
        more = {"error": error_.to_dict()} if error_ else {}
        emit(True, {**head, "results": results, **more}, "")
    if error_ is not None:
        print_error(error_)
        raise Reported(error_.exit_code)
