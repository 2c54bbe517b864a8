"""Rules about results handed from ALU to ALU: there in the one cycle in which they are read, and of the right width."""

from __future__ import annotations

import numpy as np

from isa.instruction import SourceKind
from isa.verify import effects, report, words
from isa.verify.context import Context, Dispatches, Ints, firsts, ramp


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
    for i, k, p in firsts(count, np.flatnonzero(missing)):
        index = int(np.flatnonzero(missing)[p])
        _absent(ctx, alu, int(bursts[i]), k, int(delay[i]), made, int(wanted[index]))
    have = np.append(made.values(width[makers]), 0)[at]
    lost = np.flatnonzero(~missing & (have != np.repeat(planes, count)))
    for i, k, p in firsts(count, lost):
        burst, index = int(bursts[i]), int(lost[p])
        maker, repeat = made.who(int(at[index]))
        party, name = report.other(ctx, maker, repeat, burst), source_name(alu, int(delay[i]))
        why = f"reads {name} as {words.planes(int(planes[i]))}, but {party} made {words.planes(int(width[maker]))}"
        hint = "convert with cvt between them, or give both one type"
        report.refuse_burst(ctx, 325, burst, why, instance=k, hint=hint, at=name)


def source_name(alu: int, delay: int) -> str:
    """``alu3`` or ``alu3~2``."""
    return f"alu{alu}" + (f"~{delay}" if delay else "")


def _absent(
    ctx: Context, alu: int, burst: int, k: int, delay: int, made: Dispatches, wanted: int
) -> None:
    """Refuse one operand: no dispatch of the ALU in cycle ``wanted``, whose result it would be."""
    latency, name = ctx.machine.timing("vxm_alu"), source_name(alu, delay)
    why = f"reads {name}, but VXM_{alu} has no operation in the whole program"
    hint = f"have it dispatch one @{wanted}" if wanted >= 0 else "issue it later"
    if (made.bursts == burst).all() and len(made):
        first = words.cycle(ctx, burst) - delay
        why = (
            f"reads {name}, its own result, from cycle {first} on, and the first is there in cycle "
        )
        why += f"{words.cycle(ctx, burst) + latency}: nothing starts the chain"
        hint = f"have VXM_{alu} dispatch another operation @{first - latency}"
    elif len(made):
        nearest = int(np.abs(made.cycle - wanted).argmin())
        maker, repeat = made.who(nearest)
        off = int(made.cycle[nearest]) - wanted
        begin = words.cycle(ctx, maker) + latency
        gap = words.cycle(ctx, burst) - delay - begin
        meeting = report.meeting(ctx, burst, k, maker, gap, off)
        delta, party = meeting.delta, report.other(ctx, maker, 0, burst)
        if meeting.why:
            why, hint = f"reads {name}, but {party} {meeting.why}", meeting.hint
        else:
            why = f"reads {name} in cycle {wanted + latency}, but "
            if meeting.whole:
                why += f"the results of {party} are there from cycle {begin} on, "
                why += f"and are read from cycle {begin - delta} on: {report.miss(delta)}"
            else:
                party = report.other(ctx, maker, repeat, burst)
                why += f"the result of {party} is there in cycle {wanted + latency + off}: "
                why += report.miss(delta)
            hint = report.moves(ctx, (burst, delta), (maker, -delta))
            if 0 <= delay - delta <= ctx.machine["vxm.max_delay"]:
                hint += f", or read {source_name(alu, delay - delta)}"
    report.refuse_burst(ctx, 324, burst, why, instance=k, hint=hint, at=name)
