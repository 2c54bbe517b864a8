"""On compiled models, too, the JIT and the reference interpreter agree in every bit of memory, every output and the cycle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler import Compilation, compile_model
from emulator.jit import Kernel
from emulator.reference import ReferenceInterpreter
from isa.program import Program
from isa.verify import verify
from tests.claims.subjects import LAYER, LEGACY_LAYER, Subject, compiled, demo, feeds

SUBJECTS = [demo(batch, seq) for batch in (1, 2) for seq in (1, 7, 16)]
SUBJECTS += [demo(1, 32), demo(1, 7, "strict"), LEGACY_LAYER]


@pytest.fixture
def build(filled_model: Any) -> Callable[[Subject], Compilation]:
    """``build(subject)``: its compilation, made once a process."""
    return lambda subject: compiled(subject.model(filled_model), subject)


def agree(program: Program, threads: tuple[int, ...] = (1, 2)) -> None:
    """Fail unless both emulators leave the same memory, outputs and trace, with any number of threads and again and again."""
    inputs = feeds(program)
    reference = ReferenceInterpreter(program)
    expected, trace = reference.run(inputs)
    assert trace.cycles == verify(program).cycles
    for count in threads:
        kernel = Kernel(program, threads=count)
        kernel.run(feeds(program, seed=1))
        outputs, found = kernel.run(inputs)
        assert found == trace
        different = np.argwhere(kernel.final_memory != reference.final_memory)
        assert not len(different), f"{count} threads: slice, word, lane {different[:5].tolist()}"
        assert {k: v.tobytes() for k, v in outputs.items()} == {
            k: v.tobytes() for k, v in expected.items()
        }


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_bits_and_cycles(subject: Subject, build: Callable[[Subject], Compilation]) -> None:
    agree(build(subject).program)


def test_bits_and_cycles_of_an_encoder_layer(build: Callable[[Subject], Compilation]) -> None:
    """Batch 1, sequence 128, as in all-MiniLM-L6-v2."""
    agree(build(LAYER).program)


@pytest.mark.nightly
def test_bits_and_cycles_of_all_of_minilm(real_minilm: Path) -> None:
    agree(compile_model(real_minilm).program)


@pytest.mark.nightly
@pytest.mark.parametrize("precision", ["fp16", "strict"])
def test_bits_and_cycles_of_a_layer_of_bert(filled_model: Any, precision: str) -> None:
    subject = Subject("bert.dynamo.static", precision=precision)
    agree(compile_model(filled_model(subject.graph), precision=precision).program)
