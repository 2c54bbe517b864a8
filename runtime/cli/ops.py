"""``tspc ops``."""

from __future__ import annotations

from typing import cast

import click

from runtime.cli.options import emit, examples, json_option


@click.command("ops", epilog=examples("tspc ops", "tspc ops --json"))
@json_option
def command(as_json: bool) -> None:
    """List the ONNX operators that compile, with opsets, element types and limits, as the code has them."""
    from compiler.ops_table import supported_ops
    from runtime.report import aligned

    ops = supported_ops()
    rows = [("operator", "opsets", "element types", "limits")]
    for op in ops:
        opsets, dtypes = cast("tuple[list[int], list[str]]", (op["opsets"], op["dtypes"]))
        span = "-".join(str(opset) for opset in opsets)
        rows.append((str(op["op"]), span, " ".join(dtypes), str(op["limits"])))
    emit(as_json, {"ops": ops}, aligned(rows, indent=""))
