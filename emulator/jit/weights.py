"""Which weights meet which activations: every install of an MXM plane, and where each of its columns was loaded from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from emulator.jit.effects import PLANES, SPAN, Effects, Ints, ranges
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


class _Loads(NamedTuple):
    """Vectors that arrive in planes' buffers, by plane and time; ``read`` is that of their first byte plane."""

    key: Ints
    column: Ints
    read: Ints
    instance: Ints


class Installs:
    """All installs of a program, by plane and time.

    Attributes:
        key: ``plane * SPAN + time``, when each takes effect.
        dtype, first, columns: of each.
        burst, part, index: ``[columns of all, 2]``; an int8 install has its one byte plane twice.
        start: ``[installs + 1]``: where the columns of each begin there.
        changing: ``abc`` bursts that meet several installs: ``(instance, install)`` from which on they meet each.
    """

    def __init__(self, effects: Effects, links: Links, slot0: Ints) -> None:
        self.effects, self.links, self.slot0 = effects, links, slot0
        bursts, machine = effects.bursts, effects.machine
        rows = np.flatnonzero(bursts["opcode"] == InstallWeights.opcode)
        count = bursts["count"][rows].astype(np.int64)
        which = np.repeat(rows, count)
        time = effects.cycle[which] + ranges(count) * bursts["interval"][which]
        key = effects.plane(which) * SPAN + time + machine.timing("mxm_install")
        order = np.lexsort((which, key))
        self.key, which = key[order], which[order]
        self.dtype, self.first, self.columns = (
            bursts["args"][which, i].astype(np.int64) for i in range(3)
        )
        self.start = np.concatenate([[0], np.cumsum(self.columns)])
        self._find_sources(self.key - machine.timing("mxm_install"))
        self._find_meetings()

    def __len__(self) -> int:
        return len(self.key)

    def __getitem__(self, number: int) -> Weights:
        """One of them."""
        dtype, some = (
            DType(int(self.dtype[number])),
            slice(self.start[number], self.start[number + 1]),
        )
        burst, part, index = (a[some, : dtype.planes] for a in (self.burst, self.part, self.index))
        first, columns = int(self.first[number]), int(self.columns[number])
        return Weights(dtype, first, columns, int(self.key[number] % SPAN), burst, part, index)

    def all_of(self, marks: np.ndarray) -> np.ndarray:
        """``[installs]``: whether all byte planes of all columns are marked in ``[columns of all, 2]``."""
        unmarked = np.concatenate([[0], np.cumsum(~marks.all(1))])
        return np.asarray(unmarked[self.start[1:]] == unmarked[self.start[:-1]])

    def _loads(self) -> _Loads:
        """Every vector that arrives in a plane's buffer."""
        effects = self.effects
        loads = np.flatnonzero(effects.bursts["opcode"] == LoadWeights.opcode)
        some = effects.bursts[loads]
        interval, stride, count = (
            some[n].astype(np.int64) for n in ("interval", "stride", "count")
        )
        dtype, groups, column, spread = (some["args"][:, i].astype(np.int64) for i in (0, 2, 3, 4))
        start = effects.plane(loads) * SPAN + effects.cycle[loads]
        start += effects.machine.timing("mxm_load")
        one = np.repeat(np.arange(len(loads)), count)
        instance = ranges(count)
        key = start[one] + instance * interval[one]
        order = np.argsort(key, kind="stable")
        one, instance, key = one[order], instance[order], key[order]
        base = column[one] + instance * stride[one]
        each = groups[one]
        vector, group = np.repeat(np.arange(len(one)), each), ranges(each)
        one, instance = one[vector], instance[vector]
        read = self.slot0[loads][one] + group * PLANES[dtype][one]
        return _Loads(key[vector], base[vector] + group * spread[one], read, instance)

    def _find_sources(self, dispatched: Ints) -> None:
        """What each column was loaded from: the last vector for it that came since the install before."""
        loads = self._loads()
        owner = np.searchsorted(dispatched, loads.key)
        same = np.append(dispatched, -1)[owner] // SPAN == loads.key // SPAN
        used = np.flatnonzero(same)
        width = max(self.effects.machine.lanes, int((self.first + self.columns).max(initial=0)))
        found = np.full((len(self), width), -1, np.int32)
        found[owner[used], loads.column[used]] = used
        install, column = np.repeat(np.arange(len(self)), self.columns), ranges(self.columns)
        last = found[install, column + self.first[install]]
        if (last < 0).any():
            time = int(dispatched[install[np.argmax(last < 0)]] % SPAN)
            raise InternalError(NO_WEIGHTS, f"cycle {time}: an installed column was not loaded")
        sources = [np.empty((len(install), DType.F16.planes), np.int64) for _ in range(3)]
        read, instance, more = loads.read[last], loads.instance[last], PLANES[self.dtype] - 1
        for number in range(DType.F16.planes):
            reads = read + np.minimum(number, more)[install]
            reads = np.minimum(reads, len(self.links.burst) - 1)
            for column, values in zip(sources, self.links.at(reads, instance), strict=False):
                column[:, number] = values
        self.burst, self.part, self.index = sources

    def _find_meetings(self) -> None:
        """The install that the first activation of each ``abc`` burst meets, and which bursts meet several."""
        effects, bursts = self.effects, self.effects.bursts
        rows = np.flatnonzero(bursts["opcode"] == Activate.opcode)
        key = effects.plane(rows) * SPAN + effects.cycle[rows]
        last = key + (bursts["count"][rows] - 1) * bursts["interval"][rows]
        now, end = (np.searchsorted(self.key, k, "right") - 1 for k in (key, last))
        none = (now < 0) | (np.append(self.key, -1)[now] // SPAN != key // SPAN)
        if none.any():
            cycle = int(effects.cycle[rows[np.argmax(none)]])
            raise InternalError(NO_WEIGHTS, f"cycle {cycle}: activations meet no weights")
        self._met = np.full(len(bursts), -1)
        self._met[rows] = now
        self.changing: dict[int, list[tuple[int, int]]] = {}
        for place in np.flatnonzero(end > now):
            burst, out = int(rows[place]), [(0, int(now[place]))]
            for number in range(int(now[place]) + 1, int(end[place]) + 1):
                away = int(self.key[number] - key[place])
                instance = -(-away // int(bursts["interval"][burst]))
                if instance == out[-1][0]:
                    out.pop()
                out.append((instance, number))
            self.changing[burst] = out

    def met(self, burst: Ints, instance: Ints) -> Ints:
        """The installs that instances of ``abc`` bursts meet."""
        out = self._met[burst]
        for place in np.flatnonzero(np.isin(burst, list(self.changing))):
            changes = self.changing[int(burst[place])]
            out[place] = [n for start, n in changes if start <= instance[place]][-1]
        return out
