"""One kernel's contract against another's: does what one produces arrive as the other consumes it, and who uses what when.

Nothing here looks at a dispatch.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from isa.arrival import ArrivalError, Arrivals
from isa.assembly.ports import Contract, Port, Use, apart, plural, span_text
from isa.assembly.sources import place
from isa.machine import Machine

MISFIT: Final = 220
CLASH: Final = 221


class Complaint(NamedTuple):
    """What is wrong between two parties, and what would mend it."""

    code: int
    message: str
    hint: str


def feeds(out: Port, into: Port, call: Contract, arrivals: Arrivals) -> Complaint | None:
    """Why ``out`` of an earlier kernel cannot feed ``into``, a value that ``call`` consumes; None where it does."""
    wrongs: list[str] = []
    if out.stream != into.stream:
        wrongs.append(f"it is on {out.stream}, not {into.stream}")
    if out.planes != into.planes:
        wrongs.append(f"{plural(out.planes, 'byte plane')}, not {into.planes}")
    elif out.dtype and into.dtype and out.dtype is not into.dtype:
        wrongs.append(f"{out.dtype.name.lower()}, not {into.dtype.name.lower()}")
    if out.count != into.count:
        wrongs.append(f"{plural(out.count, 'value')}, not {into.count}")
    if out.interval != into.interval and min(out.count, into.count) > 1:
        wrongs.append(f"a value every {plural(out.interval)}, not {into.interval}")
    hint = "give both contracts the same stream, type, count and interval" if wrongs else ""
    try:
        late = out.arrival(into.unit.position, arrivals) - into.cycle
    except ArrivalError as error:
        wrongs.append(error.message)
        late, hint = 0, hint or error.hint
    if late:
        there = into.cycle + late
        wrongs.append(f"it passes {into.unit} in cycle {there}, not {into.cycle}: {apart(late)}")
        shift = f"call {call.party} {apart(late)}, @{call.start + late}"
        hint = f"{shift}; {hint}" if hint else f"{shift}, or {out.party} {apart(-late)}"
    if not wrongs:
        return None
    message = f"{out} ({place(out.source)}) does not feed {into} ({place(into.source)}): {'; '.join(wrongs)}"
    return Complaint(MISFIT, message, hint)


def clash(first: Contract, second: Contract, machine: Machine) -> Complaint | None:
    """A unit that both use in the same cycles, and the shift that sets them apart; None where there is none."""
    found = _common(first, second)
    if not found:
        return None
    shift = 0
    while later := _common(first, second.moved(shift)):
        shift += max(a.end - b.first for a, b in later)
    a, b = max(found, key=lambda pair: pair[0].end - pair[1].first)
    both = min(a.end, b.end) - max(a.first, b.first)
    message = (
        f"{second} uses {machine.queue_names[b.queue]} in {_span(b)}, and {first} ({place(first.source)}) "
        f"in {_span(a)}: {plural(both)} in common"
    )
    hint = f"call {second} {apart(shift)}, @{second.start + shift}, or use another unit"
    return Complaint(CLASH, message, hint)


def _common(first: Contract, second: Contract) -> list[tuple[Use, Use]]:
    """Uses of one queue in the same cycles."""
    return [
        (a, b)
        for b in second.uses
        for a in first.uses
        if a.queue == b.queue and a.first < b.end and b.first < a.end
    ]


def _span(use: Use) -> str:
    return span_text(use.first, use.end)
