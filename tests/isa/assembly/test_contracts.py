"""Contracts: a kernel that keeps its own assembles; each way to break one is named with what happens instead, and how far off."""

from __future__ import annotations

import pytest

from isa.assembly import AssemblyErrors, assemble, disassemble
from isa.machine import load_chip
from isa.program import Program
from isa.verify import verify

TINY = load_chip("tiny")
TWO = """\
.tensor x f32 4 32 at MEM_E0:0 input
.tensor z f32 4 32 at MEM_E4:0 output
.kernel scale(n, by, to)
  .in x: W0 f32 @t at VXM x{n}
  .out y: to f32 @t+3 at VXM x{n}
  .uses VXM_0
  @arrives VXM_0: mul f32, x, #by -> y x{n}
.end
.kernel relu(n)
  .in x: W4 f32 @t at VXM x{n}
  .out y: E4 f32 @t+3 at VXM x{n}
  .uses VXM_1
  @arrives VXM_1: relu f32, x -> y x{n}
.end
@reach(VXM, 9) x: read W0
a: @9 scale(4, 2.5, W4)
b: @12 relu(4, x=a.y)
@arrives z: write E4
"""


def changed(old: str, new: str) -> str:
    """The two kernels with one thing in the text replaced."""
    assert old in TWO
    return TWO.replace(old, new, 1)


def said(text: str) -> list[str]:
    """Number, line, message and help of every error."""
    with pytest.raises(AssemblyErrors) as caught:
        assemble(text, TINY)
    return [f"{e.number}:{e.line}: {e.message} | {e.hint}" for e in caught.value.errors]


def lines_of(program: Program) -> list[str]:
    return [line for line in disassemble(program).splitlines() if line.startswith("@")]


def test_two_kernels_in_a_chain() -> None:
    """The contracts say in which cycle what is where; the verifier finds the same of the bytes."""
    program = assemble(TWO, TINY)
    assert lines_of(program)[-2:] == [
        "@9 VXM_0: mul f32, W0, #0x40200000 -> W4 x4",
        "@12 VXM_1: relu f32, W4 -> E4 x4",
    ]
    assert verify(program).cycles > 0


def test_a_call_finds_its_cycle_from_contracts() -> None:
    """``@arrives`` of a call is the cycle in which all it consumes is there: what a kernel produces, or a read."""
    text = TWO.replace("a: @9", "a: @arrives").replace("b: @12", "b: @arrives")
    assert lines_of(assemble(text, TINY)) == lines_of(assemble(TWO, TINY))
    assert lines_of(assemble(text.replace(", x=a.y", ""), TINY)) == lines_of(assemble(TWO, TINY))


@pytest.mark.parametrize("off", [-3, -1, 1, 2, 40])
def test_an_out_in_another_cycle(off: int) -> None:
    """Whatever the contract is off by, is said, and the cycle that would be right."""
    side = "later" if off < 0 else "earlier"
    other = "earlier" if off < 0 else "later"
    by = f"{abs(off)} cycle{'s' if abs(off) > 1 else ''}"
    assert said(changed("to f32 @t+3", f"to f32 @t+{3 + off}"))[0] == (
        f"217:5: scale's out y: W4 at VXM carries values in cycles 12 .. 15, not in cycles {12 + off} .. {15 + off}: "
        f"{by} {side} | declare @t+3, or make the body put it {by} {other}"
    )


BROKEN = [
    (
        ("mul f32, x, #by -> y x{n}", "mul f32, x, #by x{n}"),
        "217:5: scale's out y: W4 at VXM carries nothing, not values in cycles 12 .. 15 | its body puts no values",
    ),
    (
        ("mul f32, x, #by -> y", "mul f32, x, #by -> W8"),
        "217:5: scale's out y: W4 at VXM carries nothing, not values in cycles 12 .. 15 | "
        "its body puts values on W8, W9, W10, W11",
    ),
    (
        ("y: to f32 @t+3 at VXM x{n}", "y: to f32 @t+3 at VXM x{n+1}"),
        "217:5: scale's out y: W4 at VXM carries values in cycles 12 .. 15, not in cycles 12 .. 16: 4 values, not 5; "
        "the nearest to cycle 16 is 1 cycle earlier | declare @t+3 x4, or mend the body",
    ),
    (
        ("y: to f32 @t+3 at VXM x{n}", "y: to f32 @t+3 at VXM x{n-2}"),
        "217:5: scale's out y: W4 at VXM carries values in cycles 12 .. 15, not in cycles 12, 13: 4 values, not 2; "
        "cycle 14 is 1 cycle later than any declared | declare @t+3 x4, or mend the body",
    ),
    (
        ("y: to f32 @t+3 at VXM x{n}", "y: to f32 @t+3 at VXM x{n} /2"),
        "217:5: scale's out y: W4 at VXM carries values in cycles 12 .. 15, not in cycles 12 .. 18 every 2: "
        "4 values, not 4; the nearest to cycle 16 is 1 cycle earlier | declare @t+3 x4, or mend the body",
    ),
    (
        ("y: E4 f32 @t+3 at VXM", "y: E4 f32 @t+3 at MEM_E2"),
        "217:11: relu's out y: E4 at MEM_E2 carries values in cycles 18 .. 21, not in cycles 15 .. 18: 3 cycles later | "
        "declare @t+6, or make the body put it 3 cycles earlier",
    ),
    (
        ("@arrives VXM_0: mul f32, x", "@t VXM_0: mul f32, W8"),
        "218:7: scale reads W8 at VXM in cycles 9 .. 12, which is neither an .in nor put there by its body | "
        ".in name: W8 @t+0 at VXM x4 declares it",
    ),
    (
        ("@arrives VXM_0: mul f32, x", "@t+2 VXM_0: mul f32, x"),
        "218:7: scale reads W0 at VXM in cycles 13, 14, but in x is there in cycles 9 .. 12: 1 cycle earlier | "
        "dispatch it 1 cycle earlier, or change the contract",
    ),
    (
        ("@arrives VXM_0: mul f32, x", "@t VXM_0: mul f32, x~1"),
        "218:7: scale reads W0 at VXM in cycle 8, but in x is there in cycles 9 .. 12: 1 cycle later | "
        "dispatch it 1 cycle later, or change the contract",
    ),
    (
        ("-> y x{n}\n.end\n.kernel", "-> y x{n-1}\n.end\n.kernel"),
        "218:4: scale's in x: its body reads 3 of 4 values; W0 is read by nothing in cycle 12 | "
        "declare what the body reads, or read what is declared",
    ),
    (
        ("mul f32, x, #by -> y x{n}", "mul f32, x, #by x{n}\n  @t+3 VXM_0: mov f32, alu5 -> y x{n}"),
        "218:8: scale takes alu5 of a dispatch on VXM_5 in cycles 9 .. 12, where its body dispatches nothing | "
        "what passes between kernels passes on streams: make it in the body, or declare an .in",
    ),
    (
        ("mul f32, x, #by -> y x{n}", "mul f32, x, #by x{n}\n  @t+5 VXM_5: mov f32, alu0 -> y x{n}"),
        "218:8: scale takes alu0 of a dispatch on VXM_0 in cycles 13, 14, but its body dispatches there in "
        "cycles 9 .. 12: 1 cycle earlier | dispatch it 1 cycle earlier",
    ),
    (
        ("@arrives VXM_0", "@arrives VXM_2"),
        "219:7: scale dispatches on VXM_2, which its .uses does not name | add .uses VXM_2",
    ),
    (
        (".uses VXM_0", ".uses VXM_0 @t+1..t+5"),
        "219:7: scale dispatches on VXM_0 in cycle 9, 1 cycle earlier than its .uses allows: cycles 10 .. 13 | "
        ".uses VXM_0 @t+0..t+5",
    ),
    (
        (".uses VXM_0", ".uses VXM_0..VXM_3 @t-9..t+1"),
        "219:7: scale dispatches on VXM_0 in cycles 10 .. 12, 3 cycles later than its .uses allows: cycles 0 .. 9 | "
        ".uses VXM_0 @t-9..t+4",
    ),
    (
        ("b: @12", "b: @14"),
        "220:17: a.y (line:5) does not feed b.x (line:10): it passes VXM in cycle 12, not 14: 2 cycles earlier | "
        "call b 2 cycles earlier, @12, or a 2 cycles later",
    ),
    (
        ("x: W4 f32 @t at VXM", "x: W4 f32 @t at MEM_W2"),
        "220:17: a.y (line:5) does not feed b.x (line:10): it passes MEM_W2 in cycle 15, not 12: 3 cycles later | "
        "call b 3 cycles later, @15, or a 3 cycles earlier",
    ),
    (
        ("x: W4 f32 @t at VXM", "x: W4 f32 @t at MEM_E0"),
        "220:17: a.y (line:5) does not feed b.x (line:10): W4 flows west, away from MEM_E0 as seen from VXM | use E4",
    ),
    (
        ("scale(4, 2.5, W4)", "scale(4, 2.5, W8)"),
        "220:17: a.y (line:5) does not feed b.x (line:10): it is on W8, not W4 | "
        "give both contracts the same stream, type, count and interval",
    ),
    (
        ("relu(4, x", "relu(2, x"),
        "220:17: a.y (line:5) does not feed b.x (line:10): 4 values, not 2 | "
        "give both contracts the same stream, type, count and interval",
    ),
    (
        ("x: W4 f32 @t at VXM x{n}", "x: W4 i32 @t at VXM x{n}"),
        "220:17: a.y (line:5) does not feed b.x (line:10): f32, not i32 | "
        "give both contracts the same stream, type, count and interval",
    ),
    (
        ("x: W4 f32 @t at VXM x{n}", "x: W4 f16 @t+1 at VXM x{n} /2"),
        "220:17: a.y (line:5) does not feed b.x (line:10): 4 byte planes, not 2; a value every 1 cycle, not 2; "
        "it passes VXM in cycle 12, not 13: 1 cycle earlier | "
        "call b 1 cycle earlier, @11; give both contracts the same stream, type, count and interval",
    ),
    (
        ("VXM_1\n  @arrives VXM_1", "VXM_0\n  @arrives VXM_0"),
        "221:17: b uses VXM_0 in cycles 12 .. 18, and a (line:16) in cycles 9 .. 15: 4 cycles in common | "
        "call b 4 cycles later, @16, or use another unit",
    ),
    (
        ("uses VXM_1", "uses VXM @t+2..t+4"),
        "221:17: b uses VXM_0 in cycles 14, 15, and a (line:16) in cycles 9 .. 15: 2 cycles in common | "
        "call b 2 cycles later, @14, or use another unit",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BROKEN, ids=[c[1] for c, _ in BROKEN])
def test_broken_contracts(change: tuple[str, str], message: str) -> None:
    assert message in said(changed(*change))


def test_the_line_that_breaks_it_is_shown_and_how_it_was_reached() -> None:
    with pytest.raises(AssemblyErrors) as caught:
        assemble(changed("@arrives VXM_0: mul f32, x", "@t+2 VXM_0: mul f32, x"), TINY, "k.asm")
    assert (
        "TSP218: k.asm:7:24: scale reads W0 at VXM in cycles 13, 14, but in x is there in cycles 9 .. 12: 1 cycle earlier\n"
        "  |   @t+2 VXM_0: mul f32, x, #by -> y x{n}\n"
        "  |                        ^\n"
        "  in kernel scale, called at k.asm:16\n"
        "  help: dispatch it 1 cycle earlier, or change the contract"
    ) in str(caught.value)


def test_a_call_is_judged_by_contracts_alone() -> None:
    """A body that breaks its promise is said once, at the promise: those that rely on it fit all the same."""
    assert said(changed("relu f32, x -> y", "relu f32, x -> W8")) == [
        "217:11: relu's out y: E4 at VXM carries nothing, not values in cycles 15 .. 18 | "
        "its body puts values on W8, W9, W10, W11"
    ]


def test_outside_a_kernel_only_what_it_promises_is_seen() -> None:
    """A stream that a body uses for itself does not arrive outside, nor does one from outside in the body."""
    leak = changed("relu f32, x -> y x{n}", "relu f32, x -> y, W8 x{n}").replace(
        "z: write E4", "z: write E4\n@arrives MEM_W0: write 0, W8"
    )
    assert said(leak)[0].startswith("214:19: nothing above puts a value on W8 upstream of MEM_W0")
    inward = changed("mul f32, x", "mul f32, W12").replace(
        "@reach(VXM, 9) x", "@0 MEM_E9: read 0, W12\n@reach(VXM, 9) x"
    )
    assert said(inward)[0] == (
        "214:7: nothing above puts a value on W12 upstream of VXM | put one on W12 at a unit east of VXM, in a line "
        "above this one, or declare an .in of scale"
    )


CHAIN = """
.kernel both(n)
  .in x: W0 f32 @t at VXM x{n}
  .out y: E4 f32 @t+6 at VXM x{n}
  .uses VXM_0..VXM_1
  a: @arrives scale(n, 2.5, W4)
  @arrives relu(n, x=a.y)
.end
"""


def test_kernels_of_kernels() -> None:
    """A kernel is held to what the kernels that it calls promise, units included."""
    head, _, tail = TWO.partition("@reach")
    tail = tail.replace("a: @9 scale(4, 2.5, W4)\nb: @12 relu(4, x=a.y)\n", "@9 both(4)\n")
    text = f"{head}{CHAIN}@reach{tail}"
    assert lines_of(assemble(text, TINY)) == lines_of(assemble(TWO, TINY))
    few = text.replace("VXM_0..VXM_1", "VXM_0")
    assert said(few) == [
        "219:21: both dispatches on VXM_1, which its .uses does not name | add .uses VXM_1"
    ]
    gap = text.replace("VXM_0..VXM_1", "VXM_1\n  .uses VXM_0 @t..t+2\n  .uses VXM_0 @t+4..t+9")
    assert said(gap) == [
        "219:22: both dispatches on VXM_0 in cycle 11, 1 cycle later than its .uses allows: cycles 9, 10 and "
        "cycles 13 .. 17 | .uses VXM_0 @t+0..t+9"
    ]
    late = text.replace("@t+6", "@t+7")
    assert said(late)[0].startswith(
        "217:18: both's out y: E4 at VXM carries values in cycles 15 .. 18"
    )


def test_what_is_too_much_to_prove() -> None:
    """Values are compared cycle by cycle: numbers that would exhaust the host are refused."""
    many = 1 << 24
    assert said(changed("-> y x{n}\n.end\n.kernel", f"-> y x{many + 1}\n.end\n.kernel")) == [
        "211:7: more than 16,777,216 dispatches in one kernel | give part of it a kernel of its own"
    ]
    assert said(changed("VXM x{n}", f"VXM x{many + 1}"))[0].startswith(
        "216:4: 16777217 values every 1 cycles"
    )
    assert said(changed(".uses VXM_0", ".uses VXM_0 @t..1<<62"))[0].startswith(
        "216:6: cycles 9 .. 46116860"
    )
    assert said(changed("@t at VXM", "@t+(1<<60) at VXM"))[0].startswith(
        "216:4: cycle 1152921504606846"
    )
    wide = changed(".uses VXM_0", ".uses VXM_0 @t..t+(1<<39)").replace("VXM_1", "VXM_0")
    assert said(wide) == [
        "221:17: b uses VXM_0 in cycles 12 .. 18, and a (line:16) in cycles 9 .. 549755813896: 7 cycles in common | "
        "call b 549755813885 cycles later, @549755813897, or use another unit"
    ]


def test_matrix_kernels_and_memory() -> None:
    """Weights, activations and sums are dispatches like others; what a kernel reads from memory is no .in."""
    text = """\
.tensor x i8 8 32 at MEM_E0:0 input
.tensor w i8 8 32 at MEM_E1:0 input
.tensor y i32 8 8 at MEM_E4:0 output
.kernel product(m, n)
  .in x: E0 i8 @t at MXM_E x{m}
  .out y: W0 i32 @t+mxm.array_latency+timing.mxm_accumulate at MXM_E x{m}
  .uses w, MXM_E0.weights @t-99..t
  .uses MXM_E0.activations, MXM_E0.accumulate
  fetch: @t-99 w[0..n]: read E4
  loaded: @arrives MXM_E0.weights: lw i8, E4, 1, 0, 1 x{n} +1
  @done(loaded) MXM_E0.weights: iw i8, 0, n
  @arrives MXM_E0.activations: abc i8, x, 0, 32 x{m}
  @arrives MXM_E0.accumulate: acc i8, 0, start, emit, y x{m}
.end
@reach(MXM_E, 100) x: read E0
p: @arrives product(8, 8)
@arrives y: write p.y
"""
    program = assemble(text, TINY)
    assert verify(program).cycles > 0
    assert "@100 MXM_E0.activations: abc i8, E0, 0, 32 x8" in lines_of(program)
    elsewhere = text.replace("@arrives MXM_E0.accumulate", "@t+mxm.array_latency MXM_E1.accumulate")
    assert (
        "218:13: product takes products of a dispatch on MXM_E1.activations in cycles 100 .. 107, where its body "
        "dispatches nothing | what passes between kernels passes on streams: make it in the body, or declare an .in"
    ) in said(elsewhere.replace(".uses MXM_E0.activations", ".uses MXM_E1, MXM_E0.activations"))
    early = text.replace("timing.mxm_accumulate", "timing.mxm_accumulate-2")
    assert said(early)[0].endswith("make the body put it 2 cycles earlier")
    assert ": 2 cycles later | declare @t+" in said(early)[0]


def test_what_follows_from_an_error_is_not_another() -> None:
    """The label of a call that could not be made names nothing, and nobody is told twice."""
    text = changed("x: W0 f32", "x: 5 f32").replace("write E4", "write b.y")
    assert said(text) == [
        "216:4: the number 5 is no stream | .in x: W0 f32 @t at VXM x128",
    ]
    taken = changed("b: @12", "a: @12")
    assert said(taken)[0].startswith("209:17: a is defined already | ")


def test_a_call_that_does_not_fit_is_proved_all_the_same() -> None:
    text = changed("b: @12", "b: @14").replace("VXM_1: relu", "VXM_2: relu")
    assert [line[:6] for line in said(text)] == ["219:13", "220:17"]


def test_a_kernel_ends_where_it_ends() -> None:
    """``repeat`` outside does not reach into a body that has been proved."""
    text = TWO + "VXM_0: repeat 9, 1, +0\n"
    assert said(text)[0].startswith("205:19: nothing in this queue to repeat | ")


def test_what_a_kernel_produces_is_an_operand_and_a_cycle() -> None:
    text = (
        TWO
        + "@b.y+20 VXM_5: mov f32, a.y\n@arrives(b.y) MEM_E3: write 9, b.y\n@a+50 MEM_E9: read 0, E0\n"
    )
    lines = lines_of(assemble(text, TINY))
    assert "@35 VXM_5: mov f32, W4" in lines
    assert "@19 MEM_E3: write 0x0009, E4" in lines
    assert "@59 MEM_E9: read 0x0000, E0" in lines
