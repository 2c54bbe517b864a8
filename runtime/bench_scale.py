"""How cost grows with layers and sequence: ``python -m runtime.bench_scale [--out docs] [--layers N ...] [--sequences N ...]``.

Encoders with the layers of BERT-base (768 wide, 12 heads, feed-forward 3072) and a small vocabulary are made, compiled in a
process of their own, and run on the JIT. Cycles are exact; seconds belong to the machine that the page names. Writes
``scale.md``, the page of the documentation, and ``scale.svg``, its plot.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from isa.errors import TspcError
from runtime.bench import MIB, compiled, machine_facts
from runtime.bench_load import measured
from runtime.feeds import random_feeds

SCRIPT: Final = Path(__file__).parents[1] / "examples" / "make_demo_model.py"
BERT: Final = {
    "hidden": 768,
    "heads": 12,
    "feed-forward": 3072,
    "vocabulary": 1024,
    "positions": 512,
}
LAYERS: Final = (2, 4, 8, 16, 24)
SEQUENCES: Final = (32, 64, 128, 256, 384, 512)
MIDDLE: Final = 128
"""The sequence at which layers are varied."""
FEW: Final = 2
"""The layers at which sequences are varied."""
CHIP: Final = "tsp1-deep"


@dataclass(frozen=True, slots=True)
class Point:
    """One encoder's cost. ``run_seconds`` is the median of the JIT on one thread."""

    layers: int
    sequence: int
    cycles: int
    mxm_bound_cycles: int
    instructions: int
    sram_bytes: int
    compile_seconds: float
    compile_peak_bytes: int
    run_seconds: float

    def cells(self) -> tuple[str, ...]:
        """A row of the page's table."""
        return (
            str(self.layers),
            str(self.sequence),
            f"{self.cycles:,}",
            f"{self.cycles / self.mxm_bound_cycles:.2f}",
            f"{self.instructions:,}",
            f"{self.sram_bytes / MIB:,.0f}",
            f"{self.compile_seconds:.1f}",
            f"{self.compile_peak_bytes / MIB:,.0f}",
            f"{self.run_seconds * 1e3:,.0f}",
        )


HEADER: Final = (
    "layers",
    "sequence",
    "cycles",
    "of bound",
    "instructions",
    "SRAM, MiB",
    "compile, s",
    "peak, MiB",
    "run, ms",
)


@dataclass(frozen=True, slots=True)
class Line:
    """A least squares line through costs by layers; ``worst`` is the largest distance from it, as a share of the cost."""

    slope: float
    start: float
    worst: float


def line(points: Sequence[tuple[float, float]]) -> Line:
    """The line through ``(layers, cost)`` pairs, at least two."""
    x, y = np.array(points).T
    slope, start = np.polyfit(x, y, 1)
    return Line(float(slope), float(start), float(np.max(np.abs(slope * x + start - y) / y)))


def measure(layers: int, sequence: int, folder: Path, sizes: dict[str, int], runs: int) -> Point:
    """Make, compile and run one encoder. Raises UsageError TSP807 if a step fails."""
    from runtime.api import Session, load

    model, out = folder / f"{layers}.onnx", folder / "model.lpu"
    if not model.is_file():
        options = [f"--{name}={size}" for name, size in sizes.items()]
        measured([str(SCRIPT), str(model), f"--layers={layers}", *options], {})
    made = compiled(model, CHIP, out, ("batch=1", f"seq={sequence}"))
    session = Session(load(out), 1)
    feeds = random_feeds(session.program.inputs)
    taken = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        session.run(None, feeds)
        taken.append(time.perf_counter() - start)
    report = made.report
    return Point(
        layers=layers,
        sequence=sequence,
        cycles=session.certificate.cycles,
        mxm_bound_cycles=report["mxm_bound_cycles"],
        instructions=report["instructions"],
        sram_bytes=report["sram_bytes"],
        compile_seconds=made.seconds,
        compile_peak_bytes=made.peak_bytes,
        run_seconds=statistics.median(taken[1:]),
    )


def page(points: Sequence[Point]) -> str:
    """``scale.md``: both tables, the lines through the first, the host."""
    by_layers = [p for p in points if p.sequence == MIDDLE]
    by_sequence = [p for p in points if p.layers == FEW]
    facts = ", ".join(f"{name} {value}" for name, value in machine_facts().items())
    parts = [
        "# How cost grows",
        f"Written by `make bench-scale`: encoders with layers of BERT-base and a small vocabulary, on `{CHIP}`. Cycles are\n"
        "exact and the same everywhere; seconds belong to the machine named below.",
        "![Cycles, compilation and emulation by layers and by sequence](scale.svg)",
        f"## Layers, at {MIDDLE} tokens",
        _table(by_layers),
        "\n".join(_laws(by_layers)),
        f"## Sequence, at {FEW} layers",
        _table(by_sequence),
        f"Measured on: {facts}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(points: Iterable[Point]) -> str:
    rows = [HEADER, tuple("---:" for _ in HEADER), *(p.cells() for p in points)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _laws(points: Sequence[Point]) -> list[str]:
    """What a layer costs, and how far the costs are from a line."""
    if len(points) < 2:
        return []
    laws = []
    for name, costs, unit in (
        ("cycles", [p.cycles for p in points], ""),
        ("compilation", [p.compile_seconds for p in points], " s"),
        ("emulation", [p.run_seconds for p in points], " s"),
    ):
        found = line([(p.layers, cost) for p, cost in zip(points, costs, strict=True)])
        digits = 0 if not unit else 3
        laws.append(
            f"- {name}: {found.slope:,.{digits}f}{unit} a layer and {found.start:,.{digits}f}{unit} besides; "
            f"no point is further than {found.worst:.1%} from that line"
        )
    return laws


def plot(points: Sequence[Point], target: Path) -> None:
    """``scale.svg``: cycles, compilation and emulation against layers (above) and sequence (below)."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    series: tuple[tuple[str, Any], ...] = (
        ("cycles", lambda p: p.cycles),
        ("compilation, s", lambda p: p.compile_seconds),
        ("emulation, ms", lambda p: p.run_seconds * 1e3),
    )
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    axes = figure.subplots(2, len(series))
    for row, (label, chosen) in enumerate(
        (("layers", [p for p in points if p.sequence == MIDDLE]),
         ("sequence", [p for p in points if p.layers == FEW]))
    ):  # fmt: skip
        for axis, (name, cost) in zip(axes[row], series, strict=True):
            chosen = sorted(chosen, key=lambda p: getattr(p, label))
            axis.plot([getattr(p, label) for p in chosen], [cost(p) for p in chosen], "o-")
            axis.set(xlabel=label, ylabel=name)
            axis.set_xlim(left=0)
            axis.set_ylim(bottom=0)
            axis.grid(alpha=0.3)
    with rc_context({"svg.hashsalt": "scale"}):
        figure.savefig(target, metadata={"Date": None})


def wanted(layers: Sequence[int], sequences: Sequence[int]) -> list[tuple[int, int]]:
    """``(layers, sequence)`` of each encoder, each once."""
    pairs = [(n, MIDDLE) for n in layers] + [(FEW, s) for s in sequences]
    return sorted(set(pairs))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime.bench_scale", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--out", type=Path, default=Path("docs"), help="where page and plot go")
    parser.add_argument("--layers", type=int, nargs="*", default=LAYERS, metavar="N")
    parser.add_argument("--sequences", type=int, nargs="*", default=SEQUENCES, metavar="N")
    parser.add_argument("--runs", type=int, default=5, help="of the JIT; the median is reported")
    parser.add_argument("--json", action="store_true", help="one JSON object too, on stdout")
    for name, size in BERT.items():
        parser.add_argument(f"--{name}", type=int, default=size, metavar="N", dest=name)
    options = parser.parse_args(arguments)
    sizes = {name: getattr(options, name) for name in BERT}
    points: list[Point] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for layers, sequence in wanted(options.layers, options.sequences):
                print(f"{layers} layers, sequence {sequence}", file=sys.stderr)
                points.append(measure(layers, sequence, Path(folder), sizes, options.runs))
    except TspcError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "scale.md").write_text(page(points))
    plot(points, options.out / "scale.svg")
    if options.json:
        print(json.dumps({"machine": machine_facts(), "points": [asdict(p) for p in points]}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
