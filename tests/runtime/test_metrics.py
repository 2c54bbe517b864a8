from __future__ import annotations

import numpy as np
import pytest

from runtime.metrics import EXACT, FP16, STRICT, compare, tolerance_for, ulps

rng = np.random.default_rng(0)
X = rng.standard_normal((3, 64)).astype(np.float32)


def test_equal_arrays_pass_everything() -> None:
    found = compare("x", X, X.copy(), STRICT)
    assert found.passed
    assert (found.relative_l2, found.max_abs, found.max_ulp) == (0.0, 0.0, 0)
    assert found.cosine == pytest.approx(1.0)


def test_correlation_alone_never_passes() -> None:
    found = compare("x", 2 * X, X, FP16)
    assert found.cosine == pytest.approx(1.0)
    assert found.problem == "relative L2 1 > 0.003"


def test_rounding_to_fp16_passes_fp16_and_fails_strict() -> None:
    rounded = X.astype(np.float16).astype(np.float32)
    assert compare("x", rounded, X, FP16).passed
    assert not compare("x", rounded, X, STRICT).passed


def test_a_small_turn_of_the_whole_vector_is_caught_by_the_cosine() -> None:
    turned = (X + 2.9e-3 * np.linalg.norm(X) * np.eye(3, 64, dtype=np.float32)).astype(np.float32)
    assert (
        "cosine" in compare("x", turned, X, FP16).problem
        or not compare("x", turned, X, FP16).passed
    )


def test_nan_must_meet_nan() -> None:
    got, expected = X.copy(), X.copy()
    got[1, 2] = expected[1, 2] = np.nan
    assert compare("x", got, expected, FP16).passed
    expected[1, 2] = 0
    problem = compare("x", got, expected, FP16).problem
    assert problem == "1 elements are not finite on one side: nan for 0.0 at [1, 2]"


def test_infinities_must_have_one_sign() -> None:
    got, expected = X.copy(), X.copy()
    got[0, 0], expected[0, 0] = np.inf, -np.inf
    assert not compare("x", got, expected, FP16).passed
    expected[0, 0] = np.inf
    assert compare("x", got, expected, FP16).passed


def test_a_zero_reference_admits_zero_alone() -> None:
    zero = np.zeros(4, np.float32)
    assert compare("x", zero, zero, STRICT).passed
    assert not compare("x", zero + np.float32(1e-30), zero, FP16).passed


def test_huge_values_do_not_overflow_the_norm() -> None:
    lowest = np.full(5, np.finfo(np.float32).min)
    assert compare("mask", lowest, lowest, STRICT).relative_l2 == 0


def test_integers_are_exact() -> None:
    a = np.array([2**62, -(2**62)])
    assert compare("i", a, a.copy(), EXACT).passed
    assert compare("i", a + np.array([1, 0]), a, EXACT).problem == "1 of 2 elements differ"
    assert tolerance_for(np.dtype(bool), "fp16") is EXACT


def test_shape_and_type_are_part_of_the_contract() -> None:
    assert compare("x", X[:1], X, FP16).problem == "is float32[1, 64], the reference float32[3, 64]"
    assert not compare("x", X.astype(np.float64), X, FP16).passed


def test_ulps_count_steps_across_zero() -> None:
    tiny = np.finfo(np.float32).smallest_subnormal
    assert ulps(np.array([tiny]), np.array([-tiny])) == 2
    assert ulps(np.ones(1, np.float32), np.nextafter(np.ones(1, np.float32), np.float32(2))) == 1
    assert ulps(np.array([0.0], np.float32), np.array([-0.0], np.float32)) == 0
    assert ulps(np.array([2**63 - 1]), np.array([-(2**63)])) == 2**64 - 1
    assert ulps(np.zeros(0, np.float32), np.zeros(0, np.float32)) == 0


def test_numbers_that_json_lacks_become_null() -> None:
    data = compare("x", X + 1, np.zeros_like(X), FP16).to_dict()
    assert data["relative_l2"] is None
