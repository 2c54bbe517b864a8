"""``tspc check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runtime.cli.collection import collection_put_off
from runtime.cli.failures import Reported, print_error
from runtime.cli.options import (
    chip_option,
    dim_option,
    effort_option,
    emit,
    emulator_option,
    examples,
    file_argument,
    inputs_option,
    json_option,
    precision_option,
    threads_option,
)
from runtime.cli.progress import progress

if TYPE_CHECKING:
    from runtime.check import CheckResult


@click.command(
    "check",
    epilog=examples(
        "tspc check model.onnx --dim batch=1 --dim seq=37",
        "tspc check model.onnx -i input_ids=ids.npy --seed 7 --json",
        "tspc check model.onnx --per-node",
    ),
)
@file_argument("MODEL.onnx")
@inputs_option
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of inputs not given."
)
@click.option("--per-node", is_flag=True, help="Name the first node whose tensor leaves tolerance.")
@chip_option
@dim_option
@precision_option
@effort_option
@threads_option
@emulator_option
@json_option
@collection_put_off()
def command(
    file: Path,
    inputs: tuple[str, ...],
    seed: int,
    per_node: bool,
    chip: str,
    dims: dict[str, int],
    precision: str,
    effort: int,
    threads: int,
    emulator: str,
    as_json: bool,
) -> None:
    """Compile, verify and run a model, and compare its outputs with onnx.reference.

    Inputs that are not given are drawn at random: ids within their table, masks with a padding tail.
    """
    from runtime.check import Request, check
    from runtime.feeds import read_feeds

    feeds = read_feeds(inputs)
    with progress(f"checking {file.name}") as report:
        request = Request(
            file, dims, chip, precision, feeds, seed, threads, report, emulator, effort
        )
        result = check(request, per_node=per_node)
    finish(file.name, result, as_json)


def finish(title: str, result: CheckResult, as_json: bool) -> None:
    """Print a result, and end with its error if it has one."""
    emit(as_json, result.to_dict(), text_of(title, result))
    if (error := result.error()) is not None:
        print_error(error)
        raise Reported(error.exit_code)


def text_of(title: str, result: CheckResult) -> str:
    """A check's result as lines."""
    from runtime.report import aligned

    rows = [
        (
            c.name,
            f"relative L2 {c.relative_l2:.2e}",
            f"cosine {c.cosine:.8f}",
            f"max abs {c.max_abs:.2e}",
            f"max ULP {c.max_ulp:,}",
            "pass" if c.passed else f"FAIL: {c.problem}",
        )
        for c in result.comparisons
    ]
    verdict = "passed" if result.error() is None else "FAILED"
    lines = [f"{title}: {verdict}", aligned(rows)]
    tolerances = dict.fromkeys(c.tolerance for c in result.comparisons)
    lines += [f"  tolerance: {tolerance} ({tolerance.reason})" for tolerance in tolerances]
    lines.append(
        f"  cycles predicted {result.cycles_predicted:,}, verified {result.certificate.cycles:,}, "
        f"executed {result.cycles_executed:,}"
    )
    if result.nodes:
        lines.append(_nodes_text(result))
    spent = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in result.seconds.items())
    return "\n".join([*lines, f"  {spent}"])


def _nodes_text(result: CheckResult) -> str:
    first = result.first_divergence
    if first is None:
        worst = max(result.nodes, key=lambda node: node.comparison.relative_l2)
        return (
            f"  {len(result.nodes)} node tensors within tolerance; the farthest is {worst.node} "
            f"({worst.op}), relative L2 {worst.comparison.relative_l2:.2e}"
        )
    origin = f", from ONNX {', '.join(first.origin)}" if first.origin else ""
    return (
        f"  first to leave tolerance: {first.node} ({first.op}{origin}): {first.comparison.problem}"
    )
