"""What names mean in authored assembly: what the text defines, the machine's own words, and functions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from isa.arrival import ArrivalError, Arrivals, effects, latency
from isa.assembly.expressions import (
    ExpressionError,
    Stream,
    Unit,
    Value,
    as_number,
    describe,
)
from isa.assembly.ports import Broken, Contract, Port
from isa.assembly.spelling import Known, nearest
from isa.assembly.tensors import Tensor
from isa.instruction import DType
from isa.machine import Machine

UNKNOWN: Final = 209
TIME: Final = 214
SAID: Final = 0
"""In place of a number: the text has an error already that this follows from."""
_STREAM: Final = re.compile(r"([EW])([0-9]+)")
_RESERVED: Final = re.compile(
    r"[EW][0-9]+|alu[0-9]+|x[0-9]+|imm|inf|nan|none|start|emit|saturate|splat|lanes|arrives"
    + "".join(f"|{t.name.lower()}" for t in DType)
)
Row = tuple[Any, ...]


class Alu(NamedTuple):
    """An ALU's output, by number."""

    index: int  # type: ignore[assignment]  # tuple.index is not used

    def __str__(self) -> str:
        return f"alu{self.index}"


@dataclass(frozen=True)
class Label:
    """A dispatch that the text has named, all planes of a tensor's together: rows as the assembler keeps them."""

    name: str
    machine: Machine
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        return self.name

    @property
    def cycle(self) -> int:
        """Of the first dispatch."""
        if len(self.rows) == 1:
            return int(self.rows[0][3])
        return min(int(r[3]) for r in self.rows)

    @property
    def end(self) -> int:
        """Cycle of the last dispatch."""
        return max(int(r[3] + (r[4] - 1) * r[5]) for r in self.rows)

    @property
    def done(self) -> int:
        """The cycle from which every effect of it holds: memory written, weights in place."""
        return max(
            int(r[3] + (r[4] - 1) * r[5]) + max(1, latency(self.machine, r[1])) for r in self.rows
        )

    def arrival(self, position: int, arrivals: Arrivals) -> int:
        """The cycle in which the first value it puts passes ``position``; raises ``ArrivalError``."""
        found = [
            int(r[3]) + latency(self.machine, r[1]) + arrivals.hops(stream, home, position)
            for r in self.rows
            for stream, _ in effects(self.machine, r[1], r[7]).puts
            for home in [self.machine.queue_positions[r[0]]]
        ]
        if not found:
            raise ArrivalError(f"{self.name} puts nothing on a stream", f"use done({self.name})")
        return max(found)


@dataclass
class Scope:
    """Names of a block: those of its own, then those of the blocks around it."""

    parent: Scope | None = None
    own: dict[str, Value] = field(default_factory=dict)

    def find(self, name: str) -> Value | None:
        """A name's value, or None."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.own:
                return scope.own[name]
            scope = scope.parent
        return None

    def define(self, name: str, value: Value) -> None:
        """A new name; raises ``ExpressionError`` where it is taken or reserved."""
        if _RESERVED.fullmatch(name):
            raise ExpressionError(
                f"{name} is a word of the machine", code=UNKNOWN, hint="take another name"
            )
        if name in self.own:
            hint = f".set {name} = ... gives it another value"
            raise ExpressionError(f"{name} is defined already", code=UNKNOWN, hint=hint)
        self.own[name] = value

    def assign(self, name: str, value: Value) -> None:
        """Another value for a name; raises ``ExpressionError`` where there is none."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.own:
                scope.own[name] = value
                return
            scope = scope.parent
        raise unknown("name", name, self.all, f".let {name} = ... defines it")

    def all(self) -> list[str]:
        """Every name that can be seen."""
        return [*self.own, *(self.parent.all() if self.parent else [])]


def unknown(what: str, name: str, known: Known, otherwise: str = "") -> ExpressionError:
    """The error for a name that nobody has defined, with the nearest that somebody has."""
    return ExpressionError(
        f"no {what} {name!r}", code=UNKNOWN, hint=lambda: nearest(name, known, otherwise)
    )


@dataclass
class Subject:
    """The dispatch whose time is being evaluated: its queue, instruction and operand values (None: not known)."""

    queue: int
    opcode: int
    args: tuple[int, ...]
    arrived: Sequence[tuple[int, int]] = ()
    """Its operands' arrival (``Arrivals.operands``) where its time follows from it, so that early ones wait in delay registers."""


_PLAIN: Final[dict[str, Callable[..., Any]]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "int": int,
    "round": lambda x: round(x),
    "cdiv": lambda a, b: -(-a // b),
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
}
_LABEL: Final = ("start", "end", "done", "next")
FUNCTIONS: Final = (*_PLAIN, *_LABEL, "arrives", "reach", "earliest", "slice", "address")


_WORDS: Final = (
    "VXM",
    "MXM_E",
    "MXM_W",
    "SXM_E",
    "SXM_W",
    "lanes",
    *(t.name.lower() for t in DType),
)
"""The machine's own words, for the nearest spelling."""


_ELSEWHERE: Final = {
    **{f"int{n}": f"i{n}" for n in (8, 16, 32)},
    **{f"{word}{n}": f"f{n}" for word in ("float", "fp") for n in (16, 32)},
}
"""Types as others write them."""


class Meaning:
    """Values of names and functions at one place of a text: ``isa.assembly.expressions.Names``."""

    def __init__(
        self, machine: Callable[[], Machine], scope: Scope, arrivals: Arrivals | None
    ) -> None:
        self._machine, self.scope, self.arrivals = machine, scope, arrivals
        self.subject: Subject | None = None

    @property
    def machine(self) -> Machine:
        """The chip: fixed once somebody asks."""
        return self._machine()

    def value(self, name: str) -> Value:
        found = self.scope.find(name)
        if found is not None and not isinstance(found, Broken):
            return found
        if name == "arrives":
            return self.call("arrives", ())
        base, _, attribute = name.partition(".")
        owner = self.scope.find(base) if attribute else None
        if isinstance(found, Broken) or isinstance(owner, Broken):
            raise ExpressionError(f"{base} names nothing", code=SAID)
        if isinstance(owner, Tensor):
            return owner.attribute(attribute)
        if isinstance(owner, Contract):
            out = owner.out(attribute)
            if out is None:
                outs = [p.name for p in owner.outs]
                hint = f"{owner.kernel} has {', '.join(outs) or 'none'}"
                raise unknown("out", attribute, outs, hint)
            return out
        stream = _STREAM.fullmatch(name)
        if stream and len(name) < 6:
            return Stream(stream[1], int(stream[2]))
        if name.startswith("alu") and name[3:].isdecimal() and len(name) < 8:
            return Alu(int(name[3:]))
        if name == "lanes":
            return self.machine.lanes
        unit = self._unit(name)
        if unit is not None:
            return unit
        if any(name == fact for fact, _ in self.machine.facts) and name != "chip.name":
            return self.machine[name]
        raise self._unknown(name)

    def _unknown(self, name: str) -> ExpressionError:
        """The error for a name that means nothing: of a chip's field, or of what stands before its dot."""
        base, dot, attribute = name.partition(".")
        owner = self.scope.find(base) if dot else None
        if owner is not None:
            of_label = "a label has " + ", ".join(f"{f}({base})" for f in _LABEL)
            hint = of_label if isinstance(owner, Label) else f"it is {describe(owner)}"
            return ExpressionError(f"{base!r} has no {attribute!r}", code=UNKNOWN, hint=hint)
        fields = [fact for fact, _ in self.machine.facts]
        if dot and any(fact.startswith(f"{base}.") for fact in fields):
            return unknown("chip field", name, fields, "tspc info --chip NAME lists them")
        meant = _ELSEWHERE.get(name) or (name.upper() if _STREAM.fullmatch(name.upper()) else "")
        if meant:
            return ExpressionError(f"no name {name!r}", code=UNKNOWN, hint=f"did you mean {meant}?")
        scope, machine = self.scope, self.machine
        return unknown(
            "name",
            base,
            lambda: [*scope.all(), *FUNCTIONS, *_WORDS, *machine.queue_names],
            f".let {base} = ... defines one",
        )

    def _unit(self, name: str) -> Unit | None:
        m = self.machine
        if name == "VXM":
            return Unit(name, m.vxm_position)
        if name in ("MXM_E", "MXM_W", "SXM_E", "SXM_W"):
            inward = 0 if name[0] == "M" else 1
            return Unit(name, m.positions - 1 - inward if name[-1] == "E" else inward)
        if name in m.queue_numbers:
            return Unit(name, m.queue_positions[m.queue_numbers[name]])
        return None

    def call(self, name: str, args: Sequence[Value]) -> Value:
        try:
            if name in _PLAIN:
                return self._plain(name, args)
            if name in _LABEL:
                return self._label(name, args)
            if name in ("slice", "address"):
                return self._place(name, args)
            if name == "earliest":
                return self._earliest(args)
            if name == "reach":
                return self._reach(args)
            if name == "arrives":
                return self._arrives(args)
        except ArrivalError as error:
            raise ExpressionError(error.message, code=TIME, hint=error.hint) from None
        raise unknown("function", name, FUNCTIONS, f"functions: {', '.join(FUNCTIONS)}")

    def _plain(self, name: str, args: Sequence[Value]) -> Value:
        numbers = [as_number(a) for a in args]
        try:
            if None in numbers or not numbers:
                raise TypeError
            result = _PLAIN[name](*numbers)
        except (TypeError, ValueError, OverflowError, ZeroDivisionError):
            shown = ", ".join(str(a) for a in args)
            raise ExpressionError(f"{name}({shown}) has no value") from None
        return result

    def _label(self, name: str, args: Sequence[Value]) -> int:
        if len(args) != 1 or not isinstance(args[0], Label):
            raise ExpressionError(
                f"{name} takes a label", hint=f"label: @0 MEM_E0: ...  then {name}(label)"
            )
        label = args[0]
        return {"start": label.cycle, "end": label.end, "done": label.done, "next": label.end + 1}[
            name
        ]

    def _place(self, name: str, args: Sequence[Value]) -> Value:
        if (
            not args
            or not isinstance(args[0], Tensor)
            or not all(isinstance(a, int) for a in args[1:])
        ):
            raise ExpressionError(f"{name} takes a tensor, a byte plane and a row")
        tensor, plane, row, chunk = args[0], *(*args[1:], 0, 0, 0)[:3]
        if not (
            0 <= plane < len(tensor.places)
            and 0 <= row <= tensor.rows
            and 0 <= chunk < tensor.chunks
        ):
            raise ExpressionError(f"{tensor} has no byte plane {plane}, row {row}, chunk {chunk}")
        slice_, address = tensor.places[plane]
        if name == "address":
            return address + chunk * tensor.rows + row
        return self._unit(self.machine.queue_names[slice_])

    def _earliest(self, args: Sequence[Value]) -> int:
        """The first cycle in which a tensor's rows can pass a unit if no plane is read before a cycle (0)."""
        tensor, unit, cycle = (*args, None, None)[:3] if len(args) != 2 else (*args, 0)
        since = as_number(cycle)
        if (
            not isinstance(tensor, Tensor)
            or not isinstance(unit, Unit)
            or not isinstance(since, int)
        ):
            raise ExpressionError(
                "earliest takes a tensor, a unit and a cycle", hint="earliest(x, VXM, 0)"
            )
        m = self.machine
        way = max(abs(unit.position - m.queue_positions[slice_]) for slice_, _ in tensor.places)
        return since + m.timing("mem_read") + way * m["streams.hop"]

    def _need(self, name: str) -> tuple[Subject, Arrivals]:
        if self.subject is None or self.arrivals is None:
            hint = f"write it behind the @ of a line: @{name}"
            raise ExpressionError(
                f"{name} has a value only as the time of a dispatch", code=TIME, hint=hint
            )
        return self.subject, self.arrivals

    def _reach(self, args: Sequence[Value]) -> int:
        subject, arrivals = self._need("reach(VXM, t)")
        cycle = as_number(args[1]) if len(args) == 2 else None
        if cycle is None or not isinstance(args[0], Unit) or not isinstance(cycle, int):
            raise ExpressionError("reach takes a unit and a cycle", hint="@reach(VXM, t0 + 4)")
        home = self.machine.queue_positions[subject.queue]
        puts = effects(self.machine, subject.opcode, subject.args).puts
        if not puts:
            raise ExpressionError(
                "this instruction puts nothing on a stream", code=TIME, hint="give its own cycle"
            )
        way = max(arrivals.hops(stream, home, args[0].position) for stream, _ in puts)
        return cycle - latency(self.machine, subject.opcode) - way

    def _arrives(self, args: Sequence[Value]) -> int:
        subject, arrivals = self._need("arrives")
        position = self.machine.queue_positions[subject.queue]
        if not args:
            found = arrivals.operands(subject.queue, subject.opcode, subject.args)
            if not found:
                raise ExpressionError(
                    "this instruction has no operand that arrives", code=TIME, hint="give a cycle"
                )
            subject.arrived = found
            return max(cycle for _, cycle in found)
        if len(args) == 1 and isinstance(args[0], Stream):
            first = args[0].index + (self.machine.streams if args[0].direction == "W" else 0)
            return arrivals.plane(first, position)
        if len(args) == 1 and isinstance(args[0], Label | Port):
            return args[0].arrival(position, arrivals)
        shown = describe(args[0]) if args else "nothing"
        raise ExpressionError(f"arrives takes a stream or a label, not {shown}", code=TIME)
