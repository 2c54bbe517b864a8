"""Programs and chips near a given one: a burst changed, latencies and sizes changed. Most changed programs are invalid."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np

from isa.instruction import BY_OPCODE
from isa.machine import Fact, Machine
from isa.program import Program, sort_bursts

CHOICES: Final[dict[str, tuple[int, ...]]] = {
    "streams.hop": (1, 2),
    "lanes.superlanes": (2, 3, 4),
    "mem.slices": (5, 9, 12),
    "mem.words": (128, 256),
    "mxm.fp16_k": (8, 16, 24),
    "mxm.acc_rows": (16, 32),
    "mxm.array_latency": (9, 22, 30),
    "vxm.alus": (9, 16),
    "vxm.max_delay": (20, 63),
    "timing.mem_read": (1, 5, 8),
    "timing.mem_write": (1, 2, 4),
    "timing.mem_gather": (1, 7),
    "timing.mem_scatter": (1, 3, 5),
    "timing.vxm_alu": (1, 3, 4),
    "timing.mxm_load": (1, 3),
    "timing.mxm_install": (1, 4),
    "timing.mxm_accumulate": (1, 8),
    "timing.sxm_shift": (1, 5),
    "timing.sxm_permute": (2, 24),
    "timing.stagger": (0, 4),
}


SMALL: Final[dict[str, tuple[int, ...]]] = {
    "lanes.superlanes": (3,),
    "streams.per_direction": (16, 32),
    "mem.slices": (5, 6),
    "mem.words": (128,),
    "mxm.fp16_k": (8, 16),
    "mxm.acc_rows": (16,),
}


@lru_cache(maxsize=64)
def small_chip(number: int, base: Machine) -> Machine:
    """``base`` made small; every second one also has other latencies."""
    rng = np.random.RandomState(number)
    facts = dict((varied_chip(number, base) if number % 2 else base).facts)
    for name, values in SMALL.items():
        facts[name] = Fact(int(rng.choice(values)), "assumed")
    facts["streams.hop"] = Fact(1, "assumed")
    facts["chip.name"] = Fact(f"small-{number}", "assumed")
    return Machine(tuple(sorted(facts.items())))


def varied_chip(seed: int, base: Machine) -> Machine:
    """``base`` with other sizes and latencies."""
    rng = np.random.RandomState(seed)
    facts = dict(base.facts)
    for name, values in CHOICES.items():
        facts[name] = Fact(int(rng.choice(values)), "assumed")
    facts["chip.name"] = Fact(f"varied-{seed}", "assumed")
    return Machine(tuple(sorted(facts.items())))


def mutant(program: Program, rng: np.random.RandomState) -> Program:
    """``program`` with one burst moved, stretched, dropped, sent to the next queue or given another operand."""
    bursts = program.bursts.copy()
    i = int(rng.randint(len(bursts)))
    kind = rng.choice(["cycle", "cycle", "interval", "count", "stride", "operand", "drop", "queue"])
    operands = BY_OPCODE[int(bursts["opcode"][i])].operands
    if kind == "drop":
        bursts = np.delete(bursts, i)
    elif kind == "cycle":
        bursts["cycle"][i] += rng.choice([-30, -2, -1, 1, 2, 30])
    elif kind == "operand" and operands:
        place = int(rng.randint(len(operands)))
        low, high = operands[place].limits
        value = int(bursts["args"][i, place]) + int(rng.choice([-8, -4, -2, -1, 1, 2, 4, 8]))
        bursts["args"][i, place] = min(max(value, low), high)
    elif kind != "operand":
        old = int(bursts[kind][i])
        bursts[kind][i] = old + 1 if rng.rand() < 0.5 or old == 0 else old - 1
    return replace(program, bursts=sort_bursts(bursts))
