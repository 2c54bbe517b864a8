"""Memory for native code between two pages that nobody may touch: an access before or behind it ends the process."""

from __future__ import annotations

import ctypes
import mmap
from contextlib import suppress
from typing import Final

import numpy as np
import numpy.typing as npt

from emulator.jit.regions import ALIGN

PAGE: Final = mmap.PAGESIZE
NOBODY: Final = 0
"""``PROT_NONE``."""

SMALL: Final = 1 << 20
"""Bytes up to which constants are copied to be guarded; more are used where they lie."""

at_front = False
"""Whether buffers start behind the lower page rather than end before the upper one: which of the two ends is exact."""


def guarded(size: int, huge: bool = False) -> npt.NDArray[np.uint8]:
    """``size`` zeroed bytes that start on a cache line, unmapped when the last array that shows them is gone.

    Up to ``ALIGN - 1`` bytes lie between their end and the page behind; to the page before it is less than ``PAGE``. With
    ``huge`` they are huge pages where the system has them, which takes a tenth of the faults. They belong to this process alone:
    Linux gives shared memory no huge pages.
    """
    body = max(1, -(-size // PAGE)) * PAGE
    pages = mmap.mmap(-1, body + 2 * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if huge and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            pages.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(pages, np.uint8)
    for page in (0, PAGE + body):
        ctypes.CDLL(None).mprotect(
            ctypes.c_void_p(whole.ctypes.data + page), ctypes.c_size_t(PAGE), NOBODY
        )
    start = PAGE if at_front else PAGE + (body - size) // ALIGN * ALIGN
    return whole[start : start + size]


def sheltered(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """``data`` C-contiguous, in guarded memory if it is ``SMALL``."""
    if data.nbytes > SMALL:
        return np.ascontiguousarray(data)
    held = guarded(data.nbytes).reshape(data.shape)
    held[...] = data
    return held
