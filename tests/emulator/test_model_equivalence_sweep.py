"""A sweep over random programs: 100,000 seeds, or as many as the time allows.

``TSPC_SWEEP_FIRST`` is the first seed, ``TSPC_SWEEP_PROGRAMS`` how many there are, ``TSPC_SWEEP_SECONDS`` the budget of the
sweep over all its shards, which pytest-xdist runs side by side. Blocks of seeds are spread over the shards, so that what a
short sweep tries is the beginning of what a long one does. A failure names its seed.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from isa.verify import verify
from tests.emulator.random_variants import mutant
from tests.emulator.sweep import DEEP, LARGE, Key, agree, every_key, keys, swept

FIRST = int(os.environ.get("TSPC_SWEEP_FIRST", "10000"))
PROGRAMS = int(os.environ.get("TSPC_SWEEP_PROGRAMS", "100000"))
SECONDS = float(os.environ.get("TSPC_SWEEP_SECONDS", "14400"))
SHARDS = 8
BLOCK = 64
LOG = logging.getLogger(__name__)
MUTANTS = 3
"""Changed programs tried with some large programs; most of them the verifier refuses."""
LEAST = 50
"""Programs of a shard that have each instruction on each type, if the shard was long enough to tell."""
ENOUGH = 2500


def seeds(shard: int) -> Iterator[int]:
    """The seeds of a shard: blocks of ``BLOCK`` in turn."""
    for block in range(shard * BLOCK, PROGRAMS, SHARDS * BLOCK):
        yield from range(FIRST + block, FIRST + min(block + BLOCK, PROGRAMS))


@pytest.mark.nightly
@pytest.mark.parametrize("shard", range(SHARDS))
def test_bits_streams_and_cycles_of_many_random_programs(shard: int) -> None:
    """With some of them, programs with one burst changed as well."""
    end, done, accepted = time.monotonic() + SECONDS / SHARDS, 0, 0
    covered: Counter[Key] = Counter()
    for seed in seeds(shard):
        program = swept(seed)
        agree(program, seed, deep=seed % DEEP == 1)
        covered.update(keys(program))
        rng = np.random.RandomState(seed)
        for _ in range(MUTANTS if seed % LARGE == 0 else 0):
            candidate = mutant(program, rng)
            if not verify(candidate, collect=True):
                agree(candidate, seed)
                accepted += 1
        done += 1
        if time.monotonic() > end:
            break
    LOG.info("shard %d: %d programs, %d changed ones", shard, done, accepted)
    assert done
    if done >= ENOUGH:
        assert {k: covered[k] for k in every_key() if covered[k] < LEAST} == {}
