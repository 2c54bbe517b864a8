from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

import tspc

HEAVY = ("onnx", "onnx_ir", "onnx_shape_inference", "onnxscript", "llvmlite", "lark", "numpy")


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = f"import sys, tspc; print(*(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", sorted({*tspc.__all__} - {"__version__"}))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(tspc, name) is not None


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'decompile'"):
        _ = tspc.decompile


def test_the_version_is_that_of_the_package() -> None:
    try:
        version = tspc.__version__
    except PackageNotFoundError:
        pytest.skip("tspc is not installed here: `make test` installs it")
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
