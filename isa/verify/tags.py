"""Which byte of which type a value on a stream or in a word is, as a small number; and what may be read as what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from isa.instruction import DType
from isa.verify import words
from isa.verify.context import Bools, Ints

NOTHING: Final = -1
"""Of what is not known yet."""
BYTES: Final = 0
"""Of a value whose type nothing says: it may be read as any."""
PLANES: Final = 4
"""No type has more byte planes."""
TYPED: Final = range(1, 1 + len(DType) * PLANES)


def of(dtype: Ints, plane: Ints) -> Ints:
    """The tags of byte planes of types; ``BYTES`` where ``dtype`` is negative."""
    return np.where(dtype < 0, BYTES, 1 + dtype * PLANES + plane)


def tag(dtype: DType, plane: int) -> int:
    """The tag of one byte plane of a type."""
    return 1 + dtype * PLANES + plane


def parts(tag: int) -> tuple[DType, int]:
    """Type and byte plane of a tag other than ``BYTES``."""
    dtype, plane = divmod(tag - 1, PLANES)
    return DType(dtype), plane


def _modulo(made: int, read: int) -> bool:
    """Whether a byte is read in its place: of its own type, or of an integer from a wider integer, which drops the upper ones."""
    (of, at), (as_, place) = parts(made), parts(read)
    narrower = not of.is_float and not as_.is_float and as_.planes <= of.planes
    return at == place and (of == as_ or narrower)


def _assembled(made: int, read: int) -> bool:
    """Also, whether a byte is the lowest of an integer, which is an int8, and so any byte that one wants."""
    dtype, plane = parts(made)
    return _modulo(made, read) or (plane == 0 and not dtype.is_float)


def _table(fits: Callable[[int, int], bool]) -> Bools:
    every = (BYTES, *TYPED)
    return np.array([[BYTES in (m, r) or fits(m, r) for r in every] for m in every])


DIRECT: Final = _table(_modulo)
"""``DIRECT[made, read]``: whether a value may be read so, straight from where it is made."""
MOVED: Final = _table(_assembled)
"""The same of a byte from memory or the exchange unit."""


def byte(dtype: DType, plane: int) -> str:
    """``i8``, ``byte 1 of f32``."""
    name = words.type_name(dtype)
    return name if dtype.planes == 1 else f"byte {plane} of {name}"


def remedy(wanted: DType, made: DType) -> str:
    """What to do about a value that is read as ``wanted``."""
    name = words.type_name(wanted)
    if wanted == made:
        return f"read its bytes in their order, or pass it through a `mov {name}` if it is meant so"
    return f"make it {name} with a cvt, or pass it through a `mov {name}` if its bits are meant"
