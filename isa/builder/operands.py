"""Operands as Python objects, one type a kind, and their encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from isa.assembly.expressions import Stream
from isa.assembly.syntax import immediate_bits
from isa.errors import InputError
from isa.fields import complaint, out_of_range
from isa.instruction import DType, Kind, Operand
from isa.machine import Hemisphere, Machine

WRONG: Final = 215


def refuse(message: str, hint: str = "") -> InputError:
    """The error of a call that makes no instruction: TSP215."""
    return InputError(WRONG, message, where="KernelBuilder", hint=hint)


def E(index: int) -> Stream:  # noqa: N802  # The stream's own name.
    """Eastward stream ``index``, the first of its group."""
    return Stream("E", index)


def W(index: int) -> Stream:  # noqa: N802
    """Westward stream ``index``, the first of its group."""
    return Stream("W", index)


@dataclass(frozen=True, slots=True)
class Slice:
    """A memory slice; index 0 is next to the VXM."""

    hemisphere: Hemisphere
    index: int

    @property
    def name(self) -> str:
        """The queue's name."""
        return f"MEM_{self.hemisphere}{self.index}"


@dataclass(frozen=True, slots=True)
class Alu:
    """An ALU of the VXM."""

    index: int

    @property
    def name(self) -> str:
        """The queue's name."""
        return f"VXM_{self.index}"


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane of an MXM; an fp16 pair goes by its even plane. Which of its queues is meant, the instruction knows."""

    hemisphere: Hemisphere
    index: int

    @property
    def name(self) -> str:
        """What its queues' names begin with."""
        return f"MXM_{self.hemisphere}{self.index}"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A queue of an SXM."""

    hemisphere: Hemisphere
    index: int

    @property
    def name(self) -> str:
        """The queue's name."""
        return f"SXM_{self.hemisphere}.{self.index}"


@dataclass(frozen=True, slots=True)
class Links:
    """A queue of a chip-to-chip unit."""

    hemisphere: Hemisphere
    index: int

    @property
    def name(self) -> str:
        """The queue's name."""
        return f"C2C_{self.hemisphere}.{self.index}"


AnyQueue = Slice | Alu | Plane | Exchange | Links
QUEUES: Final[dict[str, type[Any]]] = {
    "MEM": Slice,
    "VXM": Alu,
    "MXM": Plane,
    "SXM": Exchange,
    "C2C": Links,
}
"""The type of queue that each unit's instructions take."""
ROLES: Final = ("weights", "activations", "accumulate")
Place = Literal["VXM", "MXM_E", "MXM_W", "SXM_E", "SXM_W"] | Slice
"""A unit that values pass."""


@dataclass(frozen=True, slots=True)
class Reach:
    """A time: dispatch so that the result passes ``unit`` in ``cycle``."""

    unit: Place
    cycle: int


@dataclass(frozen=True, slots=True)
class Late:
    """A vector operand as it was ``cycles`` before the dispatch."""

    source: Stream | Alu
    cycles: int


Time = int | Reach | None
"""A cycle; what ``Reach`` says; or None: when all operands arrive."""


def position(machine: Machine, unit: Place) -> int:
    """A unit's position. Raises ``InputError`` TSP215 where the chip has no such unit."""
    name = {"VXM": "VXM_0", "MXM_E": "MXM_E0.weights", "MXM_W": "MXM_W0.weights"}
    name |= {"SXM_E": "SXM_E.0", "SXM_W": "SXM_W.0"}
    wanted = unit.name if isinstance(unit, Slice) else name.get(unit, unit)
    if wanted not in machine.queue_names:
        raise refuse(f"{machine.name} has no unit {unit}")
    return machine.queue_positions[machine.queue_names.index(wanted)]


def stream_code(machine: Machine, stream: Stream) -> int:
    """A stream's number. Raises ``InputError`` TSP215."""
    if not (stream.direction in "EW" and 0 <= stream.index < machine.streams):
        raise refuse(f"{machine.name} has no stream {stream}", f"E(0) .. W({machine.streams - 1})")
    return stream.index + (machine.streams if stream.direction == "W" else 0)


def plain(operand: Operand, value: object, machine: Machine) -> int:
    """The encoding of an operand that is no vector source. Raises ``InputError`` TSP215 for another type or range."""
    code: int | None = None
    match operand.kind, value:
        case Kind.DTYPE, DType():
            code = int(value)
        case Kind.STREAM, Stream():
            code = stream_code(machine, value)
        case Kind.STREAM_OR_NONE, None:
            code = 0
        case Kind.STREAM_OR_NONE, Stream():
            if value.direction != operand.direction:
                raise refuse(f"{operand.name} is {value}, which flows the other way")
            code = stream_code(machine, value) % machine.streams + 1
        case Kind.FLAG, bool():
            code = int(value)
        case ((Kind.UINT | Kind.INT | Kind.BITS32), (int() | np.integer())):
            code = int(value)
    if code is None or isinstance(value, bool) != (operand.kind is Kind.FLAG):
        raise refuse(f"{operand.name} is {value!r}, not {EXPECTED[operand.kind]}")
    if out_of_range(operand, np.array([code], np.int64), machine)[0]:
        raise refuse(complaint(operand, code, machine))
    return code


EXPECTED: Final = {
    Kind.UINT: "a number",
    Kind.INT: "a number",
    Kind.FLAG: "a bool",
    Kind.STREAM: "a stream: E(3)",
    Kind.STREAM_OR_NONE: "a stream or None",
    Kind.DTYPE: "a DType",
    Kind.SOURCE: "a stream, an earlier result, Late(...) or a number",
    Kind.BITS32: "a number",
}


def bits_of(value: int | float | np.integer[Any] | np.floating[Any], dtype: DType) -> int:
    """A number's bits as an immediate of a type. Raises ``InputError`` TSP215 where it does not fit."""
    try:
        return immediate_bits(repr(float(value)) if dtype.is_float else str(value), dtype)
    except ValueError as error:
        raise refuse(str(error)) from None
