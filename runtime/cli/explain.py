"""``tspc explain``."""

from __future__ import annotations

import re

import click

from isa.errors import UsageError
from runtime.cli.options import emit, examples, json_option


@click.command("explain", epilog=examples("tspc explain TSP110", "tspc explain 521 --json"))
@click.argument("code", metavar="TSPnnn")
@json_option
def command(code: str, as_json: bool) -> None:
    """Say what an error number means and what to do about it."""
    from isa.explain import page
    from runtime.explain import explain

    match = re.fullmatch(r"(?:TSP)?(\d{1,3})", code, re.IGNORECASE)
    if match is None:
        raise UsageError(804, f"not an error number: {code!r}", hint="write TSP110, or 110")
    number = int(match[1])
    text = explain(number)
    data = {"code": f"TSP{number:03d}", "text": text}
    found = page(number)
    if found is not None:
        data |= {"title": found.title, "wrong": found.wrong.text, "right": found.right.text}
    emit(as_json, data, f"TSP{number:03d}: {text}")
