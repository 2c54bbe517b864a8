"""A kernel that nothing calls is held to its contract as well, for the values that its parameters have."""

from __future__ import annotations

from pathlib import Path

import pytest

from isa.assembly import AssemblyErrors, assemble
from isa.machine import load_chip

TINY = load_chip("tiny")
ALONE = """\
.kernel scale(n=4, by=2.5, to=W4)
  .in x: W0 f32 @t at VXM x{n}
  .out y: to f32 @t+3 at VXM x{n}
  .uses VXM_0
  @arrives VXM_0: mul f32, x, #by -> y x{n}
.end
"""
CALL = """\
.tensor x f32 4 32 at MEM_E0:0 input
.tensor z f32 4 32 at MEM_W4:0 output
@reach(VXM, 9) x: read W0
@arrives scale(%s)
@arrives z: write W4
"""


def said(text: str, folder: Path | None = None) -> list[str]:
    """Every error: number, line, message, help and the way to it."""
    with pytest.raises(AssemblyErrors) as caught:
        assemble(text, TINY, folder=folder)
    return [
        " | ".join([f"{e.number}:{e.line}: {e.message}", e.hint, *e.trace])
        for e in caught.value.errors
    ]


def test_one_that_keeps_its_contract_leaves_no_trace() -> None:
    assert len(assemble(ALONE, TINY).bursts) == 0
    with_it = assemble(ALONE + "@0 VXM_0: mov f32, #1", TINY)
    assert with_it.bursts.tobytes() == assemble("@0 VXM_0: mov f32, #1", TINY).bursts.tobytes()
    assert with_it.meta == ()


def test_one_that_breaks_it_is_told_as_if_it_were_called() -> None:
    assert said(ALONE.replace("@t+3", "@t+2")) == [
        "217:3: scale's out y: W4 at VXM carries values in cycles 3 .. 6, not in cycles 2 .. 5: 1 cycle later"
        " | declare @t+3, or make the body put it 1 cycle earlier | in kernel scale, which nothing calls"
    ]


def test_it_is_proved_apart_from_all_that_the_text_dispatches() -> None:
    """Neither a queue that is taken in its cycles, nor a value on its stream, makes it another kernel."""
    around = "@0 VXM_0: add f32, #1, #1 -> W0 x40"
    assert len(assemble(f"{around}\n{ALONE}", TINY).bursts) == 1


def test_without_values_there_is_nothing_to_prove_it_for() -> None:
    assert said(ALONE.replace("by=2.5", "by")) == [
        "216:1: nothing calls scale, and by has no value to prove it with"
        " | call it, or give one: .kernel scale(by=...)"
    ]


def test_a_call_may_leave_out_what_has_a_value() -> None:
    whole = assemble(ALONE + CALL % "4, 2.5, W4", TINY)
    for arguments in ("", "4", "to=W4", "by=2.5, n=4"):
        assert assemble(ALONE + CALL % arguments, TINY).bursts.tobytes() == whole.bursts.tobytes()


def test_one_that_only_an_uncalled_one_calls_needs_no_values() -> None:
    outer = """\
.kernel outer()
  .in x: W0 f32 @t at VXM x4
  .out y: W4 f32 @t+{late} at VXM x4
  .uses VXM_0
  @t scale(4, 2.5, W4)
.end
"""
    inner = ALONE.replace("n=4, by=2.5, to=W4", "n, by, to")
    assert len(assemble(inner + outer.replace("{late}", "3"), TINY).bursts) == 0
    (only,) = said(inner + outer.replace("{late}", "4"))
    assert only.startswith(
        "217:9: outer's out y: W4 at VXM carries values in cycles 3 .. 6, not in"
    )


def test_one_of_an_included_file(tmp_path: Path) -> None:
    """With the line of its file, and how that was reached; beside the errors of the text itself."""
    (tmp_path / "lib.asm").write_text(ALONE.replace("@t+3", "@t+5"))
    text = '.include "lib.asm"\n@0 VXM_0: mov f32'
    first, second = sorted(said(text, tmp_path))
    assert first.startswith(("201:2:", "203:2:"))
    assert second.startswith("217:3: scale's out y")
    assert second.endswith("in kernel scale, which nothing calls | included at line:1")
