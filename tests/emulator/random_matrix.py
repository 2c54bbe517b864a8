"""Gadgets of random programs for the matrix planes: passes whose loads, installs, activations and sums overlap."""

from __future__ import annotations

from isa.instruction import DType
from isa.ops import mxm
from tests.emulator.random_source import Maker


def matrix_passes(make: Maker) -> bool:
    """One to three passes over the same accumulator rows; the next pass's weights load while this one runs."""
    rng, machine = make.rng, make.machine
    dtype = DType.F16 if rng.rand() < 0.55 else DType.I8
    plane = int(rng.randint(2 * machine["mxm.planes"]))
    if dtype is DType.F16:
        plane -= plane % machine["mxm.planes"] % 2
    rows = int(rng.choice([1, 2, 4, 7, 10]))
    plan = Plan(make, dtype, plane, rows)
    cycle, passes = make.cycle(), int(rng.randint(1, 4))
    previous_end = 0
    for i in range(passes):
        installed = plan.weights(cycle, previous_end)
        if installed is None:
            return False
        begin = installed + machine.timing("mxm_install") + int(rng.choice([0, 0, 1, 4]))
        end = plan.activations(begin, first=i == 0, last=i == passes - 1)
        if end is None:
            return False
        cycle, previous_end = installed + int(rng.randint(1, 6)), end
    return True


class Plan:
    """What the passes of one gadget share."""

    def __init__(self, make: Maker, dtype: DType, plane: int, rows: int) -> None:
        self.make, self.dtype, self.plane, self.rows = make, dtype, plane, rows
        self.machine = make.machine
        self.queue = self.machine.mxm_queue + 3 * plane
        self.here = self.machine.queue_positions[self.queue]
        self.east = self.here > 0
        top = self.machine["mxm.acc_rows"] - rows
        self.row = int(make.rng.randint(top + 1))
        self.stride = int(make.rng.choice([1, 1, 1, -1, 0]))
        if self.stride < 0:
            self.row += rows - 1
        unit = self.machine["mxm.window"]
        blocks = self.machine.lanes // unit
        first = int(make.rng.randint(blocks))
        self.window = (first * unit, unit * int(make.rng.randint(1, blocks - first + 1)))
        cost = -(-self.window[1] // self.machine["mxm.fp16_k"]) if dtype is DType.F16 else 1
        self.interval = cost + int(make.rng.choice([0, 0, 1, 3]))
        self.cost = cost

    def toward(self) -> int:
        """First stream of the direction that runs toward the plane."""
        return 0 if self.east else self.machine.streams

    def weights(self, cycle: int, not_before: int) -> int | None:
        """Load and install some columns; the cycle of the install, or None."""
        rng, machine, planes = self.make.rng, self.machine, self.dtype.planes
        groups = int(rng.choice([1, 2, 4, 8]))
        count = int(rng.randint(1, max(2, 12 // groups + 1)))
        columns = groups * count
        if columns > machine.lanes:
            return None
        column = int(rng.randint(machine.lanes - columns + 1))
        spread, stride = (1, groups) if rng.rand() < 0.5 else (count, 1)
        wide = groups * planes
        stream = self.toward() + planes * int(rng.randint((machine.streams - wide) // planes + 1))
        interval = int(rng.choice([1, 1, 2]))
        for g in range(groups):
            at = stream + g * planes
            if not self.make.supply(at, self.dtype, self.here, cycle, count, interval):
                return None
        load = mxm.LoadWeights(self.dtype, stream, groups, column, spread)
        if not self.make.board.place(self.queue, cycle, load, count, interval, stride):
            return None
        loaded = cycle + (count - 1) * interval + machine.timing("mxm_load")
        free = not_before - machine.timing("mxm_install")
        at = max(loaded, free if rng.rand() < 0.8 else loaded) + int(rng.choice([0, 0, 1, 3]))
        part = int(rng.randint(1, columns + 1)) if rng.rand() < 0.3 else columns
        shift = int(rng.randint(columns - part + 1))
        install = mxm.InstallWeights(self.dtype, column + shift, part)
        return at if self.make.board.place(self.queue, at, install) else None

    def activations(self, cycle: int, *, first: bool, last: bool) -> int | None:
        """Drive rows through and accumulate them; the cycle after the last activation, or None."""
        make, machine, planes = self.make, self.machine, self.dtype.planes
        stream = self.toward() + make.group(planes)
        if not make.supply(stream, self.dtype, self.here, cycle, self.rows, self.interval):
            return None
        send = mxm.Activate(self.dtype, stream, *self.window)
        if not make.board.place(self.queue + 1, cycle, send, self.rows, self.interval):
            return None
        inward = machine.streams - self.toward()
        quad = inward + make.group(4)
        emit = int(last or make.rng.rand() < 0.3)
        start = int(first or make.rng.rand() < 0.2)
        at = cycle + machine["mxm.array_latency"]
        cut = int(make.rng.randint(1, self.rows)) if self.rows > 1 and make.rng.rand() < 0.3 else 0
        parts = ((0, cut), (cut, self.rows)) if cut else ((0, self.rows),)
        for low, high in parts:
            add = mxm.Accumulate(self.dtype, self.row + low * self.stride, start, emit, quad)
            begin, count = at + low * self.interval, high - low
            if not make.board.place(self.queue + 2, begin, add, count, self.interval, self.stride):
                return None
            if emit:
                landing = begin + machine.timing("mxm_accumulate")
                stored = make.store(quad, 4, self.here, landing, count, self.interval)
                if not stored:
                    return None
        return cycle + (self.rows - 1) * self.interval + self.cost
