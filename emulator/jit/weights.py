"""Which weights meet which activations: every install of an MXM plane, and where each of its columns was loaded from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

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

    @cached_property
    def sources(self) -> list[tuple[int, Ints]]:
        """The bursts whose results were loaded, with the distinct instances of each in ascending order."""
        pairs = np.unique((self.burst << 32) + self.index)
        bursts = pairs >> 32
        starts = np.flatnonzero(np.diff(bursts, prepend=-1))
        parts = np.split(pairs & 0xFFFFFFFF, starts[1:])
        return [(int(bursts[s]), p) for s, p in zip(starts, parts, strict=True)]


class _Loaded(NamedTuple):
    """Vectors in order of arrival: time and column; for each of two byte planes burst, part and index of what was loaded."""

    time: Ints
    column: Ints
    burst: Ints
    part: Ints
    index: Ints  # type: ignore[assignment]  # tuple.index is not used


class Installs:
    """All installs of a program, by plane in order of time."""

    def __init__(self, effects: Effects, links: Links, slot0: Ints) -> None:
        self.effects, self.links, self.slot0 = effects, links, slot0
        self._odd = np.zeros(len(links.burst), np.bool_)
        self._odd[list(links.runs)] = True
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
        loaded = self._loaded(loads)
        ends = np.searchsorted(loaded.time, [-1, *(time for time, _ in timed)], "right")
        return [
            self._install(burst, time, loaded, slice(ends[n], ends[n + 1]))
            for n, (time, burst) in enumerate(timed)
        ]

    def _loaded(self, loads: Ints) -> _Loaded:
        """Every vector that arrives in a plane's buffer, in order of time."""
        some = self.effects.bursts[loads]
        cycle, interval, stride, count = (
            some[n].astype(np.int64) for n in ("cycle", "interval", "stride", "count")
        )
        dtype, groups, column, spread = (some["args"][:, i].astype(np.int64) for i in (0, 2, 3, 4))
        each = count * groups
        which = np.repeat(np.arange(len(loads)), each)
        inside = np.arange(len(which)) - np.repeat(np.cumsum(each) - each, each)
        instance, group = inside // groups[which], inside % groups[which]
        time = (cycle + self.effects.machine.timing("mxm_load"))[which] + instance * interval[which]
        order = np.argsort(time, kind="stable")
        which, instance, group = which[order], instance[order], group[order]
        read = self.slot0[loads][which] + group * PLANES[dtype][which]
        sources = [self._producers(read + plane, instance) for plane in range(DType.F16.planes)]
        where = column[which] + instance * stride[which] + group * spread[which]
        burst, part, index = (np.stack(s, 1) for s in zip(*sources, strict=True))
        return _Loaded(time[order], where, burst, part, index)

    def _install(self, burst: int, time: int, loaded: _Loaded, some: slice) -> Weights:
        dtype, first, columns = (int(v) for v in self.effects.bursts["args"][burst][:3])
        machine = self.effects.machine
        found = np.full(max(machine.lanes, first + columns), -1)
        found[loaded.column[some]] = np.arange(some.start, some.stop)
        found = found[first : first + columns]
        if (found < 0).any():
            raise InternalError(NO_WEIGHTS, f"cycle {time}: an installed column was not loaded")
        planes = DType(dtype).planes
        sources = (s[found, :planes] for s in (loaded.burst, loaded.part, loaded.index))
        effective = time + machine.timing("mxm_install")
        return Weights(DType(dtype), first, columns, effective, *sources)

    def _producers(self, reads: Ints, instances: Ints) -> tuple[Ints, Ints, Ints]:
        """Burst, part and index that instances of reads get their bytes from."""
        links = self.links
        reads = np.minimum(reads, len(links.burst) - 1)  # an int8 load has no second plane
        burst, part = links.burst[reads], links.part[reads]
        index = links.index[reads] + instances * links.step[reads]
        for place in np.flatnonzero(self._odd[reads]):
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
