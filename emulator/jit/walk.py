"""Running a table: one native call a thread, in which Python is not involved."""

from __future__ import annotations

import ctypes
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Final

import numpy as np

from emulator.jit.effects import Ints
from emulator.jit.library import Library
from emulator.lowering.driver import STATE, Driver

WORD: Final = ctypes.c_int64
POINTER: Final = ctypes.c_void_p
CALL: Final = ctypes.CFUNCTYPE(None, POINTER, WORD, WORD, POINTER, POINTER)


def this_core() -> int:
    """The core that runs the calling thread, as Linux numbers them."""
    return int(ctypes.CDLL(None).sched_getcpu())


class Walker:
    """Walks tables on a number of threads; the calling thread is one of them."""

    def __init__(self, library: Library, threads: int) -> None:
        host = library.host
        self.threads = threads
        self._library = library  # keeps the code
        driver = Driver(host.spin_hint, control=host.arch == "x86_64")
        self._call = CALL(library.address(driver))
        rest = ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p)
        self._rest = rest.value or 0
        self._pool: ThreadPoolExecutor | None = None
        self._owner = 0
        self._ids: list[int] = []

    def walk(self, entries: Ints) -> None:
        """Run all entries, in order; returns when every thread is done."""
        state = np.zeros((len(entries), STATE), np.int64)
        table = entries.ctypes.data, len(entries), self.threads, state.ctypes.data, self._rest
        if self.threads > 1:
            pool = self._helpers()
            self._keep_apart()
        others = [pool.submit(self._call, *table) for _ in range(1, self.threads)]
        self._call(*table)
        wait(others)

    def _helpers(self) -> ThreadPoolExecutor:
        """The other threads: kept from walk to walk, but not beyond a fork, which leaves them behind."""
        if self._pool is None or self._owner != os.getpid():
            self._ids = []
            self._pool, self._owner = (
                ThreadPoolExecutor(self.threads - 1, "tspc-run", self._begin),
                os.getpid(),
            )
        return self._pool

    def _begin(self) -> None:
        """A helper that starts tells who it is."""
        self._ids.append(threading.get_native_id())

    def _keep_apart(self) -> None:
        """Let the system wake helpers on any core but the caller's: one woken there waits until the caller's time slice ends.

        Where the system knows no such request, or refuses it, helpers run wherever they are put; the bits are the same.
        """
        if not hasattr(os, "sched_setaffinity"):
            return
        with suppress(OSError, AttributeError):
            cores = os.sched_getaffinity(0) - {this_core()}
            for helper in self._ids if cores else ():
                os.sched_setaffinity(helper, cores)
