"""What a call gives back: dispatches whose times and results others can refer to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from isa.arrival import ArrivalError, Arrivals, effects, latency
from isa.builder.operands import Place, position, refuse
from isa.instruction import BY_OPCODE
from isa.machine import Machine
from isa.program import BURST as _BURST


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One burst: a row of ``isa.program.BURST``."""

    queue: int
    opcode: int
    node: int
    cycle: int
    count: int
    interval: int
    stride: int
    args: tuple[int, ...]

    def row(self) -> tuple[object, ...]:
        """The burst as numpy takes it."""
        names: Sequence[str] = _BURST.names or ()
        return tuple(getattr(self, name) for name in names)


@dataclass(frozen=True, slots=True)
class Issued:
    """Dispatches made by one call: one, or one a byte plane of a tensor. As an operand it is the value they make."""

    machine: Machine
    bursts: tuple[Dispatch, ...]

    @property
    def cycle(self) -> int:
        """Of the first dispatch."""
        return min(b.cycle for b in self.bursts)

    @property
    def end(self) -> int:
        """Cycle of the last dispatch."""
        return max(b.cycle + (b.count - 1) * b.interval for b in self.bursts)

    @property
    def next(self) -> int:
        """The first cycle in which all of its queues are free again."""
        return self.end + 1

    @property
    def done(self) -> int:
        """The cycle from which every effect holds: memory written, weights in place."""
        return max(
            b.cycle + (b.count - 1) * b.interval + max(1, latency(self.machine, b.opcode))
            for b in self.bursts
        )

    @property
    def count(self) -> int:
        """Dispatches of each burst."""
        return self.bursts[0].count

    @property
    def interval(self) -> int:
        """Cycles between two dispatches of a burst."""
        return self.bursts[0].interval

    @property
    def alu(self) -> int | None:
        """The ALU whose output the value is; None for a value on streams only."""
        first = self.bursts[0]
        own = BY_OPCODE[first.opcode].unit == "VXM"
        return first.queue - self.machine.vxm_queue if own else None

    @property
    def ready(self) -> int:
        """The cycle in which an ALU's first result can be read from it."""
        return self.bursts[0].cycle + latency(self.machine, self.bursts[0].opcode)

    def behind(self, skipped: int) -> Issued:
        """The same value from its dispatch number ``skipped`` (counted from 0) on, as an operand."""
        later = (replace(b, cycle=b.cycle + skipped * b.interval) for b in self.bursts)
        return Issued(self.machine, tuple(later))

    def stream(self, upstream_of: int) -> tuple[int, int]:
        """First stream and planes of the value as it flows to a position. Raises ``InputError`` TSP215."""
        found: list[tuple[int, int]] = []
        for b in self.bursts:
            home = self.machine.queue_positions[b.queue]
            for first, planes in effects(self.machine, b.opcode, b.args).puts:
                away = (upstream_of - home) * (1 if first < self.machine.streams else -1)
                if away >= 0:
                    found.append((first, planes))
        if not found:
            raise refuse(
                "a value that flows nowhere near is an operand", "put it on a stream that does"
            )
        return min(found)[0], sum(planes for _, planes in set(found))

    def passing(self, stream: int, place: int) -> int:
        """The cycle in which the first value on one of its streams passes a position. Raises ``InputError`` TSP215."""
        try:
            return self._alone().plane(stream, place)
        except ArrivalError as error:
            raise refuse(error.message, error.hint) from None

    def _alone(self) -> Arrivals:
        arrivals = Arrivals(self.machine)
        for b in self.bursts:
            arrivals.add(b.queue, b.opcode, b.args, b.cycle)
        return arrivals

    def at(self, unit: Place) -> int:
        """The cycle in which the first value passes ``unit``. Raises ``InputError`` TSP215."""
        return self.arrival(position(self.machine, unit))

    def arrival(self, place: int) -> int:
        """The same for a position: all byte planes must pass it in one cycle."""
        try:
            return self._alone().stream(*self.stream(place), place)
        except ArrivalError as error:
            raise refuse(error.message, error.hint) from None
