"""What a kernel promises: values on streams at a place in certain cycles, and the units it uses."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from isa.arrival import Arrivals
from isa.assembly.expressions import Stream, Unit
from isa.assembly.sources import Source
from isa.instruction import DType
from isa.machine import Machine

Cycles = npt.NDArray[np.int64]
MOST_VALUES: Final = 1 << 24
"""Of one value that a contract names, and dispatches of one body: what is compared cycle by cycle."""
FARTHEST: Final = 1 << 40
_FEW: Final = 4


@dataclass(frozen=True)
class Port:
    """``count`` values on a stream group that pass ``unit`` from ``cycle`` on, ``interval`` cycles apart.

    Without a type a value is one byte plane of any. ``party`` is the kernel that promises it: its label, or its name.
    """

    name: str
    stream: Stream
    dtype: DType | None
    unit: Unit
    cycle: int
    count: int
    interval: int
    source: Source
    column: int
    party: str = ""

    def __str__(self) -> str:
        return f"{self.party}.{self.name}"

    def shown(self) -> str:
        """What stands behind the name in a clause."""
        dtype = f" {self.dtype.name.lower()}" if self.dtype is not None else ""
        every = f" /{self.interval}" if self.interval != 1 else ""
        return f"{self.stream}{dtype} @{self.cycle} at {self.unit} x{self.count}{every}"

    @property
    def planes(self) -> int:
        """Streams that a value takes."""
        return self.dtype.planes if self.dtype is not None else 1

    @property
    def end(self) -> int:
        """The cycle of the last value."""
        return self.cycle + (self.count - 1) * self.interval

    @property
    def cycles(self) -> Cycles:
        """The cycle of every value."""
        return self.cycle + np.arange(self.count, dtype=np.int64) * self.interval

    def first(self, machine: Machine) -> int:
        """Number of its first stream."""
        away = self.stream.direction == "W"
        return self.stream.index + (machine.streams if away else 0)

    def arrival(self, position: int, arrivals: Arrivals) -> int:
        """The cycle in which its first value passes ``position``; raises ``ArrivalError``."""
        return self.cycle + arrivals.hops(
            self.first(arrivals.machine), self.unit.position, position
        )

    def fits(self, machine: Machine) -> str:
        """Why no value can be on its streams, or nothing."""
        last = self.stream.index + self.planes
        if not 0 <= self.stream.index < last <= machine.streams:
            return f"{machine.name} has no stream {Stream(self.stream.direction, last - 1)}"
        if self.stream.index % self.planes:
            return f"a value of {self.planes} byte planes begins at a multiple of {self.planes}, not at {self.stream}"
        if not (1 <= self.count <= MOST_VALUES and 1 <= self.interval <= FARTHEST):
            return f"{self.count} values every {self.interval} cycles"
        return f"cycle {self.cycle}" if abs(self.cycle) > FARTHEST else ""


@dataclass(frozen=True)
class Use:
    """A queue that a kernel may dispatch on, in cycles ``first .. end - 1``."""

    queue: int
    first: int
    end: int


@dataclass(frozen=True)
class Contract:
    """All that a kernel promises, for one call of it."""

    kernel: str
    party: str
    start: int
    source: Source
    column: int
    ins: tuple[Port, ...] = ()
    outs: tuple[Port, ...] = ()
    uses: tuple[Use, ...] = ()

    def __str__(self) -> str:
        return self.party

    @property
    def cycle(self) -> int:
        """What its label stands for as a number: the cycle that it was called for."""
        return self.start

    @property
    def first(self) -> int:
        """The first cycle that it speaks of."""
        cycles = (*(p.cycle for p in (*self.ins, *self.outs)), *(u.first for u in self.uses))
        return min(cycles, default=0)

    def out(self, name: str) -> Port | None:
        """A value that it produces."""
        return next((p for p in self.outs if p.name == name), None)

    def clauses(self) -> list[str]:
        """Its ``.in`` and ``.out`` for this call."""
        return [
            f"{kind} {p.name}: {p.shown()}"
            for kind, ports in (("in", self.ins), ("out", self.outs))
            for p in ports
        ]

    def moved(self, cycles: int) -> Contract:
        """The same, so many cycles later."""
        return replace(
            self,
            start=self.start + cycles,
            ins=tuple(replace(p, cycle=p.cycle + cycles) for p in self.ins),
            outs=tuple(replace(p, cycle=p.cycle + cycles) for p in self.outs),
            uses=tuple(Use(u.queue, u.first + cycles, u.end + cycles) for u in self.uses),
        )


@dataclass(frozen=True)
class Broken:
    """What a label names whose kernel could not be called: the error has been said."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass
class Frame:
    """What one kernel's body, or the text around all kernels, has: its own view of what arrives, and the kernels it calls."""

    arrivals: Arrivals
    first: int = 0
    calls: list[Contract] = field(default_factory=list)
    inner: list[tuple[int, int]] = field(default_factory=list)
    """First row and end of each of ``calls``."""
    _uses: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)
    """By queue, in order: first cycle and end of a use, and the number of the call."""
    _longest: int = 0

    def add(self, call: Contract, rows: tuple[int, int]) -> None:
        """One more call, and its first row and end."""
        for use in call.uses:
            insort(self._uses.setdefault(use.queue, []), (use.first, use.end, len(self.calls)))
            self._longest = max(self._longest, use.end - use.first)
        self.calls.append(call)
        self.inner.append(rows)

    def meeting(self, call: Contract) -> list[Contract]:
        """The calls so far that use a queue in a cycle in which ``call`` does, as the text goes."""
        found = set[int]()
        for use in call.uses:
            known = self._uses.get(use.queue, [])
            for at in range(bisect_left(known, (use.first - self._longest,)), len(known)):
                first, end, number = known[at]
                if first >= use.end:
                    break
                if use.first < end:
                    found.add(number)
        return [self.calls[number] for number in sorted(found)]


def cycles_text(cycles: Cycles) -> str:
    """Cycles in words: ``cycle 9``, ``cycles 9 .. 12``, ``cycles 9 .. 15 every 2``, ``cycles 9, 12, 13, 20 and 4 more``."""
    times = np.unique(cycles)
    if len(times) < 2:
        return f"cycle {times[0]}" if len(times) else "no cycle"
    steps = np.unique(np.diff(times))
    if len(steps) == 1 and len(times) > 2:
        return f"cycles {times[0]} .. {times[-1]}" + (f" every {steps[0]}" if steps[0] > 1 else "")
    shown = ", ".join(map(str, times[:_FEW].tolist()))
    more = len(times) - _FEW
    return f"cycles {shown} and {more} more" if more > 0 else f"cycles {shown}"


def span_text(first: int, end: int) -> str:
    """Cycles ``first .. end - 1`` in words."""
    few = {0: "no cycle", 1: f"cycle {first}", 2: f"cycles {first}, {first + 1}"}
    return few.get(end - first, f"cycles {first} .. {end - 1}") if end >= first else few[0]


def apart(cycles: int) -> str:
    """``1 cycle later``, ``2 cycles earlier``."""
    return f"{plural(abs(cycles))} {'later' if cycles > 0 else 'earlier'}"


def plural(n: int, what: str = "cycle") -> str:
    """``1 cycle``, ``2 cycles``."""
    return f"{n} {what}{'' if n == 1 else 's'}"
