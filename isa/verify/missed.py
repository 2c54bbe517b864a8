"""What is said of a read of a stream that carries nothing there and then (rule 341)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from isa.verify import effects, report, words
from isa.verify.context import MAX_CYCLE, Context
from isa.verify.ends import Ends

NEVER: Final = MAX_CYCLE << 1


@dataclass(frozen=True)
class Operand:
    """Streams that a burst reads or drives as one: the first, their number, and the delay with which they are seen."""

    stream: int
    planes: int
    delay: int

    def name(self, ctx: Context, delay: int | None = None) -> str:
        """As it is written, with this delay or with another."""
        late = self.delay if delay is None else delay
        return words.stream_name(ctx.machine, self.stream) + (f"~{late}" if late else "")

    def part(self, ctx: Context, stream: int) -> str:
        """One of its streams, and what it is a part of."""
        one = words.stream_name(ctx.machine, stream)
        return one if stream == self.stream else f"{one} (of {self.name(ctx)})"


def operand(ctx: Context, burst: int, stream: int, delay: int, driven: bool = False) -> Operand:
    """The operand with which a burst reads (or drives) a stream."""
    every = effects.puts(ctx) if driven else effects.reads(ctx)
    mine = every.where((every.bursts == burst) & (every.delay == delay))
    for first, planes in zip(mine.stream.tolist(), mine.planes.tolist(), strict=True):
        if first <= stream < first + planes:
            return Operand(first, planes, delay)
    raise AssertionError("what is accessed is an operand")


@dataclass(frozen=True)
class Look:
    """Dispatch ``k`` of a burst samples ``stream`` in ``cycle``; its first dispatch did so in ``start``."""

    burst: int
    k: int
    stream: int
    place: int
    delay: int
    start: int
    cycle: int


@dataclass(frozen=True)
class Nearest:
    """The value from upstream that passes ``off`` cycles after a look: dispatch ``repeat``; the first passes in ``first``."""

    maker: int
    repeat: int
    first: int
    off: int


def nearest(ctx: Context, made: Ends, look: Look) -> Nearest | None:
    """Among those that drive one stream, or None if none is upstream."""
    first = made.time + ctx.machine["streams.hop"] * (look.place - made.place)
    each = ctx.interval[made.bursts]
    repeat = np.clip((look.cycle - first + each // 2) // each, 0, made.count - 1)
    off = first + repeat * each - look.cycle
    off[made.place > look.place] = NEVER
    if not (off < NEVER).any():
        return None
    best = int(np.lexsort((-made.place, np.abs(off)))[0])
    return Nearest(int(made.bursts[best]), int(repeat[best]), int(first[best]), int(off[best]))


def tell(ctx: Context, made: Ends, look: Look, source: Operand) -> None:
    """Rule 341 for one look at one stream of ``source``; ``made`` has what drives all streams."""
    m = ctx.machine
    name, position = words.stream_name(m, look.stream), int(ctx.position[look.burst])
    why = f"reads stream {source.part(ctx, look.stream)} at position {position} in cycle {look.cycle}, but "
    drivers = made.on(look.stream)
    value = nearest(ctx, drivers, look)
    if value is not None:
        passed, hint = _passed(ctx, made, look, source, value)
        why += passed
    elif len(drivers.place):
        maker = int(drivers.bursts[int(drivers.place.argmin())])
        why += f"it is driven downstream only, from position {ctx.position[maker]} on by "
        why += report.other(ctx, maker, 0, look.burst)
        other = "WE"[look.stream >= m.streams]
        hint = f"use the other direction, {other} streams, or put a value on {name} upstream"
    else:
        why += "nothing in the program puts a value on it"
        hint = f"put one on {name} upstream of there"
    report.refuse_burst(ctx, 341, look.burst, why, instance=look.k, hint=hint, at=source.name(ctx))


def _passed(
    ctx: Context, made: Ends, look: Look, source: Operand, value: Nearest
) -> tuple[str, str]:
    """What came closest, and how the two could meet."""
    gap = look.start - value.first
    meeting = report.meeting(ctx, look.burst, look.k, value.maker, gap, value.off)
    party = report.other(ctx, value.maker, 0, look.burst)
    if meeting.why:
        return f"{party} {meeting.why}", meeting.hint
    delta = meeting.delta
    if meeting.whole:
        why = f"the values of {party} pass it from cycle {value.first} on, "
        why += f"and are read from cycle {value.first - delta} on: {report.miss(delta)}"
    else:
        party = report.other(ctx, value.maker, value.repeat, look.burst)
        why = f"the value of {party} {'passes' if delta > 0 else 'passed'} it "
        why += f"in cycle {look.cycle + value.off}: {report.miss(delta)}"
    return why, _hint(ctx, made, look, source, value, delta)


def _hint(ctx: Context, made: Ends, look: Look, source: Operand, value: Nearest, delta: int) -> str:
    """Which of the two to move; the reader only if all byte planes of its operand come along."""
    planes = range(source.stream, source.stream + source.planes)
    every = [nearest(ctx, made.on(s), look) for s in planes]
    makers = {v.maker: v.off for v in every if v is not None}
    together = None not in every and len(set(makers.values())) == 1
    if not together:
        alone = report.moves(ctx, (value.maker, -delta))
        return alone or f"let all byte planes of {source.name(ctx)} pass in one cycle"
    if len(makers) == 1:
        hint = report.moves(ctx, (look.burst, delta), (value.maker, -delta))
    else:
        hint = report.moves(ctx, (look.burst, delta))
        side = "earlier" if delta > 0 else "later"
        planes_too = f"all that puts {source.name(ctx, 0)} {words.cycles(abs(delta))} {side}"
        hint = f"{hint}, or {planes_too}" if hint else f"move {planes_too}"
    late = look.delay - delta
    vector = ctx.position[look.burst] == ctx.machine.vxm_position
    if vector and 0 <= late <= ctx.machine["vxm.max_delay"]:
        hint += f", or read {source.name(ctx, late)}"
    return hint
