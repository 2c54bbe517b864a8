"""What one core of this host can multiply and add in a second."""

from __future__ import annotations

import ctypes
import time

import numpy as np

from emulator.jit.host import this_host
from emulator.jit.library import Library
from emulator.lowering.peak import Peak
from isa.machine import load_chip

TURNS = 200_000


def measured_peak(calls: int = 5) -> float:
    """Float32 multiplications and additions a second on one thread: the best of ``calls`` calls of a few milliseconds."""
    host, shape = this_host(), Peak()
    target = host.target(load_chip())
    library = Library(host, target, None)
    signature = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    call = signature(library.address(shape))
    descriptor = np.zeros(1024, np.int64)
    descriptor[0] = TURNS
    best = float("inf")
    for _ in range(calls + 1):
        start = time.perf_counter()
        call(descriptor.ctypes.data, 0, 1)
        best = min(best, time.perf_counter() - start)
    return shape.flops(target, TURNS) / best
