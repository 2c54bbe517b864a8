"""From a file to a first result, in a process of its own: ``python -m runtime.bench_load PROGRAM.lpu [THREADS [EMULATOR]]``.

Prints one JSON object of seconds: ``import``, ``read`` (with the hash of every section), ``verify`` (or finding the certificate
that was kept), ``prepare`` (compile or find kernels, pack weights), ``run``, and their sum ``total``; ``peak_bytes`` of memory up
to here; and ``resolve``: joining every read to its producer, done once more behind all others.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from isa.errors import UsageError

STARTER: Final = """
import json, os, sys, time
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - start
code = os.waitstatus_to_exitcode(status)
print(json.dumps([seconds, usage.ru_maxrss]), flush=True)
sys.exit(code if code >= 0 else 128 - code)
"""
"""A process that starts another and tells its wall time and peak memory (KiB) on a last line."""


@dataclass(frozen=True, slots=True)
class Loading:
    """One program's way to its first result; seconds by step, peak memory as the system saw it."""

    cold: dict[str, float]
    warm: dict[str, float]
    cold_peak_bytes: int
    warm_peak_bytes: int
    threads: int


def loading(program: Path, threads: int, emulator: str = "jit", runs: int = 3) -> Loading:
    """Load and run in fresh processes: with an empty kernel cache, and with what that left there. The quickest of ``runs``."""
    cold, warm = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(_child(program, threads, emulator, cache))
            warm.append(_child(program, threads, emulator, cache))
    first, second = (min(some, key=lambda r: r[0]["total"]) for some in (cold, warm))
    return Loading(first[0], second[0], first[1], second[1], threads)


def _child(program: Path, threads: int, emulator: str, cache: str) -> tuple[dict[str, float], int]:
    command = ["-m", "runtime.bench_load", str(program), str(threads), emulator]
    seconds = json.loads(measured(command, {"XDG_CACHE_HOME": cache}).output)
    return seconds, int(seconds.pop("peak_bytes"))


@dataclass(frozen=True, slots=True)
class Measured:
    """A process as the system saw it, and what it wrote to stdout."""

    seconds: float
    peak_bytes: int
    output: bytes


def measured(
    arguments: Sequence[str], environment: Mapping[str, str], executable: str = sys.executable
) -> Measured:
    """Run this Python (or another executable) with ``arguments``, the environment extended. Raises UsageError TSP807 if it fails.

    It is started by a small process: a process counts the memory of the one that it was forked from as its own.
    """
    with tempfile.TemporaryFile() as captured:
        command = [sys.executable, "-c", STARTER, executable, *arguments]
        child = subprocess.Popen(
            command, stdout=captured, stderr=None, env={**os.environ, **environment}
        )
        if child.wait():
            raise UsageError(807, f"{' '.join(arguments)} ended with {child.returncode}")
        captured.seek(0)
        output, _, facts = captured.read().rstrip().rpartition(b"\n")
        seconds, kilobytes = json.loads(facts)
        return Measured(seconds, kilobytes * 1024, output)


def timed(path: str, threads: int, emulator: str) -> dict[str, float]:
    """Seconds by step, in this process, and the most memory it has had before ``resolve``."""
    marks: list[tuple[str, float]] = [("", time.perf_counter())]

    def mark(step: str) -> None:
        marks.append((step, time.perf_counter()))

    from emulator.jit import Kernel
    from emulator.jit.effects import Effects
    from emulator.jit.join import join
    from runtime.api import load
    from runtime.feeds import random_feeds
    from runtime.verified import verified

    mark("import")
    program = load(path)
    mark("read")
    verified(program)
    mark("verify")
    kernel = Kernel(program, threads, plain=emulator == "plain")
    mark("prepare")
    feeds: dict[str, Any] = random_feeds(program.inputs)
    kernel.run(feeds)
    mark("run")
    seconds = {step: end - start for (_, start), (step, end) in pairwise(marks)}
    seconds["total"] = sum(seconds.values())
    seconds["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.perf_counter()
    join(Effects(program))
    seconds["resolve"] = time.perf_counter() - start
    return seconds


if __name__ == "__main__":
    PATH, THREADS, EMULATOR = [*sys.argv[1:], "1", "jit"][:3] if len(sys.argv) < 4 else sys.argv[1:]
    sys.stdout.write(json.dumps(timed(PATH, int(THREADS), EMULATOR)) + "\n")
