"""Rules about operands: what they name is there, and the unit can do it. On bursts whose fields hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from isa.instruction import DType, Instruction, SourceKind
from isa.verify import effects, report, words
from isa.verify.context import Context, Ints
from isa.verify.effects import PLANES
from isa.verify.fields import beyond, flag

MATRIX_TYPES: Final = (DType.I8, DType.F16)


def check(ctx: Context) -> None:
    """Rules 306, 310, 311, 320 to 323, 350, 351 and 358, on bursts that ``structure`` let pass."""
    _memory(ctx)
    _planes(ctx)
    _weights(ctx)
    _activations(ctx)
    _vector(ctx)
    bursts = ctx.bursts("config")
    full = ctx.machine["lanes.superlanes"]
    bad = ctx.operand("config", "superlanes") != full
    why = f"only the full vector of {full} superlanes can be powered"
    flag(ctx, 306, bursts, bad, why, f"write {full}")
    _groups(ctx, effects.reads(ctx), "reads")
    _groups(ctx, effects.puts(ctx), "drives")


def _groups(ctx: Context, access: effects.Access, verb: str) -> None:
    """Rule 310."""
    m = ctx.machine
    inside = access.stream % m.streams
    bad = (inside % access.width != 0) | (inside + access.planes > m.streams)
    columns = (access.bursts, access.stream, access.width, access.planes)
    for burst, stream, width, planes in zip(
        *(a[bad][: report.CAP].tolist() for a in columns), strict=True
    ):
        first = words.stream_name(m, stream)
        number, side = int(first[1:]), first[0]
        last = m.streams - 1
        if number % width:
            low = number - number % width
            why = f"{verb} {planes} streams from {first} on: a group of {width} starts at a multiple of {width}"
            known = [f"{side}{n}" for n in (low, low + width) if n + planes <= m.streams]
            hint = f"start at {' or '.join(known)}" if known else "read fewer"
        else:
            why = f"{verb} {planes} streams from {first} on, and {side}{last} is the last"
            most = (m.streams - planes) // width * width
            hint = f"start at {side}{most} or below" if most >= 0 else "take fewer at a time"
        report.refuse_burst(ctx, 310, burst, why, hint=hint, at=first)


def _highest(ctx: Context, bursts: Ints, first: Ints) -> Ints:
    """Greatest value of a strided operand over each burst's dispatches."""
    return np.maximum(first, first + (ctx.count[bursts] - 1) * ctx.stride[bursts])


def _leaves(
    ctx: Context, operand: str, high: int
) -> tuple[Callable[[int], int], Callable[[int], int]]:
    """For a burst whose strided operand passes ``high``: the first dispatch in which it does, and its value there."""

    def instance(burst: int) -> int:
        first = ctx.value(burst, operand)
        return 0 if first > high else beyond(first, int(ctx.stride[burst]), 0, high)

    return instance, lambda b: ctx.value(b, operand) + instance(b) * int(ctx.stride[b])


def _shorter(instance: Callable[[int], int], elsewhere: str) -> Callable[[int], str]:
    """The hint for a burst that is right until a dispatch."""

    def hint(burst: int) -> str:
        k = instance(burst)
        return f"end it at x{k}, or {elsewhere}" if k else elsewhere

    return hint


def _memory(ctx: Context) -> None:
    """Rule 306 for slices."""
    end = ctx.machine.words
    has = f"a slice has {end} words, to {end - 1:#06x}"
    instance, value = _leaves(ctx, "address", end - 1)
    for name in ("read", "write"):
        bursts = ctx.bursts(name)
        bad = _highest(ctx, bursts, ctx.operand(name, "address")) >= end
        hint = _shorter(instance, "start it at a lower word")
        flag(
            ctx,
            306,
            bursts,
            bad,
            lambda b: f"no word {value(b):#06x}: {has}",
            hint,
            instance=instance,
        )
    for name in ("gather", "scatter"):
        bursts, limits = ctx.bursts(name), ctx.operand(name, "limit")
        bad = _highest(ctx, bursts, ctx.operand(name, "base")) + limits >= end
        flag(ctx, 306, bursts, bad, _reaches(ctx, has), _lower(ctx), instance=_reaching(ctx))


def _reaching(ctx: Context) -> Callable[[int], int]:
    """For an indexed burst: the first dispatch that may reach past the slice."""

    def instance(burst: int) -> int:
        high = ctx.machine.words - 1 - ctx.value(burst, "limit")
        base = ctx.value(burst, "base")
        return 0 if base > high else beyond(base, int(ctx.stride[burst]), 0, high)

    return instance


def _reaches(ctx: Context, has: str) -> Callable[[int], str]:
    """What such a burst may touch."""

    def reach(burst: int) -> str:
        base = ctx.value(burst, "base") + _reaching(ctx)(burst) * int(ctx.stride[burst])
        return f"may reach word {base + ctx.value(burst, 'limit'):#06x}: {has}"

    return reach


def _lower(ctx: Context) -> Callable[[int], str]:
    """How far it may reach."""
    end = ctx.machine.words

    def lower(burst: int) -> str:
        base = ctx.value(burst, "base")
        base = max(base, base + (int(ctx.count[burst]) - 1) * int(ctx.stride[burst]))
        return f"lower the limit to {end - 1 - base:#06x}" if base < end else "lower the base"

    return lower


def _planes(ctx: Context) -> None:
    """Rules 311 and 350 (the odd plane has no fp16 queues) for all matrix instructions."""
    m = ctx.machine
    per_side = m["mxm.planes"]
    for name in ("lw", "iw", "abc", "acc"):
        bursts, dtype = ctx.bursts(name), ctx.operand(name, "dtype")
        bad = ~np.isin(dtype, MATRIX_TYPES)

        def why(burst: int) -> str:
            return f"the matrix unit works on i8 and f16, not on {words.type_name(ctx.value(burst, 'dtype'))}"

        flag(ctx, 311, bursts, bad, why, "convert with cvt in the VXM before")
        plane = (ctx.queue[bursts] - m.mxm_queue) // 3 % per_side
        odd = (dtype == DType.F16) & (plane % 2 == 1)
        alone = (dtype == DType.F16) & ~odd & (plane + 1 >= per_side)

        def pair(burst: int) -> str:
            even = m.queue_names[int(ctx.queue[burst]) - 3].partition(".")[0]
            return f"a pair of planes runs fp16 by the queues of the even one, {even}"

        def there(burst: int) -> str:
            return f"issue it on {m.queue_names[int(ctx.queue[burst]) - 3]}"

        flag(ctx, 350, bursts, odd, pair, there)
        why_alone = "a pair of planes runs fp16, and this plane has no partner"
        flag(ctx, 350, bursts, alone, why_alone, "use a plane that has one, or i8")


def _weights(ctx: Context) -> None:
    """Rules 351 and 306 for loads and installs."""
    m = ctx.machine
    bursts, end = ctx.bursts("lw"), m.lanes
    groups = ctx.operand("lw", "groups")
    wide = groups * PLANES[ctx.operand("lw", "dtype")]
    limit = m["mxm.weight_streams"]

    def asked(burst: int) -> int:
        return ctx.value(burst, "groups") * DType(ctx.value(burst, "dtype")).planes

    flag(
        ctx,
        351,
        bursts,
        (wide > limit) | (groups < 1),
        lambda b: f"takes weights from {asked(b)} streams; a plane takes them from 1 to {limit}",
        lambda b: "load in several dispatches" if asked(b) else "load at least one group",
    )
    span = (groups - 1).clip(0) * ctx.operand("lw", "spread")
    bad = _highest(ctx, bursts, ctx.operand("lw", "column")) + span >= end
    has = f"the array has {end} columns, to {end - 1}"

    def reach(burst: int) -> int:
        return max(0, ctx.value(burst, "groups") - 1) * ctx.value(burst, "spread")

    def instance(burst: int) -> int:
        return _leaves(ctx, "column", end - 1 - reach(burst))[0](burst)

    def why(burst: int) -> str:
        there = ctx.value(burst, "column") + instance(burst) * int(ctx.stride[burst])
        return f"no column {there + reach(burst)}: {has}"

    hint = _shorter(instance, "start it at a lower column")
    flag(ctx, 306, bursts, bad, why, hint, instance=instance)
    bursts = ctx.bursts("iw")
    first, columns = ctx.operand("iw", "first"), ctx.operand("iw", "columns")
    flag(ctx, 306, bursts, columns < 1, "installs no column", "install 1 or more")
    flag(
        ctx,
        306,
        bursts,
        (columns >= 1) & (first + columns > end),
        lambda b: f"no column {ctx.value(b, 'first') + ctx.value(b, 'columns') - 1}: {has}",
        "install fewer",
    )


def _activations(ctx: Context) -> None:
    """Rules 358, and 306 for accumulators."""
    m = ctx.machine
    bursts = ctx.bursts("abc")
    first, rows = ctx.operand("abc", "first"), ctx.operand("abc", "rows")
    unit = m["mxm.window"]

    def window(burst: int) -> tuple[int, int]:
        return ctx.value(burst, "first"), ctx.value(burst, "rows")

    ragged = (first % unit != 0) | (rows % unit != 0) | (rows < 1)

    def why(burst: int) -> str:
        first, rows = window(burst)
        return f"a window of {rows} rows from {first} on; first and rows are multiples of {unit}, rows not 0"

    def pad(burst: int) -> str:
        first, rows = window(burst)
        low, end = first // unit * unit, -(-max(first + rows, first + 1) // unit) * unit
        return f"take {end - low} rows from {low} on, the weights of the others being zero"

    flag(ctx, 358, bursts, ragged, why, pad)
    flag(
        ctx,
        358,
        bursts,
        ~ragged & (first + rows > m.lanes),
        lambda b: f"a window to row {sum(window(b)) - 1}; a vector has {m.lanes} lanes",
        lambda b: (
            f"take {m.lanes - window(b)[0]} rows at most, or start lower"
            if window(b)[0] < m.lanes
            else f"start below {m.lanes}"
        ),
    )
    bursts, end = ctx.bursts("acc"), m["mxm.acc_rows"]
    instance, value = _leaves(ctx, "row", end - 1)
    flag(
        ctx,
        306,
        bursts,
        _highest(ctx, bursts, ctx.operand("acc", "row")) >= end,
        lambda b: f"no row {value(b)}: a plane has {end} accumulator rows, to {end - 1}",
        _shorter(instance, "emit, and start again from row 0"),
        instance=instance,
    )


def _vector(ctx: Context) -> None:
    """Rules 311 and 320 to 323."""
    m = ctx.machine
    large = m["vxm.large_alus"]
    for cls, bursts in effects.vxm_operations(ctx):
        types = getattr(cls, "types", tuple(DType))
        bad = ~np.isin(ctx.operand(cls.mnemonic, "dtype", bursts), types)
        names = ", ".join(words.type_name(t) for t in types)

        def why(burst: int, name: str = cls.mnemonic, names: str = names) -> str:
            return f"{name} works on {names}, not on {words.type_name(ctx.value(burst, 'dtype'))}"

        flag(ctx, 311, bursts, bad, why, "convert with cvt before")
        lacking = np.full(len(bursts), bool(cls.extension) and not m[cls.extension])
        why_lacking = f"{cls.mnemonic} is an extension that this chip is without ({cls.extension})"
        hint = "do without it, or switch it on in the chip file"
        flag(ctx, 323, bursts, lacking, why_lacking, hint)
        if cls.large:
            small = ctx.queue[bursts] - m.vxm_queue >= large
            why_small = f"{cls.mnemonic} needs a large ALU"
            hint = f"issue it on one of VXM_0 .. VXM_{large - 1}" if large else "the chip has none"
            flag(ctx, 321, bursts, small, why_small, hint)
        for index in range(cls.arity):
            _source(ctx, cls, bursts, index)


def _source(ctx: Context, cls: type[Instruction], bursts: Ints, index: int) -> None:
    m = ctx.machine
    immediates, most = m["vxm.immediates"], m["vxm.max_delay"]
    s = effects.vxm_source(ctx, cls.mnemonic, index, bursts)

    def given(burst: int) -> int:
        return ctx.value(burst, "abc"[index]) >> 8 & 63

    absent = s.kind == SourceKind.NONE
    why = f"source {'abc'[index]} is missing: {cls.mnemonic} takes {cls.arity}"

    def before(burst: int) -> int:
        return sum(ctx.value(burst, "abc"[i]) & 3 == SourceKind.NONE for i in range(index))

    hint = "name a stream, an ALU or an immediate"
    flag(ctx, 320, bursts, absent, why, hint, at="none", nth=before)
    late = (s.delay > most) & ((s.kind == SourceKind.STREAM) | (s.kind == SourceKind.ALU))
    flag(
        ctx,
        322,
        bursts,
        late,
        lambda b: (
            f"source {'abc'[index]} is {words.cycles(given(b))} old; registers hold one for {most} at most"
        ),
        "pass it through a mov on another ALU",
    )
    bad = (s.kind == SourceKind.IMMEDIATE) & (immediates == 0)
    why = f"source {'abc'[index]} is an immediate, which this chip has not (vxm.immediates)"
    hint = "keep the constant in memory and stream it"
    flag(ctx, 323, bursts, bad, why, hint, at=r"#[^\s,]+")
