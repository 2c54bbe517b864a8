"""A program as columns, a row a burst, and its dispatches one by one, by the unit they occupy.

A *unit* is what can do one thing at a time: an ALU, a role of a matrix plane, an SXM or C2C queue, and the read and the write
port of a memory slice. An fp16 activation occupies both planes of its pair, for as many cycles as its lanes take.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from isa.instruction import BY_OPCODE, REGISTRY, DType
from isa.machine import Machine
from isa.program import Program

Ints = npt.NDArray[np.int64]

_ABC: Final = REGISTRY["abc"]


def ramp(base: Ints, step: Ints, count: Ints) -> Ints:
    """``base[i] + k * step[i]`` for ``k`` below ``count[i]``, all ``i`` end to end."""
    ends = np.cumsum(count)
    k = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - count, count)
    return np.asarray(np.repeat(base, count) + k * np.repeat(step, count), np.int64)


@dataclass(frozen=True)
class Dispatches:
    """Single dispatches in order of unit and time: the unit, first cycle, cycles it is busy, and burst of each."""

    unit: Ints
    cycle: Ints
    busy: Ints
    burst: Ints


class Columns:
    """The bursts of a program, as int64 columns of equal length."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.machine: Machine = program.machine
        bursts = program.bursts
        self.queue, self.opcode, self.node, self.cycle, self.count, self.interval, self.stride = (
            np.ascontiguousarray(bursts[name], np.int64)
            for name in ("queue", "opcode", "node", "cycle", "count", "interval", "stride")
        )
        self.args = np.ascontiguousarray(bursts["args"], np.int64)

    def __len__(self) -> int:
        return len(self.queue)

    @cached_property
    def last(self) -> Ints:
        """Cycle of each burst's last dispatch."""
        return self.cycle + (self.count - 1) * self.interval

    @cached_property
    def busy(self) -> Ints:
        """Cycles that one dispatch of the burst occupies its unit."""
        out = np.ones(len(self), np.int64)
        f16 = self.of("abc")
        f16 = f16[self.args[f16, 0] == DType.F16]
        out[f16] = -(-self.args[f16, 3] // self.machine["mxm.fp16_k"])
        return out

    @cached_property
    def latency(self) -> Ints:
        """Cycles from a dispatch until its effect, at least those that it occupies its unit."""
        table = np.zeros(256, np.int64)
        for code, cls in BY_OPCODE.items():
            table[code] = self.machine.timing(cls.timing) if cls.timing else 0
        return np.maximum(table[self.opcode], self.busy)

    def of(self, *mnemonics: str) -> Ints:
        """The bursts of some instructions."""
        return np.flatnonzero(np.isin(self.opcode, [REGISTRY[m].opcode for m in mnemonics]))

    def operand(self, mnemonic: str, name: str, bursts: Ints) -> Ints:
        """Values of an operand of bursts that are all the same instruction."""
        index = [o.name for o in REGISTRY[mnemonic].operands].index(name)
        values: Ints = self.args[bursts, index]
        return values

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Name of each unit. The number of a queue's unit is the queue's; write ports of memory follow."""
        names = list(self.machine.queue_names)
        memory = names[: self.machine.vxm_queue]
        return (
            *(f"{n}.read" for n in memory),
            *names[len(memory) :],
            *(f"{n}.write" for n in memory),
        )

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Of each unit: ``MEM.read``, ``MEM.write``, ``VXM``, ``MXM.weights`` and so on, ``SXM``, ``C2C``."""

        def kind(name: str) -> str:
            unit, _, role = name.partition(".")
            return f"{unit[:3]}.{role}" if unit[:3] in ("MEM", "MXM") else unit[:3]

        return tuple(kind(name) for name in self.units)

    @cached_property
    def unit(self) -> Ints:
        """The unit that each burst occupies."""
        writes = self.of("write", "scatter")
        out = self.queue.copy()
        out[writes] += self.machine.queues
        return out

    @cached_property
    def dispatches(self) -> Dispatches:
        """Every dispatch of the program; an fp16 activation once for each plane of its pair."""
        f16 = self.of("abc")
        f16 = f16[self.args[f16, 0] == DType.F16]
        burst = np.concatenate([np.arange(len(self)), f16])
        unit = np.concatenate([self.unit, self.unit[f16] + 3])
        count = self.count[burst]
        cycle = ramp(self.cycle[burst], self.interval[burst], count)
        unit, busy, owner = (np.repeat(v, count) for v in (unit, self.busy[burst], burst))
        order = np.lexsort((cycle, unit))
        return Dispatches(unit[order], cycle[order], busy[order], owner[order])


__all__ = ["Columns", "Dispatches", "Ints", "ramp"]
