"""The JIT and the reference interpreter agree in every bit of memory, every output and the cycle."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from emulator.reference import ReferenceInterpreter
from isa.machine import load_chip
from isa.verify import verify
from tests.emulator.random_programs import random_inputs, random_program

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
    names = TINY.queue_names
    places = [tuple(int(i) for i in place) for place in np.argwhere(a != b)[:8]]
    return "; ".join(
        f"{names[s]} word {w} lane {n}: {a[s, w, n]:#04x} {b[s, w, n]:#04x}" for s, w, n in places
    )


@pytest.mark.parametrize("block", range(SEEDS // BLOCK))
def test_bits_and_cycles_of_random_verified_programs(block: int, kernel_type: Any) -> None:
    """Kernels run twice, with other inputs first: a run leaves nothing behind that the next one sees."""
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        program = random_program(seed, TINY)
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
