"""Rules about results handed from ALU to ALU: there in the one cycle in which they are read, and of the right width."""

from __future__ import annotations

import numpy as np

from isa.instruction import DType, SourceKind
from isa.verify import effects, report, words
from isa.verify.context import Context, Dispatches, Ints, firsts, once, ramp
from isa.verify.effects import Sources
from isa.verify.tags import remedy


def forwarding(ctx: Context) -> None:
    """Rules 324, 325 and 342."""
    made = np.full(len(ctx), effects.UNTYPED)
    for cls, bursts in effects.vxm_operations(ctx):
        made[bursts] = effects.result_type(ctx, cls.mnemonic, bursts)
    sources = list(effects.vxm_sources(ctx))
    if not sources:
        return
    every = Sources.join(sources)
    every = every.where(every.kind == SourceKind.ALU)
    for alu in once(every.unit):
        _reads_of(ctx, int(alu), made, every.where(every.unit == alu))


def _reads_of(ctx: Context, alu: int, dtype: Ints, taken: Sources) -> None:
    """All operands that come from one ALU, against what it made: results of ``dtype``, by burst."""
    makers = np.flatnonzero((ctx.queue == ctx.machine.vxm_queue + alu) & (dtype >= 0))
    ready = ctx.cycle[taken.bursts] - taken.delay - ctx.machine.timing("vxm_alu")
    by = ctx.makers(makers, ready, ctx.interval[taken.bursts], ctx.count[taken.bursts])
    sound = (taken.dtype == dtype[by]) | (taken.dtype == effects.UNTYPED)
    sound &= (by >= 0) & (effects.PLANES[dtype[by]] == taken.planes)
    taken = taken.where(~sound)
    bursts, delay, planes = taken.bursts, taken.delay, taken.planes
    if not len(bursts):
        return
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
    have = np.append(made.values(dtype[makers]), 0)[at]
    read = np.repeat(taken.dtype, count)
    wide = effects.PLANES[have] != np.repeat(planes, count)
    bad = np.flatnonzero(~missing & (wide | (read != have) & (read != effects.UNTYPED)))
    for i, k, p in firsts(count, bad):
        index, name = int(bad[p]), source_name(alu, int(delay[i]))
        maker = made.who(int(at[index]))
        _other_type(ctx, name, (int(bursts[i]), k), maker, int(planes[i]), DType(have[index]))


def _other_type(
    ctx: Context,
    name: str,
    reader: tuple[int, int],
    maker: tuple[int, int],
    planes: int,
    had: DType,
) -> None:
    """Refuse an operand that wants so many byte planes, or as many but of another type, where the maker made ``had``."""
    party, burst = report.other(ctx, *maker, reader[0]), reader[0]
    if planes != had.planes:
        rule, hint = 325, "convert with cvt between them, or give both one type"
        why = f"reads {name} as {words.planes(planes)}, but {party} made {words.planes(had.planes)}"
    else:
        read = DType(ctx.value(burst, "dtype"))
        rule, hint = 342, remedy(read, had)
        why = f"reads {name} as {words.type_name(read)}, but {party} made {words.type_name(had)}"
    report.refuse_burst(ctx, rule, burst, why, instance=reader[1], hint=hint, at=name)


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
