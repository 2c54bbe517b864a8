"""``tspc lsp``."""

from __future__ import annotations

from importlib.util import find_spec

import click

from isa.errors import UsageError
from runtime.cli.failures import Reported
from runtime.cli.options import examples, json_option


@click.command(
    "lsp",
    epilog=examples(
        "tspc lsp", "tspc lsp --tcp 2087 --chip tiny", "tspc lsp --textmate > tsp.tmLanguage.json"
    ),
)
@click.option(
    "--tcp",
    "port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Serve at a port of this host.",
)
@click.option("--chip", metavar="NAME_OR_FILE", help="Chip, where a text does not name one.")
@click.option("--textmate", is_flag=True, help="Print the grammar for highlighting, and end.")
@json_option
def command(port: int | None, chip: str | None, textmate: bool, as_json: bool) -> None:
    """Serve an editor: errors as one types, completion, hover, definitions, formatting.

    Speaks the language server protocol on stdin and stdout; an editor starts it. Needs the extra `lsp` (pygls).
    """
    del as_json  # What is said is JSON either way: messages, or a grammar.
    if textmate:
        from isa.textmate import grammar

        click.echo(grammar(), nl=False)
        return
    if find_spec("pygls") is None:
        hint = "pip install 'tspc[lsp]', or pip install pygls"
        raise UsageError(830, "the language server needs pygls, which is not installed", hint=hint)
    from isa.machine import load_chip
    from runtime.lsp.server import serve

    code = serve(load_chip(chip) if chip else None, port)
    if code:
        raise Reported(code)
