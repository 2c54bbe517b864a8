"""What contracts promise is what a run shows: a value on each stream, there and then, written upstream and read behind."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from emulator.events import Access, Line, LineKind, diagonal
from emulator.rewind import Rewinder
from isa.assembly import assemble
from isa.instruction import DType
from isa.machine import Machine, load_chip
from isa.program import Program
from tests.emulator.random_programs import random_inputs

KERNELS = Path(__file__).parents[2] / "examples" / "kernels"
CLAUSE = re.compile(r"(in|out) \w+: ([EW])(\d+)(?: (\w+))? @(\d+) at VXM x(\d+)(?: /(\d+))?")
SMALL = {"n": 3, "cols": 5}
SPREAD = """\
.tensor x f16 5 32 at MEM_E0:0 input
.tensor y f16 5 32 at MEM_W0:0 output
.kernel twice(n, every)
  .in x: W2 f16 @t at VXM x{n} /every
  .out y: W4 f16 @t+6 at VXM x{n} /every
  .uses VXM_1..VXM_2
  @arrives VXM_1: add f16, x, x x{n} /every
  @arrives VXM_2: add f16, alu1, x -> y x{n} /every
.end
@reach(VXM, 20) x: read W2 /3
k: @arrives twice(5, 3)
@arrives y: write k.y /3
"""


def clauses(program: Program) -> list[tuple[str, int, int]]:
    """``(in or out, stream, cycle)`` of every value that a contract of the text names, as the program carries them."""
    found = []
    for _, _, _, texts in json.loads(dict(program.meta)["symbols"])["kernels"]:
        for text in texts:
            kind, way, index, dtype, cycle, count, every = CLAUSE.fullmatch(text).groups()  # type: ignore[union-attr]
            first = int(index) + (program.machine.streams if way == "W" else 0)
            for plane in range(DType[dtype.upper()].planes if dtype else 1):
                cycles = (int(cycle) + i * int(every or 1) for i in range(int(count)))
                found += [(kind, first + plane, c) for c in cycles]
    return found


def program_of(name: str, machine: Machine) -> Program:
    if name == "spread":
        return assemble(SPREAD, machine)
    return assemble((KERNELS / name).read_text(), None, name, KERNELS, SMALL)


@pytest.mark.parametrize("name", ["saxpy.asm", "gelu.asm", "saxpy_gelu.asm", "spread"])
def test_values_pass_when_contracts_say(name: str) -> None:
    program = program_of(name, load_chip("tiny"))
    machine = program.machine
    run = Rewinder(program, random_inputs(1, program))
    run.seek(1 << 40)
    values = clauses(program)
    assert len(values) >= 20
    for kind, stream, cycle in values:
        way = diagonal(machine, stream, machine.vxm_position, cycle)
        line = Line(LineKind.STREAM, stream, way)
        assert run.events.uses(line, cycle).writers, (kind, stream, cycle)
        read = [e for e in run.events.on(line) if e.access is Access.READ and e.time >= cycle]
        assert read, (kind, stream, cycle)
