"""Mistakes of a kernel author's first day: each is named where it stands, with what to write instead."""

from __future__ import annotations

import pytest

from isa.assembly import AssemblyErrors, assemble, disassemble

HEAD = """.chip tiny
.param n = 4
.let half = 0.5
.let far = MEM_W3
.tensor x i8 n lanes at MEM_W0:0 input
.tensor y i8 n lanes at MEM_E0:0 output
"""
LINE = HEAD.count("\n") + 1


@pytest.mark.parametrize(
    ("line", "number", "column", "message", "hint"),
    [
        ("@0 x: read E0 -> E4", 213, 18, "read has no results", "leave the arrow out: read address, stream"),
        ("@0 far[2]: read 0, E0", 209, 4, "the unit MEM_W3 is no tensor, and has no rows", "form: read address, stream"),
        ("@0 x[0:2]: read E0", 208, 7, "unexpected ':'", "x[0..4]"),
        ("@0 x[n]: read E0", 213, 4, "rows 4 .. 4 of chunk 0 are not in x: 4 rows, 1 chunks", "rows count from 0: x[0..4] are all"),
        ("@9 y: write 0, E4", 213, 13, "0 is no stream", "a tensor says its addresses; write E0, without one"),
        ("@0 MEM_W0: read 0, E0 x{n}+1", 208, 23, "'x{n}+1' is one word", "write x{n} +1, or put all of it in parentheses"),
        ("@0 MEM_W0: read 0, E0 x4/2", 208, 23, "'x4/2' is one word", "write x4 /2, or put all of it in parentheses"),
        ("@9 VXM_0: mul f32, E0, half -> E4", 208, 24, "the number 0.5 cannot stand here", "#0.5 is an immediate, for the vector unit"),
        ("@9 VXM_0: max i8, e0, E1 -> E4", 209, 19, "no name 'e0'", "did you mean E0?"),
        ("@9 VXM_0: max int8, E0, E1 -> E4", 209, 15, "no name 'int8'", "did you mean i8?"),
        ("@9 VXM_0: mul fp16, E0, E2 -> E4", 209, 15, "no name 'fp16'", "did you mean f16?"),
        ("@9 vxm_0: max i8, E0, E1", 209, 4, "no queue or tensor 'vxm_0'", "did you mean VXM_0?"),
        ("@9 VXM0: max i8, E0, E1", 209, 4, "no queue or tensor 'VXM0'", "did you mean VXM_0?"),
        ("@9 X: read E0", 209, 4, "no queue or tensor 'X'", "did you mean x?"),
        ("@9 MXM_W.w0: lw i8, W0, 1, 0, 1", 204, 4, "tiny has no queue MXM_W.w0", "did you mean MXM_W1.weights?"),
        ("@n VXM_0 max i8, E0, E1", 201, 9, "expected ':' behind 'VXM_0'", "form: @120 MEM_E17: read 0x0123, E3 x128 +1"),
        ("l: @n", 201, 6, "expected a queue behind the time", "form: @120 MEM_E17: read 0x0123, E3 x128 +1"),
        ("@n x: @read E0", 201, 6, "expected an instruction", "form: @120 MEM_E17: read 0x0123, E3 x128 +1"),
        ("@n + 1 x: read E0", 201, 4, "a time ends at whitespace", "leave the spaces out, or put it in parentheses"),
        ("@n+ 1 x: read E0", 201, 5, "a time ends at whitespace", "leave the spaces out, or put it in parentheses"),
        ("@n scale(1, 2) x2", 201, 15, "unexpected 'x2' behind a call", "@t name(1, 2)"),
        ("@ x: read E0", 201, 2, "no time behind the @", "form: read address, stream"),
        ("here: MEM_E1: nop 4", 205, 1, "nop takes no label", "put the label on a line of its own; it names the next dispatch"),
        ("n = 5", 201, 1, "unexpected 'n'; expected a cycle (@120), a directive (.let), a queue (MEM_E17) or the end of the line", ".let n = ... names a value"),
        ("let m = 5", 201, 1, "unexpected 'let'; expected a cycle (@120), a directive (.let), a queue (MEM_E17) or the end of the line", "a directive begins with a dot: .let name = expression"),
        ("// read", 201, 1, "unexpected '//'; expected a cycle (@120), a directive (.let), a queue (MEM_E17) or the end of the line", "a comment begins with ;, not with //"),
        ("# read", 201, 1, "unexpected '#'; expected a cycle (@120), a directive (.let) or a queue (MEM_E17)", "a comment begins with ;, not with #"),
    ],
)  # fmt: skip
def test_mistake(line: str, number: int, column: int, message: str, hint: str) -> None:
    """Told alike when the line's shape is planned already, and when it is not."""
    for _ in range(3):
        with pytest.raises(AssemblyErrors) as caught:
            assemble(HEAD + line)
        [error] = caught.value.errors
        assert (error.number, error.line, error.column) == (number, LINE, column)
        assert (error.message, error.hint) == (message, hint)


def test_what_it_should_have_been() -> None:
    """The counts and times that some of these lines were meant to say."""
    right = ["@(n + 1) x[0..2]: read E0", "@0 MEM_W0: read 0, E0 x{n} +1", "@90 MEM_W0: read 0, E0 x(n+1)"]  # fmt: skip
    found = disassemble(assemble(HEAD + "\n".join(right)))
    assert [line for line in found.splitlines() if line.startswith("@")] == [
        "@0 MEM_W0: read 0x0000, E0 x4 +1",
        "@5 MEM_W0: read 0x0000, E0 x2 +1",
        "@90 MEM_W0: read 0x0000, E0 x5",
    ]


@pytest.mark.parametrize(
    "first", ["MEM_E1: read 1, E0", "@0 MEM_E1: read 0x0001, E0", "@n-n x[0]: read E0"]
)
@pytest.mark.parametrize("between", ["", "MEM_E1: nop 2\n", "; a word\n\n"])
def test_a_label_on_a_line_of_its_own_names_the_next_dispatch(first: str, between: str) -> None:
    """Whatever kind of line that is, and with a ``nop`` before it."""
    lines = f"here:\n{between}{first}\n@here+9 MEM_E5: read 0, E8"
    found = disassemble(assemble(HEAD + lines))
    start = 2 if "nop" in between and first.startswith("MEM") else 0
    assert f"@{start + 9} MEM_E5: read 0x0000, E8" in found


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("here", "a label has start(here), end(here), done(here), next(here)"),
        ("half", "it is the number 0.5"),
        ("far", "it is the unit MEM_W3"),
    ],
)
def test_what_stands_before_a_dot_has_no_such_part(name: str, hint: str) -> None:
    with pytest.raises(AssemblyErrors) as caught:
        assemble(HEAD + f"here: @0 MEM_E1: read 1, E0\n@{name}.end+3 MEM_E5: read 0, E8")
    [error] = caught.value.errors
    assert (error.number, error.column) == (209, 2)
    assert (error.message, error.hint) == (f"'{name}' has no 'end'", hint)
