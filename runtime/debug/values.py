"""Bytes as numbers of a type, a choice of lanes, and conditions on them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from isa.errors import UsageError
from isa.instruction import Bytes, DType

BAD_COMMAND: Final = 820
FEW: Final = 8
"""Lanes that are shown where none are chosen."""
TYPES: Final = {
    **{t.name.lower(): t for t in DType},
    "int8": DType.I8,
    "int16": DType.I16,
    "int32": DType.I32,
    "fp16": DType.F16,
    "fp32": DType.F32,
}
"""Types by name; besides them ``hex`` is bits, of as many bytes as a place has, ``hex16`` and ``hex32`` of two and four."""
COMPARISONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
CLASSES: Final[dict[str, Callable[[Any], Any]]] = {
    "nan": np.isnan,
    "inf": np.isinf,
    "finite": np.isfinite,
}
_RANGE: Final = re.compile(r"([0-9]{1,9})(?:\.\.([0-9]{1,9}))?")


@dataclass(frozen=True)
class Type:
    """How bytes are read: as a machine type, or as bits (``dtype`` None) of ``planes`` bytes."""

    dtype: DType | None
    planes: int

    @property
    def name(self) -> str:
        """``f32``, ``hex``."""
        return "hex" if self.dtype is None else self.dtype.name.lower()

    def numbers(self, data: Bytes) -> npt.NDArray[Any]:
        """``[n]`` numbers of ``[planes, n]`` bytes; bits are unsigned."""
        kind = np.dtype(f"<u{self.planes}") if self.dtype is None else self.dtype.numpy
        return np.ascontiguousarray(data.T).view(kind)[:, 0]

    def text(self, number: Any) -> str:
        """One number as it is written."""
        return f"{int(number):#0{2 + 2 * self.planes}x}" if self.dtype is None else str(number)

    def json(self, number: Any) -> int | float | None:
        """One number as data: None where it is not finite."""
        if self.dtype is None or not self.dtype.is_float:
            return int(number)
        return float(number) if np.isfinite(number) else None


@dataclass(frozen=True)
class Lanes:
    """A choice of lanes, or of a tensor's elements; None: all of them, or, to be shown, the first few."""

    chosen: tuple[int, ...] | None = None
    every: bool = False

    def of(self, count: int, *, shown: bool = False) -> list[int]:
        """The lanes out of ``count``. Raises UsageError TSP820 where one is not there."""
        if self.chosen is None:
            return list(range(min(count, FEW) if shown and not self.every else count))
        if max(self.chosen) >= count:
            raise UsageError(
                BAD_COMMAND, f"lane {max(self.chosen)} of {count}: the last is {count - 1}"
            )
        return list(self.chosen)


def parse_lanes(text: str) -> Lanes:
    """``3``, ``0..8`` (the end is not in it), ``0,4,8..12``, ``all``. Raises UsageError TSP820."""
    if text == "all":
        return Lanes(every=True)
    chosen: list[int] = []
    for part in text.split(","):
        found = _RANGE.fullmatch(part)
        first, end = (int(found[1]), int(found[2] or int(found[1]) + 1)) if found else (0, 0)
        if not first < end <= 1 << 24 or len(chosen) > 1 << 20:
            hint = "write lane 3, lanes 0..8 (0 to 7), lanes 0,4,8..12 or lanes all"
            raise UsageError(BAD_COMMAND, f"not a choice of lanes: {text!r}", hint=hint)
        chosen += range(first, end)
    return Lanes(tuple(chosen))


@dataclass(frozen=True)
class Predicate:
    """A condition on numbers: a comparison with ``number``, or a class of floats."""

    word: str
    number: str = ""

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.word} {self.number}" if self.number else self.word

    def check(self, kind: Type) -> None:
        """Raises UsageError TSP820 where the condition says nothing about the type."""
        if self.word in CLASSES and (kind.dtype is None or not kind.dtype.is_float):
            hint = "say as f32 or as f16"
            raise UsageError(BAD_COMMAND, f"{self.word} says nothing of {kind.name}", hint=hint)
        if self.number:
            self._value(kind)

    def holds(self, numbers: npt.NDArray[Any], kind: Type) -> npt.NDArray[np.bool_]:
        """``[n]``: for which numbers. NaN equals NaN; a number is rounded to the type first."""
        if self.word in CLASSES:
            return np.asarray(CLASSES[self.word](numbers), np.bool_)
        value = self._value(kind)
        if value != value:
            same = np.isnan(numbers)
            return np.asarray(~same if self.word == "!=" else same & (self.word == "=="), np.bool_)
        return np.asarray(COMPARISONS[self.word](numbers, value), np.bool_)

    def _value(self, kind: Type) -> Any:
        try:
            if kind.dtype is not None and kind.dtype.is_float:
                with np.errstate(over="ignore"):
                    return kind.dtype.numpy.type(float(self.number))
            return int(self.number, 0)
        except ValueError:
            message = f"{self.number!r} is no number of type {kind.name}"
            raise UsageError(BAD_COMMAND, message) from None
