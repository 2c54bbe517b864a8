"""``Program``: what the compiler or the assembler hands to the binary, the verifier and the emulator.

The unit is the strided burst: an instruction dispatched ``count`` times, ``interval`` cycles apart, its strided operand
advancing by ``stride`` each time. Bursts of one queue may interleave (a repeat occupies only the cycles in which it fires
[assumed]); no two dispatches of one queue fall in the same cycle, but for one read and one write of a MEM queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

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


@dataclass(frozen=True)
class Program:
    """A program for one chip. ``bursts`` is sorted by (queue, cycle, opcode)."""

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

    def instruction(self, index: int) -> Instruction:
        """Burst ``index``'s instruction as an object."""
        return decode_args(int(self.bursts["opcode"][index]), self.bursts["args"][index])

    @property
    def instructions(self) -> int:
        """Dispatched instructions, repeats included."""
        return int(self.bursts["count"].sum())


def decode_args(opcode: int, args: Sequence[int] | Array) -> Instruction:
    """The instruction object of an opcode and its operand values."""
    cls = BY_OPCODE[opcode]
    return cls(**{o.name: int(v) for o, v in zip(cls.operands, args, strict=False)})


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
        args = instr.args()
        padded = args + (0,) * (MAX_OPERANDS - len(args))
        self.rows.append((queue, instr.opcode, node, cycle, count, interval, stride, padded))

    def array(self) -> npt.NDArray[np.void]:
        """All bursts, sorted by (queue, cycle, opcode)."""
        return sort_bursts(np.array(self.rows, BURST))


def sort_bursts(bursts: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Bursts in canonical order: by queue, then cycle, then opcode."""
    return bursts[np.lexsort((bursts["opcode"], bursts["cycle"], bursts["queue"]))]


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
    "Piece",
    "PortTensor",
    "Program",
    "decode_args",
    "isa",
    "pack_constants",
]
