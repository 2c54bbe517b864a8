"""What an operand field may hold on a given chip: the one place that says so, for binary and assembly, both ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from isa.instruction import DType, Kind, Operand, SourceKind
from isa.machine import Machine

Ints = npt.NDArray[np.int64]


def field_range(field: Operand, machine: Machine) -> tuple[int, int]:
    """Smallest and largest value of a field on ``machine``."""
    low, high = field.limits
    if field.kind in (Kind.UINT, Kind.INT, Kind.BITS32):
        return low, high
    known = {
        Kind.FLAG: 1,
        Kind.STREAM: 2 * machine.streams - 1,
        Kind.STREAM_OR_NONE: machine.streams,
        Kind.DTYPE: len(DType) - 1,
    }
    return low, min(high, known.get(field.kind, high))


def out_of_range(field: Operand, values: Ints, machine: Machine) -> npt.NDArray[np.bool_]:
    """Which ``values`` the field cannot hold, or hold without meaning (bits that no source kind uses)."""
    low, high = field_range(field, machine)
    bad: npt.NDArray[Any] = (values < low) | (values > high)
    if field.kind is Kind.SOURCE:
        kind, rest = values & 3, values >> 2
        index = rest & 63
        bad |= (kind == SourceKind.STREAM) & (index >= 2 * machine.streams)
        bad |= (kind == SourceKind.ALU) & (index >= machine["vxm.alus"])
        bad |= ((kind == SourceKind.NONE) | (kind == SourceKind.IMMEDIATE)) & (rest != 0)
    return bad


def complaint(field: Operand, value: int, machine: Machine) -> str:
    """Why ``value`` is refused, as a clause."""
    low, high = field_range(field, machine)
    if low <= value <= high:
        return f"{field.name} = {value:#x} is not the code of a source of {machine.name}"
    return f"{field.name} = {value} is outside {low} .. {high}"
