"""Rules about what is in memory before the first cycle and what is taken from it after the last.

Constants and inputs must not share bytes; every byte of an output lies in a defined word.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from isa.program import PortTensor, tensor_problem
from isa.verify import report
from isa.verify.context import MAX_DISPATCHES, Bools, Context, Ints, once, ramp


def initial(ctx: Context) -> dict[int, Bools]:
    """Rules 334, 335 and 337: for each slice in use the ``[words]`` that are defined before cycle 0."""
    sound = [_tensor(ctx, t, kind) for kind, t in _tensors(ctx)]
    defined: dict[int, Bools] = {}
    segments = _segments(ctx)
    slices, first, count = (segments[n].astype(np.int64) for n in ("slice", "address", "count"))
    for q in once(slices).tolist():
        own = slices == q
        steps = np.zeros(ctx.machine.words + 1, np.int64)
        np.add.at(steps, first[own], 1)
        np.add.at(steps, first[own] + count[own], -1)
        defined[q] = np.cumsum(steps)[:-1] > 0
    if all(sound):
        _overlaps(ctx, defined)
        for tensor in ctx.program.inputs:
            for p in tensor.pieces:
                _words(ctx, defined, p.slice)[p.address : p.address + p.rows] = True
    return defined


def outputs(ctx: Context, defined: dict[int, Bools]) -> None:
    """Rule 336, once the words that are ``defined`` in the end are known."""
    for tensor in ctx.program.outputs:
        covered = np.zeros((tensor.dtype.planes, math.prod(tensor.shape)), np.bool_)
        for p in tensor.pieces:
            view = covered[p.plane].reshape(-1, p.view_columns)
            view[p.row : p.row + p.rows, p.column : p.column + p.columns] = True
            words = _words(ctx, defined, p.slice)[p.address : p.address + p.rows]
            if not words.all():
                address = p.address + int(words.argmin())
                unit = ctx.machine.queue_names[p.slice]
                why = f"takes word {address:#06x} of {unit}, which is no constant and no input, and nothing writes it"
                hint = "write it before the program ends, or take it from where it is written"
                report.refuse(ctx, 336, why, where=f"output {tensor.name!r}", hint=hint)
        if not covered.all():
            plane, element = (int(i[0]) for i in np.nonzero(~covered))
            why = f"no piece says where byte {plane} of element {element} lies"
            report.refuse(ctx, 336, why, where=f"output {tensor.name!r}", hint="add a piece")


def _tensors(ctx: Context) -> Iterator[tuple[str, PortTensor]]:
    yield from (("input", t) for t in ctx.program.inputs)
    yield from (("output", t) for t in ctx.program.outputs)


def _words(ctx: Context, table: dict[int, Bools], q: int) -> Bools:
    if q not in table:
        table[q] = np.zeros(ctx.machine.words, np.bool_)
    return table[q]


def _segments(ctx: Context) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Rule 334; the segments that are sound."""
    m, table, data = ctx.machine, ctx.program.segments, ctx.program.data
    q, address, count, first = (
        table[n].astype(np.int64) for n in ("slice", "address", "count", "first")
    )
    lanes = data.shape[1] if data.ndim == 2 else -1
    bad = (q >= 2 * m.slices) | (address + count > m.words) | (first + count > len(data))
    if len(table) and lanes != m.lanes:
        bad[:] = True
    for i in np.flatnonzero(bad)[: report.CAP]:
        why = f"takes rows {first[i]} .. {first[i] + count[i] - 1} of the constants, which have {len(data)}"
        hint = "give it data"
        if q[i] >= 2 * m.slices:
            why, hint = f"the chip has {2 * m.slices} slices, numbered from 0", "use one of those"
        elif address[i] + count[i] > m.words:
            why = f"a slice has {m.words} words, to {m.words - 1:#06x}"
            hint = f"shorten it to {max(0, m.words - address[i])} words, or start it lower"
        elif lanes != m.lanes:
            why = f"a word has {m.lanes} bytes, a row of the constants {lanes}"
            hint = f"pad rows to {m.lanes} bytes"
        where = _segment(ctx, i, q[i], address[i], count[i])
        report.refuse(ctx, 334, why, where=where, hint=hint)
    kept = np.flatnonzero(~bad & (count > 0))
    place = q[kept] * m.words + address[kept]
    order = np.argsort(place, kind="stable")
    end = (place + count[kept])[order]
    for i in np.flatnonzero(place[order][1:] < end[:-1])[: report.CAP]:
        a, b = (int(kept[order[x]]) for x in (i, i + 1))
        where = _segment(ctx, b, q[b], address[b], count[b])
        why = f"word {address[b]:#06x} is in {_segment(ctx, a, q[a], address[a], count[a])} too"
        report.refuse(ctx, 334, why, where=where, hint="move one of them")
    return table[kept]


def _segment(ctx: Context, number: int, q: int, address: int, count: int) -> str:
    """A constant segment by its number and place."""
    names = ctx.machine.queue_names
    unit = names[q] if q < 2 * ctx.machine.slices else f"slice {q}"
    return f"segment {number} ({unit}, words {address:#06x} .. {address + count - 1:#06x})"


def _segment_of(ctx: Context, q: int, address: int) -> str:
    """The segment that holds a constant word."""
    table = ctx.program.segments
    first, count = table["address"].astype(np.int64), table["count"].astype(np.int64)
    inside = (table["slice"] == q) & (first <= address) & (address < first + count)
    i = int(inside.argmax())
    return _segment(ctx, i, q, int(first[i]), int(count[i]))


def _tensor(ctx: Context, tensor: PortTensor, kind: str) -> bool:
    """Rule 337: whether a tensor's pieces lie inside it and inside the memory."""
    m = ctx.machine
    problem = tensor_problem(tensor, m)
    room = 2 * m.slices * m.words * m.lanes
    if not problem and math.prod(tensor.shape) * tensor.dtype.planes > room:
        problem = f"shape {list(tensor.shape)} is larger than the memory"
    if problem:
        report.refuse(ctx, 337, problem, where=f"{kind} {tensor.name!r}", hint="correct it")
    return not problem


def _overlaps(ctx: Context, constants: dict[int, Bools]) -> None:
    """Rule 335: inputs against constants, word by word, and against each other, lane by lane."""
    m = ctx.machine
    pieces = ((t.name, p) for t in ctx.program.inputs for p in t.pieces)
    named = [(name, p) for name, p in pieces if p.rows > 0 and p.columns > 0]
    for name, p in named:
        words = _words(ctx, constants, p.slice)[p.address : p.address + p.rows]
        if words.any():
            unit, address = m.queue_names[p.slice], p.address + int(words.argmax())
            segment = _segment_of(ctx, p.slice, address)
            why = f"takes word {address:#06x} of {unit}, which is a constant of {segment}"
            report.refuse(ctx, 335, why, where=f"input {name!r}", hint="move one of them")
    if not named:
        return
    rows = np.array([p.rows for _, p in named], np.int64)
    lane = np.array([0 if p.splat else p.lane for _, p in named], np.int64)
    width = np.array([m.lanes if p.splat else p.columns for _, p in named], np.int64)
    start = np.array([(p.slice * m.words + p.address) * m.lanes for _, p in named]) + lane
    _first_overlap(ctx, [n for n, _ in named], rows, start, width)


def _first_overlap(ctx: Context, names: list[str], rows: Ints, start: Ints, width: Ints) -> None:
    """Refuse the first two pieces that share a byte; row ``r`` of a piece is ``width`` bytes from ``start + r * lanes``."""
    m = ctx.machine
    if int(rows.sum()) > MAX_DISPATCHES:
        report.refuse(ctx, 300, f"over {MAX_DISPATCHES} words of input pieces", where="the inputs")
        return
    begin = ramp(start, np.full(len(rows), m.lanes), rows)
    owner = np.repeat(np.arange(len(rows)), rows)
    order = np.argsort(begin, kind="stable")
    begin, owner = begin[order], owner[order]
    shared = np.flatnonzero(begin[1:] < (begin + width[owner])[:-1])
    if not len(shared):
        return
    i = int(shared[0])
    word, at = divmod(int(begin[i + 1]), m.lanes)
    unit = m.queue_names[word // m.words]
    first, second = names[owner[i]], names[owner[i + 1]]
    party = "another piece of it" if first == second else f"input {first!r}"
    why = f"takes lane {at} of word {word % m.words:#06x} of {unit}, and so does {party}"
    where = f"input {second!r}"
    report.refuse(ctx, 335, why, where=where, hint="move one of them")
