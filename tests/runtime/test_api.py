from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tspc
from isa.errors import InputError, UsageError
from isa.program import Program
from runtime.api import EMULATORS

X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
IDS = (np.arange(64) % 10).reshape(2, 32)
FEEDS: dict[str, NDArray[Any]] = {"x": X, "ids": IDS}


@pytest.mark.parametrize("threads", [1, 2])
def test_a_session_runs_as_onnxruntime_users_expect(tiny_program: Program, threads: int) -> None:
    session = tspc.Session(tiny_program, threads=threads)
    y, following = session.run(None, FEEDS)
    np.testing.assert_array_equal(y, np.maximum(X, 0))
    np.testing.assert_array_equal(following, IDS + 1)
    assert following.dtype == np.int64
    (only,) = session.run(["next"], FEEDS)
    np.testing.assert_array_equal(only, following)


def test_a_session_describes_its_ends(tiny_program: Program) -> None:
    session = tspc.Session(tiny_program)
    assert [(a.name, a.shape, a.type) for a in session.get_inputs()] == [
        ("x", [2, 32], "tensor(float)"),
        ("ids", [2, 32], "tensor(int64)"),
    ]
    assert [a.name for a in session.get_outputs()] == ["y", "next"]


def test_an_unknown_output_is_named(tiny_program: Program) -> None:
    with pytest.raises(InputError, match=r"TSP652: no output 'z'\n.*y, next"):
        tspc.Session(tiny_program).run(["z"], FEEDS)


def test_every_emulator_of_a_session_gives_the_same_bits(tiny_program: Program) -> None:
    fused, plain = (tspc.Session(tiny_program, emulator=e).run(None, FEEDS) for e in EMULATORS)
    assert [v.tobytes() for v in fused] == [v.tobytes() for v in plain]
    with pytest.raises(UsageError, match=r"TSP653: no emulator 'fast'\n.*jit, plain"):
        tspc.Session(tiny_program, emulator="fast")


def test_runs_do_not_share_state(tiny_program: Program) -> None:
    session = tspc.Session(tiny_program)
    first = session.run(None, FEEDS)[0].copy()
    session.run(None, {"x": X + 1, "ids": IDS})
    np.testing.assert_array_equal(session.run(None, FEEDS)[0], first)


def test_a_file_will_do(tiny_lpu: Path, tiny_program: Program) -> None:
    program = tspc.load(tiny_lpu)
    np.testing.assert_array_equal(program.bursts, tiny_program.bursts)
    y, _ = tspc.Session(str(tiny_lpu)).run(None, FEEDS)
    assert tspc.run(program, FEEDS)[0].tobytes() == y.tobytes()
    np.testing.assert_array_equal(y, np.maximum(X, 0))
