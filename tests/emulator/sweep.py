"""Random programs on both emulators: the program of a seed, what is compared, and what a run of seeds has covered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from emulator.jit import Kernel
from emulator.jit.timing import run_cycles
from emulator.trace import Trace
from isa.instruction import REGISTRY, DType
from isa.machine import load_chip
from isa.program import Program
from isa.verify import verify
from tests.emulator.probes import Probe, Probed, Recorder, emitting, sums, taps
from tests.emulator.random_programs import (
    random_inputs,
    random_program,
    small_program,
    vxm_variants,
)
from tests.emulator.random_variants import small_chip, varied_chip

TINY: Final = load_chip("tiny")
LARGE: Final = 64
"""One program in so many is a large one."""
CHIPS: Final = 16
DEEP: Final = 4
"""In one program of so many, every value put on a stream is compared, not only what is left there at the end."""
THREADED: Final = 8
"""One program in so many runs on two threads."""
Key = tuple[str, int, int, int]
"""Mnemonic, ``dtype``, ``to``, ``saturate``; -1 for what an instruction has not."""


def swept(seed: int) -> Program:
    """The program of a seed: mostly small ones on small chips, half of which have other latencies as well."""
    if seed % LARGE:
        return small_program(seed, small_chip(seed % CHIPS, TINY))
    return random_program(seed, varied_chip(seed, TINY) if seed // LARGE % 2 else TINY)


def keys(program: Program) -> set[Key]:
    """The instructions of a program with their types."""
    found = (program.instruction(i) for i in range(len(program.bursts)))
    fields = ("dtype", "to", "saturate")
    return {(i.mnemonic, *(int(getattr(i, f, -1)) for f in fields)) for i in found}  # type: ignore[misc]


def every_key() -> set[Key]:
    """Every instruction that a single chip executes, with every type, target type and saturation that it takes."""
    found: set[Key] = set()
    for cls in REGISTRY.values():
        if cls.unit == "MXM":
            found |= {(cls.mnemonic, int(t), -1, -1) for t in (DType.I8, DType.F16)}
        elif cls.unit not in ("VXM", "C2C") and not cls.word_only:
            found.add((cls.mnemonic, -1, -1, -1))
    for v in vxm_variants():
        found.add((v["name"], int(v["dtype"]), int(v.get("to", -1)), int(v.get("saturate", -1))))
    return found


def differences(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> str:
    """Where two memory images differ: slice, word, lane and both bytes of the first few places."""
    places = [tuple(int(i) for i in place) for place in np.argwhere(a != b)[:8]]
    return "; ".join(
        f"slice {s} word {w} lane {n}: {a[s, w, n]:#04x} {b[s, w, n]:#04x}" for s, w, n in places
    )


def agree(program: Program, seed: int, *, deep: bool = False) -> int:
    """Fail unless both emulators agree in every bit of memory and outputs, on the streams and in the accumulators at the end, and
    on the cycle.

    With ``deep``, in every value put on a stream too. The kernel runs twice: nothing of the first run shows in the second.
    Returns how many values on streams were compared.
    """
    certificate = verify(program)
    inputs = random_inputs(seed, program)
    end = certificate.cycles - program.machine.timing("stagger")
    reference = Recorder(program, taps(program, end) if deep else [])
    expected, trace = reference.run(inputs)
    assert trace.cycles == certificate.cycles
    assert Trace.of(program, run_cycles(program)) == trace
    left, rows = list(reference.registers()), sums(reference)
    after = end + 2 * program.machine.positions * program.machine["streams.hop"]
    more, last = emitting(program.machine, rows, after)
    probed = Probed(program, [*reference.probes, *(p for p, _ in left), *last], more)
    kernel = Kernel(probed.whole, threads=2 if seed % THREADED == 0 else 1)
    kernel.run(random_inputs(seed + 1, program))
    outputs, _ = kernel.run(inputs)
    memory = kernel.final_memory
    found = differences(reference.final_memory, memory[:, : program.machine.words])
    assert not found, f"seed {seed}: reference, JIT: {found}"
    for name, values in expected.items():
        assert outputs[name].dtype == values.dtype
        assert outputs[name].tobytes() == values.tobytes(), f"seed {seed}: output {name}"
    seen = [[reference.seen[n, k] for k in range(p.count)] for n, p in enumerate(reference.probes)]
    held = [[plane] for row in rows for plane in row.data]
    for number, passed in enumerate([*seen, *(v for _, v in left), *held]):
        wrong = _first_difference(np.array(passed), probed.values(memory, number))
        assert wrong < 0, f"seed {seed}: {_describe(probed.probes[number], wrong)}"
    return sum(p.count for p in probed.probes)


def _first_difference(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> int:
    """The first row that differs, or -1."""
    rows = np.flatnonzero((a != b).any(1))
    return int(rows[0]) if len(rows) else -1


def _describe(probe: Probe, k: int) -> str:
    cycle = probe.cycle + k * probe.interval
    return f"stream {probe.stream} at slice {probe.slice} differs in cycle {cycle}"


def run(seeds: Iterable[int]) -> tuple[int, Counter[Key]]:
    """Hold the emulators against each other on the programs of some seeds: values compared on streams, programs by key."""
    covered: Counter[Key] = Counter()
    compared = 0
    for seed in seeds:
        program = swept(seed)
        compared += agree(program, seed, deep=seed % DEEP == 1)
        covered.update(keys(program))
    return compared, covered
