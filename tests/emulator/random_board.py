"""What a program in the making already uses and defines, so that bursts can be added without breaking any rule.

Legality does not depend on data, and, but for the matrix planes, adding a burst never makes another one illegal: it defines
more and overwrites values, no more. The planes' order is checked anew after every addition.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from emulator.reference_matrix import Matrix
from emulator.reference_units import StepError
from isa.instruction import Bytes, DType, Instruction
from isa.machine import Machine
from isa.ops.mem import Gather, Read, Scatter, Write
from isa.ops.mxm import Accumulate, Activate, Activation, InstallWeights, LoadWeights
from isa.ops.vxm import VxmInstruction
from isa.program import BurstList

NEVER = 1 << 30
MOVED = -1
"""In place of a type: bytes that come from memory or the exchange unit."""


@dataclass
class Effects:
    """What one instruction reads and makes, found by executing it on nothing; it is an ``isa.instruction.Port``."""

    machine: Machine
    reads: list[tuple[int, int, int]] = field(default_factory=list)  # stream, planes, delay
    alus: list[tuple[int, int, int]] = field(default_factory=list)  # ALU, planes, delay
    puts: list[tuple[int, int]] = field(default_factory=list)  # stream, planes
    result: int = 0  # planes of the ALU's output
    position: int = 0

    def __post_init__(self) -> None:
        m = self.machine
        self.memory = np.zeros((m.words, m.lanes), np.uint8)
        accumulators = np.zeros((m["mxm.acc_rows"], m.lanes), np.uint32)
        empty = np.zeros((m.lanes, m.lanes), np.uint16)
        enabled = np.zeros(m.lanes, np.bool_)
        self.plane: Any = SimpleNamespace(
            buffer=empty, weights=empty, enabled=enabled, accumulators=accumulators
        )

    def stream(self, stream: int, planes: int, delay: int = 0) -> Bytes:
        self.reads.append((stream, planes, delay))
        return np.zeros((planes, self.machine.lanes), np.uint8)

    def alu(self, index: int, planes: int, delay: int = 0) -> Bytes:
        self.alus.append((index, planes, delay))
        return np.zeros((planes, self.machine.lanes), np.uint8)

    def put(self, stream: int, data: Bytes) -> None:
        self.puts.append((stream, len(data)))

    def produce(self, data: Bytes) -> None:
        self.result = len(data)

    def store(self, address: Any, data: Bytes) -> None:
        pass

    def activate(self, sent: Any) -> None:
        pass

    def products(self) -> Activation:
        lanes = np.zeros(self.machine.lanes, np.uint16)
        plane = self.plane
        return Activation(DType.I8, lanes, 0, self.machine.lanes, plane.weights, plane.enabled)


@lru_cache(maxsize=4096)
def effects_of(machine: Machine, instr: Instruction) -> Effects:
    """The effects of ``instr``."""
    found = Effects(machine)
    instr.execute(found)
    return found


class Board:
    """Cycles ``0 .. horizon - 1`` of every queue, port, stream register and ALU, and when each word is first defined.

    ``furthest`` has, for a stream and a diagonal, the position of the value put furthest upstream: from there on the
    diagonal is defined. Positions are negated for westward streams, so that they grow downstream. Types are those of what
    was put there last, in the order in which bursts were added: a hint to who looks for a value, no more.
    """

    def __init__(self, machine: Machine, horizon: int) -> None:
        self.machine = machine
        self.horizon = horizon
        self.hop = machine["streams.hop"]
        self.longest = machine.positions * self.hop
        self.bank = machine["mem.words"]
        self.furthest: dict[tuple[int, int], int] = {}
        self.landed: dict[tuple[int, int, int], bool] = {}
        self.at_vxm = np.zeros((2 * machine.streams, horizon), np.bool_)
        self.types_at_vxm = np.full((2 * machine.streams, horizon), MOVED, np.int8)
        self.outputs = np.zeros((machine["vxm.alus"], horizon), np.int8)
        self.types = np.full((machine["vxm.alus"], horizon), MOVED, np.int8)
        self.busy: dict[tuple[int, int], int] = {}  # 1 read or any, 2 write
        self.banks: dict[tuple[int, int, int], int] = {}  # by port; a bit a bank
        self.effective: dict[tuple[int, int], bool] = {}
        self.defined = np.full((2 * machine.slices, machine.words), NEVER)
        self.bursts = BurstList()
        self.words: list[tuple[int, int, npt.NDArray[np.uint8]]] = []
        self.matrix: list[tuple[int, int, Instruction]] = []
        self.undo: list[tuple[Any, Any, Any]] = []

    def mark(self) -> tuple[int, int, int, int]:
        """A state to go back to."""
        return len(self.undo), len(self.bursts.rows), len(self.words), len(self.matrix)

    def rollback(self, mark: tuple[int, int, int, int]) -> None:
        """Forget everything since ``mark``."""
        while len(self.undo) > mark[0]:
            table, index, old = self.undo.pop()
            if old is None:
                del table[index]
            else:
                table[index] = old
        del self.bursts.rows[mark[1] :], self.words[mark[2] :], self.matrix[mark[3] :]

    def _set(self, array: npt.NDArray[Any], index: Any, value: Any) -> None:
        self.undo.append((array, index, np.copy(array[index])))
        array[index] = value

    def _enter(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self.undo.append((table, key, table.get(key)))
        table[key] = value

    def constant(self, slice_: int, address: int, words: npt.NDArray[np.uint8]) -> None:
        """Words that are defined from the beginning."""
        self._set(self.defined, (slice_, slice(address, address + len(words))), 0)
        self.words.append((slice_, address, words))

    def place(
        self,
        queue: int,
        cycle: int,
        instr: Instruction,
        count: int = 1,
        interval: int = 1,
        stride: int = 0,
        *,
        shorten: bool = False,
    ) -> int:
        """Add a burst; returns its count, 0 if it breaks a rule. With ``shorten``, up to the repeat that would break one."""
        start = self.mark()
        placed = 0
        try:
            found = effects_of(self.machine, at_zero(instr))
        except IndexError:
            return 0
        for step in range(count):
            before = self.mark()
            if not self._instance(queue, cycle + step * interval, instr, step * stride, found):
                self.rollback(before)
                break
            placed += 1
        if (placed < count and not shorten) or not placed or not self._matrix_in_order(start):
            self.rollback(start)
            return 0
        node = len(self.bursts.rows) % 3
        self.bursts.add(queue, cycle, instr, placed, interval, stride, node)
        return placed

    def _instance(self, queue: int, t: int, instr: Instruction, by: int, found: Effects) -> bool:
        """Add a dispatch whose strided operand is ``by`` further; ``found`` is what the instruction does."""
        m = self.machine
        latency = m.timing(instr.timing) if instr.timing else 0
        if t < 0 or t + latency + self.longest >= self.horizon:
            return False
        taken = self.busy.get((queue, t), 0)
        claim = 2 if instr.port == "write" else 1
        if taken & (claim if instr.port else 3):
            return False
        self._enter(self.busy, (queue, t), taken | (claim if instr.port else 3))
        if instr.unit == "MEM" and not self._memory(queue, t, instr, by, latency):
            return False
        if instr.unit == "MXM":
            self.matrix.append((t, (queue - m.mxm_queue) // 3, advanced(instr, by)))
        position = m.queue_positions[queue]
        if not all(self.readable(s, n, position, t - d) for s, n, d in found.reads):
            return False
        for alu, planes, delay in found.alus:
            if t < delay or self.outputs[alu, t - delay] != planes:
                return False
        if found.result:
            self._set(self.outputs, (queue - m.vxm_queue, t + latency), found.result)
            self._set(self.types, (queue - m.vxm_queue, t + latency), made_type(instr))
        dtype = made_type(instr)
        return all(self._put(s, n, position, t + latency, dtype) for s, n in found.puts)

    def _inside(self, stream: int, planes: int) -> bool:
        """Whether streams are an aligned group of one direction."""
        first = stream % self.machine.streams
        return first + planes <= self.machine.streams and first % planes == 0

    def readable(self, stream: int, planes: int, position: int, cycle: int) -> bool:
        """Whether an aligned group holds a value there and then."""
        if not self._inside(stream, planes) or not 0 <= cycle < self.horizon:
            return False
        place = position if stream < self.machine.streams else -position
        diagonal = cycle - self.hop * place
        found = (self.furthest.get((s, diagonal)) for s in range(stream, stream + planes))
        return all(start is not None and start <= place for start in found)

    def _put(self, stream: int, planes: int, position: int, cycle: int, dtype: int) -> bool:
        if not self._inside(stream, planes):
            return False
        place = position if stream < self.machine.streams else -position
        centre = self.machine.vxm_position
        centre = centre if stream < self.machine.streams else -centre
        diagonal = cycle - self.hop * place
        for s in range(stream, stream + planes):
            if (s, position, cycle) in self.landed:
                return False
            self._enter(self.landed, (s, position, cycle), True)
            if place <= centre:
                self._set(self.types_at_vxm, (s, diagonal + self.hop * centre), dtype)
            start = self.furthest.get((s, diagonal))
            if start is None or place < start:
                self._enter(self.furthest, (s, diagonal), place)
                if place <= centre:
                    self._set(self.at_vxm, (s, diagonal + self.hop * centre), True)
        return True

    def _memory(self, queue: int, t: int, instr: Instruction, by: int, latency: int) -> bool:
        if isinstance(instr, Read | Write):
            base, count = instr.address + by, 1
        else:
            assert isinstance(instr, Gather | Scatter)
            base, count = instr.base + by, instr.limit + 1
        if base < 0 or base + count > self.machine.words:
            return False
        reads = not isinstance(instr, Write)
        defined = self.defined[queue]
        if reads and (defined[base] > t if count == 1 else defined[base : base + count].max() > t):
            return False
        size, port = self.bank, int(instr.port == "write")
        banks = sum(1 << b for b in range(base // size, (base + count - 1) // size + 1))
        if self.banks.get((1 - port, queue, t), 0) & banks:
            return False
        self._enter(self.banks, (port, queue, t), banks)
        if port:
            if (queue, t + latency) in self.effective:
                return False
            self._enter(self.effective, (queue, t + latency), True)
            if isinstance(instr, Write):
                first = min(int(self.defined[queue, base]), t + latency)
                self._set(self.defined, (queue, base), first)
        return True

    def _matrix_in_order(self, start: tuple[int, int, int, int]) -> bool:
        """Whether all matrix instructions, in the order of their cycles, keep the planes' rules."""
        if len(self.matrix) == start[3]:
            return True
        matrix, m = Matrix(self.machine), self.machine
        dispatches, landings = defaultdict(list), defaultdict(list)
        for t, plane, instr in self.matrix:
            dispatches[t].append((plane, instr))
            latency = m["mxm.array_latency"]
            if not isinstance(instr, Activate):
                latency = m.timing(instr.timing)
            landings[t + latency].append((plane, instr))
        try:
            for t in sorted(dispatches.keys() | landings.keys()):
                for plane, instr in landings[t]:
                    self._land(matrix, plane, instr, t)
                for plane, instr in dispatches[t]:
                    matrix.check(plane, instr, t)
                matrix.shift()
        except StepError:
            return False
        return True

    def _land(self, matrix: Matrix, plane: int, instr: Instruction, t: int) -> None:
        nothing = effects_of(self.machine, instr)
        if isinstance(instr, LoadWeights):
            columns = [instr.column + g * instr.spread for g in range(instr.groups)]
            matrix.load(plane, instr, dict.fromkeys(columns, nothing.plane.buffer[0]))
        elif isinstance(instr, InstallWeights):
            matrix.install(plane, instr, nothing.plane, t)
        elif isinstance(instr, Activate):
            matrix.planes[plane].emerging = replace(nothing.products(), dtype=DType(instr.dtype))


def made_type(instr: Instruction) -> int:
    """The type of what an instruction makes, or ``MOVED``."""
    if isinstance(instr, VxmInstruction):
        return int(instr.result_dtype)
    if isinstance(instr, Accumulate):
        return int(DType.F32 if instr.dtype == DType.F16 else DType.I32)
    return MOVED


def at_zero(instr: Instruction) -> Instruction:
    """A MEM instruction with its address 0, others as they are: what they do to streams is the same."""
    if instr.unit != "MEM":
        return instr
    name = next(o.name for o in instr.operands if o.strided)
    changed: Instruction = replace(instr, **{name: 0})  # type: ignore[type-var]
    return changed


def advanced(instr: Instruction, by: int) -> Instruction:
    """``instr`` with its strided operand moved on."""
    names = [o.name for o in instr.operands if o.strided]
    if not names or not by:
        return instr
    changed: Instruction = replace(instr, **{names[0]: getattr(instr, names[0]) + by})  # type: ignore[type-var]
    return changed
