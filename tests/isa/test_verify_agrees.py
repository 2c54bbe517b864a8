"""The verifier against the reference interpreter, which steps through what the verifier only reasons about.

Random legal programs, and the same with one number of one burst changed: what is certified runs, in as many cycles as the
certificate says.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from emulator.reference import ReferenceInterpreter
from isa.errors import TspcError
from isa.machine import Machine
from isa.program import Program, sort_bursts
from isa.verify import verify
from isa.verify.context import Context
from isa.verify.settled import Settled
from tests.emulator.random_programs import random_inputs, random_program

MUTANTS = 8


def mutant(program: Program, rng: np.random.RandomState) -> Program:
    """``program`` with one thing about one burst changed, mostly by little."""
    bursts: npt.NDArray[np.void] = program.bursts.copy()
    i, by = rng.randint(len(bursts)), int(rng.randint(-3, 4))
    name = ("cycle", "count", "interval", "stride", "queue", "args", "args", "")[rng.randint(8)]
    if name == "":
        return dataclasses.replace(program, bursts=np.delete(bursts, i))
    if name == "args":
        j = rng.randint(6)
        bursts["args"][i, j] = max(0, bursts["args"][i, j] + by)
    elif name == "queue":
        bursts["queue"][i] = (int(bursts["queue"][i]) + by) % program.machine.queues
    else:
        low = {"cycle": 0, "stride": -9}.get(name, 1)
        bursts[name][i] = max(low, bursts[name][i] + by)
    return dataclasses.replace(program, bursts=sort_bursts(bursts))


@pytest.mark.parametrize("seed", range(4))
def test_what_is_certified_runs_for_as_long_as_it_says(seed: int, tiny: Machine) -> None:
    program = random_program(seed, tiny)
    inputs, rng = random_inputs(seed, program), np.random.RandomState(seed)
    assert verify(program, collect=True) == ()
    for candidate in (program, *(mutant(program, rng) for _ in range(MUTANTS))):
        if not verify(candidate, collect=True):
            _, trace = ReferenceInterpreter(candidate).run(inputs)
            certificate = verify(candidate)
            assert (trace.cycles, trace.instructions) == (
                certificate.cycles,
                certificate.instructions,
            )


@pytest.mark.parametrize("seed", range(20, 32))
def test_bursts_as_a_whole_say_what_each_dispatch_says(
    seed: int, tiny: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a look at bursts alone settles changes no verdict: the same refusals where every dispatch is looked at."""
    program, rng = random_program(seed, tiny), np.random.RandomState(seed)
    candidates = [program, *(mutant(program, rng) for _ in range(3 * MUTANTS))]
    found = [[str(error) for error in verify(c, collect=True)] for c in candidates]
    assert not found[0]
    assert any(found)

    def nothing(ctx: Context, *_: object) -> Settled:
        none = np.zeros(0, np.int64)
        return Settled(np.zeros(len(ctx), np.bool_), (none, none), (none, none))

    monkeypatch.setattr("isa.verify.memory.settle", nothing)
    monkeypatch.setattr(Context, "makers", lambda _self, _b, cycle, *_: np.full(len(cycle), -1))
    unknown = lambda _ctx, _made, taken: np.full(len(taken.key), -1)  # noqa: E731
    monkeypatch.setattr("isa.verify.streams._whole", unknown)
    assert found == [[str(error) for error in verify(c, collect=True)] for c in candidates]


@pytest.mark.parametrize("seed", range(4))
def test_what_cannot_run_is_refused(seed: int, tiny: Machine) -> None:
    program = random_program(seed, tiny)
    inputs, rng = random_inputs(seed, program), np.random.RandomState(100 + seed)
    for candidate in (mutant(program, rng) for _ in range(MUTANTS)):
        try:
            ReferenceInterpreter(candidate).run(inputs)
        except (TspcError, LookupError, ValueError):
            assert verify(candidate, collect=True)
