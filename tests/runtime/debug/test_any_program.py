"""Whatever the program, verified or not, and whatever is asked of it: a result with a text, or a numbered refusal."""

from __future__ import annotations

import contextlib
import json
import random

import numpy as np
import pytest

from isa.errors import UsageError
from isa.machine import load_chip
from isa.program import Program
from runtime.debug import Session, parse, render
from tests.emulator.random_programs import random_inputs, random_program
from tests.emulator.random_variants import mutant

TINY = load_chip("tiny")


def place(r: random.Random, units: list[str]) -> str:
    return r.choice(
        [
            f"{r.choice('EW')}{4 * r.randrange(8)}@{r.choice(units)}",
            f"alu{r.randrange(16)}",
            f"MEM_{r.choice('EW')}{r.randrange(9)}:{r.randrange(512)}",
            f"MXM_{r.choice('EW')}0.{r.choice(['acc', 'weights', 'buffer'])}:{r.randrange(32)}",
        ]
    )


def line(r: random.Random, on: Session) -> str:
    where = place(r, list(on.names.positions))
    return r.choice(
        [
            f"goto {r.randrange(900)}",
            f"{r.choice(['step', 'back', 'stepi', 'backi'])} {r.randrange(30)}",
            r.choice(["continue", "reverse"]),
            f"break queue {r.choice(TINY.queue_names)}",
            f"break {where} as i8 if > {r.randrange(-3, 3)}",
            "delete all",
            "floor",
            f"who {where}",
            f"watch {where}",
            f"print {where}",
            f"print {where} as {r.choice(['i8', 'f32', 'f16', 'i32', 'hex'])}",
        ]
    )


def whole(program: Program) -> bool:
    """Whether a file can hold the bursts."""
    bursts = program.bursts
    counts = (bursts["count"] >= 1) & (bursts["interval"] >= 1) & (bursts["cycle"] >= 0)
    return bool((counts & (bursts["queue"] < TINY.queues)).all())


def spoilt(seed: int) -> Program:
    """A random program with three mistakes in it."""
    rng, program = np.random.RandomState(seed), random_program(seed, TINY)
    for _ in range(3):
        found = mutant(program, rng)
        program = found if whole(found) else program
    return program


@pytest.mark.parametrize("seed", range(200, 212))
def test_asked_at_random(seed: int) -> None:
    given = random_program(seed, TINY)
    program = spoilt(seed) if seed % 3 else given
    on = Session(program, random_inputs(seed, given))
    r = random.Random(seed)
    for _ in range(20):
        with contextlib.suppress(UsageError):
            command = parse(line(r, on), on.names)
            assert command is not None
            result = on.execute(command)
            assert render(result)
            json.dumps(result, allow_nan=False)
