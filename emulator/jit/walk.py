"""Running a table: one native call a thread, in which Python is not involved."""

from __future__ import annotations

import ctypes
import threading
from typing import Final

import numpy as np

from emulator.jit.effects import Ints
from emulator.jit.library import Library
from emulator.jit.storage import aligned_buffer
from emulator.lowering.driver import BARRIER, Driver

WORD: Final = ctypes.c_int64
CALL: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, WORD, WORD, WORD, ctypes.c_void_p)
YIELD: Final = 16
"""Word of a barrier that holds the address of ``sched_yield``."""


class Walker:
    """Walks tables on a number of threads; the calling thread is one of them."""

    def __init__(self, library: Library, threads: int) -> None:
        host = library.host
        self.threads = threads
        self._library = library  # keeps the code
        driver = Driver(host.spin_hint, control=host.arch == "x86_64")
        self._call = CALL(library.address(driver))
        self._barrier = aligned_buffer(8 * BARRIER)
        rest = ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p)
        self._barrier.view(np.int64)[YIELD] = rest.value or 0

    def walk(self, entries: Ints) -> None:
        """Run all entries, in order; returns when every thread is done."""
        if not len(entries):
            return
        barrier = self._barrier.ctypes.data
        others = [
            threading.Thread(target=self._call, args=(*_table(entries), t, self.threads, barrier))
            for t in range(1, self.threads)
        ]
        for thread in others:
            thread.start()
        self._call(*_table(entries), 0, self.threads, barrier)
        for thread in others:
            thread.join()


def _table(entries: Ints) -> tuple[int, int]:
    """Where a table is and how long."""
    return entries.ctypes.data, len(entries)
