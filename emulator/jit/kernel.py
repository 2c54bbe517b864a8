"""``Kernel``: a program as native code."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emulator.image import CHUNK, Image, constant_words, image_shape, read_outputs, write_inputs
from emulator.jit.cache import ObjectCache, default_directory
from emulator.jit.effects import Ints, distinct
from emulator.jit.guarded import guarded, sheltered
from emulator.jit.host import this_host
from emulator.jit.library import Library, Shape
from emulator.jit.prepared import Prepared
from emulator.jit.regions import Region, placed
from emulator.jit.storage import return_memory, zeroed_arena
from emulator.jit.walk import Walker
from emulator.trace import Trace
from isa.errors import UsageError
from isa.program import Program, data_digest

Array = npt.NDArray[Any]
NO_THREADS: Final = 610
MOST_THREADS: Final = 256
WORTH: Final = 4096
"""Bursts from which on what was prepared for a program is kept."""
MOST_KEPT: Final = 16


class Kernel:
    """A verified program, compiled for this host. One run at a time; what it computes does not depend on ``threads``.

    Args:
        program: a program the verifier accepts.
        threads: native threads of a run.
        cache_dir: where compiled kernels are kept; None for the user's cache directory.
        plain: an entry a burst, nothing fused, no short cuts; the same bits.

    Attributes:
        shapes: the kernel of each entry of a run, in order; empty where they come from the cache.

    Raises ``UsageError`` TSP610 for an impossible number of threads, ``InternalError`` TSP97x for a program that no verifier
    has accepted.
    """

    def __init__(
        self,
        program: Program,
        threads: int = 1,
        cache_dir: str | Path | None = None,
        plain: bool = False,
    ) -> None:
        self.program, self.threads = program, threads
        if not 1 <= threads <= MOST_THREADS:
            raise UsageError(NO_THREADS, f"{threads} threads: from 1 to {MOST_THREADS} can run")
        host = this_host()
        directory = default_directory() if cache_dir is None else Path(cache_dir)
        self._library = Library(host, host.target(program.machine), ObjectCache(directory))
        self.shapes: list[Shape] = []
        self._complete = False
        self._walker = Walker(self._library, threads)
        self._prepared = self._kept(plain)
        self._trace = Trace.of(program, self._prepared.cycles)
        self._allocate()

    @property
    def final_memory(self) -> Image:
        """The chip's memory ``[2 * slices, words, lanes]`` after the last run: a view, overwritten by the next."""
        if not self._complete:
            copied = np.zeros(self._words.shape[0], np.bool_)
            copied[self._prepared.copied[:, 0]] = True
            constants = constant_words(self.program)
            self._copy(constants[~copied[constants[:, 0]]])
            self._complete = True
        return self._words.reshape(image_shape(self.program.machine))

    def run(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], Trace]:
        """Outputs by name, and the trace. Raises ``InputError`` TSP60x as ``emulator.image.write_inputs`` does."""
        memory = self._words.reshape(image_shape(self.program.machine))
        write_inputs(self.program, inputs, memory)
        self._copy(self._prepared.restored)
        self._walker.walk(self._entries)
        return read_outputs(self.program, memory), self._trace

    def _kept(self, plain: bool) -> Prepared:
        """What was prepared for such a program before, or is now."""
        store, program, library = self._library.cache, self.program, self._library
        keep = store is not None and len(program.bursts) >= WORTH
        key = f"{identity(program)}\0{library.stamp}\0{code()}\0{plain}" if keep else ""
        found = store.get(key, "plan") if store is not None and keep else None
        if found is not None:
            prepared = Prepared.from_bytes(found)
            with suppress(KeyError):  # a kernel went missing
                library.addresses(prepared.kernels)
                return prepared
        from emulator.jit.prepare import prepare  # of no use where all is kept

        prepared, self.shapes = prepare(program, library, plain)
        if keep:
            return_memory()
        if store is not None and keep:
            store.put(key, prepared.to_bytes(), "plan", MOST_KEPT)
        return prepared

    def _allocate(self) -> None:
        """Memory for all regions, constants in place, constant weights packed."""
        prepared, machine = self._prepared, self.program.machine
        results, sums, panels = prepared.sizes
        self._words = zeroed_arena(math.prod(image_shape(machine)), huge=False)
        self._words = self._words.reshape(-1, machine.lanes)
        memory = {
            Region.CHIP: self._words,
            Region.CONSTANTS: sheltered(self.program.data),
            Region.RESULTS: zeroed_arena(results),
            Region.SUMS: zeroed_arena(sums),
            Region.PANELS: zeroed_arena(panels),
        }
        starts = {region: held.ctypes.data for region, held in memory.items()}
        tables = guarded(prepared.tables.nbytes).view(np.int64).reshape(prepared.tables.shape)
        starts[Region.TABLES] = tables.ctypes.data
        tables[:] = placed(prepared.tables, starts)
        self._copy(prepared.copied)
        first, words = placed(prepared.once_words, starts), placed(prepared.words, starts)
        self._walker.walk(self._bound(prepared.once, first))
        self._entries = self._bound(prepared.entries, words)
        self._held = (memory, tables, words)

    def _bound(self, entries: Ints, words: Ints) -> Ints:
        """Entries as the driver walks them, once their kernels are compiled."""
        out, kernels = entries.copy(), self._prepared.kernels
        used = distinct(entries[:, 0])
        addresses = self._library.addresses(kernels[number] for number in used.tolist())
        out[:, 0] = np.array(addresses, np.int64)[np.searchsorted(used, entries[:, 0])]
        out[:, 1] = words.ctypes.data + 8 * entries[:, 1]
        return out

    def _copy(self, constants: Ints) -> None:
        """Put constants into the chip's memory: ``[n, 2]``, word and row of the program's data."""
        for first in range(0, len(constants), CHUNK):
            place, row = constants[first : first + CHUNK].T
            self._words[place] = self.program.data[row]


def identity(program: Program) -> str:
    """The SHA-256 of all that decides what a program does."""
    found = hashlib.sha256(program.machine.abi_hash.encode())
    for part in (program.bursts, program.segments):
        found.update(np.ascontiguousarray(part).view(np.uint8).data)
    found.update(repr((program.inputs, program.outputs)).encode())
    return found.hexdigest() + data_digest(program)


@cache
def code() -> str:
    """The SHA-256 of this package's own source: what another version prepared is not used."""
    root, found = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted([*root.rglob("*.py"), *(root.parent / "isa").rglob("*.py")]):
        found.update(path.read_bytes())
    return found.hexdigest()
