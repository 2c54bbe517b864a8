"""The command ``tspc`` and its table of commands, each imported when it is called."""

from __future__ import annotations

import difflib
import importlib
import os
from typing import Final

import click

from isa.errors import UsageError

COMMANDS: Final = {
    "compile": "compile an ONNX model; `tspc MODEL.onnx` is short for it",
    "run": "run a program on arrays from .npy files",
    "check": "compile, verify, run, and compare with onnx.reference",
    "verify": "prove that a program keeps every rule of its chip",
    "asm": "assemble a text into a program",
    "fmt": "bring an assembly text into its one form",
    "dis": "print a program as assembly",
    "lsp": "serve an editor: errors as one types, completion, hover",
    "info": "describe a program or a chip",
    "report": "say where a program's cycles go, and why not fewer",
    "diff": "say what changed between two programs, and why",
    "ops": "list the ONNX operators that compile, with their limits",
    "debug": "step through a program, forward and back, and see who wrote what",
    "demo": "do the whole road on the model that is shipped",
    "explain": "say what an error number means",
}
"""Name and summary of each command; ``runtime.cli.NAME`` holds it as ``command``."""


class CommandTable(click.Group):
    """A group that knows its commands by name and takes a model's path for ``compile``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"runtime.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {name for option in self.get_params(ctx) for name in option.opts}
        if args and args[0] not in COMMANDS and args[0] not in own:
            first = args[0]
            path_like = first.endswith(".onnx") or os.sep in first or os.path.exists(first)
            if not (path_like or first.startswith("-")):
                near = difflib.get_close_matches(first, COMMANDS, n=1)
                hint = f"did you mean `tspc {near[0]}`?" if near else "tspc --help lists them"
                raise UsageError(802, f"no command {first!r}", hint=hint)
            args = ["compile", *args]
        return super().parse_args(ctx, args)


def _print_version(ctx: click.Context, _option: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"tspc {version('tspc')}")
        except PackageNotFoundError:
            click.echo("tspc, not installed")
        ctx.exit()


@click.group(
    cls=CommandTable,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  tspc demo
  tspc model.onnx --dim batch=1 --dim seq=128 -o model.lpu
  tspc run model.lpu -i input_ids=ids.npy -i attention_mask=mask.npy -o out/
  tspc check model.onnx --dim batch=1 --dim seq=37

\b
Exit codes: 0 ok, 1 comparison failed, 2 usage, 3 input refused, 4 does not fit or
limit exceeded, 5 verifier refused, 70 internal error, 130 interrupted.""",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def tspc() -> None:
    """Compile ONNX models for a streaming tensor processor, and run them on its emulator.

    The machine is a documented model of one, not any vendor's silicon; its cycle counts are exact for it.
    """
