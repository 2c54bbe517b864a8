"""The rule about types: a value is read as the byte of the type that it was made as.

A value has a type where it is made: on an ALU, in an accumulator, in an input. It keeps it on streams, through the exchange unit,
and in the words that it is written to. What is known of what a burst moves is known of it as a whole: bytes, where its
dispatches move different things.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from isa.instruction import DType
from isa.program import PortTensor
from isa.verify import missed, report, tags
from isa.verify.context import Context, Ints
from isa.verify.origins import NOBODY, Origins
from isa.verify.streams import Meetings

ROUNDS: Final = 256
"""How often a type is followed from burst to burst; in a program with longer ways it is forgotten."""


def check(ctx: Context, meetings: Meetings, origins: Origins) -> None:
    """Rule 342, but for what goes from ALU to ALU."""
    moved = carried(ctx, meetings, origins)
    _streams(ctx, meetings, origins, moved)
    for tensor in ctx.program.outputs:
        _output(ctx, meetings, origins, moved, tensor)


def carried(ctx: Context, m: Meetings, origins: Origins) -> Ints:
    """For each burst the tag of what it moves: that of all it gets, or bytes where that is not one."""
    moves = m.taken.tag[m.reader] == tags.BYTES
    target, source = m.taken.bursts[m.reader[moves]], m.made.bursts[m.maker[moves]]
    made = m.made.tag[m.maker[moves]]
    typed = made != tags.BYTES
    high, low = np.full(len(ctx), tags.NOTHING), np.full(len(ctx), tags.TYPED.stop)
    for readers, given in (*origins.given, (target[typed], made[typed])):
        np.maximum.at(high, readers, given)
        np.minimum.at(low, readers, given)
    links = [(source[~typed], target[~typed]), *origins.written]
    source, target = (np.concatenate(part) for part in zip(*links, strict=True))
    unknown = high == tags.NOTHING
    unknown[target] = False
    high[unknown] = low[unknown] = tags.BYTES
    tag: Ints = np.full(len(ctx), tags.NOTHING)
    for _ in range(ROUNDS):
        now = np.where((high == low) | (high == tags.NOTHING), high, tags.BYTES)
        changed = now != tag
        if not changed.any():
            return np.where(tag == tags.NOTHING, tags.BYTES, tag)
        tag = now
        follow = changed[source]
        np.maximum.at(high, target[follow], tag[source[follow]])
        np.minimum.at(low, target[follow], tag[source[follow]])
    return np.zeros(len(ctx), np.int64)


def _streams(ctx: Context, m: Meetings, origins: Origins, moved: Ints) -> None:
    """What is read from streams."""
    read, direct = m.taken.tag[m.reader], m.made.tag[m.maker]
    straight = direct != tags.BYTES
    made = np.where(straight, direct, moved[m.made.bursts[m.maker]])
    bad = ~np.where(straight, tags.DIRECT[made, read], tags.MOVED[made, read])
    matrix = np.zeros(len(ctx), np.bool_)
    matrix[ctx.bursts("lw", "abc")] = True  # their int8 takes apart what memory holds
    bad &= straight | (read != tags.tag(DType.I8, 0)) | ~matrix[m.taken.bursts[m.reader]]
    told: set[object] = set()
    for i in np.flatnonzero(bad):
        reader, stream = int(m.reader[i]), int(m.taken.stream[m.reader[i]])
        burst, maker = int(m.taken.bursts[reader]), int(m.made.bursts[m.maker[i]])
        dtype, plane = tags.parts(int(read[i]))
        source = missed.operand(ctx, burst, stream, int(m.taken.delay[reader]))
        if (burst, source) in told:
            continue
        told.add((burst, source))
        party, tag = report.other(ctx, maker, 0, burst), int(made[i])
        why = f"reads stream {source.part(ctx, stream)} as {tags.byte(dtype, plane)}, but {party} "
        why += f"{'puts' if straight[i] else 'brings'} {tags.byte(*tags.parts(tag))} there"
        why += "" if straight[i] else _maker(ctx, m, origins, maker, tag, burst)
        hint = tags.remedy(dtype, tags.parts(tag)[0])
        k, at = int(m.repeat[i]), source.name(ctx)
        report.refuse_burst(ctx, 342, burst, why, instance=k, hint=hint, at=at)


def _output(ctx: Context, m: Meetings, origins: Origins, moved: Ints, tensor: PortTensor) -> None:
    """What is taken from memory in the end; told once of a tensor."""
    for p in tensor.pieces:
        wanted = tags.tag(tensor.dtype, p.plane)
        rows = slice(p.address, p.address + p.rows)
        first, writer = (words[rows] for words in origins.ends(ctx, p.slice))
        have = np.where(writer == NOBODY, first, np.append(moved, tags.BYTES)[writer])
        bad = np.flatnonzero(~tags.MOVED[have, wanted])
        if not len(bad):
            continue
        row, tag, unit = int(bad[0]), int(have[bad[0]]), ctx.machine.queue_names[p.slice]
        why = f"takes {tags.byte(tensor.dtype, p.plane)} from word {p.address + row:#06x} of {unit}, but "
        if writer[row] == NOBODY:
            why += f"that is {tags.byte(*tags.parts(tag))}{_input(ctx, p.slice, tag)}"
        else:
            burst = int(writer[row])
            why += f"{report.other(ctx, burst)} brings {tags.byte(*tags.parts(tag))} there"
            why += _maker(ctx, m, origins, burst, tag, None)
        hint = tags.remedy(tensor.dtype, tags.parts(tag)[0]) + ", or give the output its type"
        report.refuse(ctx, 342, why, where=f"output {tensor.name!r}", hint=hint)
        return


def _maker(
    ctx: Context, m: Meetings, origins: Origins, burst: int, tag: int, beside: int | None
) -> str:
    """Who made what a burst moves, as the end of a sentence."""
    seen: set[int] = set()
    while burst not in seen:
        seen.add(burst)
        for reader, given in origins.given:
            if (given[reader == burst] == tag).any():
                return _input(ctx, int(ctx.queue[burst]), tag)
        writers = [int(w) for source, target in origins.written for w in source[target == burst]]
        mine = (m.taken.bursts[m.reader] == burst) & (m.taken.tag[m.reader] == tags.BYTES)
        for entry in m.maker[mine]:
            writers.append(int(m.made.bursts[entry]))
            if m.made.tag[entry] != tags.BYTES:
                return f", made by {report.other(ctx, writers[-1], 0, beside)}"
        burst = next((w for w in writers if w not in seen), burst)
    return ""


def _input(ctx: Context, q: int, tag: int) -> str:
    """The input of which a slice has words with a tag, as the end of a sentence."""
    for tensor in ctx.program.inputs:
        for p in tensor.pieces:
            if p.slice == q and tags.tag(tensor.dtype, p.plane) == tag:
                return f", of input {tensor.name!r}"
    return ""
