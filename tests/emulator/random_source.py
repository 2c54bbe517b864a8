"""Where random programs get operands from and leave results: constants, streams, stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from isa.instruction import DType
from isa.ops import mem
from tests.emulator.random_board import NEVER, Board
from tests.emulator.random_values import random_values

POOL = 20
"""Words at the start of each bank, and across its end, that are constants in most slices."""


class Maker:
    """A board, a source of randomness, and what most gadgets need."""

    def __init__(self, board: Board, rng: np.random.RandomState) -> None:
        self.board = board
        self.rng = rng
        self.machine = board.machine
        size = self.machine["mem.words"]
        starts = [2 * POOL + b * size for b in range(self.machine["mem.banks"])]
        self.counts: tuple[int, ...] = (1, 2, 3, 5, 8, 13, 20)
        self.free = {s: list(starts) for s in range(2 * self.machine.slices)}

    def attempt(self, gadget: Callable[[Maker], bool], tries: int = 6) -> bool:
        """Add a gadget whole, or after some tries not at all."""
        for _ in range(tries):
            mark, free = self.board.mark(), {s: list(f) for s, f in self.free.items()}
            if gadget(self):
                return True
            self.board.rollback(mark)
            self.free = free
        return False

    def count(self) -> int:
        """Repeats of a burst."""
        return int(self.counts[self.rng.randint(len(self.counts))])

    def interval(self) -> int:
        """Cycles between repeats."""
        return int(self.rng.choice([1, 1, 1, 2, 3, 4]))

    def cycle(self) -> int:
        """A cycle late enough to be reached from memory, early enough to go on from."""
        return int(self.rng.randint(70, self.board.horizon - 220))

    def group(self, planes: int) -> int:
        """First stream of an aligned group, within its direction."""
        return planes * int(self.rng.randint(self.machine.streams // planes))

    def values(self, dtype: DType, count: int) -> npt.NDArray[Any]:
        """``[count, lanes]`` of ``dtype``."""
        special = float(self.rng.choice([0, 0.02, 0.3]))
        return random_values(self.rng, dtype, (count, self.machine.lanes), special)

    def fresh(self, slice_: int, count: int) -> int | None:
        """Address of ``count`` words of one bank that nothing uses yet; None if there are none."""
        bank = int(self.rng.randint(self.machine["mem.banks"]))
        address = self.free[slice_][bank]
        if address + count > (bank + 1) * self.machine["mem.words"] - POOL:
            return None
        self.free[slice_][bank] += count
        return address

    def pool(self, share: float) -> None:
        """Constants of arbitrary bytes at so many of the edges of banks."""
        size = self.machine["mem.words"]
        for slice_ in range(2 * self.machine.slices):
            for bank in range(self.machine["mem.banks"]):
                for start in (bank * size, (bank + 1) * size - POOL):
                    if self.rng.rand() < share:
                        words = self.values(DType.I8, POOL).view(np.uint8)
                        self.board.constant(slice_, start, words)

    def upstream(self, stream: int, position: int) -> list[int]:
        """Slices whose values on ``stream`` pass ``position``, in random order."""
        eastward = stream < self.machine.streams
        found = [
            s
            for s in range(2 * self.machine.slices)
            if (self.machine.queue_positions[s] <= position) == eastward
            or self.machine.queue_positions[s] == position
        ]
        self.rng.shuffle(found)
        return found

    def downstream(self, stream: int, position: int) -> list[int]:
        """Slices that values on ``stream`` reach from ``position``, in random order."""
        opposite = (stream + self.machine.streams) % (2 * self.machine.streams)
        return self.upstream(opposite, position)

    def hops(self, slice_: int, position: int) -> int:
        """Cycles between a slice and a position."""
        return abs(self.machine.queue_positions[slice_] - position) * self.machine["streams.hop"]

    def supply(
        self, stream: int, dtype: DType, position: int, cycle: int, count: int, interval: int
    ) -> bool:
        """Have constants of ``dtype`` at ``position`` from ``cycle`` on, on an aligned group from ``stream`` on."""
        planes = self.values(dtype, count).view(np.uint8)
        planes = planes.reshape(count, self.machine.lanes, dtype.planes)
        if self.rng.rand() < 0.1:
            planes[:] = planes[:1]
        return all(
            self.supply_plane(stream + p, planes[:, :, p], position, cycle, interval)
            for p in range(dtype.planes)
        )

    def supply_plane(
        self,
        stream: int,
        words: npt.NDArray[np.uint8],
        position: int,
        cycle: int,
        interval: int,
    ) -> bool:
        """Have ``words`` at ``position`` on one stream, from ``cycle`` on."""
        count = len(words)
        stride = 0 if (words == words[0]).all() else int(self.rng.choice([1, 1, -1, 2]))
        span = 1 + (count - 1) * abs(stride)
        for slice_ in self.upstream(stream, position)[:8]:
            mark = self.board.mark()
            address = self.fresh(slice_, span)
            if address is None:
                continue
            first = address + span - 1 if stride < 0 else address
            for i in range(count if stride else 1):
                self.board.constant(slice_, first + i * stride, words[i : i + 1].copy())
            start = cycle - self.machine.timing("mem_read") - self.hops(slice_, position)
            instr = mem.Read(first, stream)
            if self.board.place(slice_, start, instr, count, interval, stride):
                return True
            self.board.rollback(mark)
        return False

    def store(
        self, stream: int, planes: int, position: int, cycle: int, count: int, interval: int
    ) -> bool:
        """Write what lands at ``position`` from ``cycle`` on to some slices, each plane to its own words."""
        return all(
            self.store_plane(stream + p, position, cycle, count, interval) for p in range(planes)
        )

    def store_plane(
        self, stream: int, position: int, cycle: int, count: int, interval: int
    ) -> bool:
        """One plane of ``store``: mostly to new words, else over whatever is there."""
        for slice_ in self.downstream(stream, position)[:8]:
            stride = int(self.rng.choice([1, 1, -1, 2, 0]))
            span = 1 + (count - 1) * abs(stride)
            address = self.fresh(slice_, span)
            if address is None or self.rng.rand() < 0.25:
                address = int(self.rng.randint(self.machine.words - span + 1))
            first = address + span - 1 if stride < 0 else address
            instr = mem.Write(first, stream)
            start = cycle + self.hops(slice_, position)
            if self.board.place(slice_, start, instr, count, interval, stride):
                return True
        return False

    def initialised(self, count: int) -> tuple[int, int, int, int, int] | None:
        """Slice, address, stride, count and first cycle of words that are defined by then; None if none were found."""
        slices, words = np.nonzero(self.board.defined < NEVER)
        if not len(slices):
            return None
        i = self.rng.randint(len(slices))
        slice_, address = int(slices[i]), int(words[i])
        stride = int(self.rng.choice([1, 1, -1, 0, 2]))
        ready = 0
        for step in range(count):
            word = address + step * stride
            if not 0 <= word < self.machine.words or self.board.defined[slice_, word] >= NEVER:
                return (slice_, address, stride, step, ready) if step else None
            ready = max(ready, int(self.board.defined[slice_, word]))
        return slice_, address, stride, count, ready

    def written(self) -> npt.NDArray[np.bool_]:
        """``[2 * slices, words]``: whether a ``write`` defines the word."""
        defined = self.board.defined
        result: npt.NDArray[np.bool_] = (defined > 0) & (defined < NEVER)
        return result
