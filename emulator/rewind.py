"""A run that goes both ways: the reference interpreter with checkpoints, from which it runs forward again.

A checkpoint holds the machine but for its memory, and the words that were written since, as they were at the checkpoint.
Going back puts those words back, checkpoint by checkpoint, and steps forward from there: what is reached is what was there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

import numpy.typing as npt

from emulator.events import Events, ObservedPort
from emulator.reference import Dispatch, ReferenceInterpreter, ReferencePort, Snapshot
from emulator.reference_units import Word
from isa.errors import InternalError
from isa.instruction import Bytes
from isa.program import Program

CHECKPOINTS: Final = 64
"""Of a run, as long as they are no farther apart than ``FARTHEST``."""
FARTHEST: Final = 256
"""Cycles between two checkpoints, unless memory is short."""
BYTES: Final = 1 << 29
"""What checkpoints may take; where they take more, every second one is given up."""


class Position(NamedTuple):
    """A place in a run: so many dispatches of a cycle have happened."""

    cycle: int
    dispatched: int = 0


@dataclass
class _Checkpoint:
    snapshot: Snapshot
    before: dict[Word, Bytes | None] = field(default_factory=dict)

    def arrays(self) -> list[npt.NDArray[Any]]:
        """What takes memory, besides words; checkpoints may share some."""
        streams, planes = self.snapshot.streams, self.snapshot.planes
        return [streams.cells.values, streams.past.values, *(a for p in planes for a in p.arrays)]


def _fresh(pair: list[_Checkpoint]) -> int:
    """Bytes, about, that the last of one or two checkpoints in a row adds: its own arrays, and words of the one before."""
    *before, last = pair
    shared = {id(array) for checkpoint in before for array in checkpoint.arrays()}
    lanes = int(last.snapshot.streams.cells.values.shape[1])
    words = sum(len(c.before) for c in before) * lanes
    return words + sum(int(a.nbytes) for a in last.arrays() if id(a) not in shared)


class Rewinder:
    """A run of ``program`` on ``inputs`` that stands somewhere and can go anywhere.

    ``interpreter`` shows the machine there: what has landed by then, before the dispatches that are to come. ``events`` has
    what was read and written as far as the run has ever come. A step that has no meaning raises ``InternalError`` TSP91x,
    which is then ``fault`` until the run goes back. Raises ``InputError`` TSP60x as ``ReferenceInterpreter.run`` does.
    """

    def __init__(
        self, program: Program, inputs: Mapping[str, npt.NDArray[Any]], bytes_: int = BYTES
    ) -> None:
        self.interpreter = ReferenceInterpreter(program)
        self.events = Events(program)
        self._observed = partial(ObservedPort, self.events)
        self.fault: InternalError | None = None
        self._limit = bytes_
        self.interpreter.begin(inputs)
        bursts = program.bursts
        ends = bursts["cycle"] + (bursts["count"] - 1) * bursts["interval"]
        self.length = int(ends.max(initial=0)) + 1
        self._spacing = max(1, min(self.length // CHECKPOINTS, FARTHEST))
        self._checkpoints = [_Checkpoint(self.interpreter.save())]
        self._cycles = [0]
        self._bytes = 0
        self._seen = Position(0)
        self._explored = False
        self._enter(0)

    @property
    def position(self) -> Position:
        """Where the run stands."""
        return Position(self.interpreter.cycle, self.interpreter.dispatched)

    @property
    def finished(self) -> bool:
        """Whether the program has ended here."""
        return self.fault is None and self.interpreter.finished

    @property
    def checkpoints(self) -> list[int]:
        """The cycles from which the run can be run again."""
        return list(self._cycles)

    def dispatch(self) -> Dispatch:
        """One dispatch on, within the cycle."""
        self._check()
        position = self.position
        unseen, known = position >= self._seen, len(self.events)
        self.interpreter.port = self._observed if unseen else ReferencePort
        try:
            done = self.interpreter.dispatch()
        except InternalError as fault:
            self.events.forget(known)
            self.fault = fault
            raise
        if unseen:
            self._seen = self.position
        return done

    def tick(self) -> None:
        """On to the next cycle, before its dispatches."""
        while self.interpreter.dispatched < len(self.interpreter.due):
            self.dispatch()
        self._check()
        try:
            self.interpreter.tick()
        except InternalError as fault:
            self.fault = fault
            raise
        self._seen = max(self._seen, self.position)
        self._explored |= self.finished
        self._arrive()

    def seek(self, cycle: int, dispatched: int = 0) -> None:
        """Go to a place, forward or back; as far as the program goes. ``fault`` may come up again on the way."""
        if self.fault is not None or (cycle, dispatched) < self.position:
            self.back_to(cycle)
        while self.interpreter.cycle < cycle and not self.finished:
            self.tick()
        if self.interpreter.cycle == cycle:
            while self.interpreter.dispatched < min(dispatched, len(self.interpreter.due)):
                self.dispatch()

    def explore(self) -> None:
        """Run to the end, or to where it cannot go on, and come back: ``events`` then has all there is."""
        if self._explored or self.fault is not None:
            return
        here = self.position
        with suppress(InternalError):
            while not self.finished:
                self.tick()
        self._explored = True
        self.seek(*here)

    def back_to(self, cycle: int) -> None:
        """Go back to the last checkpoint that is not behind ``cycle``."""
        target = max(0, bisect_right(self._cycles, cycle) - 1)
        current = bisect_right(self._cycles, self.interpreter.cycle) - 1
        for number in range(current, target - 1, -1):
            self.interpreter.memory.undo(self._checkpoints[number].before)
        self.interpreter.restore(self._checkpoints[target].snapshot)
        self.fault = None
        self._enter(target)

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _enter(self, number: int) -> None:
        """From here on, words are kept for the checkpoint of this number."""
        self.interpreter.memory.before = self._checkpoints[number].before

    def _arrive(self) -> None:
        """Where a checkpoint is due, make it; where there is one, enter it."""
        cycle, known = self.interpreter.cycle, self._cycles
        number = bisect_right(known, cycle) - 1
        if number == len(known) - 1 and cycle >= known[-1] + self._spacing:
            last = self._checkpoints[-1].snapshot
            self._checkpoints.append(_Checkpoint(self.interpreter.save(last)))
            known.append(cycle)
            number += 1
            self._bytes += _fresh(self._checkpoints[-2:])
            if number > 1 and self._bytes > self._limit:
                self._thin_out()
                number = len(self._checkpoints) - 1
        self._enter(number)

    def _thin_out(self) -> None:
        """Give up every second checkpoint; its words go to the one before it."""
        self._spacing *= 2
        kept: list[_Checkpoint] = []
        for number, checkpoint in enumerate(self._checkpoints):
            if number % 2 and number < len(self._checkpoints) - 1:
                kept[-1].before = checkpoint.before | kept[-1].before
            else:
                kept.append(checkpoint)
        self._checkpoints = kept
        self._cycles = [c.snapshot.cycle for c in kept]
        self._bytes = sum(_fresh(kept[max(0, n - 1) : n + 1]) for n in range(len(kept)))
