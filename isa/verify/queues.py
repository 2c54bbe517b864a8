"""Rules about queues: what is dispatched when, and when the program ends."""

from __future__ import annotations

from typing import Final

import numpy as np

from isa.instruction import BY_OPCODE, DType
from isa.verify import report
from isa.verify.context import Context, Ints, collisions

READ: Final = 1
WRITE: Final = 2
PORTS: Final = {"read": READ, "write": WRITE}


def ports(ctx: Context) -> Ints:
    """For each burst: whether it uses a MEM queue's ``READ`` port, its ``WRITE`` port, or the queue, which is both."""
    table = np.full(int(ctx.opcode.max(initial=0)) + 1, READ | WRITE, np.int64)
    for code in ctx.opcodes:
        table[code] = PORTS.get(BY_OPCODE[int(code)].port, READ | WRITE)
    return table[ctx.opcode]


def dispatch(ctx: Context) -> None:
    """Rule 312: one dispatch a queue and cycle; a MEM queue's read and write ports count apart."""
    port, mem = ports(ctx), ctx.queue < 2 * ctx.machine.slices
    reading, writing = np.flatnonzero(port & READ), np.flatnonzero((port & WRITE != 0) & mem)
    bursts = np.concatenate([reading, writing])
    group = ctx.queue[bursts] * 2
    group[len(reading) :] += 1
    args = (ctx.cycle[bursts], ctx.interval[bursts], ctx.count[bursts])
    for i, k, j, n in collisions(group, *args):
        a, b = int(bursts[i]), int(bursts[j])
        most = "one read and one write" if mem[a] else "one instruction"
        why = f"{report.other(ctx, a, k, b)} is dispatched in the same cycle; a queue takes {most}"
        hint = report.separate(ctx, b, a)
        report.refuse_burst(ctx, 312, b, why, instance=n, hint=hint)


def cost(ctx: Context, bursts: Ints) -> Ints:
    """Cycles for which an ``abc`` keeps its plane: 1 for int8, a cycle each ``fp16_k`` rows for fp16."""
    rows, dtype = ctx.operand("abc", "rows", bursts), ctx.operand("abc", "dtype", bursts)
    return np.where(dtype == DType.F16, -(-rows // max(1, ctx.machine["mxm.fp16_k"])), 1)


def total_cycles(ctx: Context) -> int:
    """The cycle in which everything is done: the last result, and the superlanes' stagger.

    A dispatch is done ``max(1, d_func)`` cycles later, an ``abc`` when its plane is free again.
    """
    busy = np.maximum(1, ctx.d_func)
    bursts = ctx.bursts("abc")
    busy[bursts] = cost(ctx, bursts)
    end = int((ctx.last + busy).max(initial=0))
    return end + ctx.machine.timing("stagger")
