"""``tspc ops``."""

from __future__ import annotations

import click

from runtime.cli.options import emit, examples, json_option


@click.command("ops", epilog=examples("tspc ops", "tspc ops --json"))
@json_option
def command(as_json: bool) -> None:
    """List the ONNX operators that compile, with opsets, element types and limits, as the code has them."""
    from compiler.ops_table import supported_ops
    from runtime.report import aligned

    ops = supported_ops()
    header = tuple(key for key in ops[0])
    rows = [header, *(tuple(_text(op[key]) for key in header) for op in ops)]
    emit(as_json, {"ops": ops}, aligned(rows, indent=""))


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(str(part) for part in value)
    return str(value)
