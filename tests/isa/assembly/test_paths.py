"""A canonical line may be read without the grammar, never past it: what one accepts the other accepts, and as the same."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from isa.assembly import AssemblyErrors, assemble
from isa.assembly.assembler import Assembler
from isa.assembly.expressions import evaluate
from isa.assembly.lines import parse_fast
from isa.assembly.planned import planned
from isa.assembly.render import all_canonical
from isa.instruction import REGISTRY, Kind
from isa.machine import load_chip

TINY = load_chip("tiny")
NUMBERS = ["0", "5", "05", "+5", "-5", "-0", "0x5", "0X5", "0x05", "0x", "5.", "1e1", "\u00b2", "\u0665", "99999999999"]  # fmt: skip
STREAMS = ["E0", "W4", "E04", "W31", "E99", "E-1", "E+1", "e0", "E"]
SOURCES = [*STREAMS, "E4~3", "E4~03", "E4~", "E4~99", "alu1", "alu01", "alu99", "none", "None"]
SOURCES += [f"#{n}" for n in (*NUMBERS, "1.5", ".5", "+1.5e3", "1E3", "inf", "-nan", "Inf")]
WORDS = {
    Kind.DTYPE: ["i8", "f32", "F32", "u8", "f64"],
    Kind.STREAM: STREAMS,
    Kind.SOURCE: SOURCES,
    Kind.BITS32: [f"imm={n}" for n in NUMBERS],
    Kind.FLAG: ["start", "emit", "saturate", "Start"],
    Kind.STREAM_OR_NONE: STREAMS,
}


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A canonical line, most of the time with a word in it that may or may not be one of its kind."""
    cls = REGISTRY[draw(st.sampled_from(sorted(REGISTRY)))]
    queues = [q for q, k in zip(TINY.queue_names, TINY.queue_kinds, strict=True) if k == cls.unit]
    operands, results = [], []
    for o in cls.operands:
        word = draw(st.sampled_from(WORDS.get(o.kind, NUMBERS)))
        if o.kind is Kind.STREAM_OR_NONE:
            results += [word] if draw(st.booleans()) else []
        elif o.kind in (Kind.FLAG, Kind.BITS32):
            operands += [word] if draw(st.integers(0, 3)) == 0 else []
        else:
            operands.append(word)
    arrow = f" -> {', '.join(results)}" if results else ""
    suffixes = "".join(
        f" {sign}{draw(st.sampled_from(NUMBERS))}"
        for sign in ("x", "/", "+", "!")
        if draw(st.integers(0, 5)) == 0
    )
    time = draw(st.sampled_from(["@7", "@7", "@07", "@+7", "@0x7", "@\u00b2"]))
    queue = draw(st.sampled_from(queues or ["VXM_0"]))
    return (
        f"{time} {queue}: {' '.join([cls.mnemonic, ', '.join(operands)]).strip()}{arrow}{suffixes}"
    )


def outcome(line: str) -> object:
    """The bursts, or the numbers of the errors."""
    try:
        return assemble(line, TINY).bursts.tobytes()
    except AssemblyErrors as errors:
        return [e.number for e in errors.errors]


@example("@7 SXM_W.0: shift E0, E0, 0x5")
@settings(max_examples=500)
@given(lines())
def test_fast_path_and_grammar_accept_the_same(line: str) -> None:
    with (
        mock.patch("isa.assembly.assembler.parse_fast", return_value=None),
        mock.patch("isa.assembly.assembler.planned", return_value=None),
    ):
        slow = outcome(line)
    assert outcome(line) == slow
    with mock.patch("isa.assembly.assembler.parse_fast", return_value=None):
        assert [outcome(line) for _ in range(2)] == [slow] * 2  # The second time by a plan.
    with (
        mock.patch("isa.assembly.assembler.parse_fast", return_value=None),
        mock.patch("isa.assembly.assembler.planned", return_value=None),
        mock.patch("isa.assembly.assembler.take_apart", return_value=None),
    ):
        grammar = outcome(line)
    statement = parse_fast(line)
    if isinstance(grammar, bytes) or (statement is not None and all_canonical(statement)):  # type: ignore[arg-type]
        assert grammar == slow


HEAD = """.let n = 2
.let k2 = 3
.let f = 2.5
.let s = E4
.let u = MEM_E1
.let ty = "i8"
.tensor a i8 8 64 at MEM_E2:0x10
.tensor b i16 4 64 at MEM_W0..MEM_W1:0x20 input
.tensor c1 f16 6 32 at MEM_W4:0 input
@0 MEM_E0: read 7, W0
l0: @20 MEM_E0: read 5, E4 x3
@1 MEM_W0: read 5, E0 x3"""
"""What the words of ``authored`` mean."""
QUANTITIES = [*NUMBERS, "n", "n+1234[5", "n+1", "k2*n-1", "1x0", "0x1+n", "{n}", "2*n - 1", "-n", "1e+5", "zz", "1/0", "start(l0)", "l0", "min(n, 3)", "f", "7%n+05", "9223372036854775807+1"]  # fmt: skip
ROUTES = [
    *SOURCES,
    "s",
    "s+1",
    "ty",
    "E{n}~1",
    "E{n}",
    "E{n+2}",
    "W0+n",
    "alu{n}",
    "E4~n",
    "#n",
    "#-n*2",
    "#f/3",
]
AUTHORED = {
    Kind.DTYPE: ["i8", "f32", "ty", "{ty}", "u8"],
    Kind.STREAM: ROUTES,
    Kind.SOURCE: ROUTES,
    Kind.BITS32: ["imm=n", "imm={n}", "imm=05", "imm=0x5"],
    Kind.STREAM_OR_NONE: ROUTES,
}
TIMES = ["@7 ", "@l0+3 ", "@k2 ", "@start(l1)+k2 ", "@reach(VXM, 40) ", "@n*12+3 ", "@arrives ", "@arrives(l0)+n ", "@end(l0)+04 ", "@reach(VXM, n+40) ", "", "@{n} ", "@zz ", "@5-9 "]  # fmt: skip
PLACES = [
    "MEM_E0",
    "VXM_{n}",
    "VXM_1",
    "MXM_E0.0",
    "a",
    "a[0..n]",
    "a[n..4]",
    "b",
    "b[1,0]",
    "u",
    "u[0]",
    "c1",
    "c1[n..5]",
    "c1[k2]",
    "c1[4]",
    "k2",
    "MEM_E{",
]
BEHIND = ["x4", "x{n}", "x0", "x(n+1)", "/2", "/{n}", "+1", "-{n}", "+n", "!0", "!{n-2}"]


@st.composite
def authored(draw: st.DrawFn) -> str:
    """A line in an author's words, right in most of them."""
    cls = REGISTRY[draw(st.sampled_from(sorted(REGISTRY)))]
    fit = [p for p in PLACES if p.startswith(cls.unit) or (cls.unit == "MEM" and p.islower())]
    operands, results = [], []
    for o in cls.operands:
        words = AUTHORED.get(o.kind, QUANTITIES)
        word = draw(st.sampled_from(WORDS.get(o.kind, words) if o.kind is Kind.FLAG else words))
        if o.kind is Kind.STREAM_OR_NONE:
            results += [word] if draw(st.booleans()) else []
        elif o.kind in (Kind.FLAG, Kind.BITS32):
            operands += [word] if draw(st.integers(0, 5)) == 0 else []
        else:
            operands.append(word)
    label, time = draw(st.sampled_from(["", "", "l1: ", "  "])), draw(st.sampled_from(TIMES))
    behind = draw(st.lists(st.sampled_from(BEHIND), max_size=2))
    comma = draw(st.sampled_from([", ", ",", " ,"]))
    place = draw(st.sampled_from(fit or PLACES))
    given = operands[place[:1] in "abc" :]  # A tensor says the address.
    body = f"{place}: {cls.mnemonic} {comma.join(given)}"
    arrow = f" -> {', '.join(results)}" if results else ""
    return (
        f"{label}{time}{body}{arrow} {' '.join(behind)}{draw(st.sampled_from(['', '  ; 5 x 1']))}"
    )


def told(*text: str) -> object:
    """Everything that a program of these lines says; or all errors, as they are shown."""
    try:
        program = assemble("\n".join([HEAD, *text]), TINY)
    except AssemblyErrors as errors:
        return str(errors)
    return program.bursts.tobytes(), program.meta, program.lines


@settings(max_examples=500)
@given(st.lists(authored(), min_size=1, max_size=3))
def test_authored_lines_say_what_the_grammar_reads(text: list[str]) -> None:
    """No quick way: every line taken apart by itself, every expression read by itself, every dispatch by the grammar.

    A shape is planned when it is met for the second time.
    """
    with (
        mock.patch("isa.assembly.assembler.parse_fast", return_value=None),
        mock.patch("isa.assembly.assembler.planned", return_value=None),
        mock.patch("isa.assembly.render.evaluate", evaluate),
        mock.patch.object(Assembler, "_dispatch_quickly", return_value=None),
    ):
        slow = told(*text)
    assert [told(*text) for _ in range(3)] == [slow] * 3


@pytest.mark.parametrize(
    "line",
    [
        "@7 c1: read E4",
        "@7 c1[n..5]: read E04",
        "l1: @l0+1 c1[4]: read W{n}",
        "@k2+40 b[1..k2, 1]: read W4",
        "@40 b[0..n+1,0]: read s+2 /2",
        "@40 c1[1..5]: read E2 x2 -1 !0",
        "@reach(VXM, 40) c1: read E2",
        "@arrives(W0) b[3, 1]: write W0",
        "@0 u: write 3, E1 x{n}",
        "@arrives VXM_{k2}: add i8, E0, #-n -> E{n}, W{k2} x{k2} /1",
        "@l0+30 VXM_1: mov f16, #f*2 -> E{n}",
        "MEM_E0: read k2*2, E9 x{n} /3",
        "MEM_E0: nop k2",
    ],
)
def test_what_is_planned_says_the_same(line: str) -> None:
    """Lines that are right, and taken as planned: none of them is taken apart by itself."""
    assert [planned(line) for _ in range(2)][1] is not None
    with mock.patch("isa.assembly.assembler.planned", return_value=None):
        slow = told(line)
    assert isinstance(slow, tuple)
    with mock.patch("isa.assembly.dispatching.take_apart", side_effect=AssertionError):
        assert told(line) == slow


@pytest.mark.parametrize("number", ["99999999999999999999", "0x1ffffffffffffffff"])
def test_a_number_beyond_64_bits_is_out_of_range(number: str) -> None:
    with pytest.raises(AssemblyErrors) as caught:
        assemble(f"@0 MEM_E0: read {number}, E0", TINY)
    assert [(e.number, e.column) for e in caught.value.errors] == [(203, 17)]


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("@0 VXM_0: mov f32, E4, imm=05", 24),
        ("@0 VXM_0: mov f32, E4, imm=5", 24),
        ("@0 VXM_0: mov f32, E4, imm=0X5", 24),
        ("@0 VXM_0: mov f32, #0X5", 22),
        ("@0 MEM_E0: read +5, E0", 17),
        ("@0 MEM_E0: read -0, E0", 17),
    ],
)
def test_what_only_looks_like_a_number(line: str, column: int) -> None:
    with pytest.raises(AssemblyErrors) as caught:
        assemble(line, TINY)
    assert [(e.number, e.column) for e in caught.value.errors] == [(201, column)]
