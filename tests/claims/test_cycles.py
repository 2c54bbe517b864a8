"""Claim: predicted cycles are executed cycles, and a latency that is changed in one place only does not go unnoticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compiler import Compilation, compile_model
from compiler.scheduling.core import Core
from emulator.jit import Kernel
from emulator.reference import ReferenceInterpreter
from isa.errors import InternalError
from isa.instruction import BY_OPCODE
from isa.machine import Machine, load_chip
from isa.program import Program
from isa.verify import verify
from tests.claims.subjects import (
    DEMO,
    LAYER,
    LEGACY_LAYER,
    SMALL,
    Subject,
    changed,
    demo,
    feeds,
)

Build = Callable[[Subject], Compilation]
TSP1 = load_chip("tsp1")

USED = sorted(
    [
        "mxm.array_latency",
        "streams.hop",
        *(f"timing.{k}" for k in ("mem_read", "mem_write", "mem_gather", "vxm_alu", "stagger")),
        *(f"timing.mxm_{k}" for k in ("load", "install", "accumulate")),
    ]
)
"""Every time that a compiled program depends on."""


def later(key: str, by: int = 1) -> Machine:
    """``tsp1`` with one time changed."""
    return changed(TSP1, **{key: TSP1[key] + by})


def certified(program: Program) -> int | None:
    """The cycles of the certificate; None where the verifier refuses."""
    return None if verify(program, collect=True) else verify(program).cycles


def executed(program: Program) -> set[int]:
    """The cycles that the reference interpreter and the JIT count."""
    inputs = feeds(program)
    return {runner(program).run(inputs)[1].cycles for runner in (ReferenceInterpreter, Kernel)}


@pytest.mark.parametrize(
    "subject", [demo(1, 1), SMALL, demo(1, 32), demo(1, 7, "strict"), LEGACY_LAYER, LAYER], ids=str
)
def test_predicted_certified_and_executed(build: Build, subject: Subject) -> None:
    """Three counts that share no code, the scheduler's, the verifier's and each emulator's."""
    found = build(subject)
    assert found.report.cycles == found.schedule.cycles
    assert verify(found.program).cycles == found.report.cycles
    assert executed(found.program) == {found.report.cycles}


def test_every_time_that_counts_is_among_those_changed_below(build: Build) -> None:
    opcodes = {int(o) for o in np.unique(build(SMALL).program.bursts["opcode"])}
    keys = {f"timing.{BY_OPCODE[o].timing}" for o in opcodes if BY_OPCODE[o].timing}
    assert keys | {"timing.stagger", "mxm.array_latency", "streams.hop"} == set(USED)


@pytest.mark.parametrize("key", USED)
def test_a_machine_slower_by_a_cycle_than_the_scheduler_thought(build: Build, key: str) -> None:
    """The same bursts on a chip with one time longer: refused, or of another length."""
    found = build(SMALL)
    assert certified(replace(found.program, machine=later(key))) != found.report.cycles


@pytest.mark.parametrize("key", USED)
def test_the_reference_interpreter_notices_it_alone(build: Build, key: str) -> None:
    """Without the verifier: a step that has no meaning, another length, or another memory."""
    found = build(SMALL)
    inputs = feeds(found.program)
    reference = ReferenceInterpreter(found.program)
    reference.run(inputs)
    slower = ReferenceInterpreter(replace(found.program, machine=later(key)))
    try:
        cycles = slower.run(inputs)[1].cycles
    except InternalError:
        return
    same = (slower.final_memory == reference.final_memory).all()
    assert cycles != found.report.cycles or not same


BELIEFS = [
    ("mxm.array_latency", -1),
    ("mxm.array_latency", 1),
    ("timing.mem_gather", -1),
    ("timing.mem_read", -1),
    ("timing.mem_read", 1),
    ("timing.mem_write", 1),
    ("timing.mxm_accumulate", -1),
    ("timing.mxm_accumulate", 1),
    ("timing.stagger", -1),
    ("timing.vxm_alu", -2),
]
"""A load or an install believed to be slower than it is makes a program that waits and is right all the same."""


@pytest.mark.parametrize(("key", "by"), BELIEFS)
def test_a_scheduler_that_believes_in_another_machine(key: str, by: int) -> None:
    """A model compiled for a chip with one time changed, run on the real one."""
    found = compile_model(DEMO, dict(SMALL.dims), later(key, by))
    assert certified(replace(found.program, machine=TSP1)) != found.report.cycles


@pytest.mark.parametrize(
    ("name", "by"), [("t_read", -1), ("t_read", 1), ("t_alu", -2), ("t_write", 1)]
)
def test_a_slip_in_one_line_of_the_scheduler(
    monkeypatch: pytest.MonkeyPatch, name: str, by: int
) -> None:
    plain = Core.__post_init__

    def slipped(core: Core) -> None:
        plain(core)
        setattr(core, name, getattr(core, name) + by)

    monkeypatch.setattr(Core, "__post_init__", slipped)
    found = compile_model(DEMO, dict(SMALL.dims))
    assert certified(found.program) != found.report.cycles


@pytest.mark.nightly
@pytest.mark.parametrize("key", USED)
def test_a_layer_of_an_encoder_on_a_slower_machine(build: Build, key: str) -> None:
    found = build(LAYER)
    assert certified(replace(found.program, machine=later(key))) != found.report.cycles
