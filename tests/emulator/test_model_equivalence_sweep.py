"""A sweep over random programs: 100,000 seeds, or as many as the time allows.

``TSPC_SWEEP_FIRST`` is the first seed, ``TSPC_SWEEP_PROGRAMS`` how many there are, ``TSPC_SWEEP_SECONDS`` the budget of the
sweep over all its shards, which pytest-xdist runs side by side. Seeds in a row are spread over the shards, so that what a
short sweep tries is the beginning of what a long one does. A failure names its seed.
"""

from __future__ import annotations

import logging
import os
import time

import numpy as np
import pytest

from emulator.jit import Kernel
from isa.machine import load_chip
from isa.program import Program
from isa.verify import verify
from tests.emulator.random_programs import random_program
from tests.emulator.random_variants import mutant, varied_chip
from tests.emulator.test_equivalence import agree

TINY = load_chip("tiny")
FIRST = int(os.environ.get("TSPC_SWEEP_FIRST", "1000"))
PROGRAMS = int(os.environ.get("TSPC_SWEEP_PROGRAMS", "100000"))
SECONDS = float(os.environ.get("TSPC_SWEEP_SECONDS", "3600"))
SHARDS = 8
LOG = logging.getLogger(__name__)
MUTANTS = 3
"""Changed programs tried with every eighth seed; most of them the verifier refuses."""


def swept(seed: int) -> Program:
    """The sweep's program of a seed; every third is for a chip of other sizes and latencies."""
    return random_program(seed, varied_chip(seed, TINY) if seed % 3 == 0 else TINY)


@pytest.mark.parametrize("seed", [5425, 5695, 5710])
def test_what_sweeps_have_found(seed: int) -> None:
    """Constant weights that another reader has copied."""
    agree(swept(seed), seed, Kernel)


@pytest.mark.nightly
@pytest.mark.parametrize("shard", range(SHARDS))
def test_bits_and_cycles_of_many_random_programs(shard: int) -> None:
    """With some of them, programs with one burst changed as well."""
    end, done, accepted = time.monotonic() + SECONDS / SHARDS, 0, 0
    for seed in range(FIRST + shard, FIRST + PROGRAMS, SHARDS):
        program = swept(seed)
        agree(program, seed, Kernel)
        rng = np.random.RandomState(seed)
        for _ in range(MUTANTS if seed // SHARDS % 8 == 0 else 0):
            candidate = mutant(program, rng)
            if not verify(candidate, collect=True):
                agree(candidate, seed, Kernel)
                accepted += 1
        done += 1
        if time.monotonic() > end:
            break
    LOG.info("%d programs from seed %d on, %d changed ones", done, FIRST + shard, accepted)
    assert done
