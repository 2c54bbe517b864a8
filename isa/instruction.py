"""What an instruction declaration is: unit, operands with bit widths, timing keys, meaning in numpy.

An instruction is a frozen dataclass under ``isa/ops/`` registered by ``@instruction``. Each dataclass field is an operand
declared with one of the kinds below; all operands are integers once encoded. The encoder, decoder, assembler,
disassembler and manual walk ``REGISTRY`` and name no instruction.

Time: an instruction dispatched in cycle ``t`` samples its operands at its own position in cycle ``t`` (``d_skew`` = 0 for
every instruction of this machine [assumed]) and its result is readable at position ``i`` from cycle
``t + d_func + hops(own position, i)``; ``d_func`` is the chip-file field ``timing.<key>``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Final, NamedTuple, Protocol, dataclass_transform

import numpy as np
import numpy.typing as npt

from isa.machine import Machine

Bytes = npt.NDArray[np.uint8]
"""Byte planes of one vector: ``[planes, lanes]`` uint8, least significant byte first."""


class DType(IntEnum):
    """Element types of the vector and matrix units, by their encoding."""

    I8 = 0
    I16 = 1
    I32 = 2
    F16 = 3
    F32 = 4

    @property
    def planes(self) -> int:
        """Byte planes (streams) a vector of this type takes; its stream group is aligned to this."""
        return (1, 2, 4, 2, 4)[self]

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy type, little-endian."""
        return np.dtype(("<i1", "<i2", "<i4", "<f2", "<f4")[self])

    @property
    def is_float(self) -> bool:
        """Whether arithmetic on the type is IEEE 754."""
        return self >= DType.F16


class Kind(IntEnum):
    """What an operand is, which decides how it prints and what values it takes."""

    UINT = 0  # 0 .. 2**bits - 1
    INT = 1  # two's complement
    FLAG = 2  # 0 or 1
    STREAM = 3  # 0 .. 2*per_direction-1: E0.., then W0..
    STREAM_OR_NONE = 4  # 0 = none, else 1 + index within a fixed direction
    DTYPE = 5
    SOURCE = 6  # a VXM operand: see Source
    BITS32 = 7  # a raw 32-bit immediate


@dataclass(frozen=True, slots=True)
class Operand:
    """An operand's declaration. ``strided`` marks the one that a Repeat's stride advances."""

    name: str
    kind: Kind
    bits: int
    strided: bool = False
    direction: str = ""  # STREAM_OR_NONE: "E" or "W"

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value the bit field can hold."""
        if self.kind is Kind.INT:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1


class SourceKind(IntEnum):
    """Where a VXM operand comes from."""

    NONE = 0
    STREAM = 1  # index = stream
    ALU = 2  # index = ALU: what that ALU finished in this cycle
    IMMEDIATE = 3  # the instruction's 32-bit immediate


class Source(NamedTuple):
    """A VXM operand: the value seen ``delay`` cycles before dispatch on a stream at the VXM, or at an ALU's output.

    An ALU output is seen in the one cycle ``dispatch + timing.vxm_alu`` of the instruction that made it.
    """

    kind: SourceKind
    index: int = 0  # type: ignore[assignment]  # the manual's word; tuple.index is not used
    delay: int = 0

    def pack(self) -> int:
        """The 14-bit encoding: kind, index << 2, delay << 8."""
        return int(self.kind) | self.index << 2 | self.delay << 8

    @staticmethod
    def unpack(code: int) -> Source:
        """Inverse of ``pack``."""
        return Source(SourceKind(code & 3), code >> 2 & 63, code >> 8 & 63)


NO_SOURCE: Final = Source(SourceKind.NONE)


class Port(Protocol):
    """What an instruction sees of the machine in the cycle it samples its operands: its unit's own surroundings.

    ``stream``/``put`` are at the unit's own position. ``put`` and ``produce`` take effect ``d_func`` cycles after dispatch.
    """

    machine: Machine
    position: int
    memory: npt.NDArray[np.uint8]  # MEM: [words, lanes] of the slice
    plane: Any  # MXM: a PlaneState

    def stream(self, stream: int, planes: int, delay: int = 0) -> Bytes:
        """``planes`` consecutive streams from ``stream`` on, as they stood ``delay`` cycles ago."""

    def alu(self, index: int, planes: int, delay: int = 0) -> Bytes:
        """What ALU ``index`` finished ``delay`` cycles ago."""

    def put(self, stream: int, data: Bytes) -> None:
        """Drive ``data`` onto consecutive streams from ``stream`` on."""

    def produce(self, data: Bytes) -> None:
        """Make ``data`` this ALU's output."""

    def store(self, address: npt.NDArray[np.int64] | int, data: Bytes) -> None:
        """MEM: write ``data[0]`` at one address, or superlane by superlane at an array of addresses."""

    def activate(self, sent: Any) -> None:
        """MXM: let an activation into the array."""

    def products(self) -> Any:
        """MXM accumulate: the activation (lanes, window, weights) that entered the array ``mxm.array_latency`` ago."""


class Instruction:
    """Base of all instructions; ``operands`` is filled in by ``@instruction``."""

    mnemonic: ClassVar[str]
    opcode: ClassVar[int]
    unit: ClassVar[str]  # queue kind: MEM VXM MXM SXM C2C; "ICU" = any queue
    timing: ClassVar[str]  # d_func = chip field timing.<this>; "" = 0
    role: ClassVar[int] = -1  # MXM: 0 weights, 1 activations, 2 accumulate queue
    port: ClassVar[str] = ""  # MEM: "read" or "write"
    large: ClassVar[bool] = False  # VXM: needs a large ALU
    arity: ClassVar[int] = 0  # VXM: number of sources
    types: ClassVar[tuple[DType, ...]] = ()  # what ``dtype`` can be; none: it knows no type
    operands: ClassVar[tuple[Operand, ...]] = ()
    extension: ClassVar[str] = ""  # outside the published set: the chip field that has it, and why
    max_ulp: ClassVar[Mapping[DType, float]] = {}  # where not correctly rounded: largest error
    word_only: ClassVar[bool] = False  # shapes dispatches in a binary; never a burst of a Program

    def execute(self, port: Port) -> None:
        """The meaning, in numpy: THE definition every other implementation is held to."""
        raise NotImplementedError

    def args(self) -> tuple[int, ...]:
        """Operand values in declaration order, encoded as integers."""
        return tuple(int(getattr(self, o.name)) for o in self.operands)


REGISTRY: Final[dict[str, type[Instruction]]] = {}
BY_OPCODE: Final[dict[int, type[Instruction]]] = {}
MAX_OPERANDS: Final = 10
WORD_BITS: Final = 128
HEADER_BITS: Final = 24
"""Of every instruction word: opcode (8) and wait (16), the cycles since the previous dispatch in the queue."""


def operand(kind: Kind, bits: int, *, strided: bool = False, direction: str = "", **kw: Any) -> Any:
    """Declare a dataclass field as an operand."""
    meta: Mapping[str, Any] = {"operand": (kind, bits, strided, direction)}
    return dataclasses.field(metadata=meta, **kw)


@dataclass_transform(frozen_default=True, field_specifiers=(operand,))
def instruction(
    mnemonic: str, opcode: int, unit: str, timing: str = "", **facts: Any
) -> Callable[[type], type]:
    """Register a class as an instruction; a reused name or opcode, or too many bits, fails here by name."""

    def register(cls: type) -> type:
        cls = dataclass(frozen=True)(cls)
        declared = [(f.name, f.metadata["operand"]) for f in dataclasses.fields(cls)]
        cls.operands = tuple(Operand(n, k, b, s, d) for n, (k, b, s, d) in declared)  # type: ignore[attr-defined]
        for name, value in {
            "mnemonic": mnemonic,
            "opcode": opcode,
            "unit": unit,
            "timing": timing,
            **facts,
        }.items():
            setattr(cls, name, value)
        for key, table in ((mnemonic, REGISTRY), (opcode, BY_OPCODE)):
            if key in table:
                raise TypeError(f"{cls.__name__} and {table[key].__name__} both claim {key!r}")  # type: ignore[index]
        bits = HEADER_BITS + sum(o.bits for o in cls.operands)  # type: ignore[attr-defined]
        if bits > WORD_BITS or len(declared) > MAX_OPERANDS:
            raise TypeError(
                f"{cls.__name__} does not fit an instruction word: {bits} bits, {len(declared)} operands"
            )
        REGISTRY[mnemonic] = BY_OPCODE[opcode] = cls
        return cls

    return register
