"""The timeline says what each queue dispatches in each cycle: what counting through every burst gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from isa.assembly import assemble
from isa.assembly.timeline import timeline, timeline_lines
from isa.instruction import BY_OPCODE
from isa.machine import Machine, load_chip
from isa.program import Program, decode_args

TINY = load_chip("tiny")
TEXT = """\
.node 0 ""
.node 1 "add.1"
.tensor x i8 5 32 at MEM_W0:0 input
load: @2 x: read E0
@9 VXM_0: neg i8, E0 -> E1 x3 /2 !1
@11 MEM_E1: write 7, E1
@30 MEM_E1: write 8, E1
"""
SHOWN = """\
@0 .. 1           nothing
@2 .. 6           MEM_W0: read 0x0000, E0 x5 +1  ; load: x plane 0
@7 .. 8           nothing
@9 .. 10          VXM_0: neg i8, E0 -> E1  ; add.1
@11               MEM_E1: write 0x0007, E1
                  VXM_0: neg i8, E0 -> E1  ; add.1
@12 .. 13         @13 VXM_0: neg i8, E0 -> E1  ; add.1
@14 .. 29         nothing
@30               MEM_E1: write 0x0008, E1
"""

Dispatch = tuple[int, str, str]


def shown(program: Program, *part: object) -> str:
    return "".join(f"{line}\n" for line in timeline_lines(timeline(program, *part)))  # type: ignore[arg-type]


def test_text() -> None:
    program = assemble(TEXT, TINY)
    assert shown(program) == SHOWN
    assert shown(program, 4, 9) == (
        "@4 .. 6           MEM_W0: read 0x0002, E0 x3 +1  ; x[2] plane 0\n"
        "@7 .. 8           nothing\n"
        "@9                VXM_0: neg i8, E0 -> E1  ; add.1\n"
    )
    only = [TINY.queue_names.index("MEM_E1")]
    assert shown(program, 0, None, only) == (
        "@0 .. 10          nothing\n"
        "@11               MEM_E1: write 0x0007, E1\n"
        "@12 .. 29         nothing\n"
        "@30               MEM_E1: write 0x0008, E1\n"
    )
    assert shown(program, 40) == ""
    assert shown(program, 40, 41) == "@40 .. 41         nothing\n"
    assert shown(assemble("", TINY)) == ""


def counted(program: Program, first: int, last: int, queues: set[int]) -> list[Dispatch]:
    """Every dispatch of some cycles and queues, by counting through every burst."""
    found = []
    for queue, opcode, _, cycle, count, interval, stride, args in program.bursts.tolist():
        for i in range(count if queue in queues else 0):
            at = cycle + i * interval
            if first <= at <= last:
                moved = list(args)
                for n, o in enumerate(BY_OPCODE[opcode].operands):
                    moved[n] += i * stride if o.strided else 0
                name = program.machine.queue_names[queue]
                found.append((at, name, repr(decode_args(opcode, moved))))
    return sorted(found)


def told(program: Program, first: int, last: int, queues: list[int]) -> list[Dispatch]:
    """The same as the timeline says it; its runs follow each other without a gap."""
    found, at = [], first
    for run in timeline(program, first, last, queues):
        assert run.first == at
        at = run.last + 1
        for cell in run.cells:
            line = assemble(f"@{cell.cycle} {cell.queue}: {cell.text}", program.machine)
            found += counted(line, 0, 1 << 62, {int(line.bursts["queue"][0])})
            assert (
                run.first <= cell.cycle <= cell.cycle + (cell.count - 1) * cell.interval <= run.last
            )
    assert at == last + 1
    return sorted(found)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_counting_gives(
    seed: int, tiny: Machine, arbitrary: Callable[..., Program]
) -> None:
    """For any cycles and queues of a program that says anything at all, strides and intervals included."""
    program = arbitrary(seed, tiny)
    bursts = program.bursts.copy()
    bursts["cycle"] %= 500
    bursts["count"] = 1 + bursts["count"] % 40
    bursts["interval"] = 1 + bursts["interval"] % 5
    bursts["stride"] = bursts["stride"] % 3
    for row in bursts:
        for n, o in enumerate(BY_OPCODE[int(row["opcode"])].operands):
            row["args"][n] = row["args"][n] % 100 if o.strided else row["args"][n]
    program = Program(tiny, bursts)
    for first, last in ((0, 700), (100, 130), (250, 250)):
        for queues in (set(range(80)), set(range(seed, 80, 3))):
            assert told(program, first, last, sorted(queues)) == counted(
                program, first, last, queues
            )
