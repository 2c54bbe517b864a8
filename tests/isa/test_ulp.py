"""The errors that instructions state hold: a sample of the type's values here, every single one in the nightly run."""

from __future__ import annotations

import numpy as np
import pytest

from isa.instruction import DType, Instruction
from tests.isa.ulp import TRUTHS, errors, rounded, worst

SAMPLE = 997
CASES = [pytest.param(cls, dtype, id=f"{cls.mnemonic}-{dtype.name}") for cls, dtype in rounded()]


def test_every_function_that_is_not_correctly_rounded_states_its_error() -> None:
    assert {cls.mnemonic for cls, _ in rounded()} == TRUTHS.keys()
    for cls, dtype in rounded():
        assert dtype in getattr(cls, "types", ())


@pytest.mark.parametrize(("cls", "dtype"), CASES)
def test_a_sample_is_within_the_stated_error(cls: type[Instruction], dtype: DType) -> None:
    """Of fp16, all values: the stated error is then the one measured, rounded up."""
    found, _ = worst(cls, dtype, 1 if dtype is DType.F16 else SAMPLE)
    least = cls.max_ulp[dtype] - 0.01 if dtype is DType.F16 else 0.9
    assert least <= found <= cls.max_ulp[dtype]


@pytest.mark.nightly
@pytest.mark.parametrize(("cls", "dtype"), [c for c in CASES if c.values[1] is DType.F32])
def test_the_stated_error_is_that_of_all_values(cls: type[Instruction], dtype: DType) -> None:
    """All 2**32 patterns but NaN, subnormals and infinities included."""
    found, where = worst(cls, dtype)
    assert cls.max_ulp[dtype] - 0.01 <= found <= cls.max_ulp[dtype], where


def test_errors_are_distances_in_last_places() -> None:
    got = np.array([1.0, 2.0, np.inf, np.nan, 3.0, 1.4e-45, np.inf], np.float32)
    exact = np.array([1.0 + 2.0**-24, 2.0, 1e39, np.nan, np.nan, 0.0, 1.0])
    assert errors(got, exact).tolist() == [0.5, 0.0, 0.0, 0.0, np.inf, 1.0, np.inf]
