"""``tspc dis``."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import click

from isa.errors import UsageError
from isa.machine import Machine
from isa.program import Program
from runtime.cli.options import (
    emit,
    examples,
    expected_chip_option,
    file_argument,
    json_option,
    output_option,
)


def queues_of(patterns: Sequence[str], machine: Machine) -> list[int] | None:
    """The queues that patterns name: ``VXM_3``, ``MEM_E*``, ``VXM``, ``MXM_E0``; None for no pattern.

    Raises UsageError TSP804 for a pattern that names none.
    """
    found: set[int] = set()
    for pattern in patterns:
        some = {
            i
            for i, name in enumerate(machine.queue_names)
            if fnmatch.fnmatchcase(name, pattern) or name.startswith((f"{pattern}_", f"{pattern}."))
        }
        if not some:
            close = get_close_matches(pattern, machine.queue_names, 1)
            hint = f"did you mean {close[0]}?" if close else "MEM_E3, MEM_E*, VXM, MXM_E0"
            raise UsageError(804, f"{machine.name} has no queue {pattern!r}", hint=hint)
        found |= some
    return sorted(found) if patterns else None


@click.command(
    "dis",
    epilog=examples(
        "tspc dis model.lpu | less",
        "tspc dis model.lpu -o model.asm",
        "tspc dis kernel.asm --timeline",
        "tspc dis model.lpu --timeline --from 1000 --to 1040 --queue VXM --queue 'MEM_E*'",
    ),
)
@file_argument("PROGRAM.lpu")
@output_option("OUT.asm", "Write the text here instead of stdout.")
@click.option("--timeline", is_flag=True, help="Cycle by cycle across queues, instead of assembly.")
@click.option("--from", "first", type=click.IntRange(0), help="First cycle of the timeline.")
@click.option("--to", "last", type=click.IntRange(0), help="Last cycle of the timeline.")
@click.option(
    "--queue",
    "patterns",
    multiple=True,
    metavar="NAME",
    help="Only this queue, unit or pattern (VXM_3, VXM, 'MEM_E*') in the timeline; repeatable.",
)
@expected_chip_option
@json_option
def command(
    file: Path,
    output: Path | None,
    timeline: bool,
    first: int | None,
    last: int | None,
    patterns: tuple[str, ...],
    chip: str | None,
    as_json: bool,
) -> None:
    """Print a program as assembly; `tspc asm` makes the same bytes of it again.

    Comments give the names that the program carries: of labels, tensors, streams, inputs and outputs. --timeline shows
    what every queue dispatches, cycle by cycle; cycles in which the same repeats stand together.
    """
    from isa.assembly import listing
    from runtime.cli.programs import program_of
    from runtime.files import check_target, write_whole

    if not timeline and (patterns or first is not None or last is not None):
        raise UsageError(804, "--from, --to and --queue choose a part of --timeline")
    if last is not None and last < (first or 0):
        raise UsageError(804, f"--to {last} is before --from {first or 0}")
    if output is not None:
        check_target(output, file)
    program = program_of(file, chip)
    if timeline:
        queues = queues_of(patterns, program.machine)
        _timeline(program, (first or 0, last, queues), file, output, as_json)
        return
    text = listing(program)
    if output is None:
        emit(as_json, {"assembly": text, "output": None}, text.rstrip("\n"))
        return
    write_whole(output, text.encode())
    data = {"assembly": None, "output": str(output)}
    emit(as_json, data, f"{file.name}: wrote {output}")


def _timeline(
    program: Program,
    part: tuple[int, int | None, list[int] | None],
    file: Path,
    output: Path | None,
    as_json: bool,
) -> None:
    """Print or write (``output``) the timeline of cycles and queues; a long one goes out as it is made."""
    from isa.assembly.timeline import timeline, timeline_lines
    from runtime.files import write_whole

    runs = timeline(program, *part)
    if output is not None:
        write_whole(output, "".join(f"{line}\n" for line in timeline_lines(runs)).encode())
        data = {"timeline": None, "output": str(output)}
        emit(as_json, data, f"{file.name}: wrote {output}")
    elif as_json:
        emit(True, {"timeline": [dataclasses.asdict(run) for run in runs], "output": None}, "")
    else:
        for line in timeline_lines(runs):
            click.echo(line)
