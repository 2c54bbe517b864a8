"""For every instruction and type: JIT, reference interpreter and definition agree in every bit on 1,000 operand sets and more."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emulator.jit import Kernel
from emulator.reference import ReferenceInterpreter
from isa.instruction import REGISTRY, DType, Instruction
from isa.verify import verify
from tests.emulator.operand_sets import WIDE, Trial, matrix_trial, move_trial, vector_trial
from tests.emulator.random_programs import vxm_variants
from tests.emulator.random_values import FLOAT_BITS
from tests.emulator.sweep import Key, every_key, keys

LEAST = 1000
MOVES = [cls for cls in REGISTRY.values() if cls.unit in ("MEM", "SXM")]
MATRIX = [(dtype, special) for dtype in (DType.I8, DType.F16) for special in (0.0, 0.001, 0.33)]


def agree(trial: Trial) -> None:
    """Both emulators leave the same memory, and in it what the definition says."""
    program = trial.program()
    verify(program)
    reference, kernel = ReferenceInterpreter(program), Kernel(program)
    assert reference.run({})[1] == kernel.run({})[1]
    assert (reference.final_memory == kernel.final_memory).all()
    assert trial.expected
    for slice_, address, rows in trial.expected:
        found = kernel.final_memory[slice_, address : address + len(rows)]
        wrong = np.argwhere(found != rows)
        assert not len(wrong), f"row and lane {wrong[0].tolist()} of slice {slice_}"


@pytest.mark.parametrize("name", sorted({v["name"] for v in vxm_variants()}))
def test_vector_operations(name: str) -> None:
    for variant in vxm_variants():
        if variant["name"] == name:
            agree(vector_trial(variant, REGISTRY[name], seed=1))


@pytest.mark.parametrize("cls", MOVES, ids=lambda c: c.mnemonic)
def test_memory_and_exchange(cls: type[Instruction]) -> None:
    agree(move_trial(cls, seed=2))


@pytest.mark.parametrize(("dtype", "special"), MATRIX)
def test_matrix(dtype: DType, special: float) -> None:
    """Without special values, with a few, and with so many that most sums are NaN or infinite."""
    agree(matrix_trial(dtype, special, seed=3))


def trials() -> list[Trial]:
    """Every trial of this file, made anew."""
    found = [vector_trial(v, REGISTRY[v["name"]], seed=1) for v in vxm_variants()]
    found += [move_trial(cls, seed=2) for cls in MOVES]
    return found + [matrix_trial(dtype, special, seed=3) for dtype, special in MATRIX]


def test_every_instruction_and_type_has_a_thousand_sets() -> None:
    """A set is a lane of a dispatch, of ``iw`` a lane of a column. What a queue does for itself takes no operands."""
    sets: Counter[Key] = Counter()
    for program in (trial.program() for trial in trials()):
        for i, count in enumerate(program.bursts["count"]):
            (key,) = keys(replace(program, bursts=program.bursts[i : i + 1]))
            columns = getattr(program.instruction(i), "columns", 1)
            sets[key] += WIDE.lanes * columns * int(count)
    without = {(cls.mnemonic, -1, -1, -1) for cls in REGISTRY.values() if cls.unit == "ICU"}
    assert {key: sets[key] for key in every_key() - without if sets[key] < LEAST} == {}


@pytest.mark.parametrize("dtype", list(DType))
def test_the_sets_hold_every_special_value(dtype: DType) -> None:
    """NaN with and without payload, infinities, subnormals, zeros of both signs, extremes; arbitrary bits besides."""
    variant: dict[str, Any] = {"name": "mov", "dtype": dtype}
    planes = np.stack([w for _, _, w in vector_trial(variant, REGISTRY["mov"], seed=1).constants])
    lanes = np.ascontiguousarray(planes.reshape(dtype.planes, -1).T).view(f"<u{dtype.planes}")
    if dtype.is_float:
        special = set(FLOAT_BITS[dtype])
    else:
        info, wrap = np.iinfo(dtype.numpy), 1 << 8 * dtype.planes
        special = {v % wrap for v in (info.min, info.min + 1, info.max, info.max - 1, 0, 1, -1)}
    assert special <= set(lanes[:, 0].tolist())
    assert len(set(lanes[:, 0].tolist())) > min(200, 2 * len(special))
