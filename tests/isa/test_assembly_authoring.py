"""Authored assembly: what it says is what the canonical text it stands for says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isa.assembly import AssemblyErrors, assemble, disassemble, listing
from isa.assembly.expressions import ExpressionError, evaluate
from isa.assembly.names import Meaning, Scope
from isa.binary import from_bytes, to_bytes
from isa.machine import load_chip

TINY = load_chip("tiny")


def bursts(text: str, **parameters: int) -> list[str]:
    """The dispatches that a text stands for, in canonical form, on the chip ``tiny``."""
    program = assemble(text, TINY, parameters=parameters)
    return [line for line in disassemble(program).splitlines() if line.startswith("@")]


def value(text: str) -> object:
    return evaluate(text, Meaning(lambda: TINY, Scope(None, {"n": 5, "f": 0.5}), None))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-n + 2", -3),
        ("7 // 2 + 7 % 2", 4),
        ("n / 2", 2.5),
        ("1 << 4 | 1", 17),
        ("n == 5", 1),
        ("n < 5", 0),
        ("0x10 + .5", 16.5),
        ("cdiv(n, 2) + max(1, n, 2)", 8),
        ("sqrt(16.0)", 4.0),
        ("1e-3", 0.001),
        ("lanes", 32),
        ("mem.words", 256),
        ('"a" == "a"', 1),
    ],
)
def test_expressions(text: str, expected: object) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("1 +", 3),
        ("(1", 2),
        ("1 2", 2),
        ("1 / 0", 2),
        ("m + 1", 0),
        ("1 + m", 4),
        ("min()", 0),
        ("sqrt(-1)", 0),
        ("9223372036854775807 + 1", 20),
        ("1 << 99", 2),
        ("VXM + 1", 4),
        ("$", 0),
        ("(" * 99 + "1", 40),
        ("start(3)", 0),
        ("arrives", 0),
        ("reach(VXM, 3)", 0),
    ],
)
def test_wrong_expressions(text: str, offset: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert caught.value.offset == offset


def test_names_and_expressions_in_every_place() -> None:
    text = """
    .let base = 0x10
    .let n = 4
    .let s = E4            ; a stream is a value too
    .let q = MEM_E3
    .let v = alu2
    @10+n q: read base + n*2, s+1 x{n} /(n-2) +{n//2}
    @{n*5} MEM_E{n}: read base, E{2*n} x(n+1) -n
    @30 VXM_{n+1}: add f32, s, v~n, imm={n} -> E{n}
    @40 VXM_1: mul f32, s~{n-1}, #1/n -> E0, W{n}
    @50 VXM_1: add i32, s, #-n
    @60 SXM_E.0: shift E0, W0, -n
    """
    assert bursts(text) == [
        "@14 MEM_E3: read 0x0018, E5 x4 /2 +2",
        "@20 MEM_E4: read 0x0010, E8 x5 -4",
        "@40 VXM_1: mul f32, E4~3, #0x3e800000 -> E0, W4",
        "@50 VXM_1: add i32, E4, #0xfffffffc",
        "@30 VXM_5: add f32, E4, alu2~4, imm=0x4 -> E4",
        "@60 SXM_E.0: shift E0, W0, -4",
    ]


def test_every_operator_in_an_operand() -> None:
    """Without parentheses, spaced or not, with numbers alone."""
    for text, value in (
        ("9//2", 4), ("9 // 2", 4), ("3<<2", 12), ("n>>1", 2), ("n<=4", 1), ("n >= 5", 0), ("9%n", 1), ("4|n", 4),
        ("6&n", 4), ("n*2-1", 7), ("n==4", 1), ("n!=4", 0), ("8/n", 2),
    ):  # fmt: skip
        (line,) = bursts(f".let n = 4\n@0 MEM_E0: read {text}, E0")
        assert line == f"@0 MEM_E0: read {value:#06x}, E0", text


def test_whitespace_decides_between_operand_and_suffix() -> None:
    lines = bursts(".let a = 1\n@0 MXM_E0.weights: lw f16, E0, 8, 0, a + 1 x2 +8")
    assert lines == ["@0 MXM_E0.weights: lw f16, E0, 8, 0, 2 x2 +8"]
    lines = bursts(".let a = 1\n@0 MXM_E0.weights: lw f16, E0, 8, 0, a x2 +8")
    assert lines == ["@0 MXM_E0.weights: lw f16, E0, 8, 0, 1 x2 +8"]


def test_loops_conditions_and_macros() -> None:
    text = """
    .macro pair(slice, t)
      .for i in 0..2
        @t+i MEM_E{slice}: read i, E{slice}
      .end
    .end
    .let t = 0
    .for s in 3..9 step 3
      pair(s, t)
      .if s == 3
        @9 MEM_W0: read 0, W0
      .else
        @9 MEM_W1: read 0, W0
      .end
      .set t = t + 100
    .end
    """
    assert bursts(text) == [
        "@9 MEM_W0: read 0x0000, W0",
        "@9 MEM_W1: read 0x0000, W0",
        "@0 MEM_E3: read 0x0000, E3",
        "@1 MEM_E3: read 0x0001, E3",
        "@100 MEM_E6: read 0x0000, E6",
        "@101 MEM_E6: read 0x0001, E6",
    ]


def test_labels_and_times() -> None:
    text = """
    load: @10 MEM_E3: read 0, W4 x8 /2
    @load+5 MEM_E4: read 0, W5
    @done(load) MEM_E5: read 0, W6
    @next(load) MEM_E6: read 0, W7
    @end(load) MEM_E7: read 0, W8
    here:
    @70 MEM_W9: read 0, E9
    @here MEM_W8: read 0, E8
    @reach(VXM, 60) MEM_W0: read 0, E0
    @reach(MXM_W, 100) MEM_W1: read 0, W1
    """
    assert [line.split(" x")[0] for line in bursts(text)] == [
        "@54 MEM_W0: read 0x0000, E0",
        "@83 MEM_W1: read 0x0000, W1",
        "@70 MEM_W8: read 0x0000, E8",
        "@70 MEM_W9: read 0x0000, E9",
        "@10 MEM_E3: read 0x0000, W4",
        "@15 MEM_E4: read 0x0000, W5",
        "@29 MEM_E5: read 0x0000, W6",
        "@25 MEM_E6: read 0x0000, W7",
        "@24 MEM_E7: read 0x0000, W8",
    ]


@pytest.mark.parametrize("mnemonic", ["shr", "shl", "and", "or", "xor"])
@pytest.mark.parametrize(("dtype", "as_wide"), [("f32", "i32"), ("f16", "i16")])
def test_what_has_no_meaning_arrives_like_what_is_as_wide(
    mnemonic: str, dtype: str, as_wide: str
) -> None:
    """That the operation has no such type is the verifier's to say: assembling gives its times."""
    text = f"""
    @reach(VXM, 9) MEM_W0: read 0, E0
    @20 VXM_0: {mnemonic} f32, E0, E4 -> E8
    @arrives MEM_E0: write 0, E8
    @reach(MEM_E0, 40) VXM_1: {mnemonic} f32, E0, E4 -> E8"""
    times = [
        [line.split()[:2] for line in bursts(text.replace("f32", t))] for t in (dtype, as_wide)
    ]
    assert times[0] == times[1]


def test_arrivals_find_times_and_delays() -> None:
    """Each operand is there in the cycle found; what comes early waits in a delay register."""
    text = """
    a: @10 MEM_E1: read 0, W4
    @20 MEM_W0: read 0, E0
    @arrives VXM_1: add i8, W4, E0
    @arrives VXM_2: relu i8, alu1 -> E1, W1
    @arrives VXM_3: add i8, alu1, alu2 -> E2
    @arrives(E2) MEM_E4: write 1, E2
    @arrives(W1) MEM_W4: write 1, W1
    @arrives(a) MEM_E0: write 2, W4
    @40 MXM_E1.activations: abc i8, E1, 0, 8
    @arrives MXM_E1.accumulate: acc i8, 0, start, emit, W8
    """
    assert bursts(text) == [
        "@20 MEM_W0: read 0x0000, E0",
        "@37 MEM_W4: write 0x0001, W1",
        "@16 MEM_E0: write 0x0002, W4",
        "@10 MEM_E1: read 0x0000, W4",
        "@40 MEM_E4: write 0x0001, E2",
        "@26 VXM_1: add i8, W4~9, E0",
        "@29 VXM_2: relu i8, alu1 -> E1, W1",
        "@32 VXM_3: add i8, alu1~3, alu2 -> E2",
        "@40 MXM_E1.activations: abc i8, E1, 0, 8",
        "@62 MXM_E1.accumulate: acc i8, 0, start, emit, W8",
    ]


def test_tensors_stand_for_their_byte_planes() -> None:
    text = """
    .tensor x f16 10 32 at MEM_E0:4 input
    .tensor y f16 10 40 at MEM_W3:1 MEM_W1:9 output
    @0 x: read W4
    @100 x[2]: read W4 x5
    @200 x[3..6]: read W4 /2 +2
    @300 y[0..10, 1]: write E2
    @earliest(x, VXM, 590) MEM_W9: read 0, E9
    @400 {slice(x, 1)}: read address(x, 1, 7), W0
    @500 VXM_0: mov f32, #x.rows * x.cols + y.chunks + x.planes
    """
    assert bursts(text) == [
        "@300 MEM_W1: write 0x0013, E3 x10 +1",
        "@300 MEM_W3: write 0x000b, E2 x10 +1",
        "@597 MEM_W9: read 0x0000, E9",
        "@0 MEM_E0: read 0x0004, W4 x10 +1",
        "@100 MEM_E0: read 0x0006, W4 x5",
        "@200 MEM_E0: read 0x0007, W4 x3 /2 +2",
        "@0 MEM_E1: read 0x0004, W5 x10 +1",
        "@100 MEM_E1: read 0x0006, W5 x5",
        "@200 MEM_E1: read 0x0007, W5 x3 /2 +2",
        "@400 MEM_E1: read 0x000b, W0",
        "@500 VXM_0: mov f32, #0x43a20000",
    ]


def test_a_gather_of_a_tensor() -> None:
    lines = bursts(".tensor t i16 9 32 at MEM_E2:3 input\n@0 t: gather 8, E0, W4 x3")
    assert lines == [
        "@0 MEM_E2: gather 0x0003, 0x0008, E0, W4 x3",
        "@0 MEM_E3: gather 0x0003, 0x0008, E0, W5 x3",
    ]


def test_data(tmp_path: Path) -> None:
    """Lists, repeated values and .npy files, at the author's places, in the tensor's layout."""
    halves = np.arange(64, dtype=np.float16).reshape(2, 32)
    np.save(tmp_path / "h.npy", halves)
    text = """
    .tensor h f16 2 32 at MEM_E1:7
    .npy "h.npy"
    .tensor b i8 1 32 at MEM_W0:0
    .i8 -1, 2 x{3}
    .i8 1+1 x28
    .tensor s f32 2 1 at MEM_W4..MEM_W7:3 splat
    .f32 1.5, -0.0
    .segment MEM_E9, 0, x1
    .fill 7
    """
    program = assemble(text, TINY, folder=tmp_path)
    words = {}
    for slice_, address, count, first in program.segments.tolist():
        for i in range(count):
            words[TINY.queue_names[slice_], address + i] = program.data[first + i]
    assert (words["MEM_E9", 0] == 7).all()
    planes = np.stack([[words[f"MEM_E{1 + p}", 7 + r] for p in range(2)] for r in range(2)])
    assert (planes.transpose(0, 2, 1).copy().view(np.float16)[..., 0] == halves).all()
    assert words["MEM_W0", 0].view(np.int8).tolist() == [-1, 2, 2, 2] + [2] * 28
    assert [int(words[f"MEM_W{4 + p}", 3][9]) for p in range(4)] == [0, 0, 0xC0, 0x3F]
    assert int(words["MEM_W7", 4][0]) == 0x80


def test_inputs_and_outputs_have_their_layout() -> None:
    """A row wider than the chip is cut; the pieces say so."""
    program = assemble(".tensor x i8 3 40 at MEM_E0:5 input", TINY)
    (x,) = program.inputs
    assert (x.shape, x.abi_dtype) == ((3, 40), "int8")
    assert [(p.address, p.column, p.columns) for p in x.pieces] == [(5, 0, 32), (8, 32, 8)]


def test_parameters_are_the_callers() -> None:
    text = ".param n = 3\n@0 MEM_E0: read n, E0"
    assert bursts(text) == ["@0 MEM_E0: read 0x0003, E0"]
    assert bursts(text, n=9) == ["@0 MEM_E0: read 0x0009, E0"]
    with pytest.raises(AssemblyErrors, match=r"TSP209: line:2: no \.param m"):
        bursts(text, m=9)


def test_includes_stay_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.asm").write_text('.include "b.asm"\n')
    (tmp_path / "lib" / "b.asm").write_text(".let n = 4\n@0 MEM_E0: read n, E0\n")
    text = '.include "lib/a.asm"\n@1 MEM_E0: read n, E0\n'
    assert len(assemble(text, TINY, folder=tmp_path).bursts) == 2
    (tmp_path / "lib" / "up.asm").write_text('.include "../secret.asm"\n')
    (tmp_path / "secret.asm").write_text("@1 MEM_E0: read 0, E0\n")
    assert len(assemble('.include "lib/up.asm"', TINY, folder=tmp_path).bursts) == 1
    (tmp_path / "lib" / "link.asm").symlink_to(tmp_path / "secret.asm")
    for name in ("up.asm", "link.asm", "../secret.asm", "/etc/passwd", ".", "none.asm"):
        with pytest.raises(AssemblyErrors, match="TSP212"):
            assemble(f'.include "{name}"', TINY, folder=tmp_path / "lib")


def test_a_file_that_includes_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.asm").write_text('.include "b.asm"\n')
    (tmp_path / "b.asm").write_text('.let n = 4\n.include "./a.asm"\n')
    with pytest.raises(AssemblyErrors) as caught:
        assemble('.include "a.asm"\n', TINY, "k.asm", tmp_path)
    assert str(caught.value) == (
        "TSP212: b.asm:2:10: './a.asm' includes itself: a.asm -> b.asm -> ./a.asm\n"
        '  | .include "./a.asm"\n'
        "  |          ^\n"
        "  included at a.asm:1\n"
        "  included at k.asm:1\n"
        "  help: take what both need into a third file"
    )
    (tmp_path / "k.asm").write_text('.include "k.asm"\n')
    with pytest.raises(AssemblyErrors, match="TSP212"):
        assemble((tmp_path / "k.asm").read_text(), TINY, "k.asm", tmp_path)
    twice = '.include "c.asm"\n.include "c.asm"\n'
    (tmp_path / "c.asm").write_text("MEM_E0: read 0, E0\n")
    assert len(assemble(twice, TINY, "k.asm", tmp_path).bursts) == 2


def test_listing_carries_the_names() -> None:
    """The names survive the binary, stand beside what they name, and change no byte."""
    text = """
    .tensor x i8 4 32 at MEM_E0:5 input
    .tensor tmp i8 4 32 at MEM_W2:5
    load: @3 x: read W0
    @arrives tmp[1]: write W0 x3 +1
    """
    program = from_bytes(to_bytes(assemble(text, TINY)))
    shown = listing(program)
    assert "@3 MEM_E0: read 0x0005, W0 x4 +1  ; load: x plane 0\n" in shown
    assert "@12 MEM_W2: write 0x0006, W0 x3 +1  ; tmp[1] plane 0\n" in shown
    assert to_bytes(assemble(shown)) == to_bytes(program)
