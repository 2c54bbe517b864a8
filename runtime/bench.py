"""Time the JIT emulator against onnxruntime on one thread: ``python -m runtime.bench [--json] [NAME ...]``.

Absolute times belong to a machine; the ratio is what is claimed. So both run the same model on the same arrays in one
process, alternating, and medians are compared. Compilation runs in a process of its own, whose wall time and peak memory
are the system's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isa.errors import TspcError, UsageError
from runtime.feeds import random_feeds
from runtime.models import materialize
from runtime.report import aligned

Array = NDArray[Any]

CHIPS: Final = {"minilm": "tsp1", "bert": "tsp1-deep"}
"""Which chip a family of models fits, by the first word of the name."""
DEFAULT: Final = ("minilm.dynamo.static", "bert.dynamo.static")
PACKAGES: Final = ("tspc", "numpy", "onnxruntime", "llvmlite", "onnx")
MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compilation as the operating system saw it, and what it reported."""

    seconds: float
    peak_bytes: int
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One model's figures; times are medians in seconds."""

    model: str
    chip: str
    compile_seconds: float
    compile_peak_bytes: int
    load_seconds: float
    cycles: int
    mxm_bound_cycles: int
    jit_seconds: float
    onnxruntime_seconds: float
    ratio: float
    relative_l2: float
    threads: int
    runs: int

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        return (
            self.model,
            f"{self.compile_seconds:.1f} s",
            f"{self.compile_peak_bytes / MIB:,.0f} MiB",
            f"{self.load_seconds:.1f} s",
            f"{self.cycles:,}",
            f"{self.cycles / max(1, self.mxm_bound_cycles):.2f} x",
            f"{self.jit_seconds * 1e3:.1f} ms",
            f"{self.onnxruntime_seconds * 1e3:.1f} ms",
            f"{self.ratio:.2f} x",
            f"{self.relative_l2:.1e}",
        )


HEADER: Final = (
    "model",
    "compile",
    "peak",
    "load",
    "cycles",
    "of bound",
    "JIT",
    "onnxruntime",
    "ratio",
    "relative L2",
)


def compiled(model: Path, chip: str, out: Path) -> Compiled:
    """Compile with the command line in a process of its own. Raises UsageError TSP807 if that fails."""
    arguments = ["compile", str(model), "--chip", chip, "-o", str(out), "--json"]
    with tempfile.TemporaryFile() as captured:
        start = time.perf_counter()
        child = subprocess.Popen([sys.executable, "-m", "tspc", *arguments], stdout=captured)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise UsageError(807, f"tspc {' '.join(arguments)} ended with {child.returncode}")
        captured.seek(0)
        return Compiled(seconds, usage.ru_maxrss * 1024, json.loads(captured.read()))


def onnxruntime_runner(model: Path) -> Callable[[Mapping[str, Array]], list[Array]]:
    """The model in onnxruntime on one thread. Raises UsageError TSP806 if it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        hint = "`make bench` installs it; or pip install onnxruntime"
        raise UsageError(806, "onnxruntime is not installed", hint=hint) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def run(feeds: Mapping[str, Array]) -> list[Array]:
        return list(session.run(None, dict(feeds)))

    return run


def alternating(
    first: Callable[[], Any], second: Callable[[], Any], runs: int
) -> tuple[float, float]:
    """Median seconds of each of two calls, taken in turn after one of each to warm up."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(runs + 1):
        for call, taken in zip((first, second), times, strict=True):
            start = time.perf_counter()
            call()
            if turn:
                taken.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def measure(model: Path, runs: int, threads: int) -> Row:
    """Compile, load, and run both in turn."""
    from runtime.api import Session, load

    theirs = onnxruntime_runner(model)
    chip = CHIPS.get(model.name.partition(".")[0], "tsp1")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model.lpu"
        compilation = compiled(model, chip, out)
        start = time.perf_counter()
        session = Session(load(out), threads)
        load_seconds = time.perf_counter() - start
    feeds = random_feeds(session.program.inputs)
    expected, got = theirs(feeds)[0], session.run(None, feeds)[0]
    ours_time, theirs_time = alternating(
        lambda: session.run(None, feeds), lambda: theirs(feeds), runs
    )
    return Row(
        model=model.stem,
        chip=chip,
        compile_seconds=compilation.seconds,
        compile_peak_bytes=compilation.peak_bytes,
        load_seconds=load_seconds,
        cycles=session.certificate.cycles,
        mxm_bound_cycles=int(compilation.report["mxm_bound_cycles"]),
        jit_seconds=ours_time,
        onnxruntime_seconds=theirs_time,
        ratio=ours_time / theirs_time,
        relative_l2=float(np.linalg.norm(got - expected) / np.linalg.norm(expected)),
        threads=threads,
        runs=runs,
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
    parser = argparse.ArgumentParser(prog="python -m runtime.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", default=DEFAULT, metavar="NAME", help="models/NAME.onnx"
    )
    parser.add_argument("--models", type=Path, default=Path("models"), help="where they are")
    parser.add_argument("--runs", type=int, default=9, help="of each side; medians are reported")
    parser.add_argument("--threads", type=int, default=1, help="of the JIT; onnxruntime has one")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    rows = []
    try:
        for name in options.names:
            model = options.models / f"{name}.onnx"
            if not model.is_file():
                print(f"{model} is not there: filling it", file=sys.stderr)
                materialize(name, options.models)
            rows.append(measure(model, options.runs, options.threads))
    except TspcError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    facts = machine_facts()
    if options.json:
        print(json.dumps({"machine": facts, "rows": [asdict(row) for row in rows]}))
    else:
        print(aligned([HEADER, *(row.cells() for row in rows)], indent=""))
        print(", ".join(f"{name} {value}" for name, value in facts.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
