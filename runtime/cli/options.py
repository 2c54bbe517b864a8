"""Options that commands share, and the form of their results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from isa.errors import UsageError

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]


def emit(as_json: bool, data: Mapping[str, object], text: str) -> None:
    """Print a command's result: one JSON object, or the text."""
    click.echo(json.dumps(data) if as_json else text)


def parse_dims(
    _ctx: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> dict[str, int]:
    """Sizes by name from ``name=N`` texts. Raises UsageError TSP804."""
    dims: dict[str, int] = {}
    for text in given:
        name, sign, size = text.partition("=")
        name = name.strip()
        if not (name and sign and size.strip().isdecimal() and size.isascii()):
            raise UsageError(804, f"not a dimension: {text!r}", hint="write --dim name=N")
        if dims.setdefault(name, int(size)) != int(size):
            raise UsageError(804, f"dimension {name!r} is given two sizes")
    return dims


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
dim_option = click.option(
    "--dim",
    "dims",
    multiple=True,
    metavar="NAME=N",
    callback=parse_dims,
    help="Size of a symbolic dimension; repeatable.",
)
chip_option = click.option(
    "--chip",
    default="tsp1",
    show_default=True,
    metavar="NAME_OR_FILE",
    help="Chip preset, or a chip file.",
)
expected_chip_option = click.option(
    "--chip",
    metavar="NAME_OR_FILE",
    help="Refuse a program compiled for another chip. Default: the preset that it names.",
)
program_or_model_chip_option = click.option(
    "--chip",
    metavar="NAME_OR_FILE",
    help="What a model is compiled for (default tsp1), or a program must be for.",
)
top_option = click.option(
    "--top", type=click.IntRange(1), default=12, show_default=True, help="How many nodes to list."
)
energy_option = click.option(
    "--energy",
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="Your picojoules an event; see `examples/energies.toml`.",
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["fp16", "strict"]),
    default="fp16",
    show_default=True,
    help="fp16: one pass; strict: three passes, fp32-grade.",
)
effort_option = click.option(
    "-O",
    "--effort",
    type=click.IntRange(0, 3),
    default=1,
    show_default=True,
    help="0: a quick schedule; 2 and 3: the shortest of 4 and of 16, the same ones every time.",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Threads of the emulator; the bits do not depend on it.",
)
emulator_option = click.option(
    "--emulator",
    type=click.Choice(["jit", "plain"]),
    default="jit",
    show_default=True,
    help="plain: with every optimisation off; the bits do not depend on it.",
)
inputs_option = click.option(
    "-i", "--input", "inputs", multiple=True, metavar="NAME=FILE.npy", help="An input; repeatable."
)


def output_option(metavar: str, text: str) -> Decorator[Any]:
    """``-o``, a path."""
    return click.option(
        "-o", "--output", type=click.Path(path_type=Path), metavar=metavar, help=text
    )


def file_argument(metavar: str) -> Decorator[Any]:
    """The positional argument ``file``, a path; whoever reads it says what is wrong with it."""
    return click.argument("file", metavar=metavar, type=click.Path(path_type=Path))


def examples(*lines: str) -> str:
    """An epilog that click prints as it stands."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
