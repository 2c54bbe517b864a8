"""The values of a `Graph`: element types, tensors, constants by reference."""

from __future__ import annotations

import hashlib
import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.errors import InternalError

Array = NDArray[Any]
Shape = tuple[int, ...]


class DType(Enum):
    """Element type of a tensor; the value is its name in the text form."""

    F32 = "f32"
    F16 = "f16"
    I32 = "i32"
    I16 = "i16"
    I8 = "i8"
    U8 = "u8"
    BOOL = "bool"
    I64 = "i64"
    F64 = "f64"

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype, little endian."""
        return _NUMPY[self]

    @property
    def is_float(self) -> bool:
        """True for f16, f32 and f64."""
        return self in (DType.F32, DType.F16, DType.F64)

    @property
    def on_machine(self) -> bool:
        """False for i64 and f64, which exist on the host alone."""
        return self not in (DType.I64, DType.F64)

    @staticmethod
    def of(dtype: np.dtype[Any]) -> DType:
        """The element type of a numpy dtype; `KeyError` if there is none."""
        return _OF_NUMPY[dtype.newbyteorder("=")]


_NUMPY: dict[DType, np.dtype[Any]] = {
    DType.F32: np.dtype("<f4"),
    DType.F16: np.dtype("<f2"),
    DType.I32: np.dtype("<i4"),
    DType.I16: np.dtype("<i2"),
    DType.I8: np.dtype("i1"),
    DType.U8: np.dtype("u1"),
    DType.BOOL: np.dtype("?"),
    DType.I64: np.dtype("<i8"),
    DType.F64: np.dtype("<f8"),
}
_OF_NUMPY = {value.newbyteorder("="): key for key, value in _NUMPY.items()}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named value with a static shape; `()` is a scalar."""

    name: str
    shape: Shape
    dtype: DType

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements, packed."""
        return self.size * self.dtype.numpy.itemsize


@dataclass(frozen=True, slots=True)
class Constant:
    """A tensor known at compile time, held by reference.

    `load` may read a file or compute; it is called by `value()` unless someone still holds what an earlier
    one gave, so that a large weight is in memory only while it is looked at, and once.
    """

    tensor: Tensor
    load: Callable[[], Array]
    _given: list[weakref.ref[Array]] = field(
        default_factory=list, init=False, compare=False, repr=False
    )

    @staticmethod
    def of(name: str, array: Array) -> Constant:
        """A constant whose elements are in memory."""
        held = np.ascontiguousarray(array).reshape(array.shape)
        held.setflags(write=False)
        return Constant(Tensor(name, held.shape, DType.of(held.dtype)), lambda: held)

    def value(self) -> Array:
        """The elements: C-contiguous, of the shape and dtype that `tensor` says, not to be written."""
        known = self._given[0]() if self._given else None
        if known is not None:
            return known
        array = np.ascontiguousarray(self.load()).reshape(self.tensor.shape)
        if array.dtype != self.tensor.dtype.numpy:
            raise InternalError(
                902,
                f"constant '{self.tensor.name}' is declared {self.tensor.dtype.value} "
                f"and holds {array.dtype}",
            )
        array.setflags(write=False)
        self._given[:] = [weakref.ref(array)]
        return array

    def renamed(self, name: str) -> Constant:
        """The same elements under another name."""
        return Constant(Tensor(name, self.tensor.shape, self.tensor.dtype), self.load)

    def digest(self) -> str:
        """SHA-256 of the elements' little-endian bytes, as 64 hex digits."""
        return hashlib.sha256(self.value().tobytes()).hexdigest()
