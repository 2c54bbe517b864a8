"""Text to program and back; every wrong line gets its own number, column and words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from isa.assembly import AssemblyErrors, assemble, disassemble, instruction_line
from isa.assembly.lines import parse_fast
from isa.binary import to_bytes
from isa.errors import InputError
from isa.instruction import Source, SourceKind
from isa.machine import Fact, Machine
from isa.program import BURST, Program


def errors_of(text: str, machine: Machine | None = None) -> list[tuple[int, int, int]]:
    """Number, line and column of every error."""
    with pytest.raises(AssemblyErrors) as caught:
        assemble(text, machine)
    return [(e.number, e.line, e.column) for e in caught.value.errors]


def only(text: str) -> tuple[int, ...]:
    """The operand values of a text of one instruction."""
    program = assemble(text)
    count = len(program.instruction(0).operands)
    return tuple(program.bursts["args"][0].tolist()[:count])


@pytest.mark.parametrize("chip", ["tiny", "tsp1"])
@pytest.mark.parametrize("seed", range(4))
def test_round_trip(
    seed: int,
    chip: str,
    request: pytest.FixtureRequest,
    arbitrary: Callable[..., Program],
    same: Callable[[Program, Program], bool],
) -> None:
    """assemble(disassemble(p)) is p, byte for byte, and every canonical line takes the fast path."""
    program = arbitrary(seed, request.getfixturevalue(chip))
    text = disassemble(program)
    again = assemble(text)
    assert same(program, again)
    assert to_bytes(again) == to_bytes(program)
    assert disassemble(again) == text
    canonical = [line for line in text.splitlines() if line.startswith(("@", ".data"))]
    assert all(parse_fast(line) for line in canonical)
    assert instruction_line(program, 0) == next(c for c in canonical if c.startswith("@"))


def outcome(text: str, machine: Machine) -> object:
    """All that assembling a text gives: the bursts, or every error."""
    try:
        return assemble(text, machine).bursts.tobytes()
    except AssemblyErrors as errors:
        return str(errors)


def test_both_paths_read_the_same(
    tiny: Machine, arbitrary: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without the fast path, canonical and damaged lines alike give the same bursts or the same errors."""
    rng = np.random.RandomState(0)
    lines = [x.partition(" !")[0] for x in disassemble(arbitrary(0, tiny)).splitlines() if "@" in x]
    texts = []
    for line in lines * 3:
        where, letter = rng.randint(len(line)), "0 ,x/+!E~#.@:-"[rng.randint(14)]
        texts += [line, line[:where] + letter + line[where + 1 :], line[:where] + line[where + 1 :]]
    quick = [outcome(text, tiny) for text in texts]
    assert sum(isinstance(o, bytes) for o in quick) > 400
    assert sum(isinstance(o, str) for o in quick) > 200
    monkeypatch.setattr("isa.assembly.assembler.parse_fast", lambda _: None)
    assert [outcome(text, tiny) for text in texts] == quick


@pytest.mark.parametrize(
    ("line", "args"),
    [
        ("@120 MEM_E17: read 0x0123, E3 x128 /1 +1", (0x123, 3)),
        ("@0 MEM_W0: write 291, W31 ; a comment", (291, 63)),
        ("  @0   MEM_W0 :gather 1,2 , E4,W0", (1, 2, 4, 32)),
        ("@0 MXM_E0.accumulate: acc f16, 5, E8", (3, 5, 0, 0, 8)),
        ("@0 MXM_E0.accumulate: acc i8, 5, start, emit, E8", (0, 5, 1, 1, 8)),
        ("@0 SXM_W.0: shift E0, W0, -3", (0, 32, -3)),
        ("@0 VXM_0: sync", ()),
    ],
)
def test_lines(line: str, args: tuple[int, ...]) -> None:
    assert only(line) == args


E4 = Source(SourceKind.STREAM, 4).pack()
IMM = Source(SourceKind.IMMEDIATE).pack()


@pytest.mark.parametrize(
    ("operands", "args"),
    [
        ("add f32, E4, #0x3f800000 -> E8, W12", (4, E4, IMM, 0x3F800000, 9, 13, 0)),
        ("add f32, #1.0, #1 -> W12", (4, IMM, IMM, 0x3F800000, 0, 13, 0)),
        ("add f16, E4, #-1e0", (3, E4, IMM, 0xBC00, 0, 0, 0)),
        ("add i8, E4, #-1, saturate -> E8", (0, E4, IMM, 0xFF, 9, 0, 1)),
        ("add i32, E4, #-1", (2, E4, IMM, 0xFFFFFFFF, 0, 0, 0)),
        ("add f32, E4, #-inf", (4, E4, IMM, 0xFF800000, 0, 0, 0)),
        ("mov f32, E4, imm=0x7", (4, E4, 7, 0, 0)),
        ("mov f32, alu5~3", (4, 2 | 5 << 2 | 3 << 8, 0, 0, 0)),
        ("mov f32, W4~63", (4, 1 | 36 << 2 | 63 << 8, 0, 0, 0)),
        ("cvt f32, E4, i8, saturate -> E0", (4, E4, 0, 1, 0, 0, 1)),
        ("select i16, E4, alu0, #0 -> E0", (1, E4, 2, 0, 1, 0, IMM)),
    ],
)
def test_vector_operands(operands: str, args: tuple[int, ...]) -> None:
    assert only(f"@0 VXM_0: {operands}") == args


def test_lines_without_a_cycle_follow_each_other() -> None:
    """A queue's words: ``nop`` delays, ``repeat`` repeats, the next line comes behind the last dispatch."""
    text = """
        MEM_E0: read 1, E0
        MEM_E0: nop 10
        MEM_E0: read 2, E0
        MEM_E0: repeat 4, 3, +1
        MEM_E1: read 9, E0 x2
        MEM_E0: read 3, E0
        @100 MEM_E0: read 4, E0 x2 /5
        MEM_E0: read 5, E0
    """
    bursts = assemble(text).bursts
    slow = bursts[bursts["queue"] == 44]
    assert slow["cycle"].tolist() == [0, 11, 21, 100, 106]
    assert slow["count"].tolist() == [1, 4, 1, 2, 1]
    assert slow["interval"].tolist() == [1, 3, 1, 5, 1]
    assert slow["stride"].tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("line", "number", "column"),
    [
        ("@1 MEM_E1: read 0x10 E3", 201, 22),
        ("@1 MEM_E1: read 0x10,", 201, 22),
        ("@1 MEM_E1: read 0x10, E3 $", 201, 26),
        ("MEM_E1 read 0x10, E3", 201, 8),
        ("@1 MEM_E1:", 201, 11),
        (".chip", 201, 6),
        (".chips tsp1", 202, 1),
        ("@1 MEM_E1: reed 0x10, E3", 202, 12),
        ("@1 MEM_E1: read 0x10000, E3", 203, 17),
        ("@1 MEM_E1: read 0x10, E32", 203, 23),
        ("@1 MEM_E1: read " + "9" * 5000 + ", E3", 203, 17),
        ("@1 MEM_E1: read 0, E0 x0", 203, 23),
        ("@1 MEM_E1: read 0, E0 x4294967296", 203, 23),
        ("@1 MEM_E1: read 0, E0 +2147483648", 203, 23),
        ("@1099511627776 MEM_E1: read 0, E0", 203, 1),
        ("@1 MEM_E1: read 0, E0 !1", 203, 0),
        ("@1 VXM_0: add i8, #1, #300", 203, 23),
        ("@1 VXM_0: add f32, #1.0, #2.0", 203, 26),
        ("@1 VXM_0: mov f32, #1.0, imm=0x1", 203, 20),
        ("@1 VXM_0: mov f32, #0x100000000", 203, 20),
        ("@1 VXM_0: mov i32, #1.5", 203, 20),
        ("@1 VXM_0: mov f32, alu16", 203, 20),
        ("@1 VXM_0: mov f32, E3~64", 203, 20),
        ("@1 VXM_0: mov f32, E3 -> W32", 203, 26),
        ("@1 VXM_0: mov f32, E3 -> W3, E4", 201, 28),
        ("@1 MEM_E99: read 0x10, E3", 204, 4),
        ("@1 VXM_1: read 0x10, E3", 204, 4),
        ("@1 MXM_E0.weights: acc f32, 0, E3", 204, 4),
        ("MEM_E0: repeat 2, 1, 0", 205, 1),
        ("@3 MEM_E0: nop 2", 205, 0),
        ('.node 1 "x"', 205, 7),
        ('.meta "\\q" ""', 205, 7),
        (".piece MEM_E0, 0, plane 0, view 3, rows 0+1, columns 0+1, lane 0", 205, 0),
        (".data AAA", 205, 7),
        (".data AAAA", 206, 7),
        (".fill 256", 206, 7),
        (".fill 0 x99999999", 206, 9),
        (".segment MEM_E44, 0, x1", 206, 10),
        (".segment MEM_E0, 8192, x1", 206, 18),
        (".segment MEM_E0, 0, x1", 206, 0),
        ('.input "x" complex i32 [1]', 206, 12),
        (".chip tsp9", 207, 7),
        ('.fact mem.words 0 assumed ""', 207, 0),
        ('.fact mem.words 5 guessed ""', 207, 19),
        ('.fact mem.wards 5 assumed ""', 207, 0),
    ],
)
def test_wrong_lines(line: str, number: int, column: int) -> None:
    """And every one says what to do."""
    with pytest.raises(AssemblyErrors) as caught:
        assemble(f"; first\n{line}")
    assert [(e.number, e.line, e.column) for e in caught.value.errors] == [(number, 2, column)]
    assert all(e.hint for e in caught.value.errors)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("@0 VMX_0: mov i8, E0", "did you mean VXM_0?"),
        ("@0 MXM_E0.weight: lw i8, E0, 1, 0, 1", "did you mean MXM_E0.weights?"),
        ("@0 MEM_W9: add i8, E0, E1", "its queues: VXM_0 .. VXM_15"),
        ("@0 MXM_E0.weights: acc i8, 0, E8", "its queues: MXM_W0.accumulate, MXM_W1.accumulate, MXM_E0.accumulate, "
         "MXM_E1.accumulate"),
        ("@0 MEM_E1: read 70000, E0", "form: read address, stream"),
        ("@0 VXM_0: add f32, E0", "form: add dtype, a, b[, saturate] [-> E4, W4]"),
        ("@0 MEM_E1: raed 0, E4", "did you mean read?"),
        ("@0 MEM_E1: read 0, E0 x0", "the nearest is 1"),
        ("@0 MEM_E1: read 0, E0 !7", '.node 7 "name" defines it, behind those before it'),
        ("MEM_E1 read 0, E0", "form: @120 MEM_E17: read 0x0123, E3 x128 +1"),
        (".chip tsp", "did you mean tsp1?"),
        (".fact mem.wards 5 assumed \"\"", "did you mean mem.words?"),
        (".segment MEN_E43, 0, x1", "did you mean MEM_E43?"),
        (".fill 256", ".fill 0x00 x4"),
    ],
)  # fmt: skip
def test_what_to_do(line: str, hint: str) -> None:
    with pytest.raises(AssemblyErrors) as caught:
        assemble(line)
    assert caught.value.errors[0].hint == hint


def test_all_errors_at_once_with_carets() -> None:
    with pytest.raises(AssemblyErrors) as caught:
        assemble(
            "@1 MEM_E1: reed 0, E3\n@1 MEM_E1: read 0, E0\n@1 MEM_E1: read 0 E3\n", where="k.asm"
        )
    assert str(caught.value) == (
        "TSP202: k.asm:1:12: no instruction 'reed'\n"
        "  | @1 MEM_E1: reed 0, E3\n"
        "  |            ^\n"
        "  help: did you mean read?\n"
        "TSP201: k.asm:3:19: unexpected 'E3'; expected ','\n"
        "  | @1 MEM_E1: read 0 E3\n"
        "  |                   ^\n"
        "  help: form: read address, stream"
    )
    assert caught.value.exit_code == 3
    assert caught.value.to_dict()["errors"][1]["column"] == 19  # type: ignore[index]


def test_one_dispatch_a_cycle() -> None:
    """But a read and a write of one slice go together."""
    assert len(assemble("@1 MEM_E1: read 0, E0\n@1 MEM_E1: write 0, E0").bursts) == 2
    assert errors_of("@1 MEM_E1: read 0, E0\n@1 MEM_E1: read 1, E0") == [(205, 2, 1)]


def test_other_chips(tiny: Machine) -> None:
    """A chip that is no preset stands in the text as what differs from one."""
    facts = dict(tiny.facts)
    facts["chip.name"] = Fact("my chip", "assumed", 'say "mine"')
    facts["timing.mem_read"] = Fact(9, "extension")
    facts["vxm.immediates"] = Fact(False, "assumed")
    machine = Machine(tuple(sorted(facts.items())))
    program = Program(machine, np.zeros(0, BURST))
    text = disassemble(program)
    assert '.fact chip.name "my chip" assumed "say \\"mine\\""' in text
    assert assemble(text).machine.facts == machine.facts
    assert errors_of(text, tiny)[0][0] == 207
    renamed = replace(
        program,
        machine=Machine(tuple(sorted({**facts, "chip.name": Fact("tiny", "assumed")}.items()))),
    )
    assert assemble(disassemble(renamed)).machine.facts == renamed.machine.facts


def test_the_chip_comes_first() -> None:
    assert errors_of("@0 MEM_E0: read 0, E0\n.chip tiny") == [(207, 2, 0)]


def test_the_callers_chip(tiny: Machine) -> None:
    assert assemble("@0 MEM_E0: read 0, E0", tiny).machine is tiny
    assert assemble(".chip tiny\n@0 MEM_E0: read 0, E0", tiny).machine.name == "tiny"


def test_line_ends_of_other_systems() -> None:
    assert len(assemble("@0 MEM_E0: read 0, E0\r\n\r\n; end\r\n").bursts) == 1


def test_nothing_to_print_out_of_range(tiny: Machine) -> None:
    bad = np.array([(0, 0x10, 0, 0, 1, 1, 0, (1 << 16, 0) + (0,) * 8)], BURST)
    with pytest.raises(InputError, match="address = 65536"):
        disassemble(Program(tiny, bad))
