"""A canonical line may be read without the grammar, never past it: what one accepts the other accepts, and as the same."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from isa.assembly import AssemblyErrors, assemble
from isa.assembly.lines import parse_fast
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
    with mock.patch("isa.assembly.assembler.parse_fast", return_value=None):
        slow = outcome(line)
    assert outcome(line) == slow
    with (
        mock.patch("isa.assembly.assembler.parse_fast", return_value=None),
        mock.patch("isa.assembly.assembler.take_apart", return_value=None),
    ):
        grammar = outcome(line)
    statement = parse_fast(line)
    if isinstance(grammar, bytes) or (statement is not None and all_canonical(statement)):  # type: ignore[arg-type]
        assert grammar == slow


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
