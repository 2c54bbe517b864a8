"""The MXM planes as the reference interpreter keeps them, and the rules of their order.

An fp16 pair is kept in its even plane; the odd plane is busy with it. See ``isa/ops/mxm.py`` for the meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from emulator.reference_units import COLLISION, MATRIX_ORDER, OUT_OF_BOUNDS, StepError, stream_group
from isa.instruction import DType, Instruction
from isa.machine import Machine
from isa.ops.mxm import Accumulate, Activate, Activation, InstallWeights, LoadWeights, PlaneState


@dataclass
class Plane:
    """A plane's state, and what of it is defined."""

    state: PlaneState
    loaded: dict[int, DType] = field(default_factory=dict)  # columns, since the last install
    installed: DType | None = None
    started: dict[int, DType] = field(default_factory=dict)  # accumulator rows
    emerging: Activation | None = None  # what leaves the array in this cycle
    busy_until: int = 0  # of the pair, kept in its even plane


class SavedPlane(NamedTuple):
    """A plane as it was: its state's four arrays, then what of it is defined."""

    arrays: tuple[npt.NDArray[Any], ...]
    loaded: dict[int, DType]
    installed: DType | None
    started: dict[int, DType]
    emerging: Activation | None
    busy_until: int


class Matrix:
    """All planes, ``W0 W1 E0 E1``."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        count = 2 * machine["mxm.planes"]
        self.planes = [Plane(PlaneState(machine)) for _ in range(count)]
        self.taken: set[tuple[int, int]] = set()

    def save(self, last: tuple[SavedPlane, ...] = ()) -> tuple[SavedPlane, ...]:
        """All of it, between two cycles' dispatches; arrays that are as in ``last`` are shared with it."""
        saved = []
        for number, plane in enumerate(self.planes):
            state = plane.state
            arrays = (state.buffer, state.weights, state.enabled, state.accumulators)
            known = last[number].arrays if last else (None,) * len(arrays)
            kept = tuple(
                old if old is not None and np.array_equal(old, new) else new.copy()
                for old, new in zip(known, arrays, strict=True)
            )
            rest = (plane.installed, dict(plane.started), plane.emerging, plane.busy_until)
            saved.append(SavedPlane(kept, dict(plane.loaded), *rest))
        return tuple(saved)

    def restore(self, saved: tuple[SavedPlane, ...]) -> None:
        """Be again as saved."""
        self.taken.clear()
        for plane, was in zip(self.planes, saved, strict=True):
            state = plane.state
            state.buffer, state.weights, state.enabled, state.accumulators = (
                array.copy() for array in was.arrays
            )
            plane.loaded, plane.started = dict(was.loaded), dict(was.started)
            plane.installed, plane.emerging = was.installed, was.emerging
            plane.busy_until = was.busy_until

    def shift(self) -> None:
        """One cycle: queues are free again, what left the arrays is gone."""
        self.taken.clear()
        for plane in self.planes:
            plane.emerging = None

    def pair(self, plane: int) -> tuple[Plane, Plane]:
        """The even and the odd plane of a plane's pair; the same one twice where it has no partner."""
        even = plane - self._odd(plane)
        alone = even % self.machine["mxm.planes"] == self.machine["mxm.planes"] - 1
        return self.planes[even], self.planes[even if alone else even + 1]

    def _odd(self, plane: int) -> int:
        return plane % self.machine["mxm.planes"] & 1

    def check(self, plane: int, instr: Instruction, cycle: int) -> None:
        """StepError unless ``instr`` may be dispatched to ``plane`` in this cycle; takes note of it."""
        assert isinstance(instr, LoadWeights | InstallWeights | Activate | Accumulate)
        dtype = DType(instr.dtype)
        if dtype not in (DType.I8, DType.F16):
            raise StepError(OUT_OF_BOUNDS, f"the matrix unit has no arithmetic on {dtype.name}")
        even, odd = self.pair(plane)
        if dtype is DType.F16 and (self.planes[plane] is not even or odd is even):
            raise StepError(COLLISION, "fp16 goes to the even plane of a pair")
        for p in (plane, plane + 1) if dtype is DType.F16 else (plane,):
            if (p, instr.role) in self.taken:
                raise StepError(COLLISION, f"plane {p} is taken in this cycle")
            self.taken.add((p, instr.role))
        if isinstance(instr, LoadWeights):
            self._check_load(instr, dtype)
        elif isinstance(instr, InstallWeights):
            self._check_install(plane, instr, dtype)
        elif isinstance(instr, Activate):
            self._check_activate(plane, instr, dtype, cycle)
        else:
            self._check_accumulate(plane, instr, dtype)

    def _check_load(self, instr: LoadWeights, dtype: DType) -> None:
        streams = instr.groups * dtype.planes
        if not 1 <= streams <= self.machine["mxm.weight_streams"]:
            raise StepError(OUT_OF_BOUNDS, f"a load takes {streams} streams")
        stream_group(self.machine, instr.stream, dtype.planes)
        if instr.stream % self.machine.streams + streams > self.machine.streams:
            raise StepError(OUT_OF_BOUNDS, "a load's streams leave their direction")
        last = instr.column + (instr.groups - 1) * instr.spread
        if not 0 <= instr.column <= last < self.machine.lanes:
            raise StepError(OUT_OF_BOUNDS, f"no columns {instr.column} .. {last}")

    def _check_install(self, plane: int, instr: InstallWeights, dtype: DType) -> None:
        window = range(instr.first, instr.first + instr.columns)
        if not window or window.start < 0 or window.stop > self.machine.lanes:
            raise StepError(OUT_OF_BOUNDS, f"no columns {window}")
        loaded = self.planes[plane].loaded
        for column in window:
            if loaded.get(column) is not dtype:
                message = f"column {column} was not loaded as {dtype.name} since the last install"
                raise StepError(MATRIX_ORDER, message)
        loaded.clear()

    def _check_activate(self, plane: int, instr: Activate, dtype: DType, cycle: int) -> None:
        unit = self.machine["mxm.window"]
        inside = instr.first >= 0 and instr.rows >= 1
        inside = inside and instr.first + instr.rows <= self.machine.lanes
        if not inside or instr.first % unit or instr.rows % unit:
            raise StepError(OUT_OF_BOUNDS, f"no window of {instr.rows} lanes from {instr.first}")
        even, _ = self.pair(plane)
        if even.busy_until > cycle:
            raise StepError(COLLISION, f"the pair is busy until cycle {even.busy_until}")
        if self.planes[plane].installed is not dtype:
            raise StepError(MATRIX_ORDER, f"no {dtype.name} weights are installed")
        if dtype is DType.F16:
            even.busy_until = cycle + self.cost(instr)

    def _check_accumulate(self, plane: int, instr: Accumulate, dtype: DType) -> None:
        unit = self.planes[plane]
        if unit.emerging is None or unit.emerging.dtype is not dtype:
            raise StepError(
                MATRIX_ORDER, f"no {dtype.name} activation leaves the array in this cycle"
            )
        if not 0 <= instr.row < self.machine["mxm.acc_rows"]:
            raise StepError(OUT_OF_BOUNDS, f"no accumulator {instr.row}")
        if not instr.start and unit.started.get(instr.row) is not dtype:
            raise StepError(
                MATRIX_ORDER, f"accumulator {instr.row} was not started as {dtype.name}"
            )
        unit.started[instr.row] = dtype

    def cost(self, instr: Activate) -> int:
        """Cycles an activation takes: fp16 does ``mxm.fp16_k`` lanes a cycle."""
        return -(-instr.rows // self.machine["mxm.fp16_k"]) if instr.dtype == DType.F16 else 1

    def load(
        self, plane: int, instr: LoadWeights, columns: dict[int, npt.NDArray[np.uint16]]
    ) -> None:
        """An ``lw`` takes effect: columns arrive in the buffer."""
        dtype = DType(instr.dtype)
        even, odd = self.pair(plane)
        unit = self.planes[plane]
        for column, words in columns.items():
            unit.state.buffer[column] = words
        if dtype is DType.F16:
            odd.loaded.clear()
        fp16 = dtype is DType.F16
        for other in (even, unit):
            other.loaded = {c: d for c, d in other.loaded.items() if (d is DType.F16) == fp16}
        unit.loaded.update(dict.fromkeys(columns, dtype))

    def install(self, plane: int, instr: InstallWeights, new: Any, cycle: int) -> None:
        """An ``iw`` takes effect; faults in the middle of an fp16 activation."""
        dtype = DType(instr.dtype)
        even, odd = self.pair(plane)
        if even.busy_until > cycle:
            message = f"weights change in the middle of an activation (until {even.busy_until})"
            raise StepError(COLLISION, message)
        if dtype is DType.F16:
            odd.installed = None
        elif even.installed is DType.F16:
            even.installed = None
        unit = self.planes[plane]
        unit.state.weights, unit.state.enabled = new.weights, new.enabled
        unit.installed = dtype
