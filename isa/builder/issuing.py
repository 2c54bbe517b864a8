"""From a call to a burst: operands encoded, the time found, early operands delayed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from isa.arrival import ArrivalError, Arrivals, effects, latency
from isa.assembly.expressions import Stream
from isa.builder.calls import Calls, is_sampled
from isa.builder.issued import Dispatch, Issued
from isa.builder.operands import (
    EXPECTED,
    ROLES,
    Alu,
    AnyQueue,
    Late,
    Plane,
    Reach,
    Time,
    bits_of,
    plain,
    position,
    refuse,
    stream_code,
)
from isa.instruction import MAX_OPERANDS, REGISTRY, DType, Instruction, Kind, Source, SourceKind
from isa.machine import Machine
from isa.ops.vxm import VxmInstruction

_COUNTS: Final = (("x", 1, 1 << 32), ("every", 1, 1 << 32), ("step", -(1 << 31), 1 << 31))


@dataclass(frozen=True)
class _Sample:
    """An operand that comes from elsewhere: its name, when it arrives, and whether its delay may be chosen."""

    name: str
    arrival: Callable[[], int]
    free: bool
    exact: bool
    """Whether the call named the very value, so that it is met whatever time the call gives."""


class Issuer(Calls):
    """Bursts of one program in the order of the calls."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._bursts: list[Dispatch] = []
        self._nodes: dict[str, int] = {"": 0}
        self._arrivals = Arrivals(machine)

    def issue(self, mnemonic: str, given: dict[str, Any], on: AnyQueue | str, **how: Any) -> Issued:
        cls = REGISTRY[mnemonic]
        queue = self._queue(cls, on)
        for name, low, high in _COUNTS:
            if not isinstance(how[name], int | np.integer) or not low <= how[name] < high:
                raise refuse(f"{name} is {how[name]!r}, not a number from {low} to {high - 1}")
        samples: list[_Sample] = []
        args = self._encode(cls, queue, given, samples)
        try:
            cycle = self._cycle(cls, queue, args, how["at"], samples)
        except ArrivalError as error:
            raise refuse(f"{mnemonic}: {error.message}", error.hint) from None
        node = self._nodes.setdefault(how["node"], len(self._nodes))
        count, interval, stride = (int(how[name]) for name, _, _ in _COUNTS)
        burst = Dispatch(queue, cls.opcode, node, cycle, count, interval, stride, _padded(args))
        self._bursts.append(burst)
        self._arrivals.add(queue, cls.opcode, burst.args, cycle)
        return Issued(self.machine, (burst,))

    def queue_number(self, name: str) -> int:
        """A queue by name. Raises ``InputError`` TSP215."""
        if name not in self.machine.queue_names:
            raise refuse(f"{self.machine.name} has no queue {name}")
        return self.machine.queue_names.index(name)

    def _queue(self, cls: type[Instruction], on: AnyQueue | str) -> int:
        name = on if isinstance(on, str) else on.name
        if isinstance(on, Plane):
            name += f".{ROLES[max(cls.role, 0)]}"
        number = self.queue_number(name)
        if cls.unit not in ("ICU", self.machine.queue_kinds[number]):
            raise refuse(f"{cls.mnemonic} belongs on a {cls.unit} queue, not on {name}")
        return number

    def _encode(
        self, cls: type[Instruction], queue: int, given: dict[str, Any], samples: list[_Sample]
    ) -> dict[str, int]:
        """Operand values in declaration order, delays still 0."""
        args = {o.name: 0 for o in cls.operands}
        immediates: set[int] = set()
        place = self.machine.queue_positions[queue]
        for o in cls.operands:
            value = given.get(o.name)
            if o.kind is Kind.BITS32 or o.name not in given:
                continue
            if o.kind is Kind.SOURCE:
                args[o.name] = self._source(cls, o.name, value, args, samples, immediates)
            elif isinstance(value, Issued) and is_sampled(cls, o):
                args[o.name], _ = value.stream(place)
                samples.append(_Sample(o.name, partial(value.arrival, place), False, True))
            else:
                args[o.name] = plain(o, value, self.machine)
        if len(immediates) > 1:
            raise refuse("two different numbers are operands", "a word holds one immediate")
        if immediates:
            args["imm"] = immediates.pop()
        return args

    def _source(
        self,
        cls: type[Instruction],
        name: str,
        value: object,
        args: dict[str, int],
        samples: list[_Sample],
        immediates: set[int],
    ) -> int:
        """A vector operand's code; where it comes from is noted in ``samples`` or ``immediates``."""
        index, machine = "abc".index(name), self.machine
        instr = cls(**(dict.fromkeys(args, 0) | {"dtype": args["dtype"]}))
        assert isinstance(instr, VxmInstruction)
        dtype = instr.source_dtype(index)
        if isinstance(value, int | float | np.integer | np.floating) and not isinstance(
            value, bool
        ):
            immediates.add(bits_of(value, dtype))
            return Source(SourceKind.IMMEDIATE).pack()
        late = value.cycles if isinstance(value, Late) else 0
        source = value.source if isinstance(value, Late) else value
        free, exact = not isinstance(value, Late), isinstance(source, Issued)
        if isinstance(source, Issued) and source.alu is not None:
            samples.append(_Sample(name, lambda: source.ready, free, True))
            return Source(SourceKind.ALU, source.alu).pack()
        if isinstance(source, Issued | Stream):
            place = machine.vxm_position
            code = (
                source.stream(place)[0]
                if isinstance(source, Issued)
                else stream_code(machine, source)
            )
            arrive = self._arrival_of(source, code, dtype, place, late)
            samples.append(_Sample(name, arrive, free, exact))
            return Source(SourceKind.STREAM, code, self._delay(late)).pack()
        if isinstance(source, Alu):
            number = source.index
            if not 0 <= number < machine["vxm.alus"]:
                raise refuse(f"{machine.name} has no ALU {number}")
            samples.append(_Sample(name, lambda: self._arrivals.alu(number) + late, free, False))
            return Source(SourceKind.ALU, number, self._delay(late)).pack()
        raise refuse(f"{name} is {value!r}, not {EXPECTED[Kind.SOURCE]}")

    def _delay(self, cycles: int) -> int:
        if not 0 <= cycles <= self.machine["vxm.max_delay"]:
            raise refuse(f"a delay of {cycles} cycles", f"0 .. {self.machine['vxm.max_delay']}")
        return cycles

    def _arrival_of(
        self, source: Issued | Stream, code: int, dtype: DType, place: int, late: int
    ) -> Callable[[], int]:
        if isinstance(source, Issued):
            return lambda: source.arrival(place)
        return lambda: self._arrivals.stream(code, dtype.planes, place) + late

    def _cycle(
        self,
        cls: type[Instruction],
        queue: int,
        args: dict[str, int],
        at: Time,
        samples: list[_Sample],
    ) -> int:
        """The first dispatch's cycle; delays go into ``args``. Raises ``ArrivalError``."""
        home = self.machine.queue_positions[queue]
        known = [(s, s.arrival()) for s in samples if at is None or s.exact]
        if isinstance(at, Reach):
            puts = effects(self.machine, cls.opcode, _padded(args)).puts
            if not puts:
                raise ArrivalError("it puts nothing on a stream", "give its own cycle")
            goal = position(self.machine, at.unit)
            way = max(self._arrivals.hops(stream, home, goal) for stream, _ in puts)
            cycle = at.cycle - latency(self.machine, cls.opcode) - way
        elif at is not None:
            cycle = int(at)
        else:
            times = [t for _, t in known]
            if cls.unit != "VXM":
                found = (
                    self._arrivals.operands(queue, cls.opcode, _padded(args)) if not times else []
                )
                times += [t for _, t in found]
            if not times:
                raise ArrivalError("it has no operand that arrives", "give its cycle: at=...")
            cycle = max(times)
        if cycle < 0:
            raise ArrivalError(
                f"cycle {cycle} is before the first", f"everything {-cycle} cycles later would do"
            )
        for sample, arrived in known:
            self._wait(sample, arrived, cycle, args)
        return cycle

    def _wait(self, sample: _Sample, arrived: int, cycle: int, args: dict[str, int]) -> None:
        """Delay an operand that is there before the dispatch."""
        late = cycle - arrived
        if not late:
            return
        if late < 0 or not sample.free or late > self.machine["vxm.max_delay"]:
            side = "before" if late > 0 else "after"
            message = (
                f"{sample.name} arrives {abs(late)} cycles {side} the dispatch in cycle {cycle}"
            )
            raise ArrivalError(message, "let all operands arrive together: at=Reach(unit, cycle)")
        kind, index, _ = Source.unpack(args[sample.name])
        args[sample.name] = Source(kind, index, late).pack()


def _padded(args: dict[str, int]) -> tuple[int, ...]:
    return tuple(args.values()) + (0,) * (MAX_OPERANDS - len(args))
