"""Commands that are none: what is said about each, and what to do."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from isa.assembly import assemble
from isa.errors import UsageError
from runtime.debug.commands import HELP, SHORT, parse
from runtime.debug.names import Names
from tests.docs.pages import ROOT, table
from tests.runtime.debug.kernels import ADD, X, do, say, session


@pytest.mark.parametrize(
    ("line", "code", "message", "hint"),
    [
        ("contineu", "TSP820", "no command 'contineu'", "did you mean continue?"),
        ("zzz", "TSP820", "no command 'zzz'", "help lists the commands"),
        ("goto", "TSP820", "a cycle is missing", "the form is: goto CYCLE"),
        ("goto x", "TSP820", "'x' is not a cycle", "the form is: goto CYCLE"),
        ("step -1", "TSP820", "'-1' is not a number", "the form is: step [N]"),
        ("step 1 2", "TSP820", "'2' is one word too many", "the form is: step [N]"),
        ("floor 3", "TSP820", "'3' is one word too many", "the form is: floor"),
        ("print", "TSP820", "a place is missing", "the form is: print PLACE"),
        ("print E4@VXY", "TSP821", "no unit 'VXY'", "did you mean VXM?"),
        ("print E40@VXM", "TSP821", "tiny has no stream E40: the last is E31", ""),
        ("print E4@29", "TSP821", "no unit '29'", "a position 0 .. 28"),
        ("print alu16", "TSP821", "no alu16: the last is alu15", ""),
        ("print MEM_E12:0", "TSP821", "no queue 'MEM_E12'", "did you mean MEM_E"),
        ("print MEM_E0:512", "TSP821", "no word 512 in a slice: the last is 0x01ff", ""),
        ("print MEM_E0", "TSP821", "no word 'MEM_E0'", "write MEM_E0:0x12"),
        ("print MEM_E10:0 as f32", "TSP821", "there are no 4 slices from MEM_E10 on", ""),
        ("print MEM_E0:0+MEM_E1:0 as f32", "TSP821", "2 words, not 4", ""),
        ("print E3@VXM as f32", "TSP821", "4 streams together begin at a multiple of 4", ""),
        ("print E3@VXM as f64", "TSP821", "no type 'f64'", "did you mean f"),
        ("print y[2]", "TSP821", "'2' is no index of axis 0 of [2, 32]", "at most one range"),
        ("print y[0..2, 1]", "TSP821", "'0..2' is no index of axis 0", "single numbers first"),
        ("print y[0, 1, 2]", "TSP821", "'2' is no index of axis 2", ""),
        ("print y as f16", "TSP821", "its elements are f32, 4 bytes", ""),
        ("print z", "TSP821", "no place 'z'", "a place is E4@VXM"),
        ("print MXM_E0.acc:32", "TSP821", "no MXM_E0.acc:32: the last is 31", ""),
        ("print MXM_E0.sums:0", "TSP821", "no part of a plane 'sums'", "acc, weights, buffer"),
        ("print y lanes 0..65", "TSP820", "lane 64 of 64: the last is 63", ""),
        ("print E4@VXM lanes 3..3", "TSP820", "not a choice of lanes: '3..3'", "lanes 0..8 (0 to 7)"),
        ("who E4", "TSP820", "E4 where? E4@VXM is at a unit", ""),
        ("break", "TSP820", "a place is missing", ""),
        ("break queue VXM_16", "TSP821", "no queue 'VXM_16'", "did you mean VXM_"),
        ("break instr reed", "TSP821", "no instruction 'reed'", "did you mean read?"),
        ("break label clop", "TSP821", "no label 'clop'", "did you mean clip?"),
        ("break line 3", "TSP821", "nothing is dispatched by line 3", ""),
        ("break read alu0", "TSP821", "alu0 is no memory", ""),
        ("break MXM_E0.buffer:0", "TSP820", "MXM_E0.buffer:0 is nothing to wait for", "a stream at a unit"),
        ("break MXM_E0.acc:0 if nan", "TSP820", "nan of what type?", "say as f32"),
        ("break MXM_E0.acc:0 as i32 if nan", "TSP820", "nan says nothing of i32", "say as f32"),
        ("break alu0 if > 3", "TSP820", "> 3 of what type?", "say as f32"),
        ("break E4@VXM if nan", "TSP820", "nan says nothing of hex", "say as f32"),
        ("break E4@VXM as i8 > 1.5", "TSP820", "'1.5' is no number of type i8", ""),
        ("break E4@VXM as f32 ~ 3", "TSP820", "'~' is no condition", ""),
        ("break E4@VXM as f32 >", "TSP820", "a number is missing", ""),
        ("expect y", "TSP820", "a condition is missing", ""),
        ("expect fault X", "TSP820", "'X' is no error number", ""),
        ("delete x", "TSP820", "'x' is not a number, or all", ""),
        ("help me", "TSP820", "no command 'me'", ""),
    ],
)  # fmt: skip
def test_refused(line: str, code: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line, session(ADD, {"x": X}).names)
    error = caught.value
    assert error.code == code
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize("line", ["", "   ", "# step", "; step"])
def test_nothing_and_remarks_are_no_commands(line: str) -> None:
    assert parse(line, session(ADD, {"x": X}).names) is None


def test_a_breakpoint_that_is_not_there() -> None:
    on = session(ADD, {"x": X})
    for command, what in (("delete 3", "no breakpoint 3"), ("unwatch 1", "no watch 1")):
        with pytest.raises(UsageError, match=what):
            do(on, command)


def test_without_a_text_there_are_no_lines() -> None:
    names = Names(dataclasses.replace(assemble(ADD), lines=()))
    with pytest.raises(UsageError, match="nothing is dispatched by line 18") as caught:
        parse("break line 18", names)
    assert caught.value.hint == "lines are known where the program is given as .asm"


def test_help_tells_of_every_command_and_place() -> None:
    on = session(ADD, {"x": X})
    everything = say(on, "help")
    assert [name for name in HELP if f"\n{name}" not in f"\n{everything}"] == []
    assert "MXM_E0.acc:3" in everything
    assert say(on, "help b") == "back (b) [N]\n    go N cycles back"
    assert set(SHORT.values()) <= set(HELP)


def test_the_page_lists_every_command() -> None:
    short = {long: f"`{s}`" for s, long in SHORT.items()}
    lines = ["| command | short | operands | does |", "| --- | --- | --- | --- |"]
    for name, (operands, meaning) in HELP.items():
        form = f"`{operands}`".replace("|", "\\|") if operands else ""
        lines.append(f"| `{name}` | {short.get(name, '')} | {form} | {meaning} |")
    assert table(ROOT / "docs" / "debugger.md", "command") == lines


def test_a_line_of_an_included_text_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "part.asm").write_text("\n@3 MEM_W1: read 0, E0\n")
    text = """.chip tiny
.segment MEM_W0, 0, x1
.segment MEM_W1, 0, x1
.fill 0 x2
@0 MEM_W0: read 0, E1
.include "part.asm"
"""
    names = Names(assemble(text, where="k.asm", folder=tmp_path), "k.asm")
    assert names.lines == ["5", "part.asm:2"]
    assert names.dispatch(1, 0)["line"] == "part.asm:2"
    assert names.on_line("part.asm:2") == {1}
