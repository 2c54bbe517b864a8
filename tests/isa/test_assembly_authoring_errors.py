"""Every mistake of an author is named at once, at the author's own line, with what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isa.assembly import AssemblyErrors, assemble
from isa.assembly.blocks import MOST_LINES
from isa.assembly.tensors import Contents, Tensor
from isa.machine import load_chip

TINY = load_chip("tiny")


def errors_of(text: str, folder: Path | None = None) -> AssemblyErrors:
    with pytest.raises(AssemblyErrors) as caught:
        assemble(text, TINY, "k.asm", folder)
    return caught.value


@pytest.mark.parametrize(
    ("line", "number", "column", "hint"),
    [
        ("@0 MEM_E0: read bse, E0", 209, 17, "did you mean base?"),
        ("@0 MEM_E0: read base+, E0", 208, 22, ""),
        ("@0 MEM_E0: read 99999+base, E0", 203, 17, ""),
        ("@0 MEM_E0: read {base, E0", 208, 17, ""),
        ("@0 MEM_E0: read 1/2, E0", 208, 17, ""),
        ("@0 MEM_E0: read t, E0", 208, 17, "address(t) is where it lies"),
        ("@0 VXM_0: mov f23, E0", 209, 15, "did you mean f32?"),
        ("@reach(VXN, 50) MEM_W0: read 0, E0", 209, 8, "did you mean VXM?"),
        ("@timing.vxm_alo MEM_W0: read 0, E0", 209, 2, "did you mean timing.vxm_alu?"),
        ("@0 MEM_E0: reed base, E0", 202, 12, "did you mean read?"),
        ("@0 MEM_E0: read base, E{base*9}", 203, 23, ""),
        ("@0 VXM_0: add f32, E{base-4}, W0~bse", 209, 34, "did you mean base?"),
        ("@0 MEM_E0: read base, E0 x{0}", 203, 26, ""),
        ("@bse MEM_E0: read 0, E0", 209, 2, "did you mean base?"),
        ("@base-5 MEM_E0: read 0, E0", 214, 2, "everything 1 cycles later would do"),
        ("@reach(VXM, 50) MEM_E0: read 0, E0", 214, 2, "use W0"),
        ("@reach(MEM_E0, 50) VXM_0: mov i8, E0 -> W0", 214, 2, "use E0"),
        ("@reach(VXM, 50) MEM_E0: write 0, W0", 214, 2, "give its own cycle"),
        (
            "@arrives VXM_0: mov i8, E3",
            214,
            2,
            "put one on E3 at a unit west of VXM, in a line above",
        ),
        ("@arrives VXM_0: mov i8, alu1", 214, 2, "write what makes the operand above its use"),
        ("@arrives MXM_E0.accumulate: acc i8, 0, E0", 214, 2, ""),
        ("@arrives MEM_E0: read 0, E0", 214, 2, "give a cycle"),
        ("@arrives VXM_0: mov i8", 201, 23, ""),
        ("@earliest(base, VXM) MEM_E0: read 0, W0", 208, 2, "earliest(x, VXM, 0)"),
        ("@0 tt: read E0", 209, 4, ""),
        ("@0 base: read E0", 209, 4, ""),
        ("@0 t: add f32, E0, E0", 213, 7, ""),
        ("@0 t: raed E0", 202, 7, "did you mean read?"),
        ("@0 t[9..12]: read E0", 213, 4, ""),
        ("@0 t: read base", 213, 12, ""),
        ("@0 MEM_E99: read base, E0", 204, 4, ""),
        ("base: @0 MEM_E0: read 0, E0", 209, 1, ".set base = ... gives it another value"),
        (".let base = 5", 209, 6, ".set base = ... gives it another value"),
        (".let E4 = 5", 209, 6, "take another name"),
        (".let a 5", 208, 6, ".let name = expression"),
        (".set aa = 5", 209, 6, ".let aa = ... defines it"),
        (".lett a = 5", 202, 1, "did you mean .let?"),
        ("twise(3)", 209, 1, "did you mean twice?"),
        ("twice()", 210, 1, "twice(x)"),
        (".end", 210, 5, "it closes .for, .if, .macro or .kernel"),
        (".else", 210, 6, "it belongs between .if and .end"),
        (".for i in 4", 210, 6, ".for i in 0..4"),
        (".tensor u f64 4 4 at MEM_E0:0", 213, 11, "types: i8, i16, i32, f16, f32"),
        (".tensor u f32 4 4", 213, 9, ".tensor x f32 128 320 at MEM_E0:0x10 input"),
        (".tensor u f32 4 4 at MEM_E0", 213, 22, "MEM_E3:0x10"),
        (".tensor u f32 4 4 at VXM:0", 213, 22, "MEM_E3:0x10"),
        (".tensor u f32 4 4 at MEM_E9:0", 213, 9, ""),
        (
            ".tensor u f32 4 4 at MEM_E0..MEM_E2:0",
            213,
            9,
            "give one place a byte plane, or the first",
        ),
        (".tensor u i8 999 4 at MEM_E0:0", 213, 9, "a slice of tiny has 512 words"),
        (".tensor u i8 4 4 at MEM_E0:0 splat", 213, 9, ""),
        (".tensor u i8 0 4 at MEM_E0:0", 213, 9, ""),
        (".i8 1", 213, 5, "write .f32"),
        (".f32 1 x 2", 208, 8, ""),
        (".f32 1 x2, 2 x999", 213, 12, ""),
        ('.npy "no.npy"', 212, 6, "assemble it from a file"),
        ('.include "x"', 212, 10, "assemble it from a file"),
    ],
)
def test_wrong_lines(line: str, number: int, column: int, hint: str) -> None:
    text = f""".let base = 4
.macro twice(x)
.end
.tensor t f32 4 32 at MEM_E0:0
{line}"""
    body = "\n.end" if line.startswith(".for") else ""
    found = [(e.number, e.line, e.column) for e in errors_of(text + body).errors if e.line == 5]
    assert found == [(number, 5, column)]
    assert all(e.hint for e in errors_of(text + body).errors)
    assert hint in next(e.hint for e in errors_of(text + body).errors if e.line == 5)


def test_all_at_once_through_macros_and_files(tmp_path: Path) -> None:
    """The error is at the line that its author wrote; how it was reached stands below; a loop says it once."""
    (tmp_path / "lib.asm").write_text(".macro put(q)\n  @0 q: read 70000, E0\n.end\n")
    text = """.include "lib.asm"
.for i in 0..9
  put(MEM_E0)
.end
@1 MEM_E1: reed 0, E3
@2 MEM_E1: read nn, E3
"""
    assert str(errors_of(text, tmp_path)) == (
        "TSP202: k.asm:5:12: no instruction 'reed'\n"
        "  | @1 MEM_E1: reed 0, E3\n"
        "  |            ^\n"
        "  help: did you mean read?\n"
        "TSP209: k.asm:6:17: no name 'nn'\n"
        "  | @2 MEM_E1: read nn, E3\n"
        "  |                 ^\n"
        "  help: .let nn = ... defines one\n"
        "TSP203: lib.asm:2:14: address = 70000 is outside 0 .. 65535\n"
        "  |   @0 q: read 70000, E0\n"
        "  |              ^\n"
        "  in macro put, called at k.asm:3\n"
        "  help: form: read address, stream"
    )
    trace = errors_of(text, tmp_path).to_dict()["errors"][2]["trace"]  # type: ignore[index]
    assert trace == ["in macro put, called at k.asm:3"]


def test_operands_that_do_not_meet() -> None:
    """Byte planes apart; a matrix operand, which nothing delays; a delay longer than the chip's registers."""
    apart = "@0 MEM_W0: read 0, E0\n@0 MEM_W1: read 0, E1\n@arrives VXM_0: mov f16, E0"
    (error,) = errors_of(apart).errors
    assert error.message == "E1 passes VXM in cycle 7, 1 later than E0 of the same value"
    assert error.hint.startswith("let both reach VXM in one cycle: @reach(VXM, t)")
    early = "@0 MEM_W0: read 0, E0\n@99 MEM_W1: read 0, E1\n@arrives VXM_0: add i8, E0, E1"
    (error,) = errors_of(early).errors
    assert error.message == "E0 arrives 100 cycles before this dispatch in cycle 106"
    scatter = (
        "@0 MEM_W0: read 0, E0\n@0 MEM_W1: read 0, E1\n@reach(MEM_E0, 9) MEM_W2: read 0, E2\n"
        "@arrives MEM_E0: scatter 0, 9, E0, E2"
    )
    assert errors_of(scatter).errors[0].number == 214


def test_limits() -> None:
    endless = ".macro f(x)\nf(x)\n.end\nf(1)"
    assert [e.number for e in errors_of(endless).errors] == [211]
    wide = f".for i in 0..{MOST_LINES}\n.for j in 0..{MOST_LINES}\n.end\n.end"
    assert [e.number for e in errors_of(wide).errors] == [211]
    assert [e.number for e in errors_of(".for i in 0..3\n@0 MEM_E0: read 0, E0").errors] == [210]
    assert errors_of(".let a = " + "9" * 99).errors[0].number == 208
    assert errors_of(".for i in 0..9 step 0\n.end").errors[0].number == 210


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "bad.npy").write_bytes(b"no numpy")
    np.save(tmp_path / "f64.npy", np.zeros((4, 4)))
    np.save(tmp_path / "obj.npy", np.array([None]), allow_pickle=True)
    np.save(tmp_path / "small.npy", np.zeros((4, 3), np.float32))
    (tmp_path / "latin.asm").write_bytes(b"\xff\xfe")
    for name in ("bad", "f64", "obj", "small", "none"):
        text = f'.tensor w f32 4 4 at MEM_E0:0\n.npy "{name}.npy"'
        assert [e.number for e in errors_of(text, tmp_path).errors] == [212], name
    assert [e.number for e in errors_of('.include "latin.asm"', tmp_path).errors] == [212]


def test_missing_elements() -> None:
    (error,) = errors_of(".tensor w f16 2 4 at MEM_E0:0\n.f16 1, 2 x3").errors
    assert (error.number, error.line) == (213, 1)
    assert "4 elements were given for w, which has 8" in str(error)
    assert Contents(Tensor("w", 0, 1, 1, (), 32)).given == 0  # type: ignore[arg-type]


def numbers_of(text: str) -> list[int]:
    """The numbers of a text's errors, each of which can be printed; none for a program."""
    try:
        assemble(text, TINY)
    except AssemblyErrors as errors:
        return [e.number for e in errors.errors if str(e)]
    return []


FRAGMENTS = [
    "@0 MEM_E0: read 0, E0", "@arrives ", "@reach(VXM, t) ", "x: read W0", "VXM_1: add f32, ", "(", ")", "{", "}",
    "E4", "alu1", "~", "#", "1", "n", " + ", ",", "->", " x", "/", "!", ".let n = ", ".for i in 0..3\n", ".kernel k(a)\n", ".in x: W0 @t\n", ".out y: E4 @t+3 x2\n",
    ".uses VXM_1\n", "@arrives k(2)\n", "a: @9 k(n, x=a.y)\n", "\n.end\n",
    ".macro f(a)\n", "f(2)\n", "\n", ":", "lab: ", ".tensor x f32 4 32 at MEM_E0:0", ".i8 ", '"', "[", "]", "..",
    ".if ", ".else\n", "done(lab)", "MXM_E0.accumulate: acc i8, 0, E0", ";", "\\", "\t", "é", "imm=", ".set n = n*n",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_noise_is_an_error_and_nothing_else(seed: int) -> None:
    """Whatever is pasted together, the assembler gives a program or numbered errors."""
    rng = np.random.RandomState(seed)
    start = ".let n = 3\n.let t = 40\n.tensor x f32 4 32 at MEM_E0:0 input\n"
    for _ in range(150):
        text = start + "".join(FRAGMENTS[i] for i in rng.randint(len(FRAGMENTS), size=12))
        assert all(200 < number < 222 for number in numbers_of(text))
