"""Does a kernel's body do what its contract says? Decided from bursts, cycle by cycle; nothing is run.

A value that is put on a stream in some place keeps its diagonal, cycle against position, so all that a body puts and all
that it may expect can be compared in any place downstream. Streams and times are those of the instructions' own meanings
(``isa.arrival``); the verifier, which judges the whole program later, shares nothing with this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from isa.arrival import Effects, effects, latency, stream_name, unit_name
from isa.assembly.expressions import ExpressionError
from isa.assembly.names import Row
from isa.assembly.ports import (
    MOST_VALUES,
    Contract,
    Cycles,
    Port,
    Use,
    apart,
    cycles_text,
    plural,
    span_text,
)
from isa.assembly.sources import Source
from isa.assembly.written import take_apart
from isa.instruction import BY_OPCODE
from isa.machine import Machine

OUT: Final = 217
READ: Final = 218
UNIT: Final = 219
LIMIT: Final = 211
_NONE: Final = np.zeros(0, np.int64)


class Finding(NamedTuple):
    """One way in which a body breaks its contract."""

    code: int
    message: str
    source: Source
    column: int
    hint: str


class Touch(NamedTuple):
    """A stream at a position in certain cycles: read there, or put there."""

    stream: int
    position: int
    cycles: Cycles
    source: Source
    group: int
    """The first stream of the operand that it belongs to."""


@dataclass
class Body:
    """What a kernel's dispatches, and the contracts of the kernels that it calls, do on streams and queues."""

    machine: Machine
    reads: list[Touch] = field(default_factory=list)
    puts: list[Touch] = field(default_factory=list)
    uses: list[tuple[int, Cycles, Source]] = field(default_factory=list)
    spans: list[tuple[Use, Source]] = field(default_factory=list)
    """What the kernels that it calls may use."""
    takes: list[tuple[str, int, Cycles, Source]] = field(default_factory=list)
    """What is taken from an ALU or from a matrix array: its name, its queue, and when that dispatched."""
    dispatched: dict[tuple[int, str], list[Cycles]] = field(default_factory=dict)
    """By queue and mnemonic, ALUs without."""
    count: int = 0

    def dispatch(self, row: Row, source: Source) -> None:
        """Add one burst: a row as the assembler keeps it. Raises ``ExpressionError`` TSP211 where it becomes too much."""
        queue, opcode, _, cycle, count, interval, _, args = row
        self.count += count
        if self.count > MOST_VALUES:
            hint = "give part of it a kernel of its own"
            message = f"more than {MOST_VALUES:,} dispatches in one kernel"
            raise ExpressionError(message, code=LIMIT, hint=hint)
        at = cycle + np.arange(count, dtype=np.int64) * interval
        position = self.machine.queue_positions[queue]
        known = effects(self.machine, opcode, args)
        self.uses.append((queue, at, source))
        for first, planes, delay in known.samples:
            self.reads += [
                Touch(first + p, position, at - delay, source, first) for p in range(planes)
            ]
        self._inside(queue, opcode, known, at, source)
        landing = at + latency(self.machine, opcode)
        for first, planes in known.puts:
            self.puts += [Touch(first + p, position, landing, source, first) for p in range(planes)]

    def _inside(self, queue: int, opcode: int, known: Effects, at: Cycles, source: Source) -> None:
        """Note what passes from ALU to ALU, and through a matrix array."""
        machine, cls = self.machine, BY_OPCODE[opcode]
        vector = cls.unit == "VXM"
        self.dispatched.setdefault((queue, "" if vector else cls.mnemonic), []).append(at)
        for index, delay in known.alus:
            made = at - delay - machine.timing("vxm_alu")
            self.takes.append((f"alu{index}", machine.vxm_queue + index, made, source))
        if known.products:
            sent = at - machine["mxm.array_latency"]
            self.takes.append(("products", queue - 1, sent, source))

    def call(self, inner: Contract) -> None:
        """Add what another kernel promises."""
        self.reads += touches(inner.ins, self.machine, inner.source)
        self.puts += touches(inner.outs, self.machine, inner.source)
        for use in inner.uses:
            self.spans.append((use, inner.source))


def touches(ports: Iterable[Port], machine: Machine, source: Source | None = None) -> list[Touch]:
    """Every stream of the values that a contract names."""
    return [
        Touch(first + plane, p.unit.position, p.cycles, source or p.source, first)
        for p in ports
        for first in [p.first(machine)]
        for plane in range(p.planes)
    ]


@dataclass
class _Passing:
    """In which cycles something passes: by stream and position, from all that was put upstream."""

    machine: Machine
    puts: Sequence[Touch]
    _by_stream: dict[int, list[Touch]] = field(default_factory=dict)
    _found: dict[tuple[int, int], Cycles] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for put in self.puts:
            self._by_stream.setdefault(put.stream, []).append(put)

    def at(self, stream: int, position: int) -> Cycles:
        """Ascending, each once."""
        key = stream, position
        if key not in self._found:
            moved = [
                put.cycles + way
                for put in self._by_stream.get(stream, ())
                if (way := travel(self.machine, stream, put.position, position)) >= 0
            ]
            self._found[key] = np.unique(np.concatenate(moved)) if moved else _NONE
        return self._found[key]

    @property
    def streams(self) -> list[int]:
        """Those that anything was put on."""
        return sorted(self._by_stream)


def travel(machine: Machine, stream: int, origin: int, target: int) -> int:
    """Cycles from one position to another, -1 where the stream does not flow there."""
    step = 1 if stream < machine.streams else -1
    way = (target - origin) * step
    return way * machine["streams.hop"] if way >= 0 else -1


def prove(contract: Contract, body: Body) -> Iterator[Finding]:
    """Every way in which the body breaks the contract."""
    machine = body.machine
    own = _Passing(machine, body.puts)
    given = _Passing(machine, touches(contract.ins, machine))
    yield from _units(contract, body)
    yield from _reads(contract, body, own, given)
    yield from _inner(contract, body)
    yield from _outs(contract, machine, own, given)
    yield from _unread(contract, body)


def _units(contract: Contract, body: Body) -> Iterator[Finding]:
    """Queues that the contract does not name, and dispatches outside the cycles that it gives them."""
    used = list(body.uses)
    for use, source in body.spans:
        # What is not covered begins with the span or where one that is allowed ends.
        ends = [
            u.end for u in contract.uses if u.queue == use.queue and use.first <= u.end < use.end
        ]
        corners = sorted({use.first, *ends, max(use.first, use.end - 1)})
        used.append((use.queue, np.array(corners, np.int64), source))
    for queue, cycles, source in used:
        name = body.machine.queue_names[queue]
        spans = [(u.first, u.end) for u in contract.uses if u.queue == queue]
        if not spans:
            message = f"{contract.kernel} dispatches on {name}, which its .uses does not name"
            yield Finding(UNIT, message, source, column(source), f"add .uses {name}")
            continue
        off = np.array(
            [np.minimum(cycles - a, 0) + np.maximum(cycles - b + 1, 0) for a, b in spans]
        )
        nearest = np.take_along_axis(off, np.abs(off).argmin(0)[None], 0)[0]
        outside = cycles[nearest != 0]
        if len(outside):
            worst = int(nearest[np.abs(nearest).argmax()])
            allowed = " and ".join(span_text(a, b) for a, b in spans)
            message = (
                f"{contract.kernel} dispatches on {name} in {cycles_text(outside)}, {apart(worst)} than its .uses allows: "
                f"{allowed}"
            )
            low = min(int(outside.min()), *(a for a, _ in spans)) - contract.start
            high = max(int(outside.max()) + 1, *(b for _, b in spans)) - contract.start
            hint = f".uses {name} @t{low:+d}..t{high:+d}"
            yield Finding(UNIT, message, source, column(source), hint)


def _inner(contract: Contract, body: Body) -> Iterator[Finding]:
    """What is taken from an ALU or an array that the body gave nothing then: no contract says what others leave there."""
    for name, queue, wanted, source in body.takes:
        what = "abc" if name == "products" else ""
        known = body.dispatched.get((queue, what), ())
        have = np.unique(np.concatenate(known)) if known else _NONE
        missing = wanted[~np.isin(wanted, have)]
        if not len(missing):
            continue
        place = body.machine.queue_names[queue]
        message = (
            f"{contract.kernel} takes {name} of a dispatch on {place} in {cycles_text(missing)}, "
        )
        if len(have):
            off = _nearest(int(missing[0]), have) - int(missing[0])
            message += f"but its body dispatches there in {cycles_text(have)}: {apart(off)}"
            hint = f"dispatch it {apart(off)}"
        else:
            message += "where its body dispatches nothing"
            hint = "what passes between kernels passes on streams: make it in the body, or declare an .in"
        yield Finding(READ, message, source, column(source, [name]), hint)


def _reads(contract: Contract, body: Body, own: _Passing, given: _Passing) -> Iterator[Finding]:
    """Streams that are read where nothing is declared or made."""
    for read in body.reads:
        known = np.union1d(own.at(read.stream, read.position), given.at(read.stream, read.position))
        missing = read.cycles[~np.isin(read.cycles, known)]
        if not len(missing):
            continue
        name = stream_name(body.machine, read.stream)
        unit = unit_name(body.machine, read.position)
        message = f"{contract.kernel} reads {name} at {unit} in {cycles_text(missing)}, "
        if not len(known):
            message += "which is neither an .in nor put there by its body"
            hint = f".in name: {name} @t{int(missing[0]) - contract.start:+d} at {unit} x{len(read.cycles)} declares it"
        else:
            off = _nearest(int(missing[0]), known) - int(missing[0])
            who = _who(contract, body.machine, read, off + int(missing[0]))
            message += f"but {who} is there in {cycles_text(known)}: {apart(off)}"
            hint = f"dispatch it {apart(off)}, or change the contract"
        group = stream_name(body.machine, read.group)
        words = [group, *(p.name for p in contract.ins if str(p.stream) == group)]
        yield Finding(READ, message, read.source, column(read.source, words), hint)


def _who(contract: Contract, machine: Machine, read: Touch, cycle: int) -> str:
    """Whose value passes where something is read in a cycle: an ``.in``, or the body's own."""
    for port in contract.ins:
        one = _Passing(machine, touches([port], machine))
        if cycle in one.at(read.stream, read.position):
            return f"in {port.name}"
    return "what the body puts"


def _nearest(cycle: int, known: Cycles) -> int:
    """The cycle of ``known`` that is nearest."""
    return int(known[np.argmin(np.abs(known - cycle))])


def _outs(
    contract: Contract, machine: Machine, own: _Passing, given: _Passing
) -> Iterator[Finding]:
    """Values that do not appear as declared, or in other cycles too."""
    for port in contract.outs:
        for plane in range(port.planes):
            stream = port.first(machine) + plane
            have = own.at(stream, port.unit.position)
            passing = given.at(stream, port.unit.position)
            want = port.cycles[~np.isin(port.cycles, passing)] if len(passing) else port.cycles
            if len(have) == len(want) and bool((have == want).all()):
                continue
            message, hint = _differs(port, contract.start, stream_name(machine, stream), want, have)
            if not len(have):
                others = [stream_name(machine, s) for s in own.streams]
                hint = (
                    f"its body puts values on {', '.join(others)}"
                    if others
                    else "its body puts no values"
                )
            yield Finding(OUT, f"{contract.kernel}'s out {message}", port.source, port.column, hint)
            break


def _differs(port: Port, start: int, stream: str, want: Cycles, have: Cycles) -> tuple[str, str]:
    """How a declared value and what is on its stream differ, and what would mend it."""
    where = f"{port.name}: {stream} at {port.unit}"
    if not len(have):
        return f"{where} carries nothing, not values in {cycles_text(want)}", ""
    both = f"carries values in {cycles_text(have)}, not in {cycles_text(want)}"
    shift = int(have[0]) - int(want[0])
    if len(have) == len(want) and bool((have - want == shift).all()):
        hint = f"declare @t{port.cycle + shift - start:+d}, or make the body put it {apart(-shift)}"
        return f"{where} {both}: {apart(shift)}", hint
    missing, extra = want[~np.isin(want, have)], have[~np.isin(have, want)]
    count = f"{plural(len(have), 'value')}, not {len(want)}"
    if len(missing):
        off = _nearest(int(missing[0]), have) - int(missing[0])
        return (
            f"{where} {both}: {count}; the nearest to cycle {missing[0]} is {apart(off)}",
            _count(have, start),
        )
    off = _nearest(int(extra[0]), want) - int(extra[0])
    return f"{where} {both}: {count}; cycle {extra[0]} is {apart(-off)} than any declared", _count(
        have, start
    )


def _count(have: Cycles, start: int) -> str:
    steps = np.unique(np.diff(have))
    if len(steps) > 1:
        return "the body's values are not equally far apart: declare several outs"
    every = f" /{steps[0]}" if len(steps) and steps[0] != 1 else ""
    return f"declare @t{int(have[0]) - start:+d} x{len(have)}{every}, or mend the body"


def _unread(contract: Contract, body: Body) -> Iterator[Finding]:
    """Values that are declared to be consumed and are not: neither read nor passed on as an ``.out``."""
    machine = body.machine
    taken = [*body.reads, *touches(contract.outs, machine)]
    for port in contract.ins:
        for plane in range(port.planes):
            stream = port.first(machine) + plane
            back = [
                t.cycles - way
                for t in taken
                if t.stream == stream
                and (way := travel(machine, stream, port.unit.position, t.position)) >= 0
            ]
            left = port.cycles[~np.isin(port.cycles, np.concatenate(back))] if back else port.cycles
            if len(left):
                message = (
                    f"{contract.kernel}'s in {port.name}: its body reads {port.count - len(left)} of {port.count} values; "
                    f"{stream_name(machine, stream)} is read by nothing in {cycles_text(left)}"
                )
                hint = "declare what the body reads, or read what is declared"
                yield Finding(READ, message, port.source, port.column, hint)
                break


def column(source: Source, words: Sequence[str] = ()) -> int:
    """Where in a line to point: at the operand that says one of ``words``, or at the queue."""
    written = take_apart(source.text)
    if written is None:
        return len(source.text) - len(source.text.lstrip()) + 1
    found = [w for w in written.positional if w.text.partition("~")[0] in words]
    return (found or [written.queue])[0].column
