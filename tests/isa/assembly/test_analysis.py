"""``analyse``: where dispatches come from, and what names mean at a line, in texts right and wrong."""

from __future__ import annotations

from pathlib import Path

from isa.assembly import assemble
from isa.assembly.analysis import analyse
from isa.assembly.expecting import acceptable
from isa.instruction import REGISTRY
from isa.machine import load_chip

TEXT = """.chip tiny
.macro put(q)
  @10+q MEM_E{q}: read q, E0 x3 /2
.end
.for i in 0..2
  put(i)
.end
VXM_0: nop 3
@7 VXM_0: mov i8, #1
"""


def test_it_is_the_program_that_assemble_makes() -> None:
    program = analyse(TEXT).program
    assert program is not None
    assert (program.bursts == assemble(TEXT).bursts).all()


def test_the_line_behind_a_dispatch() -> None:
    """Of each dispatch of a burst, through calls; of none in another cycle."""
    known = analyse(TEXT, where="k.asm")
    for cycle in (11, 13, 15):
        line = known.line_of("MEM_E1", cycle, "read")
        assert line is not None
        assert (line.where, line.number) == ("k.asm", 3)
        assert line.trace == ("in macro put, called at k.asm:6",)
    assert known.line_of("MEM_E1", 12, "read") is None
    assert known.line_of("MEM_E1", 17, "read") is None
    assert known.line_of("MEM_E1", 11, "write") is None
    assert known.line_of("MEM_E9", 11, "read") is None


def test_names_at_a_line() -> None:
    """As they stood in the end; what is wrong elsewhere takes nothing away."""
    known = analyse(
        ".chip tiny\n.let n = 3\n.for i in 0..5\n  .let twice = 2 * i\n.end\nnonsense\n.set n = 4\n"
    )
    inner, outer = known.scope_at("", 4), known.scope_at("", 7)
    assert inner is not None
    assert outer is not None
    assert (inner.find("i"), inner.find("twice"), inner.find("n")) == (4, 8, 4)
    assert (outer.find("i"), outer.find("n")) == (None, 4)
    assert [e.number for e in known.errors] == [201]
    assert known.program is None
    assert known.machine is load_chip("tiny")
    assert known.scope_at("", 0) is None


def test_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "lib.asm").write_text(".let a = 1\n@0 MEM_E0: read 0, E0\n")
    known = analyse('.include "lib.asm"\n.let b = 2\n', where="k.asm", folder=tmp_path)
    line = known.line_of("MEM_E0", 0, "read")
    assert line is not None
    assert (line.where, line.number) == ("lib.asm", 2)
    assert known.scope_at("lib.asm", 2) is known.scope_at("k.asm", 2)


def test_a_chip_that_is_wrong_leaves_one_to_work_with() -> None:
    known = analyse('.chip tiny\n.fact vxm.alus 999 assumed ""\n@0 VXM_0: mov i8, #1\n')
    assert {e.number for e in known.errors} == {207}
    assert known.machine.name == "tiny"


def test_it_stops_when_nobody_waits() -> None:
    taken: list[int] = []

    def cancelled() -> bool:
        taken.append(len(taken))
        return len(taken) > 5

    analyse(".for i in 0..100000\n@i VXM_0: mov i8, #1\n.end", cancelled=cancelled)
    assert len(taken) == 6


def test_what_the_grammar_accepts_next() -> None:
    assert acceptable("@3 ").keys() == {"QUEUE"}
    assert {*REGISTRY} <= {*acceptable("@3 VXM_0: ").values()}
    assert acceptable("@3 VXM_0: add ").keys() == {"DTYPE"}
    assert acceptable("VXM_0: add f32, E0, E1,").keys() == {"SATURATE", "BITS32"}
    assert acceptable("VXM_0: add f32, E0, E1 -> E4, ").keys() == {"WEST"}
    assert acceptable("VXM_0: add f32 f32").keys() == set()
