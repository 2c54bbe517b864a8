"""When a value arrives: which streams an instruction reads and drives, and how long what it drives is under way.

Nothing here is a table: an instruction's streams are found by running its declared meaning once on a port that takes
notes. A new instruction therefore has arrivals without anybody writing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from isa.instruction import BY_OPCODE, Bytes, DType, Source, SourceKind
from isa.machine import Machine
from isa.ops.mxm import Activation, PlaneState
from isa.ops.vxm import VxmInstruction
from isa.program import decode_args


@dataclass(frozen=True)
class Effects:
    """Stream groups that one dispatch reads and puts; ``products``: it accumulates.

    A sample is ``(first stream, planes, delay)``: what passed so many cycles before the dispatch; a put ``(first, planes)``;
    of ``alus`` each is ``(ALU, delay)``.
    """

    samples: tuple[tuple[int, int, int], ...]
    puts: tuple[tuple[int, int], ...]
    products: bool
    alus: tuple[tuple[int, int], ...] = ()

    @property
    def reads(self) -> tuple[tuple[int, int], ...]:
        """The samples without their delays."""
        return tuple((first, planes) for first, planes, _ in self.samples)


class _Notes:
    """A ``Port`` (and a link's) on which every operand is zero and every effect is only noted."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.position = machine.vxm_position
        self.memory = np.broadcast_to(np.zeros(1, np.uint8), (machine.words, machine.lanes))
        self.plane: Any = SimpleNamespace(accumulators=np.zeros((256, machine.lanes), np.uint32))
        self.plane.buffer = np.zeros((1 << 11, machine.lanes), np.uint16)
        self.plane.weights = self.plane.buffer[: machine.lanes]
        self.plane.enabled = np.zeros(machine.lanes, np.bool_)
        self.samples: list[tuple[int, int, int]] = []
        self.puts: list[tuple[int, int]] = []
        self.alus: list[tuple[int, int]] = []
        self.accumulates = False

    def stream(self, stream: int, planes: int, delay: int = 0) -> Bytes:
        self.samples.append((stream, planes, delay))
        return np.zeros((planes, self.machine.lanes), np.uint8)

    def alu(self, index: int, planes: int, delay: int = 0) -> Bytes:
        self.alus.append((index, delay))
        return np.zeros((planes, self.machine.lanes), np.uint8)

    def put(self, stream: int, data: Bytes) -> None:
        self.puts.append((stream, len(data)))

    def produce(self, data: Bytes) -> None:
        pass

    def store(self, address: Any, data: Bytes) -> None:
        pass

    def activate(self, sent: Any) -> None:
        pass

    def products(self) -> Activation:
        self.accumulates = True
        state = PlaneState(self.machine)
        lanes = np.zeros(self.machine.lanes, np.uint16)
        return Activation(DType.I8, lanes, 0, 0, state.weights, state.enabled)

    def send(self, link: int, data: Bytes) -> None:
        pass

    def receive(self, link: int) -> Bytes:
        return np.zeros((1, self.machine.lanes), np.uint8)

    def deskew(self, link: int) -> None:
        pass


@lru_cache(maxsize=1 << 14)
def _observed(machine: Machine, opcode: int, args: tuple[int, ...]) -> Effects:
    notes, instr = _Notes(machine), decode_args(opcode, args)
    if isinstance(instr, VxmInstruction) and instr.dtype not in instr.types:
        # It has no meaning, which the verifier says; its streams are those of a type as wide that it has.
        wide = DType(instr.dtype).planes
        as_wide = next((t for t in instr.types if t.planes == wide), instr.dtype)
        place = [o.name for o in instr.operands].index("dtype")
        instr = decode_args(opcode, (*args[:place], as_wide, *args[place + 1 :]))
    instr.execute(notes)
    return Effects(tuple(notes.samples), tuple(notes.puts), notes.accumulates, tuple(notes.alus))


def effects(machine: Machine, opcode: int, args: Sequence[int]) -> Effects:
    """What one dispatch of an instruction reads and puts. ``args`` must have passed ``isa.fields``."""
    plain, place = tuple(args), _strided(opcode)
    if place >= 0:
        plain = (*plain[:place], 0, *plain[place + 1 :])
    return _observed(machine, opcode, plain)


@cache
def _strided(opcode: int) -> int:
    """The place of the operand that a stride advances, or -1."""
    marked = [i for i, o in enumerate(BY_OPCODE[opcode].operands) if o.strided]
    return marked[0] if marked else -1


def latency(machine: Machine, opcode: int) -> int:
    """Cycles from an instruction's dispatch to its result: ``d_func``."""
    key = BY_OPCODE[opcode].timing
    return machine.timing(key) if key else 0


def stream_name(machine: Machine, stream: int) -> str:
    """``E3`` or ``W12``."""
    n = machine.streams
    return f"E{stream}" if stream < n else f"W{stream - n}"


def unit_name(machine: Machine, position: int) -> str:
    """The unit at a position in a queue's words: ``MEM_W3``, ``VXM``, ``MXM_E``."""
    name = machine.queue_names[machine.queue_positions.index(position)]
    return {"MEM": name, "VXM": "VXM"}.get(name[:3], name[:5])


class ArrivalError(Exception):
    """A time that cannot be found: nothing comes, or not together. ``hint`` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


FLOW: Final = {1: "east", -1: "west"}


@dataclass
class Arrivals:
    """Everything dispatched so far, in the order of the text; what arrives is always the latest that was put upstream."""

    machine: Machine
    otherwise: str = ""
    """What else to do where nothing arrives, for the hint."""
    _pending: list[tuple[int, int, Sequence[int], int]] = field(default_factory=list)
    _puts: dict[int, list[tuple[int, int, object]]] = field(default_factory=dict)
    _queues: dict[tuple[int, str], int] = field(default_factory=dict)

    def add(self, queue: int, opcode: int, args: Sequence[int], cycle: int) -> None:
        """Note the first dispatch of a burst."""
        self._pending.append((queue, opcode, args, cycle))

    def put(self, stream: int, position: int, landing: int, by: object) -> None:
        """Note a value that is on a stream at a position in cycle ``landing``, and who says so."""
        self._index()
        self._puts.setdefault(stream, []).append((position, landing, by))

    def latest(self, stream: int, position: int) -> object:
        """Who last put something on a stream upstream of a position: what ``put`` was told, None for a dispatch."""
        found = self._upstream(stream, position)
        return found[2] if found else None

    def _upstream(self, stream: int, position: int) -> tuple[int, int, object] | None:
        self._index()
        east = stream < self.machine.streams
        for put in reversed(self._puts.get(stream, ())):
            if (put[0] <= position) if east else (put[0] >= position):
                return put
        return None

    def _index(self) -> None:
        for queue, opcode, args, cycle in self._pending:
            position = self.machine.queue_positions[queue]
            landing = cycle + latency(self.machine, opcode)
            for first, planes in effects(self.machine, opcode, args).puts:
                for stream in range(first, first + planes):
                    self._puts.setdefault(stream, []).append((position, landing, None))
            self._queues[queue, BY_OPCODE[opcode].mnemonic] = cycle
            if BY_OPCODE[opcode].unit == "VXM":
                self._queues[queue, ""] = landing
        self._pending.clear()

    def hops(self, stream: int, origin: int, target: int) -> int:
        """Cycles that ``stream`` takes between two positions. Raises ``ArrivalError`` where it flows the other way."""
        step = 1 if stream < self.machine.streams else -1
        if (target - origin) * step < 0:
            name, away = stream_name(self.machine, stream), unit_name(self.machine, target)
            other = stream_name(
                self.machine, (stream + self.machine.streams) % (2 * self.machine.streams)
            )
            raise ArrivalError(
                f"{name} flows {FLOW[step]}, away from {away} as seen from {unit_name(self.machine, origin)}",
                f"use {other}",
            )
        return abs(target - origin) * self.machine["streams.hop"]

    def plane(self, stream: int, position: int) -> int:
        """The cycle in which what was last put on one stream upstream passes ``position``. Raises ``ArrivalError``."""
        found = self._upstream(stream, position)
        if found:
            return found[1] + self.hops(stream, found[0], position)
        name, unit = stream_name(self.machine, stream), unit_name(self.machine, position)
        where = "west" if stream < self.machine.streams else "east"
        raise ArrivalError(
            f"nothing above puts a value on {name} upstream of {unit}",
            f"put one on {name} at a unit {where} of {unit}, in a line above this one"
            + self.otherwise,
        )

    def stream(self, stream: int, planes: int, position: int) -> int:
        """The same for a stream group: all of its byte planes must pass together."""
        times = [self.plane(s, position) for s in range(stream, stream + planes)]
        for i, time in enumerate(times):
            if time != times[0]:
                first, name = (stream_name(self.machine, stream + n) for n in (0, i))
                unit, off = unit_name(self.machine, position), time - times[0]
                side = "later" if off > 0 else "earlier"
                raise ArrivalError(
                    f"{name} passes {unit} in cycle {time}, {abs(off)} {side} than {first} of the same value",
                    f"let both reach {unit} in one cycle: @reach({unit}, t) on the lines that put them",
                )
        return times[0]

    def alu(self, index: int) -> int:
        """The cycle in which the latest result of an ALU is ready."""
        self._index()
        ready = self._queues.get((self.machine.vxm_queue + index, ""))
        if ready is None:
            raise ArrivalError(
                f"no line above dispatches on VXM_{index}",
                "write what makes the operand above its use",
            )
        return ready

    def products(self, queue: int) -> int:
        """The cycle in which the latest activations' products are ready for the accumulate queue ``queue``."""
        self._index()
        sent = self._queues.get((queue - 1, "abc"))
        if sent is None:
            plane = self.machine.queue_names[queue].partition(".")[0]
            raise ArrivalError(
                f"no line above sends activations into {plane}", "write abc above acc"
            )
        return sent + self.machine["mxm.array_latency"]

    def operands(self, queue: int, opcode: int, args: Sequence[int]) -> list[tuple[int, int]]:
        """``(operand index, cycle of arrival)`` of all that an instruction samples; index -1: not to be delayed.

        A VXM source that states a delay counts from then on. Raises ``ArrivalError``.
        """
        position = self.machine.queue_positions[queue]
        if issubclass(BY_OPCODE[opcode], VxmInstruction):
            found: list[tuple[int, int]] = []
            for place, source, planes in _sources(opcode, tuple(int(v) for v in args)):
                if source.kind is SourceKind.STREAM:
                    cycle = self.stream(source.index, planes, position)
                else:
                    cycle = self.alu(source.index)
                found.append((-1, cycle + source.delay) if source.delay else (place, cycle))
            return found
        seen = effects(self.machine, opcode, args)
        found = [(-1, self.stream(s, n, position)) for s, n in seen.reads]
        if seen.products:
            found.append((-1, self.products(queue)))
        return found


@lru_cache(maxsize=1 << 14)
def _sources(opcode: int, args: tuple[int, ...]) -> tuple[tuple[int, Source, int], ...]:
    """Operand index, source and byte planes of what a VXM instruction takes from streams and ALUs."""
    instr = decode_args(opcode, args)
    assert isinstance(instr, VxmInstruction)
    named = {o.name: i for i, o in enumerate(instr.operands)}
    return tuple(
        (named[name], source, instr.source_dtype(n).planes)
        for n, (name, source) in enumerate(zip("abc"[: instr.arity], instr.sources, strict=True))
        if source.kind in (SourceKind.STREAM, SourceKind.ALU)
    )
