"""The JIT and the reference interpreter agree in every bit: memory, outputs, values on streams, and the cycle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emulator.jit import Kernel
from isa.assembly import assemble
from isa.instruction import REGISTRY, DType
from isa.verify import verify
from tests.emulator.probes import Probed, Recorder, emitting, sums, taps
from tests.emulator.random_board import effects_of
from tests.emulator.random_programs import random_inputs, random_program
from tests.emulator.random_variants import mutant, varied_chip
from tests.emulator.sweep import TINY, agree, every_key, keys, run, swept
from tests.runtime.debug.kernels import SUMS

PROGRAMS = 2000
BLOCKS = 4
LEAST = 50
"""Programs that have each instruction on each type."""


@pytest.mark.parametrize("block", range(BLOCKS))
def test_bits_streams_and_cycles_of_random_verified_programs(block: int) -> None:
    """Over all blocks, each instruction with each type, target type and saturation is in at least 50 programs."""
    size = PROGRAMS // BLOCKS
    compared, covered = run(range(block * size, (block + 1) * size))
    assert compared > 10 * size
    assert {k: covered[k] for k in every_key() if covered[k] < -(-LEAST // BLOCKS)} == {}


def test_the_keys_are_those_of_the_registry() -> None:
    """Nothing that a program can contain is left out of what the sweep counts."""
    single_chip = {n for n, cls in REGISTRY.items() if cls.unit != "C2C" and not cls.word_only}
    assert {name for name, *_ in every_key()} == single_chip
    assert set().union(*(keys(swept(seed)) for seed in range(0, 640, 64))) <= every_key()


@pytest.mark.parametrize("seed", range(10))
def test_bits_and_cycles_on_other_chips(seed: int) -> None:
    agree(random_program(seed, varied_chip(seed, TINY)), seed, deep=seed % 2 == 0)


@pytest.mark.parametrize("seed", range(10))
def test_bits_and_cycles_of_changed_programs_that_the_verifier_accepts(seed: int) -> None:
    program, rng = random_program(200 + seed, TINY), np.random.RandomState(seed)
    changed = [mutant(program, rng) for _ in range(6)]
    for candidate in changed:
        if not verify(candidate, collect=True):
            agree(candidate, seed)


def test_probes_see_nearly_every_value() -> None:
    """All but what leaves outward beyond the outermost slice, or would pass the next slice after the program's end."""
    seen = put = 0
    for seed in range(1, 40):
        program = swept(seed)
        end = verify(program).cycles - program.machine.timing("stagger")
        seen += sum(p.count for p in taps(program, end))
        for i, burst in enumerate(program.bursts):
            planes = sum(n for _, n in effects_of(program.machine, program.instruction(i)).puts)
            put += planes * int(burst["count"])
    assert seen > 0.9 * put


def test_a_probe_shows_another_value() -> None:
    """A constant changed in one bit changes what some probe of the stream that carries it sees."""
    program = swept(1)
    data = program.data.copy()
    data[0, 0] ^= 1
    inputs = random_inputs(1, program)
    probes = taps(program, verify(program).cycles - program.machine.timing("stagger"))
    memories = []
    for candidate in (program, replace(program, data=data)):
        kernel = Kernel(Probed(candidate, probes).whole)
        kernel.run(inputs)
        memories.append(kernel.final_memory[:, program.machine.words :].copy())
    assert (memories[0] != memories[1]).any()


@pytest.mark.parametrize("high", [64, 124, 126])
def test_sums_that_are_never_emitted_are_compared(high: int) -> None:
    """Eight ones times eight ones, then times eight of the fp16 with a high byte: 2, infinity, NaN. Only the probe emits row 5."""
    program = assemble(SUMS.replace(".fill 124", f".fill {high}"))
    reference = Recorder(program, [])
    reference.run({})
    (row,) = sums(reference)
    assert (row.plane, row.row, row.dtype) == (2, 5, DType.F16)
    end = verify(program).cycles
    more, probes = emitting(program.machine, [row], end + 200)
    probed = Probed(program, probes, more)
    kernel = Kernel(probed.whole)
    kernel.run({})
    planes = np.stack([probed.values(kernel.final_memory, n)[0] for n in range(4)])
    seen = np.ascontiguousarray(planes.T).view("<f4")[:, 0]
    first = 8 + 8 * float(np.array([high << 8], np.uint16).view(np.float16)[0])
    assert seen[1:].tolist() == [0.0] * 31
    assert np.array_equal(seen[:1], [np.float32(first)], equal_nan=True)
    assert (planes == row.data).all()
    agree(program, 1)
