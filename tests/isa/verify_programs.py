"""A program that uses every unit and is legal on any chip, and a way to spoil one thing about it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isa.instruction import DType, Instruction, Source, SourceKind
from isa.machine import Machine
from isa.ops import mem, mxm, sxm, vxm
from isa.program import BurstList, Piece, PortTensor, Program, pack_constants

I8, F16, F32 = DType.I8, DType.F16, DType.F32
ONE = Source(SourceKind.IMMEDIATE).pack()


@dataclass(frozen=True)
class Burst:
    """One burst, its queue by name."""

    queue: str
    cycle: int
    instr: Instruction
    count: int = 1
    interval: int = 1
    stride: int = 0
    node: int = 0


@dataclass
class Sketch:
    """Named bursts, constant words, inputs and outputs: ``program()`` makes them a program."""

    machine: Machine
    bursts: dict[str, Burst] = field(default_factory=dict)
    constants: list[tuple[str, int, int]] = field(default_factory=list)
    inputs: tuple[PortTensor, ...] = ()
    outputs: tuple[PortTensor, ...] = ()

    def add(self, name: str, queue: str, cycle: int, instr: Instruction, **facts: int) -> Sketch:
        """A further burst."""
        self.bursts[name] = Burst(queue, cycle, instr, **facts)
        return self

    def change(self, name: str, **new: Any) -> Sketch:
        """Another queue, cycle, count ... or operand for a burst."""
        burst = self.bursts[name]
        own = {f.name for f in dataclasses.fields(Burst)}
        operands = {k: v for k, v in new.items() if k not in own}
        instr = dataclasses.replace(new.pop("instr", burst.instr), **operands)
        kept = {k: v for k, v in new.items() if k in own}
        self.bursts[name] = dataclasses.replace(burst, instr=instr, **kept)
        return self

    def drop(self, *names: str) -> Sketch:
        """Leave bursts out."""
        for name in names:
            del self.bursts[name]
        return self

    def queue(self, name: str) -> int:
        """A queue's number."""
        return self.machine.queue_names.index(name)

    def position(self, name: str) -> int:
        """A queue's position."""
        return self.machine.queue_positions[self.queue(name)]

    def read(self, name: str, source: str, stream: int, at: tuple[str, int], **facts: int) -> None:
        """Read word 0 on of a slice so that it passes a unit in a cycle; its words are constants."""
        unit, cycle = at
        far = abs(self.position(unit) - self.position(source))
        start = cycle - far - self.machine.timing("mem_read")
        words = facts.get("count", 1) if facts.get("stride") else 1
        self.constants.append((source, 0, words))
        self.add(name, source, start, mem.Read(0, stream), **facts)

    def program(self) -> Program:
        """All of it."""
        out, lanes = BurstList(), self.machine.lanes
        for b in self.bursts.values():
            out.add(self.queue(b.queue), b.cycle, b.instr, b.count, b.interval, b.stride, b.node)
        words = [(self.queue(q), a, np.ones((n, lanes), np.uint8)) for q, a, n in self.constants]
        segments, data = pack_constants(words, lanes)
        ports = self.inputs, self.outputs, ("", "Add_1")
        return Program(self.machine, out.array(), segments, data, *ports)


def stream(index: int, delay: int = 0) -> int:
    """A VXM operand from a stream."""
    return Source(SourceKind.STREAM, index, delay).pack()


def alu(index: int, delay: int = 0) -> int:
    """A VXM operand from an ALU."""
    return Source(SourceKind.ALU, index, delay).pack()


def _memory(s: Sketch) -> None:
    bank = s.machine["mem.words"]
    s.constants += [("MEM_W3", 0x10, 4), ("MEM_W5", 0, 8), ("MEM_W4", 0, 4)]
    s.add("read", "MEM_W3", 0, mem.Read(0x10, 0), count=4, stride=1, node=1)
    s.add("write", "MEM_W1", 7, mem.Write(bank + 0x10, 0), count=4, stride=1)
    s.add("again", "MEM_W1", 20, mem.Read(bank + 0x10, s.machine.streams + 8), count=4, stride=1)
    s.read("index_low", "MEM_W6", 2, ("MEM_W5", 10), count=2, interval=7)
    s.read("index_high", "MEM_W7", 3, ("MEM_W5", 10), count=2, interval=7)
    s.add("gather", "MEM_W5", 10, mem.Gather(0, 7, 2, 4))
    s.add("scatter", "MEM_W4", 18, mem.Scatter(0, 3, 2, 4))


def _vector(s: Sketch) -> None:
    west = s.machine.streams
    s.read("values", "MEM_E0", west, ("VXM_0", 6), count=8, stride=1)
    s.add("first", "VXM_0", 6, vxm.Add(I8, stream(west), ONE, imm=1), count=8)
    s.add("second", "VXM_1", 9, vxm.Mul(I8, alu(0), alu(0), east=17), count=8)
    s.add("large", "VXM_2", 12, vxm.Convert(I8, alu(1)), count=8)
    s.add("result", "MEM_E1", 14, mem.Write(0x20, 16), count=8, stride=1)


def _fp16(s: Sketch) -> None:
    window, latency = s.machine["mxm.window"], s.machine["mxm.array_latency"]
    for i in range(2):
        s.read(f"weights{i}", f"MEM_E{2 + i}", 20 + i, ("MXM_E0.weights", 60), count=8, stride=1)
        s.read(f"rows{i}", f"MEM_E{4 + i}", 22 + i, ("MXM_E0.weights", 69), count=8, stride=1)
    out = s.machine.streams + 20
    s.add("lw", "MXM_E0.weights", 60, mxm.LoadWeights(F16, 20, 1, 0, 0), count=8, stride=1)
    s.add("iw", "MXM_E0.weights", 68, mxm.InstallWeights(F16, 0, 8))
    s.add("abc", "MXM_E0.activations", 69, mxm.Activate(F16, 22, 0, window), count=4)
    s.add("abc2", "MXM_E0.activations", 73, mxm.Activate(F16, 22, 0, window), count=4)
    acc = mxm.Accumulate(F16, 0, 1, 0, out)
    s.add("acc", "MXM_E0.accumulate", 69 + latency, acc, count=4, stride=1)
    acc = mxm.Accumulate(F16, 0, 0, 1, out)
    s.add("acc2", "MXM_E0.accumulate", 73 + latency, acc, count=4, stride=1)
    far = s.position("MXM_E0.weights") - s.position("MEM_E6")
    arrival = 73 + latency + s.machine.timing("mxm_accumulate") + far
    s.add("out", "MEM_E6", arrival, mem.Write(0, out), count=4, stride=1)


def _int8(s: Sketch) -> None:
    west, window = s.machine.streams, s.machine["mxm.window"]
    s.read("weights8", "MEM_W8", west + 1, ("MXM_W1.weights", 60), count=8, stride=1)
    s.read("rows8", "MEM_W9", west + 2, ("MXM_W1.weights", 69), count=2, stride=1)
    load = mxm.LoadWeights(I8, west + 1, 1, 0, 0)
    s.add("lw8", "MXM_W1.weights", 60, load, count=8, stride=1)
    s.add("iw8", "MXM_W1.weights", 68, mxm.InstallWeights(I8, 0, 8))
    s.add("abc8", "MXM_W1.activations", 69, mxm.Activate(I8, west + 2, 0, window), count=2)
    acc = mxm.Accumulate(I8, 0, 1, 1, 24)
    at = 69 + s.machine["mxm.array_latency"]
    s.add("acc8", "MXM_W1.accumulate", at, acc, count=2, stride=1)


def _exchange(s: Sketch) -> None:
    west = s.machine.streams
    s.read("lanes", "MEM_W10", west + 3, ("SXM_W.0", 50), count=2)
    s.add("shift", "SXM_W.0", 50, sxm.Shift(west + 3, 5, 1), count=2)


def sample(machine: Machine) -> Sketch:
    """Legal; every unit works; each part on streams and slices of its own."""
    s = Sketch(machine)
    for part in (_memory, _vector, _fp16, _int8, _exchange):
        part(s)
    y = Piece(s.queue("MEM_W1"), machine["mem.words"] + 0x10, 0, 8, 0, 4, 0, 8)
    s.outputs = (PortTensor("y", (4, 8), "int8", I8, (y,)),)
    x = Piece(s.queue("MEM_W11"), 0, 0, 4, 0, 1, 0, 4)
    s.inputs = (PortTensor("x", (4,), "int8", I8, (x,)),)
    return s
