"""The rule about types against the slow way to find them, on random programs in which types are wrong; and what may differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isa.assembly import assemble
from isa.errors import VerifyError
from isa.instruction import BY_OPCODE, DType
from isa.machine import load_chip
from isa.ops.vxm import VxmInstruction
from isa.program import Program
from isa.verify import Refusal, context, report, verify
from tests.emulator.random_programs import random_program
from tests.emulator.random_types import Walk

TINY = load_chip("tiny")
SAME = {DType.I16: DType.F16, DType.F16: DType.I16, DType.I32: DType.F32, DType.F32: DType.I32}


def mistyped(program: Program, rng: np.random.RandomState) -> Program:
    """A program with every third vector operation on another type of the same width, where there is one."""
    bursts = program.bursts.copy()
    for i, opcode in enumerate(bursts["opcode"]):
        cls = BY_OPCODE[int(opcode)]
        if issubclass(cls, VxmInstruction) and rng.rand() < 1 / 3:
            place = [o.name for o in cls.operands].index("dtype")
            other = SAME.get(DType(int(bursts["args"][i, place])))
            if other in cls.types:
                bursts["args"][i, place] = other
    return replace(program, bursts=bursts, outputs=())


def burst_of(program: Program, refusal: VerifyError) -> int:
    """The burst that a refusal is about."""
    assert isinstance(refusal, Refusal)
    text, m = refusal.where.partition(": ")[2].split()[0], program.machine
    for i, b in enumerate(program.bursts):
        cycles = range(
            int(b["cycle"]), int(b["cycle"] + b["count"] * b["interval"]), int(b["interval"])
        )
        name = BY_OPCODE[int(b["opcode"])].mnemonic
        if m.queue_names[b["queue"]] == refusal.queue and refusal.cycle in cycles and name == text:
            return i
    raise AssertionError(refusal)


def test_both_ways_to_find_types_refuse_the_same_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    """None that the slow way allows; and nearly all that it does not: what a burst moves is judged as a whole."""
    monkeypatch.setattr(report, "CAP", 1000)
    monkeypatch.setattr(context, "CAP", 1000)
    rng, both, slow = np.random.RandomState(1), 0, 0
    for seed in range(20):
        program = mistyped(random_program(seed, TINY), rng)
        said = verify(program, collect=True)
        assert {r.number for r in said} <= {342}
        refused = {burst_of(program, r) for r in said}
        wrong = {burst for burst, _ in Walk(program).offences}
        assert refused <= wrong
        both, slow = both + len(refused), slow + len(wrong)
    assert slow > 50
    assert both > 0.95 * slow


F32_IN_MEMORY = """.chip tiny
@0 VXM_0: mul f32, #3, #3 -> E4
@4 MEM_E0: write 0x0010, E4
@5 MEM_E1: write 0x0010, E5
@6 MEM_E2: write 0x0010, E6
@7 MEM_E3: write 0x0010, E7
@20 MEM_E3: read 0x0010, W3
@21 MEM_E2: read 0x0010, W2
@22 MEM_E1: read 0x0010, W1
@23 MEM_E0: read 0x0010, W0
"""
"""A product in memory, of which byte 0 .. 3 pass the VXM on W0 .. W3 in cycle 29."""


@pytest.mark.parametrize(
    ("reader", "legal"),
    [
        ("VXM_0: neg f32, W0", True),
        ("VXM_0: neg i32, W0", False),
        ("VXM_0: mov i32, W0", True),
        ("VXM_0: neg f16, W2", False),
        ("VXM_0: mov f16, W2", True),
        ("VXM_0: neg i8, W3", False),
        ("VXM_0: mov i8, W3", True),
        ("VXM_0: select f32, #1, W0, W2", False),
        ("SXM_W.0: rotate W0, W8, 3", True),
    ],
)
def test_a_word_keeps_its_type_and_mov_takes_any(reader: str, legal: bool) -> None:
    when = 42 if reader.startswith("SXM") else 29
    said = verify(assemble(f"{F32_IN_MEMORY}@{when} {reader}\n"), collect=True)
    assert [r.number for r in said] == ([] if legal else [342])


@pytest.mark.parametrize(("plane", "legal"), [(0, True), (1, False)])
def test_low_bytes_of_sums_become_bytes_of_anything_by_way_of_memory(
    plane: int, legal: bool
) -> None:
    """The last step of a transposition: two int32 sums give the two bytes of an fp16; their second bytes would not."""
    text = f""".chip tiny
@0 VXM_0: mov i32, #5 -> E4
@4 MEM_E0: write 0x0010, E{4 + plane}
@5 MEM_E1: write 0x0010, E{4 + plane}
@20 MEM_E1: read 0x0010, W1
@21 MEM_E0: read 0x0010, W0
@27 VXM_1: exp f16, W0
"""
    assert [r.number for r in verify(assemble(text), collect=True)] == ([] if legal else [342])


@pytest.mark.parametrize(("copies", "legal"), [(2, False), (300, True)])
def test_a_value_that_is_copied_too_often_is_bytes(copies: int, legal: bool) -> None:
    """From word to word of two slices, in turn; the copies of one slice are bursts of their own."""
    lines = [".chip tiny", ".tensor x i16 1 32 at MEM_W0:0 input"]
    for k in range(copies):
        lines += [
            f"@{20 * k} MEM_W1: read {k:#06x}, W1",
            f"@{20 * k + 5} MEM_W1: write {k + 1:#06x}, W1",
        ]
    lines += [
        f"@{20 * copies} MEM_W1: read {copies:#06x}, E1",
        f"@{20 * copies + 1} MEM_W0: read 0, E0",
    ]
    lines += [f"@{20 * copies + 7} VXM_0: neg f16, E0"]
    text = "\n".join(lines) + "\n"
    assert [r.number for r in verify(assemble(text), collect=True)] == ([] if legal else [342])


@pytest.mark.parametrize(
    ("base", "times", "legal"), [(0, "", False), (0, " x2 +1", True), (1, "", True)]
)
def test_a_burst_that_gathers_words_with_a_type_and_without_moves_bytes(
    base: int, times: str, legal: bool
) -> None:
    """Word 0 alone is of the input. Two gathers that go on from there to a constant are bytes as a whole."""
    text = f""".chip tiny
.tensor f f32 1 32 at MEM_E0:0 input
.segment MEM_E0, 1, x1, 0
.segment MEM_W0, 0, x1, 0
.segment MEM_W1, 0, x1, 0
.fill 0
@1 MEM_W0: read 0x0000, E0 x2
@0 MEM_W1: read 0x0000, E1 x2
@8 MEM_E0: gather {base:#06x}, 0, E0, W8{times}
@arrives VXM_0: neg i8, W8{times[:3]}
"""
    numbers = [r.number for r in verify(assemble(text), collect=True)]
    assert numbers == ([] if legal else [342])
