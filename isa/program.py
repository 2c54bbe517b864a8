"""``Program``: what the compiler or the assembler hands to the binary, the verifier and the emulator.

The unit is the strided burst: an instruction dispatched ``count`` times, ``interval`` cycles apart, its strided operand
advancing by ``stride`` each time. Bursts of one queue may interleave (a repeat occupies only the cycles in which it fires
[assumed]); no two dispatches of one queue fall in the same cycle, but for one read and one write of a MEM queue.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

import isa.ops
from isa.instruction import BY_OPCODE, MAX_OPERANDS, DType, Instruction
from isa.machine import Machine

BURST: Final = np.dtype(
    [
        ("queue", "<u2"),
        ("opcode", "<u2"),
        ("node", "<u4"),
        ("cycle", "<i8"),
        ("count", "<i8"),
        ("interval", "<i8"),
        ("stride", "<i8"),
        ("args", "<i8", (MAX_OPERANDS,)),
    ]
)
"""One burst. ``args`` holds operand values in declaration order (unused ones 0); ``node`` indexes ``Program.nodes``."""

SEGMENT: Final = np.dtype(
    [("slice", "<u4"), ("address", "<u4"), ("count", "<u4"), ("first", "<u4")]
)
"""``count`` constant words from ``address`` of MEM ``slice`` (a MEM queue number), at row ``first`` of ``Program.data``."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a rectangle of a tensor lies. The tensor is viewed, in C order, as a matrix ``[-1, view_columns]``.

    Byte plane ``plane`` of the elements ``[row .. row+rows) x [column .. column+columns)`` lies in ``rows`` consecutive words
    from ``address`` of MEM ``slice`` (a MEM queue number), in lanes ``lane .. lane+columns``. With ``splat``, ``columns`` is 1 and
    the byte fills all lanes. Lanes of an input word that no element covers are zero.
    """

    slice: int
    address: int
    plane: int
    view_columns: int
    row: int
    rows: int
    column: int
    columns: int
    lane: int = 0
    splat: bool = False


@dataclass(frozen=True, slots=True)
class PortTensor:
    """A named input or output: shape and type as the user sees them, and where its elements lie on the chip.

    ``abi_dtype`` is a numpy type name (``int64``, ``float32``, ``bool``); ``dtype`` the type on the chip (int64 is carried as
    int32, bool as int8). ``minimum``/``maximum`` bound an integer input's values (both 0: no bound beyond the type).
    """

    name: str
    shape: tuple[int, ...]
    abi_dtype: str
    dtype: DType
    pieces: tuple[Piece, ...]
    minimum: int = 0
    maximum: int = 0


_WIDTHS: Final = (8, 16, 32, 64)
ABI_DTYPES: Final = frozenset(
    {"bool", "bfloat16", "float16", "float32", "float64"}
    | {f"{sign}int{width}" for sign in ("", "u") for width in _WIDTHS}
)
"""Element types that an input or output may have for the user."""


def _piece_problem(piece: Piece, elements: int, planes: int, machine: Machine) -> str:
    """What is wrong with one piece of a tensor of ``elements`` elements, or nothing."""
    p = piece
    numbers = (p.slice, p.address, p.plane, p.row, p.column, p.lane, p.view_columns - 1)
    if min(*numbers, p.rows, p.columns) < 0 or p.plane >= planes:
        return f"a negative number, or byte plane {p.plane} of {planes}"
    if p.slice >= 2 * machine.slices or p.address + p.rows > machine.words:
        size = f"{2 * machine.slices} slices of {machine.words} words"
        last = p.address + p.rows - 1
        return f"words {p.address} .. {last} of slice {p.slice}; the chip has {size}"
    if (p.lane if p.splat else p.lane + p.columns) > machine.lanes or (p.splat and p.columns != 1):
        return f"lanes {p.lane} .. {p.lane + p.columns - 1} of {machine.lanes}"
    if elements % p.view_columns or p.column + p.columns > p.view_columns:
        view = f"a view of {p.view_columns} columns of {elements} elements"
        return f"columns {p.column} .. {p.column + p.columns - 1} of {view}"
    if p.row + p.rows > elements // p.view_columns:
        return f"rows {p.row} .. {p.row + p.rows - 1} of {elements // p.view_columns}"
    return ""


def tensor_problem(tensor: PortTensor, machine: Machine) -> str:
    """Why the tensor cannot lie on ``machine`` as it says, or the empty text."""
    if tensor.abi_dtype not in ABI_DTYPES:
        return f"type {tensor.abi_dtype[:80]!r} is none of {', '.join(sorted(ABI_DTYPES))}"
    if tensor.minimum > tensor.maximum:
        return f"values {tensor.minimum} .. {tensor.maximum}: the least is above the greatest"
    if not tensor.dtype.is_float:
        info = np.iinfo(tensor.dtype.numpy)
        if tensor.minimum > info.max or tensor.maximum < info.min:
            return f"values {tensor.minimum} .. {tensor.maximum}: none of them is an {info.dtype}"
    elements = math.prod(tensor.shape)
    if min(tensor.shape, default=0) < 0 or elements >= 1 << 40:
        return f"shape {list(tensor.shape)}"
    for i, piece in enumerate(tensor.pieces):
        problem = _piece_problem(piece, elements, tensor.dtype.planes, machine)
        if problem:
            return f"piece {i}: {problem}"
    return ""


class Line(NamedTuple):
    """A line of an assembly text; ``file`` is as the text was called, and may be empty. Numbers count from 1.

    ``trace`` says through which macro calls and included files it was reached, innermost first.
    """

    file: str
    number: int
    text: str
    trace: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """A program for one chip. ``bursts`` is sorted by (queue, cycle, opcode).

    ``lines`` holds, for a program that was assembled in this process, the line that each burst comes from. It is for messages
    alone: no part of the meaning, of equality or of a file.
    """

    machine: Machine
    bursts: npt.NDArray[np.void]
    segments: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(0, SEGMENT))
    data: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    inputs: tuple[PortTensor, ...] = ()
    outputs: tuple[PortTensor, ...] = ()
    nodes: tuple[str, ...] = ("",)
    meta: tuple[
        tuple[str, str], ...
    ] = ()  # free text: model name, options; not part of the meaning
    lines: tuple[Line, ...] = field(default=(), repr=False, compare=False)
    data_digest: str = field(default="", init=False, compare=False, repr=False)
    """The SHA-256 (hex) of ``data`` where it is settled, and cannot be changed; else empty."""

    def instruction(self, index: int) -> Instruction:
        """Burst ``index``'s instruction as an object."""
        return decode_args(int(self.bursts["opcode"][index]), self.bursts["args"][index])

    @property
    def instructions(self) -> int:
        """Dispatched instructions, repeats included."""
        return int(self.bursts["count"].sum())


def data_digest(program: Program) -> str:
    """The SHA-256 (hex) of a program's constants; known already where they are settled."""
    if program.data_digest:
        return program.data_digest
    return hashlib.sha256(np.ascontiguousarray(program.data).reshape(-1).data).hexdigest()


def settle(program: Program, digest: str = "") -> Program:
    """The same program, its constants no longer to be changed, and their SHA-256 (``digest``, if it is known) kept."""
    program.data.flags.writeable = False
    object.__setattr__(program, "data_digest", digest or data_digest(program))
    return program


def decode_args(opcode: int, args: Sequence[int] | Array) -> Instruction:
    """The instruction object of an opcode and its operand values."""
    cls = BY_OPCODE[opcode]
    return cls(**{o.name: int(v) for o, v in zip(cls.operands, args, strict=False)})


_PADDING: Final = [(0,) * (MAX_OPERANDS - n) for n in range(MAX_OPERANDS + 1)]


@dataclass
class BurstList:
    """Collects bursts; ``array()`` gives them as a sorted ``BURST`` array."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def add(
        self,
        queue: int,
        cycle: int,
        instr: Instruction,
        count: int = 1,
        interval: int = 1,
        stride: int = 0,
        node: int = 0,
    ) -> None:
        """Append one burst."""
        self.put(queue, cycle, instr.opcode, instr.args(), count, interval, stride, node)

    def put(self, queue: int, cycle: int, opcode: int, args: tuple[int, ...], count: int,
            interval: int, stride: int, node: int) -> None:  # fmt: skip
        """The same for an instruction given as opcode and operand values."""
        padded = args + _PADDING[len(args)]
        self.rows.append((queue, opcode, node, cycle, count, interval, stride, padded))

    def array(self) -> npt.NDArray[np.void]:
        """All bursts, sorted by (queue, cycle, opcode)."""
        return sort_bursts(np.array(self.rows, BURST))


def sort_bursts(bursts: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Bursts in canonical order: by queue, then cycle, then opcode."""
    return bursts[burst_order(bursts)]


def burst_order(bursts: npt.NDArray[np.void]) -> npt.NDArray[np.intp]:
    """The indices that bring bursts in canonical order; equal ones stay as they are."""
    return np.lexsort((bursts["opcode"], bursts["cycle"], bursts["queue"]))


def pack_constants(
    words: Iterable[tuple[int, int, npt.NDArray[np.uint8]]], lanes: int
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint8]]:
    """Segments and data from ``(slice, address, [count, lanes] uint8)`` triples, sorted by place."""
    ordered = sorted(words, key=lambda w: (w[0], w[1]))
    counts = [len(w[2]) for w in ordered]
    firsts = np.concatenate([[0], np.cumsum(counts)]).astype(int)
    rows = [(w[0], w[1], n, f) for w, n, f in zip(ordered, counts, firsts, strict=False)]
    data = np.concatenate([w[2] for w in ordered]) if ordered else np.zeros((0, lanes), np.uint8)
    return np.array(rows, SEGMENT), np.ascontiguousarray(data, np.uint8)


__all__ = [
    "BURST",
    "SEGMENT",
    "BurstList",
    "Line",
    "Piece",
    "PortTensor",
    "Program",
    "burst_order",
    "data_digest",
    "decode_args",
    "isa",
    "pack_constants",
    "settle",
]
