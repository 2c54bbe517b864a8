"""Conditions that stop a run: before a dispatch, or in a cycle in which a value has come."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from emulator.reference import ReferenceInterpreter, ReferencePort
from emulator.reference_units import StepError
from isa.errors import UsageError
from isa.instruction import BY_OPCODE
from isa.ops.mem import Gather, Read, Scatter, Write, superlane_addresses
from isa.ops.mxm import Accumulate
from runtime.debug.names import Names
from runtime.debug.places import (
    AluPlace,
    MatrixPlace,
    Place,
    TensorPlace,
    WordPlace,
)
from runtime.debug.values import BAD_COMMAND, Lanes, Predicate, Type

ROW: Final = [o.name for o in Accumulate.operands].index("row")


@dataclass(frozen=True)
class Breakpoint:
    """``text`` is how it was written. The machine stands in a cycle; ``due`` are the dispatches of the cycle."""

    text: str

    def hits(self, run: ReferenceInterpreter, names: Names) -> list[int]:
        """Before which dispatches of this cycle to stop, by place; 0 also means: on coming into the cycle."""
        raise NotImplementedError


@dataclass(frozen=True)
class CycleBreak(Breakpoint):
    """On coming into a cycle."""

    cycle: int

    def hits(self, run: ReferenceInterpreter, names: Names) -> list[int]:
        return [0] if run.cycle == self.cycle else []


@dataclass(frozen=True)
class DispatchBreak(Breakpoint):
    """Before a dispatch on a queue, of an instruction, of one of some bursts: what is None does not matter."""

    queue: int | None = None
    opcode: int | None = None
    bursts: frozenset[int] | None = None

    def hits(self, run: ReferenceInterpreter, names: Names) -> list[int]:
        return [place for place, (burst, _) in enumerate(run.due) if self._is(burst, names)]

    def _is(self, burst: int, names: Names) -> bool:
        row = names.bursts[burst]
        return (
            self.queue in (None, row[0])
            and self.opcode in (None, row[1])
            and (self.bursts is None or burst in self.bursts)
        )


@dataclass(frozen=True)
class AddressBreak(Breakpoint):
    """Before a dispatch that reads or writes one of some words: ``(slice, first, end)``."""

    words: tuple[tuple[int, int, int], ...]
    reads: bool
    writes: bool

    def hits(self, run: ReferenceInterpreter, names: Names) -> list[int]:
        slices = {slice_ for slice_, _, _ in self.words}
        return [
            place
            for place, (burst, _) in enumerate(run.due)
            if names.bursts[burst][0] in slices and self._touches(run, names, place)
        ]

    def _touches(self, run: ReferenceInterpreter, names: Names, place: int) -> bool:
        port = BY_OPCODE[names.bursts[run.due[place][0]][1]].port
        if not ((port == "read" and self.reads) or (port == "write" and self.writes)):
            return False
        dispatch = run.coming(place)
        instr, addresses = dispatch.instr, np.zeros(0, np.int64)
        if isinstance(instr, Read | Write):
            addresses = np.array([instr.address])
        elif isinstance(instr, Gather | Scatter):
            looking = ReferencePort(run, dispatch, 0)
            try:
                addresses = superlane_addresses(looking, instr.indices, instr.base, instr.limit)
            except StepError:
                return False
        return any(
            slice_ == dispatch.queue and ((addresses >= first) & (addresses < end)).any()
            for slice_, first, end in self.words
        )


@dataclass(frozen=True)
class ValueBreak(Breakpoint):
    """When a value comes to a place, a word is written, an ALU finishes, an accumulator row has been added to, and some chosen
    lane meets the condition.
    """

    place: Place
    type: Type | None
    lanes: Lanes
    predicate: Predicate | None

    def __post_init__(self) -> None:
        place = self.place
        if isinstance(place, MatrixPlace) and place.part != "acc":
            message = f"{place.text} is nothing to wait for"
            hint = "a stream at a unit, a word, a tensor's elements, an ALU or an accumulator row"
            raise UsageError(BAD_COMMAND, message, hint=hint)

    def hits(self, run: ReferenceInterpreter, names: Names) -> list[int]:
        place = self.place
        if isinstance(place, MatrixPlace) and not self._added(place, run.cycle - 1, names):
            return []
        return [0] if self._holds(run) else []

    def _added(self, place: MatrixPlace, cycle: int, names: Names) -> bool:
        """Whether a dispatch of a cycle adds to the row."""
        for _, _, _, first, count, interval, stride, args in names.accumulations(place.plane):
            step, rest = divmod(cycle - first, interval)
            if not rest and 0 <= step < count and args[ROW] + step * stride == place.index:
                return True
        return False

    def _holds(self, run: ReferenceInterpreter) -> bool:
        place, kind = self.place, self.type
        if kind is None:
            return not isinstance(place, AluPlace) or place.result(run) is not None
        if isinstance(place, WordPlace | TensorPlace) and not self._written(run):
            return False
        found = place.read(run, kind.planes)
        if found is None:
            return False
        chosen = self.lanes.of(found.data.shape[1])
        known = found.known[chosen]
        if self.predicate is None:
            return bool(known.any())
        return bool((self.predicate.holds(kind.numbers(found.data[:, chosen]), kind) & known).any())

    def _written(self, run: ReferenceInterpreter) -> bool:
        """Whether a write to one of its words has taken effect in this cycle."""
        written = run.memory.written
        return any((s, address) in self._words for s in written for address in written[s])

    @cached_property
    def _words(self) -> frozenset[tuple[int, int]]:
        """The words that its chosen lanes lie in."""
        place, lanes = self.place, self.lanes.chosen
        if isinstance(place, WordPlace):
            return frozenset(place.all_words(self.type.planes if self.type else 1))
        assert isinstance(place, TensorPlace)
        return frozenset(
            (slice_, address)
            for slice_, address, elements, _, _ in place.homes
            if lanes is None or np.isin(elements, lanes).any()
        )
