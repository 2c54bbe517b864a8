"""Where a program's cycles go: books that balance, the critical path, lower bounds, memory over time, events and cost.

All of it comes from a verified program's bytes and the chip's facts; neither the compiler's schedule nor its placement is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isa.errors import ComparisonError
from isa.program import Program
from runtime.api import Session
from runtime.feeds import random_feeds
from runtime.ledger.books import Books, books_of
from runtime.ledger.bounds import Bound, bounds_of
from runtime.ledger.causes import bindings
from runtime.ledger.columns import Columns, Ints
from runtime.ledger.events import EVENTS, Events, events_of
from runtime.ledger.flow import flow_of
from runtime.ledger.path import Step, critical_path
from runtime.ledger.residency import Residency, residency_of


@dataclass(frozen=True)
class Ledger:
    """What there is to say about a run of ``program`` in ``cycles`` cycles. ``energies``: picojoules an event, if given."""

    program: Program
    cycles: int
    columns: Columns
    books: Books
    path: tuple[Step, ...]
    bounds: tuple[Bound, ...]
    residency: Residency
    events: Events
    energies: Mapping[str, float] | None = None

    @cached_property
    def on_path(self) -> dict[str, int]:
        """Cycles of the critical path by node, waiting included; what belongs to no node under the empty name."""
        out: dict[str, int] = {}
        for step in self.path:
            out[step.node] = out.get(step.node, 0) + step.end - step.begin
        return out

    @cached_property
    def matrix_busy(self) -> dict[str, float]:
        """Of each matrix plane that is used, the share of the cycles between its first and last activation in which it is busy."""
        d, out = self.columns.dispatches, {}
        for unit, kind in enumerate(self.columns.kinds):
            at = np.flatnonzero(d.unit == unit)
            if kind == "MXM.activations" and len(at):
                span = d.cycle[at[-1]] + d.busy[at[-1]] - d.cycle[at[0]]
                out[self.columns.units[unit].split(".")[0]] = float(d.busy[at].sum() / span)
        return out

    @property
    def picojoules(self) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
        """Of each node, if a table of energies was given."""
        return None if self.energies is None else self.events.energy(self.energies)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run takes by the assumptions of the chip file's ``[cost]``. ``tokens`` is 0 where a run has none."""

    seconds: float
    joules: float
    dollars: float
    tokens: int

    @staticmethod
    def of(program: Program, cycles: int, tokens: int | None = None) -> Cost:
        """The cost of a run: the card's share of its price and its electricity, for as long as the run takes.

        ``tokens`` defaults to the elements of the first input if that is a matrix of integers (ids, batch by sequence).
        """
        m = program.machine
        seconds = cycles / m["chip.clock_hz"]
        joules = m["cost.watts"] * seconds
        paid = m["cost.lifetime_days"] * 86_400 * m["cost.busy_percent"] / 100
        dollars = (
            m["cost.card_dollars"] * seconds / paid + joules / 3.6e6 * m["cost.cents_per_kwh"] / 100
        )
        first = program.inputs[0] if program.inputs else None
        if tokens is None:
            ids = first is not None and len(first.shape) == 2 and "int" in first.abi_dtype
            tokens = math.prod(first.shape) if first is not None and ids else 0
        return Cost(seconds, joules, dollars, tokens)


def ledger_of(program: Program, cycles: int, energies: Mapping[str, float] | None = None) -> Ledger:
    """The ledger of a verified program whose run took ``cycles``.

    Raises:
        InternalError: TSP981, the books do not balance; TSP972, the program reads what nobody put on a stream.
    """
    columns = Columns(program)
    flow = flow_of(program, columns)
    noted = dict(program.meta).get("macs", "")
    return Ledger(
        program,
        cycles,
        columns,
        books_of(columns, flow, bindings(columns, flow), cycles),
        tuple(critical_path(columns, flow, cycles)),
        tuple(bounds_of(columns, flow, int(noted) if noted.isdecimal() else 0)),
        residency_of(columns, cycles),
        events_of(columns, flow),
        energies,
    )


def executed(program: Program, energies: Mapping[str, float] | None = None) -> Ledger:
    """Verify the program, run it once on seeded inputs, and keep the books of that run.

    Raises:
        VerifyError: it may not run.
        ComparisonError: TSP702, the emulator counts other cycles than the verifier, or other dispatches than the books.
    """
    session = Session(program)
    _, trace = session.execute(random_feeds(program.inputs))
    ledger = ledger_of(program, trace.cycles, energies)
    dispatched = int(ledger.events.counts[:, list(EVENTS).index("dispatches")].sum())
    if (trace.cycles, trace.instructions) != (session.certificate.cycles, dispatched):
        counts = (
            f"{session.certificate.cycles} cycles verified, {dispatched} dispatches in the books"
        )
        raise ComparisonError(702, f"{counts}, {trace.cycles} and {trace.instructions} executed")
    return ledger


__all__ = [
    "Books",
    "Bound",
    "Cost",
    "Events",
    "Ints",
    "Ledger",
    "Residency",
    "Step",
    "executed",
    "ledger_of",
]
