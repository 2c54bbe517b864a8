"""What compiling the same model costs another compiler: IREE for the host's CPU, installed in an environment of its own.

Its packages are no dependency of ours: they go to a virtual environment beside the one that runs the benchmark, once.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isa.errors import UsageError
from runtime.bench_load import measured

PACKAGE: Final = "iree-base-compiler[onnx]"
HOME: Final = Path(sys.prefix) / "iree"
TARGET: Final = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
)


@dataclass(frozen=True, slots=True)
class Rival:
    """A compilation by IREE: both of its steps, the larger of their peaks."""

    version: str
    seconds: float
    peak_bytes: int


def installed(home: Path = HOME, package: str = PACKAGE) -> str:
    """The version of IREE in ``home``, which is made if need be. Raises UsageError TSP807 if it cannot be had."""
    python = home / "bin" / "python"
    if not (home / "bin" / "iree-compile").is_file():
        try:
            venv.create(home, with_pip=True, clear=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise UsageError(807, f"no environment can be made in {home}: {error}") from error
        command = [str(python), "-m", "pip", "--quiet", "install", package]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip() or "no output").splitlines()[-1]
            raise UsageError(807, f"pip install {package} failed: {last}")
    script = "from importlib.metadata import version; print(version('iree-base-compiler'))"
    found = subprocess.run([str(python), "-c", script], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def rival(model: Path, folder: Path, home: Path = HOME) -> Rival:
    """Import and compile a model of static shapes; files go to ``folder``. Raises UsageError TSP807 if that fails."""
    version = installed(home)
    text, out = str(folder / "model.mlir"), str(folder / "model.vmfb")
    imported = measured([str(model), "-o", text], {}, str(home / "bin" / "iree-import-onnx"))
    made = measured([text, *TARGET, "-o", out], {}, str(home / "bin" / "iree-compile"))
    peak = max(imported.peak_bytes, made.peak_bytes)
    return Rival(version, imported.seconds + made.seconds, peak)
