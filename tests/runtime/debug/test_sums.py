"""Stops on values in accumulator rows."""

from __future__ import annotations

import pytest

from tests.runtime.debug.kernels import SUMS, do, say, session


@pytest.mark.parametrize(
    ("condition", "stops"),
    [
        ("MXM_E0.acc:5", ["cycle 34", "cycle 35"]),
        ("MXM_E0.acc:5 as f32 inf", ["cycle 35"]),
        ("MXM_E0.acc:5 as f32 nan", []),
        ("MXM_E0.acc:5 as f32 if > 7.5", ["cycle 34", "cycle 35"]),
        ("MXM_E0.acc:5 as f32 lane 1 > 7.5", []),
        ("MXM_E0.acc:5 as f32 lane 0 == 8", ["cycle 34"]),
        ("MXM_E0.acc:4", []),
        ("MXM_E1.acc:5", []),
    ],
)
def test_breakpoints_on_sums(condition: str, stops: list[str]) -> None:
    """In the cycle behind an accumulation, whether the sum is ever emitted or not; and the same on the way back."""
    on = session(SUMS)
    do(on, f"break {condition}")
    reason = f": breakpoint 1 ({condition})"
    for stop in stops:
        assert say(on, "continue").splitlines()[0] == stop + reason
    assert "finished" in say(on, "continue")
    for stop in reversed(stops):
        assert say(on, "reverse").splitlines()[0] == stop + reason
    assert say(on, "reverse").startswith("cycle 0, the start")
