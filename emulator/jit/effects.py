"""What each burst takes from streams and ALUs and what it gives them, as arithmetic progressions; nothing is expanded.

A value on a stream keeps ``cycle - hop * position`` going east, ``cycle + hop * position`` going west. That number, with the
stream's, is the value's *diagonal* here; positions are negated for west, so that every producer is at or below its reader.
ALU results, and activations on their way through the array, are treated as further streams of one place: cycles are their
diagonals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from isa.errors import InternalError
from isa.instruction import BY_OPCODE, REGISTRY, DType, SourceKind
from isa.program import Program

Ints = npt.NDArray[np.int64]
SPAN: Final = 1 << 44
"""Diagonals of one stream; a program is far shorter."""
PART_BITS: Final = 16
"""Slots and byte planes have fewer."""
WHOLE: Final = 255
"""The ``part`` of a put that gives all of a result at once."""
PLANES: Final = np.array([d.planes for d in DType], np.int64)
UNKNOWN: Final = 971


@dataclass
class Progressions:
    """Rows of ``burst, part, diagonal, interval, count, position``: reads (part = slot) or puts (part = byte plane)."""

    chunks: list[Ints] = field(default_factory=list)

    def add(self, burst: Ints, part: Ints, diagonal: Ints, bursts: Any, position: Ints) -> None:
        """Append rows; interval and count are those of the bursts."""
        rows = (burst, part, diagonal, bursts["interval"][burst], bursts["count"][burst], position)
        self.chunks.append(np.stack([np.asarray(r, np.int64) for r in rows], 1))

    def table(self) -> Ints:
        """All rows, by burst and part."""
        if not self.chunks:
            return np.zeros((0, 6), np.int64)
        rows = np.concatenate(self.chunks)
        return rows[np.argsort(rows[:, 0] << PART_BITS | rows[:, 1], kind="stable")]


class Effects:
    """A program's reads and puts.

    Attributes:
        reads: ``[n, 6]``; a burst's slots are its stream operands' planes in operand order (an ALU operand is one slot).
        puts: ``[n, 6]``.
        slots: slots of each burst.
        size: bytes a lane of each burst's result; 0 where there is none.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.machine = program.machine
        self.bursts = program.bursts
        self.slots = np.zeros(len(self.bursts), np.int64)
        self.size = np.zeros(len(self.bursts), np.int64)
        self.position = np.array(self.machine.queue_positions)[self.bursts["queue"]]
        self.cycle = self.bursts["cycle"].astype(np.int64)
        self._reads, self._puts = Progressions(), Progressions()
        opcodes = np.ascontiguousarray(self.bursts["opcode"])
        for opcode in distinct(opcodes):
            cls = BY_OPCODE[int(opcode)]
            rows = np.flatnonzero(opcodes == opcode)
            if cls.unit == "ICU":
                continue
            if cls.mnemonic not in EFFECTS:
                raise InternalError(UNKNOWN, f"{cls.mnemonic} has no meaning on a single chip")
            EFFECTS[cls.mnemonic](self, rows)
        self.reads, self.puts = self._reads.table(), self._puts.table()

    def arg(self, rows: Ints, name: str) -> Ints:
        """Operand ``name`` of bursts that are all the same instruction."""
        cls = BY_OPCODE[int(self.bursts["opcode"][rows[0]])]
        index = next(i for i, o in enumerate(cls.operands) if o.name == name)
        return np.asarray(self.bursts["args"][rows, index], np.int64)

    def latency(self, rows: Ints) -> int:
        """``d_func`` of the instruction."""
        cls = BY_OPCODE[int(self.bursts["opcode"][rows[0]])]
        return self.machine.timing(cls.timing) if cls.timing else 0

    def _diagonal(self, stream: Ints, cycle: Ints, position: Ints) -> tuple[Ints, Ints]:
        """Diagonal of a value at a position in a cycle, and the position as producers are compared."""
        hop, west = self.machine["streams.hop"], stream >= self.machine.streams
        place = np.where(west, -position, position)
        offset = hop * self.machine.positions + 64
        return stream * SPAN + offset + cycle - hop * place, place

    def read(self, rows: Ints, stream: Ints, planes: Ints | int, delay: Ints | int = 0) -> None:
        """The bursts read ``planes`` consecutive streams at their own position, ``delay`` cycles before dispatch."""
        counts = np.broadcast_to(planes, rows.shape)
        burst, plane = np.repeat(rows, counts), ranges(counts)
        cycle = np.repeat(self.cycle[rows] - delay, counts)
        where = self._diagonal(np.repeat(stream, counts) + plane, cycle, self.position[burst])
        self._reads.add(
            burst, np.repeat(self.slots[rows], counts) + plane, where[0], self.bursts, where[1]
        )
        self.slots[rows] += counts

    def put(self, rows: Ints, stream: Ints, planes: Ints | int) -> None:
        """The bursts' result leaves on ``planes`` consecutive streams."""
        counts = np.broadcast_to(planes, rows.shape)
        burst, plane = np.repeat(rows, counts), ranges(counts)
        cycle = np.repeat(self.cycle[rows] + self.latency(rows), counts)
        where = self._diagonal(np.repeat(stream, counts) + plane, cycle, self.position[burst])
        self._puts.add(burst, plane, where[0], self.bursts, where[1])

    def hand(self, rows: Ints, wire: Ints, cycle: Ints) -> None:
        """The bursts' whole result is on a private wire in that cycle."""
        diagonal = (2 * self.machine.streams + wire) * SPAN + 64 + cycle
        part = np.full(len(rows), WHOLE)
        self._puts.add(rows, part, diagonal, self.bursts, np.zeros(len(rows), np.int64))

    def take(self, rows: Ints, wire: Ints, cycle: Ints) -> None:
        """The bursts read a private wire in that cycle: one slot."""
        diagonal = (2 * self.machine.streams + wire) * SPAN + 64 + cycle
        place = np.zeros(len(rows), np.int64)
        self._reads.add(rows, self.slots[rows], diagonal, self.bursts, place)
        self.slots[rows] += 1

    def plane(self, rows: Ints) -> Ints:
        """Matrix plane of bursts on MXM queues."""
        return (self.bursts["queue"][rows].astype(np.int64) - self.machine.mxm_queue) // 3

    def array_wire(self, rows: Ints) -> Ints:
        """Private wire of a matrix plane; ALUs come first."""
        return self.machine["vxm.alus"] + self.plane(rows)


def ranges(counts: Ints) -> Ints:
    """``0..n-1`` for each n, concatenated."""
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)


def distinct(values: Ints) -> Ints:
    """Values in ascending order, each once; ``np.unique`` would import masked arrays first."""
    ordered = np.sort(values, axis=None)
    new = np.ones(len(ordered), np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new]


def _read(e: Effects, rows: Ints) -> None:
    e.size[rows] = 1
    e.put(rows, e.arg(rows, "stream"), 1)


def _write(e: Effects, rows: Ints) -> None:
    e.read(rows, e.arg(rows, "stream"), 1)


def _gather(e: Effects, rows: Ints) -> None:
    e.read(rows, e.arg(rows, "indices"), 2)
    e.size[rows] = 1
    e.put(rows, e.arg(rows, "stream"), 1)


def _scatter(e: Effects, rows: Ints) -> None:
    e.read(rows, e.arg(rows, "indices"), 2)
    e.read(rows, e.arg(rows, "stream"), 1)


def _lw(e: Effects, rows: Ints) -> None:
    planes = PLANES[e.arg(rows, "dtype")] * e.arg(rows, "groups")
    e.read(rows, e.arg(rows, "stream"), planes)


def _iw(e: Effects, rows: Ints) -> None:
    del e, rows


def _abc(e: Effects, rows: Ints) -> None:
    e.read(rows, e.arg(rows, "stream"), PLANES[e.arg(rows, "dtype")])
    e.hand(rows, e.array_wire(rows), e.cycle[rows] + e.machine["mxm.array_latency"])


def _acc(e: Effects, rows: Ints) -> None:
    e.take(rows, e.array_wire(rows), e.cycle[rows])
    emits = rows[e.arg(rows, "emit") != 0]
    e.size[emits] = 4
    if len(emits):
        e.put(emits, e.arg(emits, "stream"), 4)


def _vxm(e: Effects, rows: Ints) -> None:
    cls = BY_OPCODE[int(e.bursts["opcode"][rows[0]])]
    dtype = e.arg(rows, "dtype")
    for number in range(cls.arity):
        code = e.arg(rows, "abc"[number])
        kind, index, delay = code & 3, code >> 2 & 63, code >> 8 & 63
        planes = np.ones_like(dtype) if number == 2 else PLANES[dtype]
        from_stream, from_alu = kind == SourceKind.STREAM, kind == SourceKind.ALU
        if from_stream.any():
            s = from_stream
            e.read(rows[s], index[s], planes[s], delay[s])
        if from_alu.any():
            s = from_alu
            e.take(rows[s], index[s], e.cycle[rows[s]] - delay[s])
    result = dtype
    if cls.mnemonic == "cvt":
        result = e.arg(rows, "to")
    elif cls.mnemonic in ("eq", "lt", "le"):
        result = np.full_like(dtype, DType.I8)
    e.size[rows] = PLANES[result]
    alu = e.bursts["queue"][rows].astype(np.int64) - e.machine.vxm_queue
    e.hand(rows, alu, e.cycle[rows] + e.latency(rows))
    for name, base in (("east", 0), ("west", e.machine.streams)):
        stream = e.arg(rows, name)
        some = stream > 0
        if some.any():
            e.put(rows[some], base + stream[some] - 1, PLANES[result[some]])


def _move(e: Effects, rows: Ints) -> None:
    e.read(rows, e.arg(rows, "src"), 1)
    e.size[rows] = 1
    e.put(rows, e.arg(rows, "dst"), 1)


def _permute(e: Effects, rows: Ints) -> None:
    e.read(rows, e.arg(rows, "map"), 2)
    _move(e, rows)


def _transpose(e: Effects, rows: Ints) -> None:
    width = e.machine["lanes.per_superlane"]
    e.read(rows, e.arg(rows, "src"), width)
    e.size[rows] = width
    e.put(rows, e.arg(rows, "dst"), width)


EFFECTS: Final[dict[str, Callable[[Effects, Ints], None]]] = {
    "read": _read,
    "write": _write,
    "gather": _gather,
    "scatter": _scatter,
    "lw": _lw,
    "iw": _iw,
    "abc": _abc,
    "acc": _acc,
    "shift": _move,
    "rotate": _move,
    "distribute": _move,
    "permute": _permute,
    "transpose": _transpose,
    **{name: _vxm for name, cls in REGISTRY.items() if cls.unit == "VXM"},
}
_missing = {n for n, cls in REGISTRY.items() if cls.unit not in ("ICU", "C2C")} - EFFECTS.keys()
if _missing:
    raise TypeError(f"no effects known of: {', '.join(sorted(_missing))}")
