"""Time the JIT emulator against onnxruntime on as many threads: ``python -m runtime.bench [--json] [NAME[:DIM=N,...] ...]``.

Absolute times belong to a machine; the ratio is what is claimed. So both run the same model on the same arrays in one
process, alternating, and medians are compared. Compilation runs in a process of its own, whose wall time and peak memory
are the system's; so does loading (``runtime.bench_load``), and so does compilation by IREE (``runtime.bench_iree``). A core's
peak is measured beside each row.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isa.errors import TspcError, UsageError
from isa.machine import load_chip
from runtime.bench_iree import Rival, rival
from runtime.bench_load import Loading, loading, measured
from runtime.feeds import random_feeds
from runtime.models import materialize
from runtime.report import aligned

Array = NDArray[Any]

CHIPS: Final = {"minilm": "tsp1", "bert": "tsp1-deep"}
"""Which chip a family of models fits, by the first word of the name."""
DEFAULT: Final = (
    "bert.dynamo.static",
    "minilm.dynamo.static",
    "minilm.legacy.dynamic:batch=1,seq=16",
    "matvec.static",
)
"""What is timed; ``matvec`` is 36 products of one row with 1536 x 1536 weights."""
LOADED: Final = "bert"
"""The family whose way from file to first result is timed too."""
RIVALLED: Final = ("bert", "minilm")
"""Families whose graphs, with static shapes, IREE compiles too."""
PACKAGES: Final = ("tspc", "numpy", "onnxruntime", "llvmlite", "onnx")
MIB: Final = 1 << 20
PAUSE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compilation as the operating system saw it, and what it reported."""

    seconds: float
    peak_bytes: int
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One model's figures on a number of threads; times are medians in seconds, ``best_ratio`` is of the quickest runs.

    ``peak_share`` is the model's matrix products a second over what so many cores can multiply and add (``peak_flops`` each).
    """

    model: str
    chip: str
    emulator: str
    threads: int
    runs: int
    compile_seconds: float
    compile_peak_bytes: int
    cycles: int
    mxm_bound_cycles: int
    jit_seconds: float
    onnxruntime_seconds: float
    ratio: float
    best_ratio: float
    peak_flops: float
    peak_share: float
    relative_l2: float

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        return (
            self.model,
            str(self.threads),
            f"{self.compile_seconds:.1f} s",
            f"{self.compile_peak_bytes / MIB:,.0f} MiB",
            f"{self.cycles:,}",
            f"{self.cycles / max(1, self.mxm_bound_cycles):.2f} x",
            f"{self.jit_seconds * 1e3:.1f} ms",
            f"{self.onnxruntime_seconds * 1e3:.1f} ms",
            f"{self.ratio:.2f} x",
            f"{self.best_ratio:.2f} x",
            f"{self.peak_share:.0%}",
            f"{self.relative_l2:.1e}",
        )


HEADER: Final = (
    "model",
    "threads",
    "compile",
    "peak",
    "cycles",
    "of bound",
    "JIT",
    "onnxruntime",
    "ratio",
    "of best",
    "FMA peak",
    "relative L2",
)


def load_lines(found: Loading) -> list[str]:
    """The way from file to first result as text."""
    lines = []
    for name, seconds, peak in (
        ("empty kernel cache", found.cold, found.cold_peak_bytes),
        ("warm kernel cache", found.warm, found.warm_peak_bytes),
    ):
        steps = ", ".join(
            f"{k} {v:.2f}" for k, v in seconds.items() if k not in ("total", "resolve")
        )
        lines.append(
            f"load to first result, {name}: {seconds['total']:.2f} s ({steps}), peak {peak / MIB:,.0f} MiB"
        )
    both = found.cold["verify"] + found.warm["resolve"]
    lines.append(
        f"verify {found.cold['verify']:.2f} s and resolve {found.warm['resolve']:.2f} s: {both:.2f} s"
    )
    return lines


def compiled(model: Path, chip: str, out: Path, dims: Iterable[str] = ()) -> Compiled:
    """Compile with the command line in a process of its own. Raises UsageError TSP807 if that fails."""
    arguments = ["compile", str(model), "--chip", chip, "-o", str(out), "--no-cache", "--json"]
    for dim in dims:
        arguments += ["--dim", dim]
    done = measured(["-m", "tspc", *arguments], {})
    return Compiled(done.seconds, done.peak_bytes, json.loads(done.output))


def onnxruntime_runner(model: Path, threads: int) -> Callable[[Mapping[str, Array]], list[Array]]:
    """The model in onnxruntime with its default optimisations. Raises UsageError TSP806 if it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        hint = "`make bench` installs it; or pip install onnxruntime"
        raise UsageError(806, "onnxruntime is not installed", hint=hint) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def run(feeds: Mapping[str, Array]) -> list[Array]:
        return list(session.run(None, dict(feeds)))

    return run


def alternating(
    first: Callable[[], Any], second: Callable[[], Any], runs: int
) -> tuple[list[float], list[float]]:
    """Seconds of each run of two calls, taken in turn after one of each to warm up.

    Each starts after a pause: threads of the other may still be waiting for work in a loop, on a core that is counted on.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(runs + 1):
        for call, taken in zip((first, second), times, strict=True):
            time.sleep(PAUSE)
            start = time.perf_counter()
            call()
            if turn:
                taken.append(time.perf_counter() - start)
    return times


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure: where models are, runs of each side, threads to try one after the other, emulator."""

    models: Path
    runs: int
    threads: tuple[int, ...]
    emulator: str = "jit"
    iree: bool = True


@dataclass(frozen=True, slots=True)
class Subject:
    """One model's figures: a row a number of threads, and where asked for, its load and its compilation by IREE."""

    name: str
    rows: list[Row]
    load: Loading | None
    rival: Rival | None

    def lines(self) -> list[str]:
        """What is said besides the rows."""
        found = load_lines(self.load) if self.load else []
        if self.rival:
            found.append(rival_line(self.rows[0], self.rival))
        return [f"{self.name}, {line}" for line in found]


def rival_line(row: Row, other: Rival) -> str:
    """Both compilations, and the ratios."""
    seconds, peak = row.compile_seconds / other.seconds, row.compile_peak_bytes / other.peak_bytes
    return (
        f"compilation by IREE {other.version}: {other.seconds:.1f} s, peak {other.peak_bytes / MIB:,.0f} MiB; "
        f"tspc takes {seconds:.2f} x its time and {peak:.2f} x its memory"
    )


def measure(name: str, settings: Settings) -> Subject:
    """Compile, load, and run both in turn, on each number of threads."""
    stem, _, dims = name.partition(":")
    family = stem.partition(".")[0]
    model, chip = settings.models / f"{stem}.onnx", CHIPS.get(family, "tsp1")
    if not model.is_file():
        print(f"{model} is not there: filling it", file=sys.stderr)
        materialize(stem, settings.models)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model.lpu"
        compilation = compiled(model, chip, out, filter(None, dims.split(",")))
        rows = [_row(name, model, out, compilation, t, settings) for t in settings.threads]
        timed = family == LOADED and not dims
        most = max(settings.threads)
        load = loading(out, most, settings.emulator) if timed else None
        rivalled = settings.iree and family in RIVALLED and not dims
        return Subject(name, rows, load, _rival(model, Path(folder)) if rivalled else None)


def _rival(model: Path, folder: Path) -> Rival | None:
    """IREE's compilation; None, said on stderr, where it cannot be installed or does not compile the model."""
    try:
        return rival(model, folder)
    except UsageError as error:
        print(f"{model}: no comparison with IREE: {error}", file=sys.stderr)
        return None


def _row(
    name: str, model: Path, out: Path, compilation: Compiled, threads: int, settings: Settings
) -> Row:
    from emulator.jit.peak import measured_peak
    from runtime.api import Session, load

    theirs = onnxruntime_runner(model, threads)
    session = Session(load(out), threads, settings.emulator)
    feeds = random_feeds(session.program.inputs)
    expected, got = theirs(feeds)[0], session.run(None, feeds)[0]
    ours, others = alternating(
        lambda: session.run(None, feeds), lambda: theirs(feeds), settings.runs
    )
    bound, peak = int(compilation.report["mxm_bound_cycles"]), measured_peak()
    machine = load_chip(compilation.report["chip"])
    flops = 2 * bound * machine["mxm.fp16_k"] * machine.lanes * machine["mxm.planes"]
    median = statistics.median(ours)
    return Row(
        model=name,
        chip=machine.name,
        emulator=settings.emulator,
        threads=threads,
        runs=settings.runs,
        compile_seconds=compilation.seconds,
        compile_peak_bytes=compilation.peak_bytes,
        cycles=session.certificate.cycles,
        mxm_bound_cycles=bound,
        jit_seconds=median,
        onnxruntime_seconds=statistics.median(others),
        ratio=median / statistics.median(others),
        best_ratio=min(ours) / min(others),
        peak_flops=peak,
        peak_share=flops / median / (peak * threads),
        relative_l2=float(np.linalg.norm(got - expected) / np.linalg.norm(expected)),
    )


def machine_facts() -> dict[str, str]:
    """The host and the versions that the figures belong to."""
    facts = {"cpu": platform.processor() or platform.machine(), "cores": str(os.cpu_count())}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                facts["cpu"] = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    facts["python"] = platform.python_version()
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    return facts


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime.bench", description=(__doc__ or "").partition("\n")[0]
    )
    text = "models/NAME.onnx, with the sizes of its dimensions: NAME:batch=1,seq=16"
    parser.add_argument("names", nargs="*", default=DEFAULT, metavar="NAME", help=text)
    parser.add_argument("--models", type=Path, default=Path("models"), help="where they are")
    parser.add_argument("--runs", type=int, default=15, help="of each side; medians are reported")
    text = "of the JIT and of onnxruntime; repeatable; 1 and, with two cores or more, 2 by default"
    parser.add_argument("--threads", type=int, action="append", help=text)
    parser.add_argument("--emulator", choices=["jit", "plain"], default="jit")
    text = "do not install IREE (into an environment of its own) to compile the same models"
    parser.add_argument("--no-iree", action="store_true", help=text)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    threads = tuple(options.threads or ((1, 2) if (os.cpu_count() or 1) > 1 else (1,)))
    settings = Settings(
        options.models, options.runs, threads, options.emulator, not options.no_iree
    )
    try:
        subjects = [measure(name, settings) for name in options.names]
    except TspcError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    report(subjects, options.json)
    return 0


def report(subjects: Sequence[Subject], as_json: bool) -> None:
    """Print what was measured, with machine and versions."""
    facts, rows = machine_facts(), [row for subject in subjects for row in subject.rows]
    if as_json:
        data = {
            "machine": facts,
            "rows": [asdict(row) for row in rows],
            "loads": {s.name: asdict(s.load) for s in subjects if s.load},
            "rivals": {s.name: asdict(s.rival) for s in subjects if s.rival},
        }
        print(json.dumps(data))
        return
    print(aligned([HEADER, *(row.cells() for row in rows)], indent=""))
    for subject in subjects:
        print("\n".join(subject.lines()), end="\n" if subject.lines() else "")
    print(", ".join(f"{name} {value}" for name, value in facts.items()))


if __name__ == "__main__":
    raise SystemExit(main())
