"""Programs as the compiler makes them, by hand: matrix passes, chained vector groups, moves of bytes, gathers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from isa.instruction import DType, Instruction, Source, SourceKind
from isa.machine import Hemisphere, Machine
from isa.ops.mem import Gather, Read, Write
from isa.ops.mxm import Accumulate, Activate, InstallWeights, LoadWeights
from isa.program import BurstList, Program, pack_constants

Bytes = npt.NDArray[np.uint8]
IMMEDIATE = Source(SourceKind.IMMEDIATE).pack()


def stream(index: int, delay: int = 0) -> int:
    """A VXM operand from a stream."""
    return Source(SourceKind.STREAM, index, delay).pack()


def alu(index: int, delay: int = 0) -> int:
    """A VXM operand from an ALU."""
    return Source(SourceKind.ALU, index, delay).pack()


def real(value: float) -> int:
    """The immediate of a float32."""
    return int(np.float32(value).view(np.uint32))


def byte_planes(values: npt.NDArray[np.generic]) -> list[Bytes]:
    """``[rows, lanes]`` values as byte planes."""
    raw = np.ascontiguousarray(values).view(np.uint8)
    return list(raw.reshape(*values.shape, values.itemsize).transpose(2, 0, 1))


@dataclass
class Build:
    """A program for one hemisphere's units; times are when the consuming unit dispatches."""

    machine: Machine
    side: Hemisphere = "W"
    bursts: BurstList = field(default_factory=BurstList)
    constants: list[tuple[int, int, Bytes]] = field(default_factory=list)

    @property
    def outward(self) -> int:
        """First stream toward the matrix unit."""
        return 0 if self.side == "E" else self.machine.streams

    @property
    def inward(self) -> int:
        """First stream toward the vector unit."""
        return self.machine.streams if self.side == "E" else 0

    @property
    def matrix(self) -> int:
        """Position of the matrix unit."""
        return self.machine.positions - 1 if self.side == "E" else 0

    def constant(self, slice_: int, address: int, words: Bytes) -> None:
        """Words of this side's memory."""
        self.constants.append((self.machine.mem_queue(self.side, slice_), address, words))

    def mem(
        self,
        slice_: int,
        at: int,
        time: int,
        instr: Instruction,
        rows: int,
        interval: int = 1,
        stride: int = 1,
    ) -> None:
        """A MEM burst whose first value passes position ``at`` at ``time``, or passed it then."""
        m, reads = self.machine, instr.port == "read"
        hops = abs(m.mem_position(self.side, slice_) - at) * m["streams.hop"]
        cycle = time - m.timing(instr.timing) - hops if reads else time + hops
        self.bursts.add(m.mem_queue(self.side, slice_), cycle, instr, rows, interval, stride)

    def unit(
        self,
        queue: int,
        time: int,
        instr: Instruction,
        rows: int = 1,
        interval: int = 1,
        stride: int = 0,
    ) -> None:
        """A burst of any other unit."""
        self.bursts.add(queue, time, instr, rows, interval, stride)

    def program(self) -> Program:
        """All of it."""
        segments, data = pack_constants(self.constants, self.machine.lanes)
        return Program(self.machine, self.bursts.array(), segments, data)

    def matrix_queue(self, role: int) -> int:
        """Queue of the side's first plane."""
        planes = self.machine["mxm.planes"]
        return self.machine.mxm_queue + 3 * (planes if self.side == "E" else 0) + role

    def weights(
        self, time: int, dtype: DType, slices: list[int], address: int, columns: int
    ) -> None:
        """Load ``columns`` vectors, a column a cycle, their byte planes from ``slices``; installed just before ``time``."""
        for plane, slice_ in enumerate(slices):
            self.mem(
                slice_,
                self.matrix,
                time - columns - 2,
                Read(address, self.outward + plane),
                columns,
            )
        load = LoadWeights(dtype, self.outward, 1, 0, 1)
        self.unit(self.matrix_queue(0), time - columns - 2, load, columns, 1, 1)
        install = InstallWeights(dtype, 0, columns)
        self.unit(self.matrix_queue(0), time - self.machine.timing("mxm_install"), install)

    def product(self, time: int, dtype: DType, slices: list[int], address: int, rows: int, lanes: int, *, first: int = 0, start: bool = True, emit: bool = True, row: int = 0) -> int:  # fmt: skip
        """Activations from ``slices`` through the installed weights; when the first emitted row is at the matrix unit."""
        m, interval = self.machine, 1
        if dtype is DType.F16:
            interval = -(-lanes // m["mxm.fp16_k"])
        for plane, slice_ in enumerate(slices):
            read = Read(address, self.outward + 4 + plane)
            self.mem(slice_, self.matrix, time, read, rows, interval)
        sent = Activate(dtype, self.outward + 4, first, lanes)
        self.unit(self.matrix_queue(1), time, sent, rows, interval)
        summed = Accumulate(dtype, row, int(start), int(emit), self.inward + 4)
        then = time + m["mxm.array_latency"]
        self.unit(self.matrix_queue(2), then, summed, rows, interval, 1)
        return then + m.timing("mxm_accumulate")

    def gather(self, time: int, slice_: int, base: int, limit: int, rows: int, to: int) -> None:
        """``rows`` gathers with indices that are on outward streams 2 and 3 at the vector unit at ``time``."""
        m = self.machine
        hops = abs(m.mem_position(self.side, slice_) - m.vxm_position) * m["streams.hop"]
        instr = Gather(base, limit, self.outward + 2, to)
        self.bursts.add(m.mem_queue(self.side, slice_), time + hops, instr, rows)

    def store(
        self,
        time: int,
        at: int,
        first: int,
        slices: list[int],
        address: int,
        rows: int,
        interval: int = 1,
    ) -> None:
        """Byte planes that pass ``at`` from ``time`` on, from stream ``first`` on, into ``slices``."""
        for plane, slice_ in enumerate(slices):
            self.mem(slice_, at, time, Write(address, first + plane), rows, interval)
