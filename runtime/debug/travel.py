"""Moving through a run: by cycles and dispatches, to breakpoints, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from emulator.rewind import Position, Rewinder
from isa.errors import InternalError
from isa.program import Program
from runtime.debug.breakpoints import Breakpoint
from runtime.debug.names import Names

NEVER: Final = 1 << 60


class Calendar:
    """When a program dispatches, from its bursts alone."""

    def __init__(self, program: Program) -> None:
        bursts = program.bursts
        self._first = bursts["cycle"].astype(np.int64)
        self._count = bursts["count"].astype(np.int64)
        self._interval = bursts["interval"].astype(np.int64)

    def before(self, cycle: int) -> int | None:
        """The last cycle before ``cycle`` in which anything is dispatched."""
        begun = self._first < cycle
        if not begun.any():
            return None
        first, interval = self._first[begun], self._interval[begun]
        steps = np.minimum((cycle - 1 - first) // interval, self._count[begun] - 1)
        return int((first + steps * interval).max())

    def count(self, cycle: int) -> int:
        """How many dispatches a cycle has."""
        step, rest = np.divmod(cycle - self._first, self._interval)
        return int(((rest == 0) & (step >= 0) & (step < self._count)).sum())


class Traveller:
    """Moves a run. Every move gives why it ended: ``cycle``, ``breakpoint``, ``finished``, ``fault``, ``start``,
    ``interrupted``; ``reached`` then holds the numbers of the breakpoints. ``passing`` is called in every cycle on the way
    forward; ``interrupt``, set from outside, ends a move."""

    def __init__(self, run: Rewinder, names: Names, passing: Callable[[], None]) -> None:
        self.run, self.names, self.passing = run, names, passing
        self.calendar = Calendar(names.program)
        self.breakpoints: Mapping[int, Breakpoint] = {}
        self.reached: list[int] = []
        self.interrupt = False

    def to_cycle(self, cycle: int) -> str:
        """To a cycle, forward or back."""
        if (cycle, 0) <= self.run.position or self.run.fault is not None:
            return self._seek(Position(cycle), "cycle")
        while self.run.position.cycle < cycle:
            if why := self._tick():
                return why
        return "cycle"

    def dispatches(self, number: int) -> str:
        """So many dispatches on."""
        for _ in range(number):
            while self.run.interpreter.dispatched == len(self.run.interpreter.due):
                if why := self._tick():
                    return why
            try:
                self.run.dispatch()
            except InternalError:
                return "fault"
        return "cycle"

    def dispatches_back(self, number: int) -> str:
        """So many dispatches back."""
        cycle, dispatched = self.run.position
        for _ in range(number):
            if dispatched == 0:
                earlier = self.calendar.before(cycle)
                if earlier is None:
                    return self._seek(Position(0), "start")
                cycle, dispatched = earlier, self.calendar.count(earlier)
            dispatched -= 1
        return self._seek(Position(cycle, dispatched), "cycle")

    def on(self) -> str:
        """On to the next breakpoint, or to the end."""
        behind = self.run.position.dispatched
        while True:
            hits = [hit for hit in self._hits() if hit[0] > behind]
            if hits:
                return self._stop(hits, min(hits)[0])
            if why := self._tick():
                return why
            behind = -1

    def back(self) -> str:
        """Back to the last breakpoint, or to the start."""
        here = end = self.run.position
        for start in [c for c in reversed(self.run.checkpoints) if (c, 0) < here]:
            found = self._last(start, end)
            if self.interrupt:
                self._seek(here, "")
                return "interrupted"
            if found is not None:
                self._seek(found, "")
                hits = [hit for hit in self._hits() if hit[0] == found.dispatched]
                return self._stop(hits, found.dispatched)
            end = Position(start)
        return self._seek(Position(0), "start")

    def _last(self, start: int, end: Position) -> Position | None:
        """The last breakpoint from cycle ``start`` on, before ``end``."""
        found: Position | None = None
        self._seek(Position(start), "")
        while not self.interrupt:
            cycle = self.run.position.cycle
            hits = [Position(cycle, place) for place, _ in self._hits()]
            found = max([p for p in hits if p < end], default=found)
            if cycle >= end.cycle or self._tick(quiet=True):
                break
        return found

    def _hits(self) -> list[tuple[int, int]]:
        """Of this cycle: before which dispatch to stop, and which breakpoint's number says so."""
        machine = self.run.interpreter
        return [
            (place, number)
            for number, breakpoint_ in self.breakpoints.items()
            for place in breakpoint_.hits(machine, self.names)
        ]

    def _stop(self, hits: list[tuple[int, int]], place: int) -> str:
        self.reached = sorted(number for at, number in hits if at == place)
        while self.run.position.dispatched < place:
            try:
                self.run.dispatch()
            except InternalError:
                return "fault"
        return "breakpoint"

    def _tick(self, *, quiet: bool = False) -> str:
        """A cycle on; why not, or the empty text."""
        if self.interrupt:
            return "interrupted"
        if self.run.finished:
            return "finished"
        try:
            self.run.tick()
        except InternalError:
            return "fault"
        if not quiet:
            self.passing()
        return ""

    def _seek(self, to: Position, why: str) -> str:
        try:
            self.run.seek(*to)
        except InternalError:
            return "fault"
        return why
