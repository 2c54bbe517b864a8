"""The JIT and the reference interpreter agree in every bit of memory, every output and the cycle."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from emulator.reference import ReferenceInterpreter
from isa.machine import load_chip
from isa.program import Program
from isa.verify import verify
from tests.emulator.random_programs import random_inputs, random_program
from tests.emulator.random_variants import mutant, varied_chip

SEEDS = 200
BLOCK = 10
TINY = load_chip("tiny")


@pytest.fixture(scope="module")
def kernel_type() -> Any:
    """The JIT's ``Kernel``."""
    found = getattr(pytest.importorskip("emulator.jit"), "Kernel", None)
    return found or pytest.skip("emulator.jit has no Kernel")


def differences(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> str:
    """Where two memory images differ: slice, word, lane and both bytes of the first few places."""
    places = [tuple(int(i) for i in place) for place in np.argwhere(a != b)[:8]]
    return "; ".join(
        f"slice {s} word {w} lane {n}: {a[s, w, n]:#04x} {b[s, w, n]:#04x}" for s, w, n in places
    )


def agree(program: Program, seed: int, kernel_type: Any) -> None:
    """Fail unless both emulators agree. The kernel runs twice: nothing of the first run shows in the second."""
    certificate = verify(program)
    inputs = random_inputs(seed, program)
    reference = ReferenceInterpreter(program)
    expected, trace = reference.run(inputs)
    kernel = kernel_type(program, threads=1 + seed % 2)
    kernel.run(random_inputs(seed + 1, program))
    outputs, jit_trace = kernel.run(inputs)
    found = differences(reference.final_memory, kernel.final_memory)
    assert not found, f"seed {seed}: reference, JIT: {found}"
    assert trace == jit_trace
    assert trace.cycles == certificate.cycles
    for name, values in expected.items():
        assert outputs[name].dtype == values.dtype
        assert outputs[name].tobytes() == values.tobytes(), f"seed {seed}: output {name}"


@pytest.mark.parametrize("block", range(SEEDS // BLOCK))
def test_bits_and_cycles_of_random_verified_programs(block: int, kernel_type: Any) -> None:
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        agree(random_program(seed, TINY), seed, kernel_type)


@pytest.mark.parametrize("seed", range(10))
def test_bits_and_cycles_on_other_chips(seed: int, kernel_type: Any) -> None:
    agree(random_program(seed, varied_chip(seed, TINY)), seed, kernel_type)


@pytest.mark.parametrize("seed", range(10))
def test_bits_and_cycles_of_changed_programs_that_the_verifier_accepts(
    seed: int, kernel_type: Any
) -> None:
    program, rng = random_program(SEEDS + seed, TINY), np.random.RandomState(seed)
    changed = [mutant(program, rng) for _ in range(6)]
    for candidate in changed:
        if not verify(candidate, collect=True):
            agree(candidate, seed, kernel_type)
