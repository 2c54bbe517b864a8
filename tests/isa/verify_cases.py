"""For every rule of the verifier, ways to break it and it alone: what is done to the sample, and what the refusal says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from isa.instruction import DType, Instruction
from isa.machine import Machine
from isa.ops import c2c, icu, mem, mxm, vxm, vxm_extensions
from isa.program import Piece, PortTensor, Program
from tests.isa.verify_programs import F16, F32, I8, ONE, Sketch, alu, sample, stream


@dataclass(frozen=True)
class Case:
    """``spoil`` makes the sample break ``rule``; the refusal contains every text of ``says``."""

    rule: int
    says: tuple[str, ...]
    spoil: Callable[[Sketch], Any]
    raw: Callable[[Program], Program] = lambda program: program

    def program(self, machine: Machine) -> Program:
        """The spoiled program."""
        sketch = sample(machine)
        self.spoil(sketch)
        return self.raw(sketch.program())


def change(name: str, **new: Any) -> Callable[[Sketch], Any]:
    return lambda s: s.change(name, **new)


def add(
    name: str, queue: str, cycle: int, instr: Instruction, **facts: int
) -> Callable[[Sketch], Any]:
    return lambda s: s.add(name, queue, cycle, instr, **facts)


def drop(*names: str) -> Callable[[Sketch], Any]:
    return lambda s: s.drop(*names)


def chip(**facts: int) -> Callable[[Sketch], Any]:
    """Another chip: ``vxm__max_delay=2``."""

    def spoil(s: Sketch) -> None:
        table = dict(s.machine.facts)
        for name, value in facts.items():
            key = name.replace("__", ".")
            table[key] = dataclasses.replace(table[key], value=value)
        s.machine = Machine(tuple(table.items()))

    return spoil


def both(*spoilers: Callable[[Sketch], Any]) -> Callable[[Sketch], Any]:
    return lambda s: [spoil(s) for spoil in spoilers]


def column(name: str, value: int) -> Callable[[Program], Program]:
    """The first burst's field set to what no instruction object holds."""

    def raw(program: Program) -> Program:
        bursts = program.bursts.copy()
        bursts[name][0] = value
        return dataclasses.replace(program, bursts=bursts)

    return raw


def reverse(program: Program) -> Program:
    return dataclasses.replace(program, bursts=program.bursts[::-1])


def no_data(program: Program) -> Program:
    return dataclasses.replace(program, data=program.data[:-1])


def tensor(*pieces: Piece, shape: tuple[int, ...] = (4,), dtype: DType = I8) -> PortTensor:
    return PortTensor("z", shape, "int8", dtype, pieces)


def set_input(where: str, address: int, lane: int = 0) -> Callable[[Sketch], Any]:
    """A second input of one word."""

    def spoil(s: Sketch) -> None:
        piece = Piece(s.queue(where), address, 0, 4, 0, 1, 0, 4, lane)
        s.inputs = (*s.inputs, tensor(piece))

    return spoil


def set_output(piece: Piece | None, **facts: Any) -> Callable[[Sketch], Any]:
    def spoil(s: Sketch) -> None:
        s.outputs = (tensor(*([piece] if piece else []), **facts),)

    return spoil


def constant(queue: str, address: int, count: int) -> Callable[[Sketch], Any]:
    return lambda s: s.constants.append((queue, address, count))


def fp16_alone(s: Sketch) -> None:
    """One fp16 activation that takes two cycles, and in its second another install."""
    s.drop("abc2", "acc2", "out")
    s.change("abc", count=1, rows=3 * s.machine["mxm.window"]).change("acc", count=1)
    s.constants += [("MEM_E2", 8, 1), ("MEM_E3", 8, 1)]
    s.change("weights0", count=9).change("weights1", count=9).change("lw", count=7)
    s.add("lw2", "MXM_E0.weights", 68, mxm.LoadWeights(F16, 20, 1, 0, 0))
    s.change("iw", cycle=67, columns=7)
    s.add("iw2", "MXM_E0.weights", 69, mxm.InstallWeights(F16, 0, 1))


def late_column(s: Sketch) -> None:
    """The last column is loaded one dispatch after the install."""
    s.constants += [("MEM_E2", 8, 1), ("MEM_E3", 8, 1)]
    s.change("weights0", count=9).change("weights1", count=9)
    s.change("lw", count=7).change("iw", cycle=67)
    s.add("lw2", "MXM_E0.weights", 68, mxm.LoadWeights(F16, 20, 1, 7, 0))


def _structure() -> Iterator[Case]:
    yield Case(300, ("2**40",), change("first", cycle=1 << 40))
    yield Case(300, ("VXM_0", "dispatches"), change("first", count=(1 << 22) + 1))
    yield Case(300, ("the program",), change("first", count=1 << 26))
    yield Case(301, ("no such instruction", "0xee"), lambda s: s, column("opcode", 0xEE))
    yield Case(301, ("nop", "start the next"), change("shift", instr=icu.Nop(3)))
    yield Case(302, ("stands after", "sort"), lambda s: s, reverse)
    yield Case(302, ("stands after",), add("x", "MEM_W3", 1, mem.Read(0x10, 0)), _swapped)
    yield Case(303, ("first cycle is 0",), change("read", cycle=-1))
    yield Case(303, ("at least one",), change("shift", count=0))
    yield Case(303, ("once a cycle", "MEM_W3"), change("read", interval=0))
    yield Case(304, ("read is a MEM instruction", "VXM_9"), change("read", queue="VXM_9"))
    yield Case(304, ("weights queue",), change("iw", queue="MXM_E0.activations"))
    yield Case(304, ("80 queues",), lambda s: s, _last_queue)
    yield Case(305, ("0 .. 65535", "MEM_W3"), change("read", address=1 << 16))
    yield Case(305, ("address leaves", "dispatch 4 of 4"), change("read", stride=-8))
    yield Case(305, ("dtype = 7",), change("lw", dtype=7))
    yield Case(306, ("512 words", "MEM_W1"), change("write", address=509))
    yield Case(306, ("base + limit",), change("gather", base=510))
    yield Case(306, ("32 accumulator rows",), change("acc", row=29))
    yield Case(306, ("32 columns",), change("lw", column=25))
    yield Case(306, ("32 columns",), change("iw", first=30))
    yield Case(306, ("4 superlanes",), add("config", "SXM_E.0", 5, icu.Config(3)))
    yield Case(307, ("shift has no operand",), change("shift", stride=1))
    yield Case(307, ("add has no operand",), change("first", stride=1))
    yield Case(308, ("2 nodes",), change("read", node=2))
    yield Case(308, ("2 nodes", "MEM_E1"), change("result", node=9))
    yield Case(309, ("second chip",), add("send", "C2C_W.0", 5, c2c.Send(0, 3)))
    yield Case(309, ("deskew needs",), add("deskew", "C2C_E.1", 5, c2c.Deskew(0)))


def _swapped(program: Program) -> Program:
    """The same cycle, the greater opcode first."""
    bursts = program.bursts.copy()
    two = np.flatnonzero(bursts["queue"] == bursts["queue"][bursts["node"] == 1][0])[:2]
    bursts["cycle"][two] = 0
    bursts["opcode"][two] = bursts["opcode"][two] + [1, 0]
    return dataclasses.replace(program, bursts=bursts)


def _last_queue(program: Program) -> Program:
    bursts = program.bursts.copy()
    bursts["queue"][-1] = program.machine.queues
    return dataclasses.replace(program, bursts=bursts)


def _operands() -> Iterator[Case]:
    yield Case(310, ("W21", "multiple of 4"), change("acc2", stream=32 + 21))
    yield Case(310, ("E23",), change("abc", stream=23))
    yield Case(310, ("from E30 on",), change("lw", stream=30, groups=2, spread=8))
    yield Case(311, ("exp works on f16, f32",), change("large", instr=vxm.Exp(I8, alu(1))))
    yield Case(311, ("i8 and f16",), change("lw", dtype=F32, groups=1))
    yield Case(320, ("a source is missing",), change("second", b=0))
    yield Case(320, ("select",), change("large", instr=vxm_extensions.Select(I8, alu(1), ONE)))
    yield Case(321, ("VXM_0 .. VXM_7", "@12 VXM_8"), change("large", queue="VXM_8"))
    small = change("second", queue="VXM_15", instr=vxm.Max(I8, alu(0), ONE))
    yield Case(321, ("max", "VXM_15"), small)
    delayed = change("large", a=alu(1, 3), cycle=15)
    yield Case(322, ("at most 2 cycles", "alu1~3"), both(chip(vxm__max_delay=2), delayed))
    delayed = add("x", "VXM_3", 9, vxm.Mov(I8, stream(32, 3)), count=8)
    yield Case(322, ("W0~3",), both(chip(vxm__max_delay=2), delayed))
    yield Case(323, ("no immediates",), chip(vxm__immediates=0))
    swapped = change("first", a=ONE, b=stream(32))
    yield Case(323, ("#0x1",), both(chip(vxm__immediates=0), swapped))
    yield Case(351, ("1 to 1 streams", "lw f16"), chip(mxm__weight_streams=1))
    yield Case(351, ("1 to 16 streams",), change("lw8", groups=17))
    yield Case(351, ("1 to 16 streams",), change("lw", groups=0))
    yield Case(358, ("in steps of 8",), change("abc", rows=12))
    yield Case(358, ("32 lanes",), change("abc8", first=24, rows=16))
    odd = add("x", "MXM_E1.weights", 60, mxm.LoadWeights(F16, 20, 1, 0, 0))
    yield Case(350, ("even",), odd)
    yield Case(350, ("even", "MXM_W1"), change("acc8", dtype=F16))


def _memory() -> Iterator[Case]:
    again = change("again", cycle=8, count=1)
    yield Case(330, ("bank 1", "read 0x0110", "MEM_W1"), again)
    yield Case(330, ("gather", "bank 0"), add("x", "MEM_W5", 10, mem.Write(0x20, 2)))
    spare = add("x", "MEM_W6", 13, mem.Read(0, 6))
    late = add("y", "MEM_W4", 20, mem.Write(0x150, 6))
    yield Case(331, ("scatter", "effective in cycle 21"), both(spare, late))
    late = add("y", "MEM_W4", 20, mem.Write(0x50, 6))
    yield Case(331, ("write 0x0050", "MEM_W4"), both(spare, late))
    yield Case(332, ("nothing defines word 0x0014",), change("read", address=0x11))
    early = change("again", cycle=6, count=1)
    yield Case(332, ("from cycle 8 on", "2 cycles later", "write 0x0110, E0"), early)
    yield Case(333, ("word 0x0008",), change("gather", limit=8))
    yield Case(333, ("word 0x0004", "scatter"), change("scatter", limit=4))
    yield Case(334, ("overlaps segment",), constant("MEM_W3", 0x12, 1))
    yield Case(334, ("has data for",), lambda s: s, no_data)
    yield Case(334, ("512 words",), constant("MEM_W3", 511, 2))
    yield Case(335, ("is a constant", "MEM_W3"), set_input("MEM_W3", 0x12))
    yield Case(335, ("lane 2", "'x'"), set_input("MEM_W11", 0, 2))
    missing = Piece(20, 0x40, 0, 4, 0, 1, 0, 4)
    yield Case(336, ("nothing defines", "output 'z'"), set_output(missing))
    yield Case(336, ("element 0 is in none",), set_output(None))
    yield Case(337, ("lanes 30",), set_output(Piece(0, 0, 0, 4, 0, 1, 0, 4, 30)))
    yield Case(337, ("larger than the memory",), set_output(None, shape=(1 << 30,)))


def _time() -> Iterator[Case]:
    yield Case(312, ("MEM_W3 dispatches",), add("x", "MEM_W3", 2, mem.Read(0x10, 9)))
    other = add("x", "VXM_0", 0, vxm.Add(I8, ONE, ONE), count=2, interval=9)
    yield Case(312, ("in cycle 9", "VXM_0"), other)
    hint = "or read alu0~1"
    later = change("second", cycle=10)
    stop = drop("large", "result")
    yield Case(324, ("alu0", "1 cycle earlier", hint), both(later, stop))
    yield Case(324, ("alu5 finishes nothing",), change("large", a=alu(5)))
    yield Case(325, ("2 byte planes", "VXM_1"), change("large", dtype=F16))
    wide = change("large", instr=vxm_extensions.Select(I8, ONE, ONE, c=alu(3)))
    maker = add("x", "VXM_3", 9, vxm.Mov(F32, ONE), count=8)
    yield Case(325, ("1 byte planes", "makes 4"), both(maker, wide))
    yield Case(340, ("E16 at VXM", "in cycle 15"), change("large", east=17))
    yield Case(340, ("E4 at MEM_W5", "gather"), add("x", "MEM_W5", 12, mem.Read(0, 4)))
    yield Case(341, ("nothing is on E0 at MEM_W1", "1 cycle earlier"), change("write", cycle=8))
    yield Case(341, ("other direction", "E16"), add("x", "MEM_W0", 40, mem.Write(0, 16)))
    yield Case(341, ("upstream of",), change("first", a=stream(32 + 30)))


def _matrix() -> Iterator[Case]:
    yield Case(352, ("column 8",), change("iw", columns=9))
    soon = change("iw", cycle=67)
    yield Case(352, ("column 7", "as f16"), both(soon, change("lw", count=7)))
    yield Case(352, ("column 7", "2 cycles later", "lw f16"), late_column)
    yield Case(353, ("no weights", "1 cycle later"), change("iw", cycle=69))
    yield Case(353, ("no weights are installed",), drop("iw8"))
    yield Case(354, ("has the pair until", "interval"), change("abc", rows=24))
    yield Case(354, ("abc f16",), change("abc2", rows=32))
    yield Case(355, ("takes effect in cycle 70", "1 cycle later"), fp16_alone)
    wider = both(fp16_alone, change("abc", rows=32))
    yield Case(355, ("while `abc f16",), wider)
    yield Case(356, ("no activation entered", "1 cycle earlier"), change("acc8", cycle=92))
    yield Case(356, ("in cycle 69",), drop("abc8"))
    yield Case(357, ("row 0 has not been started",), change("acc", start=0))
    yield Case(357, ("row 4 has not",), change("acc2", row=1))


CASES: Final = tuple(
    c for group in (_structure, _operands, _memory, _time, _matrix) for c in group()
)
