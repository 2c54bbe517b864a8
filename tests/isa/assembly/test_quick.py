"""Lines of one shape, which differ in their numbers, have the same words: what is planned for one holds for all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from isa.assembly.shapes import made, shape_of
from isa.assembly.written import Written, code_of, take_apart
from isa.instruction import REGISTRY
from tests.isa.assembly.test_assembly_scale import authored

ROOT = Path(__file__).parents[3]
LINES = sorted(
    {
        line
        for folder in (
            "examples/kernels",
            "isa/manual/examples",
            "isa/explain",
            "docs",
            "tests/isa/verify_cases",
        )
        for path in (ROOT / folder).iterdir()
        if path.suffix in (".asm", ".md", ".txt")
        for line in path.read_text().splitlines()
        if ":" in line
    }
)
MORE = (
    "@0 VXM_0: add f32, E0, #1 -> E4,W4 x2 /3 !1 ; add",
    "  @a*2+b MEM_E{i}: read base+4,E{i} x{n} -1;x",
    "@t VXM_1: mov i8, alu0~2",
    "@0 MEM_E0: read a->b, E0",
    "@0 MEM_E0: read x4 x4",
    "@0 MEM_E0: read 0 , E0",
    "@0 MEM_E0: read 0,, E0",
    "@0 MEM_E0: sync x4",
    "@0 MEM_E0: read a-, E0 x4",
    "@0 MEM_E0: read a +4",
    "@0 MEM_E0: read a + 4, E0 +1",
    "@0 VXM_0: mov f32, #-1 -> E4",
    "MEM_E0: nop 4",
    "@0 MEM_E0: read 0, E0 x4+1",
    "@0 MEM_E0: read {a b}, E0",
    "@0 MEM_E0: read 0, E0\t+1",
)


def texts(written: Written) -> list[list[str]]:
    """Its words: label, time, queue and mnemonic, operands, results and suffixes."""
    return [[w.text for w in words] for words in (written[:4], *written[4:])]


def alike(line: str) -> bool:
    """Whether a line has the form of a dispatch; asserts that its shape says the same of it as the line itself."""
    shape, digits = shape_of(code_of(line))
    written, of_shape = take_apart(line), take_apart(shape)
    assert (written is None) == (of_shape is None), line
    if written is None or of_shape is None:
        return False
    found = [
        [made(w.text, shape.count("0", 0, max(0, w.column - 1)))(digits) for w in words]
        for words in (of_shape[:4], *of_shape[4:])
    ]
    assert found == texts(written), line
    return True


def test_on_everything_that_is_written_anywhere() -> None:
    taken = [alike(line) for line in (*LINES, *MORE)]
    assert sum(taken) > 300
    assert all(alike(line) for line in authored().splitlines()[2:400])


def _changed() -> Iterator[str]:
    """Lines with characters taken out, doubled, or exchanged for those that mean something."""
    rng = np.random.RandomState(0)
    marks = [*' ,;:@#~{}()[]"+-*/%!x<>=\t', "->", " -> ", ", ", " x", " +1", *sorted(REGISTRY)]
    for _ in range(40_000):
        line = LINES[rng.randint(len(LINES))]
        for _ in range(rng.randint(1, 4)):
            at = rng.randint(len(line) + 1)
            put = "" if rng.rand() < 0.3 else marks[rng.randint(len(marks))]
            line = line[:at] + put + line[at + rng.randint(3) :]
        yield line


def test_on_lines_that_are_nearly_right() -> None:
    assert sum(alike(line) for line in _changed()) > 3_000


@pytest.mark.parametrize(
    "text", ["1+2*3-4", "-a*b", "1<<2+1", "5-3-1", "8//3//2", "1|2&3==3", "2*(3+4)%5"]
)
def test_expressions_bind_as_their_grammar_says(text: str) -> None:
    """All of these mean in Python what they mean here."""
    from isa.assembly.expressions import evaluate
    from isa.assembly.names import Meaning, Scope
    from isa.machine import load_chip

    names = Meaning(lambda: load_chip("tiny"), Scope(own={"a": 7, "b": 3}), None)
    spaced = re.sub(r"(\||&)", r" \1 ", text)
    assert evaluate(spaced, names) == eval(text.replace("3==3", "(3==3)"), {"a": 7, "b": 3})
