"""Rules about results handed from ALU to ALU: there in the one cycle in which they are read, and of the right width."""

from __future__ import annotations

import numpy as np

from isa.instruction import SourceKind
from isa.verify import effects, report
from isa.verify.context import Context, Ints, firsts, ramp


def forwarding(ctx: Context) -> None:
    """Rules 324 and 325."""
    width = np.zeros(len(ctx), np.int64)
    for cls, bursts in effects.vxm_operations(ctx):
        width[bursts] = effects.result_planes(ctx, cls.mnemonic, bursts)
    parts = [(s.bursts, s.unit, s.delay, s.planes, s.kind) for s in effects.vxm_sources(ctx)]
    if not parts:
        return
    bursts, unit, delay, planes, kind = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    for alu in np.unique(unit[kind == SourceKind.ALU]):
        chosen = (kind == SourceKind.ALU) & (unit == alu)
        _reads_of(ctx, int(alu), width, bursts[chosen], delay[chosen], planes[chosen])


def _reads_of(ctx: Context, alu: int, width: Ints, bursts: Ints, delay: Ints, planes: Ints) -> None:
    """All operands that come from one ALU, against what it made."""
    makers = np.flatnonzero((ctx.queue == ctx.machine.vxm_queue + alu) & (width > 0))
    made = ctx.dispatches(makers)
    count = ctx.count[bursts]
    wanted = ramp(
        ctx.cycle[bursts] - delay - ctx.machine.timing("vxm_alu"), ctx.interval[bursts], count
    )
    at = np.searchsorted(made.cycle, wanted)
    padded = np.append(made.cycle, -1)
    missing = padded[at] != wanted
    if missing.any():
        _absent(ctx, alu, bursts, delay, made.cycle, missing, wanted)
    have = np.append(made.values(width[makers]), 0)[at]
    narrow = ~missing & (have != np.repeat(planes, count))
    lost = np.flatnonzero(narrow)
    for i, k, p in firsts(count, lost):
        index = int(lost[p])
        maker, repeat = made.who(int(at[index]))
        why = (
            f"alu{alu} is read as {planes[i]} byte planes, but {report.other(ctx, maker, repeat)}"
            f" makes {width[maker]}"
        )
        where = report.place(ctx, int(bursts[i]), k)
        report.refuse(ctx, 325, why, where=where, hint="convert with cvt between them")


def _absent(
    ctx: Context, alu: int, bursts: Ints, delay: Ints, made: Ints, missing: Ints, wanted: Ints
) -> None:
    latency = ctx.machine.timing("vxm_alu")
    lost = np.flatnonzero(missing)
    for i, k, p in firsts(ctx.count[bursts], lost):
        index = int(lost[p])
        ready = int(wanted[index]) + latency
        why = f"alu{alu} finishes nothing in cycle {ready}"
        hint = f"have VXM_{alu} dispatch an operation in cycle {ready - latency}"
        if len(made):
            nearest = int(made[np.abs(made - wanted[index]).argmin()])
            off = nearest - int(wanted[index])
            side = "later" if off > 0 else "earlier"
            why += f"; its nearest result is of cycle {nearest + latency}, {report.cycles(abs(off))} {side}"
            hint = report.shift(off, f"operation on VXM_{alu}")
            if 0 <= delay[i] - off <= ctx.machine["vxm.max_delay"]:
                hint += f", or read alu{alu}~{delay[i] - off}"
        report.refuse(ctx, 324, why, where=report.place(ctx, int(bursts[i]), k), hint=hint)
