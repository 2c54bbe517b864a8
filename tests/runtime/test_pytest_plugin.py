"""The kernel fixture fails where it should, in words that say where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isa.assembly import assemble
from runtime.pytest_plugin import run_kernel

NEGATE = """.chip tiny
.param n = 3
.tensor x f32 n 4 at MEM_E0:0 input
.tensor y f32 n 4 at MEM_W0:0 output
@reach(VXM, earliest(x, VXM)) x: read W0
@arrives VXM_0: neg f32, W0 -> W4 x{n}
@arrives y: write W4
"""


def negative(x: Any) -> Any:
    return -x


def test_what_passes() -> None:
    """A text, a program, or a file; parameters; references that give one output, all of them, or a table."""
    ran = run_kernel(NEGATE, negative, cycles=23)
    assert (ran.cycles, ran.outputs["y"].shape) == (23, (3, 4))
    assert run_kernel(assemble(NEGATE), lambda x: [-x]).cycles == 23
    assert run_kernel(NEGATE, lambda x: {"y": -x}, parameters={"n": 5}).cycles == 25
    same = run_kernel(NEGATE, negative, inputs={"x": np.full((3, 4), np.nan, np.float32)})
    assert np.isnan(same.outputs["y"]).all()


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "neg.asm").write_text(NEGATE)
    assert run_kernel(tmp_path / "neg.asm", negative).cycles == 23


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (
            lambda: run_kernel(NEGATE, lambda x: x),
            r"trial 0: y: 12 of 12 elements differ, first \[0, 0\]",
        ),
        (lambda: run_kernel(NEGATE, lambda x: -x[0]), r"shape \[3, 4\], the reference has \[4\]"),
        (lambda: run_kernel(NEGATE, negative, cycles=24), "23 cycles, not 24"),
        (
            lambda: run_kernel(NEGATE + "@0 x: reed W0", negative),
            "TSP202: kernel:8:7: no instruction 'reed'",
        ),
        (
            lambda: run_kernel(NEGATE.replace("arrives y", "9 y"), negative),
            r"TSP341: kernel:7:\d+: @9 MEM_W0: write",
        ),
        (lambda: run_kernel(NEGATE, negative, chip="tsp1"), "TSP207"),
    ],
)
def test_what_fails(run: Callable[[], Any], message: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=message):
        run()


def test_tolerance() -> None:
    def near(x: Any) -> Any:
        return -x * (1 + 1e-4)

    assert run_kernel(NEGATE, near, rtol=2e-4).cycles == 23
    with pytest.raises(pytest.fail.Exception, match="elements differ"):
        run_kernel(NEGATE, near, rtol=5e-5)
