"""The verifier on planes that share their silicon: what int8 and fp16 take from each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pytest

from isa.instruction import DType
from isa.machine import Machine
from isa.ops.mem import Read
from isa.ops.mxm import Accumulate, Activate, InstallWeights, LoadWeights
from isa.program import BurstList, Program, pack_constants
from isa.verify import verify

I8, F16 = DType.I8, DType.F16
Step = tuple[int, int, str, DType]
"""Plane, cycle, what happens and in which type."""

LEGAL: Final[list[list[Step]]] = [
    [(0, 40, "lw", F16), (0, 41, "iw", F16), (0, 42, "abc", F16), (0, 64, "acc", F16)],
    [(1, 40, "lw", I8), (1, 41, "iw", I8), (1, 42, "abc", I8), (1, 64, "acc", I8)],
    # Loads go to the buffer: the other type's installed weights stay in force.
    [(0, 40, "lw", F16), (0, 41, "iw", F16), (1, 42, "lw", I8), (0, 50, "abc", F16)],
    [(1, 40, "lw", I8), (1, 41, "iw", I8), (0, 42, "lw", F16), (1, 50, "abc", I8)],
    # int8 planes do not disturb each other.
    [
        (0, 40, "lw", I8),
        (1, 40, "lw", I8),
        (0, 41, "iw", I8),
        (1, 41, "iw", I8),
        (0, 42, "abc", I8),
    ],
]
REFUSED: Final[list[tuple[int, list[Step]]]] = [
    (352, [(0, 40, "lw", F16), (1, 41, "lw", I8), (0, 42, "iw", F16)]),
    (352, [(0, 40, "lw", F16), (0, 41, "lw", I8), (0, 42, "iw", F16)]),
    (352, [(1, 40, "lw", I8), (0, 41, "lw", F16), (1, 42, "iw", I8)]),
    (352, [(1, 39, "lw", I8), (0, 38, "lw", F16), (0, 41, "iw", F16), (1, 42, "iw", I8)]),
    (352, [(0, 40, "lw", I8), (0, 41, "iw", F16)]),
    (352, [(0, 40, "lw", F16), (0, 41, "iw", F16), (0, 42, "iw", F16)]),
    (353, [(0, 38, "lw", F16), (0, 39, "iw", F16), (1, 40, "lw", I8), (1, 41, "iw", I8), (0, 42, "abc", F16)]),
    (353, [(1, 38, "lw", I8), (1, 39, "iw", I8), (0, 40, "lw", F16), (0, 41, "iw", F16), (1, 42, "abc", I8)]),
    (350, [(0, 40, "lw", F16), (1, 40, "lw", I8)]),
]  # fmt: skip


@pytest.fixture
def build(tiny: Machine) -> Callable[[list[Step]], Program]:
    """A program of such steps at the west end, its streams fed all the time."""

    def program(steps: list[Step]) -> Program:
        out, west, window = BurstList(), tiny.streams, tiny["mxm.window"]
        for i in range(2):
            out.add(i, 0, Read(0, west + i), count=90)
        for plane, cycle, what, dtype in steps:
            role, instr = {
                "lw": (0, LoadWeights(dtype, west, 1, 0, 0)),
                "iw": (0, InstallWeights(dtype, 0, 1)),
                "abc": (1, Activate(dtype, west, 0, window)),
                "acc": (2, Accumulate(dtype, 0, 1, 0, 0)),
            }[what]
            out.add(tiny.mxm_queue + 3 * plane + role, cycle, instr)
        word = [[7] * tiny.lanes]
        segments, data = pack_constants(
            [(q, 0, np.array(word, np.uint8)) for q in range(2)], tiny.lanes
        )
        return Program(tiny, out.array(), segments, data)

    return program


@pytest.mark.parametrize("steps", LEGAL)
def test_each_type_has_what_is_its_own(
    steps: list[Step], build: Callable[[list[Step]], Program]
) -> None:
    assert verify(build(steps), collect=True) == ()


@pytest.mark.parametrize(("rule", "steps"), REFUSED)
def test_each_type_spoils_what_both_hold(
    rule: int, steps: list[Step], build: Callable[[list[Step]], Program]
) -> None:
    assert {r.number for r in verify(build(steps), collect=True)} == {rule}
