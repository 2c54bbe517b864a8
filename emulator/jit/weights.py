"""Which weights meet which activations: every install of an MXM plane, and where each of its columns was loaded from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from emulator.jit.effects import PLANES, Effects, Ints
from emulator.jit.join import Links
from isa.errors import InternalError
from isa.instruction import DType
from isa.ops.mxm import Activate, InstallWeights, LoadWeights

NO_WEIGHTS = 973


@dataclass(frozen=True, eq=False)
class Weights:
    """One install.

    Attributes:
        dtype: I8 or F16.
        first, columns: the installed columns.
        time: when it takes effect.
        burst, part, index: ``[columns, planes]``: each column's byte planes by the bursts whose results were loaded, the byte
            plane of that result, and the instance.
    """

    dtype: DType
    first: int
    columns: int
    time: int
    burst: Ints
    part: Ints
    index: Ints


class Installs:
    """All installs of a program, by plane in order of time."""

    def __init__(self, effects: Effects, links: Links, slot0: Ints) -> None:
        self.effects, self.links, self.slot0 = effects, links, slot0
        self.planes: dict[int, list[Weights]] = {}
        self.times: dict[int, Ints] = {}
        bursts = effects.bursts
        loads = np.flatnonzero(bursts["opcode"] == LoadWeights.opcode)
        installs = np.flatnonzero(bursts["opcode"] == InstallWeights.opcode)
        for plane in np.unique(effects.plane(installs)) if len(installs) else ():
            own = [rows[effects.plane(rows) == plane] for rows in (loads, installs)]
            self.planes[int(plane)] = self._plane(*own)
            self.times[int(plane)] = np.array([w.time for w in self.planes[int(plane)]])

    def _plane(self, loads: Ints, installs: Ints) -> list[Weights]:
        """A plane's installs in order of time."""
        bursts = self.effects.bursts
        timed = sorted(
            (int(bursts["cycle"][b] + i * bursts["interval"][b]), int(b))
            for b in installs
            for i in range(int(bursts["count"][b]))
        )
        start = bursts["cycle"][loads] + self.effects.machine.timing("mxm_load")
        end = start + (bursts["count"][loads] - 1) * bursts["interval"][loads]
        previous, out = -1, []
        for time, burst in timed:
            some = loads[(start <= time) & (end > previous)]
            out.append(self._install(burst, time, self._loaded(some, previous, time)))
            previous = time
        return out

    def _loaded(self, loads: Ints, after: int, until: int) -> Ints:
        """``[n, 4]``: time, column, first read, instance of every vector that arrives in ``(after, until]``."""
        bursts, parts = self.effects.bursts, []
        latency = self.effects.machine.timing("mxm_load")
        for burst in loads:
            row = bursts[burst]
            dtype, _, groups, column, spread = (int(v) for v in row["args"][:5])
            instance = np.arange(int(row["count"]))
            time = int(row["cycle"]) + latency + instance * int(row["interval"])
            instance = instance[(time > after) & (time <= until)]
            time = int(row["cycle"]) + latency + instance * int(row["interval"])
            for g in range(groups):
                read = int(self.slot0[burst]) + g * int(PLANES[dtype])
                where = column + instance * int(row["stride"]) + g * spread
                parts.append(np.stack([time, where, np.full_like(time, read), instance], 1))
        table = np.concatenate(parts) if parts else np.zeros((0, 4), np.int64)
        return table[np.argsort(table[:, 0], kind="stable")]

    def _install(self, burst: int, time: int, loaded: Ints) -> Weights:
        dtype, first, columns = (int(v) for v in self.effects.bursts["args"][burst][:3])
        machine = self.effects.machine
        read = np.full(max(machine.lanes, first + columns), -1)
        instance = np.zeros_like(read)
        read[loaded[:, 1]], instance[loaded[:, 1]] = loaded[:, 2], loaded[:, 3]
        window = slice(first, first + columns)
        if (read[window] < 0).any():
            raise InternalError(NO_WEIGHTS, f"cycle {time}: an installed column was not loaded")
        planes = DType(dtype).planes
        reads = read[window, None] + np.arange(planes)
        instances = np.repeat(instance[window, None], planes, 1)
        effective = time + machine.timing("mxm_install")
        sources = self.producers(reads, instances)
        return Weights(DType(dtype), first, columns, effective, *sources)

    def producers(self, reads: Ints, instances: Ints) -> tuple[Ints, Ints, Ints]:
        """Burst, part and index that instances of reads get their bytes from."""
        links = self.links
        burst, part = links.burst[reads].copy(), links.part[reads].copy()
        index = links.index[reads] + instances * links.step[reads]
        odd = np.isin(reads, list(links.runs)) if links.runs else np.zeros(reads.shape, np.bool_)
        for place in zip(*np.nonzero(odd), strict=True):
            runs = links.runs[int(reads[place])]
            run = [r for r in runs if r.start <= instances[place]][-1]
            burst[place], part[place] = run.burst, run.part
            index[place] = run.index + (int(instances[place]) - run.start) * run.step
        return burst, part, index

    def changes(self, burst: int) -> list[tuple[int, int]]:
        """``(instance, number of the install)`` from which on an ``abc`` burst meets those weights."""
        row = self.effects.bursts[burst]
        assert row["opcode"] == Activate.opcode
        plane = int(self.effects.plane(np.array([burst]))[0])
        times = self.times.get(plane, np.zeros(0, np.int64))
        cycle, count, interval = (int(row[n]) for n in ("cycle", "count", "interval"))
        now = int(np.searchsorted(times, cycle, "right")) - 1
        if now < 0:
            raise InternalError(NO_WEIGHTS, f"cycle {cycle}: activations meet no weights")
        out = [(0, now)]
        last = cycle + (count - 1) * interval
        while now + 1 < len(times) and times[now + 1] <= last:
            now += 1
            instance = -(-(int(times[now]) - cycle) // interval)
            if instance == out[-1][0]:
                out.pop()
            out.append((instance, now))
        return out


def grouped(bursts: Ints, indices: Ints) -> Iterator[tuple[int, Ints]]:
    """Distinct sorted indices of each burst."""
    pairs = np.unique(np.stack([bursts.ravel(), indices.ravel()], 1), axis=0)
    starts = np.flatnonzero(np.diff(pairs[:, 0], prepend=-1))
    for part in np.split(pairs, starts[1:]):
        yield int(part[0, 0]), part[:, 1]
