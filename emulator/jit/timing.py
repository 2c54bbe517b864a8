"""How long a program takes, from its queues and the chip's timing alone."""

from __future__ import annotations

import numpy as np

from emulator.jit.effects import distinct
from isa.instruction import BY_OPCODE, DType
from isa.ops.mxm import Activate
from isa.program import Program


def run_cycles(program: Program) -> int:
    """Cycles until the last dispatch has had its effect, plus the stagger of the superlanes.

    A dispatch takes its ``d_func``, at least one cycle; an activation the cycles it keeps the array busy.
    """
    machine, bursts = program.machine, program.bursts
    end = 0
    for opcode in distinct(bursts["opcode"]):
        cls = BY_OPCODE[int(opcode)]
        rows = bursts[bursts["opcode"] == opcode]
        takes = np.full(len(rows), max(1, machine.timing(cls.timing) if cls.timing else 0))
        if cls is Activate:
            passes = -(-rows["args"][:, 3] // machine["mxm.fp16_k"])
            takes = np.where(rows["args"][:, 0] == DType.F16, passes, 1)
        last = rows["cycle"] + (rows["count"] - 1) * rows["interval"]
        end = max(end, int((last + takes).max()))
    return end + machine.timing("stagger")
