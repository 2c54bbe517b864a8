"""Rows that reach the VXM by way of the SXM of their hemisphere: outward, their lanes moved, and back inward past their slices."""

from __future__ import annotations

from dataclasses import dataclass

from compiler.scheduling.core import Core, Stream
from isa.ops.sxm import Shift


@dataclass(frozen=True, slots=True)
class Crossing:
    """What is taken of the SXM: the streams outward, a queue for each of them, and the cycle of the first row there."""

    streams: Stream
    queues: list[int]
    cycle: int


class Exchange:
    """Reserves and emits shifts between memory and the VXM."""

    def __init__(self, core: Core) -> None:
        self.core, self.m, self.t = core, core.machine, core.tables
        self.latency = self.m.timing("sxm_shift")
        self.back = self.latency + self.m.slices + 1
        """Cycles from the SXM's dispatch to the arrival at the VXM."""
        self.one_each = [1 << i for i in range(self.m["sxm.queues"])]

    def offset(self, slice_: int) -> int:
        """Cycles from the issue of a read to the arrival at the VXM."""
        return self.core.t_read + int(self.core.to_mxm[slice_]) - 1 + self.back

    def take(
        self, hemisphere: int, arrival: int, planes: int, count: int, step: int
    ) -> Crossing | None:
        """Reserve the way of rows that pass the VXM from cycle ``arrival`` on, up to the SXM's result; None if it is not free."""
        core, t = self.core, self.t
        cycle, direction = arrival - self.back, core.outward(hemisphere)
        first = self._first(hemisphere)
        diagonal = t.diagonal(direction, cycle, self.m.queue_positions[first])
        index = t.pick_stream(direction, (hemisphere,), diagonal, count, step, planes)
        if index is None:
            return None
        row, queues, mark = t.sxm + hemisphere, list[int](), core.mark()
        for _ in range(planes):
            bit = t.pick((row,), self.one_each, cycle, count, step)
            if not bit:
                core.undo(mark)
                return None
            t.take_bits(row, bit, cycle, count, step)
            queues.append(first + bit.bit_length() - 1)
        t.take_stream(direction, (hemisphere,), index, planes, diagonal, count, step)
        return Crossing(Stream(direction, index), queues, cycle)

    def emit(
        self, x: Crossing, inward: Stream, lanes: int, count: int, step: int, node: int
    ) -> None:
        """A shift a byte plane."""
        source, to = x.streams.number(self.m), inward.number(self.m)
        for p, queue in enumerate(x.queues):
            instr = Shift(source + p, to + p, lanes)
            self.core.emit(queue, x.cycle, instr, self.latency, count, step, 0, node)

    def _first(self, hemisphere: int) -> int:
        return self.m.sxm_queue + hemisphere * self.m["sxm.queues"]
