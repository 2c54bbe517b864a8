"""What a run reports besides its outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isa.machine import Machine
from isa.program import Program


@dataclass(frozen=True, slots=True)
class Trace:
    """A finished run.

    ``cycles`` is the length of the run in clock cycles, stagger included; ``instructions`` the number of dispatches, repeats
    included; ``busy`` the dispatches of each queue, by queue number.
    """

    cycles: int
    instructions: int
    busy: tuple[int, ...]

    @classmethod
    def of(cls, program: Program, cycles: int) -> Trace:
        """The trace of a program whose every burst was dispatched and which took ``cycles``."""
        bursts = program.bursts
        busy = np.zeros(program.machine.queues, np.int64)
        np.add.at(busy, bursts["queue"], bursts["count"])
        return cls(cycles, int(busy.sum()), tuple(int(n) for n in busy))

    def text(self, machine: Machine) -> str:
        """The totals, then a line for each queue that dispatched anything."""
        lines = [f"{self.cycles} cycles, {self.instructions} instructions"]
        for name, count in zip(machine.queue_names, self.busy, strict=True):
            if count:
                lines.append(f"{name:<20} {count:>9} {count / self.cycles:7.1%}")
        return "\n".join(lines)
