"""Rules about the matrix planes: weights loaded, installed, met by activations, accumulated.

int8 runs on a plane, fp16 on a pair seen through its even plane. What they share, they take from each other: an fp16 load
or install spoils what either plane held in int8, an int8 one on either plane what the pair held in fp16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from isa.instruction import REGISTRY, DType
from isa.verify import report, words
from isa.verify.context import Context, Dispatches, Ints, collisions
from isa.verify.queues import cost

FAR: Final = np.int64(1) << 62
BLOCK: Final = 4096
"""Installs that are looked at together: bounds the table of loaded columns."""


@dataclass(frozen=True)
class User:
    """What works as one: a plane in int8, or a pair in fp16. ``planes`` lists its own queues, ``rivals`` the others'.

    A rival is ``(plane, type)``: its loads and installs spoil this user's.
    """

    dtype: DType
    plane: int
    rivals: tuple[tuple[int, DType], ...]


def users(ctx: Context) -> list[User]:
    """All of the chip's."""
    per_side = ctx.machine["mxm.planes"]
    found = []
    for plane in range(2 * per_side):
        even = plane - plane % per_side % 2
        paired = even % per_side + 1 < per_side
        found.append(User(DType.I8, plane, ((even, DType.F16),) if paired else ()))
        if plane == even and paired:
            rivals = ((even, DType.I8), (even + 1, DType.I8))
            found.append(User(DType.F16, plane, rivals))
    return found


def of(ctx: Context, mnemonic: str, plane: int, dtype: DType | None = None) -> Ints:
    """The bursts of an instruction on a plane's queues, of one type or of both."""
    bursts = ctx.bursts(mnemonic)
    queue = ctx.machine.mxm_queue + 3 * plane + REGISTRY[mnemonic].role
    here = ctx.queue[bursts] == queue
    if dtype is not None:
        here &= ctx.operand(mnemonic, "dtype") == dtype
    chosen: Ints = bursts[here]
    return chosen


def check(ctx: Context) -> None:
    """Rules 350 (the odd plane rests) and 352 to 357."""
    _odd_rests(ctx)
    for user in users(ctx):
        installs = ctx.dispatches(of(ctx, "iw", user.plane, user.dtype))
        rivals = [of(ctx, "iw", p, d) for p, d in user.rivals]
        all_installs = ctx.dispatches(np.concatenate([installs.bursts, *rivals]))
        _columns(ctx, user, installs, all_installs)
        _weights_in_force(ctx, user, all_installs)
        if user.dtype == DType.F16:
            _undisturbed(ctx, user)
    for plane in range(2 * ctx.machine["mxm.planes"]):
        _products(ctx, plane)
        _rows(ctx, plane)


def _odd_rests(ctx: Context) -> None:
    """Rule 350: nothing on the odd plane's queue in a cycle in which the even one dispatches fp16."""
    m = ctx.machine
    per_side = m["mxm.planes"]
    mnemonics = ("lw", "iw", "abc", "acc")
    bursts = ctx.bursts(*mnemonics)
    types = [ctx.operand(n, "dtype") for n in mnemonics]
    dtype = np.concatenate(types)
    number = ctx.queue[bursts] - m.mxm_queue
    plane, role = number // 3, number % 3
    odd = plane % per_side % 2
    kept = (odd == 1) | (dtype == DType.F16)
    bursts, group = bursts[kept], ((plane - odd) * 3 + role)[kept]
    args = (ctx.cycle[bursts], ctx.interval[bursts], ctx.count[bursts])
    for i, k, j, n in collisions(group, *args):
        a, b = int(bursts[i]), int(bursts[j])
        if ctx.queue[a] == ctx.queue[b]:
            continue
        party = report.other(ctx, a, k, b)
        why = (
            f"fp16 takes both planes of a pair, and in the same cycle the other dispatches {party}"
        )
        hint = report.separate(ctx, b, a)
        report.refuse_burst(ctx, 350, b, why, instance=n, hint=hint)


def _columns(ctx: Context, user: User, installs: Dispatches, all_installs: Dispatches) -> None:
    """Rule 352: an install's columns were loaded after what last emptied or spoiled the buffer."""
    if not len(installs):
        return
    load, lanes = ctx.machine.timing("mxm_load"), ctx.machine.lanes
    loads = ctx.dispatches(of(ctx, "lw", user.plane, user.dtype))
    spoilers = [of(ctx, "lw", p, d) for p, d in user.rivals]
    spoiled = ctx.dispatches(np.concatenate([np.zeros(0, np.int64), *spoilers]))
    before = np.searchsorted(all_installs.cycle, installs.cycle, "left") - 1
    floor = np.where(before >= 0, all_installs.cycle[before], -1)
    last = np.searchsorted(spoiled.cycle + load, installs.cycle, "right") - 1
    if len(spoiled):
        floor = np.maximum(floor, np.where(last >= 0, spoiled.cycle[last] + load, -1))
    effective = loads.cycle + load
    to = np.searchsorted(installs.cycle, effective, "left")
    column = loads.values(ctx.operand("lw", "column", loads.bursts), ctx.stride[loads.bursts])
    spread, groups = (
        loads.values(ctx.operand("lw", n, loads.bursts)) for n in ("spread", "groups")
    )
    first, columns = (
        installs.values(ctx.operand("iw", n, installs.bursts)) for n in ("first", "columns")
    )
    useful = effective > np.append(floor, FAR)[to]
    for start in range(0, len(installs), BLOCK):
        size = min(BLOCK, len(installs) - start)
        loaded = np.zeros((size, lanes + 1), np.int8)
        lo, hi = np.searchsorted(to, (start, start + size))
        for g in range(int(groups.max(initial=0))):
            here = lo + np.flatnonzero(useful[lo:hi] & (groups[lo:hi] > g))
            loaded[to[here] - start, column[here] + g * spread[here] + 1] = 1
        total = np.cumsum(loaded, axis=1, dtype=np.int32)
        rows, here = np.arange(size), slice(start, start + size)
        have = total[rows, first[here] + columns[here]] - total[rows, first[here]]
        for i in np.flatnonzero(have != columns[here])[: report.CAP]:
            window = loaded[i, first[start + i] + 1 : first[start + i] + columns[start + i] + 1]
            missing = int(first[start + i]) + int(window.argmin())
            at, spoiler = start + int(i), ""
            if floor[at] >= 0:
                overwritten = len(spoiled) and last[at] >= 0
                overwritten = overwritten and spoiled.cycle[last[at]] + load == floor[at]
                party = spoiled.who(int(last[at])) if overwritten else None
                party = party or all_installs.who(int(before[at]))
                spoiler = " since " + report.other(ctx, *party, installs.who(at)[0])
                spoiler += " overwrote the buffer" if overwritten else " installed what was there"
            _not_loaded(ctx, installs, at, missing, loads, spoiler)


def _not_loaded(
    ctx: Context, installs: Dispatches, index: int, column: int, loads: Dispatches, since: str
) -> None:
    burst, k = installs.who(index)
    name = words.type_name(ctx.value(burst, "dtype"))
    why = f"installs column {column}, which nothing loaded as {name}{since}"
    hint = "load it before, or install a window without it"
    values = {n: loads.values(ctx.operand("lw", n, loads.bursts)) for n in ("spread", "groups")}
    base = loads.values(ctx.operand("lw", "column", loads.bursts), ctx.stride[loads.bursts])
    hit = np.zeros(len(loads), np.bool_)
    for g in range(int(values["groups"].max(initial=0))):
        hit |= (values["groups"] > g) & (base + g * values["spread"] == column)
    late = loads.cycle + ctx.machine.timing("mxm_load") - words.cycle(ctx, burst, k)
    after = np.flatnonzero(hit & (late > 0))
    if len(after):
        maker, repeat = loads.who(int(after[0]))
        delta = int(late[after[0]])
        party = report.other(ctx, maker, repeat, burst)
        why = f"installs column {column}, which {party} loads from cycle {words.cycle(ctx, burst, k) + delta} on"
        why += f": {words.cycles(delta)} too early"
        hint = report.moves(ctx, (burst, delta), (maker, -delta))
    report.refuse_burst(ctx, 352, burst, why, instance=k, hint=hint)


def _weights_in_force(ctx: Context, user: User, installs: Dispatches) -> None:
    """Rule 353: the install that an activation meets is of its type."""
    sent = ctx.dispatches(of(ctx, "abc", user.plane, user.dtype))
    if not len(sent):
        return
    install = ctx.machine.timing("mxm_install")
    dtype = installs.values(ctx.operand("iw", "dtype", installs.bursts))
    at = np.searchsorted(installs.cycle, sent.cycle - install, "right") - 1
    met = np.where(at >= 0, np.append(dtype, -1)[at], -1)
    for burst, k, i in sent.firsts(met != user.dtype):
        name = user.dtype.name.lower()
        why, hint = (
            "meets no weights: nothing is ever installed on this plane",
            "install some before",
        )
        if at[i] >= 0:
            maker, repeat = installs.who(int(at[i]))
            party, plane = report.other(ctx, maker, repeat, burst), words.unit(ctx, maker)
            why = f"is {name}, but the weights in force are those of {party}"
            hint = f"install {name} weights on {plane.partition('.')[0]} before, or send activations of its type"
        elif len(installs):
            maker, repeat = installs.who(0)
            ready = int(installs.cycle[0]) + install
            delta, party = ready - int(sent.cycle[i]), report.other(ctx, maker, repeat, burst)
            why = (
                f"meets no weights: the first are those of {party}, in force from cycle {ready} on"
            )
            why += f": {words.cycles(delta)} too early"
            hint = report.moves(ctx, (burst, delta), (maker, -delta))
        report.refuse_burst(ctx, 353, burst, why, instance=k, hint=hint)


def _undisturbed(ctx: Context, user: User) -> None:
    """Rules 354 and 355: an fp16 activation has both planes, and its weights, until it has passed."""
    pair = (user.plane, user.plane + 1)
    none = np.zeros(0, np.int64)
    every = ctx.dispatches(np.concatenate([none, *(of(ctx, "abc", p) for p in pair)]))
    sent = ctx.dispatches(of(ctx, "abc", user.plane, DType.F16))
    if not len(sent):
        return
    last = sent.cycle + sent.values(cost(ctx, sent.bursts)) - 1
    begin, end = (np.searchsorted(every.cycle, x, "right") for x in (sent.cycle, last))
    for a, k, i in sent.firsts(end > begin):
        b, n = every.who(int(begin[i]))
        busy, now = int(last[i]), words.cycle(ctx, b, n)
        taken = f"takes {words.cycles(busy + 1 - words.cycle(ctx, a, k))}"
        party = "the dispatch before it" if a == b else report.other(ctx, a, k, b)
        why = f"enters the array in cycle {now}, but {party} {taken} and has it until cycle {busy}"
        late = busy + 1 - now
        hint = report.moves(ctx, (b, late), (a, -late)) + ", or send fewer rows"
        if a == b:
            hint = f"widen its interval to /{words.step(ctx, a) + late}, or send fewer rows"
        report.refuse_burst(ctx, 354, b, why, instance=n, hint=hint)
    installs = ctx.dispatches(np.concatenate([none, *(of(ctx, "iw", p) for p in pair)]))
    effective = installs.cycle + ctx.machine.timing("mxm_install")
    begin, end = (np.searchsorted(effective, x, "right") for x in (sent.cycle, last))
    for a, k, i in sent.firsts(end > begin):
        b, n = installs.who(int(begin[i]))
        ready, busy = int(effective[begin[i]]), int(last[i])
        party = report.other(ctx, a, k, b)
        why = f"takes effect in cycle {ready}, while {party} passes the array, until cycle {busy}"
        early = words.cycle(ctx, a, k) - ready
        late = busy + 1 - ready
        hint = report.moves(ctx, (b, late), (b, early), (a, -late))
        report.refuse_burst(ctx, 355, b, why, instance=n, hint=hint)


def _products(ctx: Context, plane: int) -> None:
    """Rule 356: an ``acc`` takes an activation of its type."""
    accs, abcs = (of(ctx, n, plane) for n in ("acc", "abc"))
    latency = ctx.machine["mxm.array_latency"]
    entered = ctx.cycle[accs] - latency
    by = ctx.makers(abcs, entered, ctx.interval[accs], ctx.count[accs])
    accs = accs[(by < 0) | (ctx.args[accs, 0] != ctx.args[by, 0])]
    if not len(accs):
        return
    taken, sent = ctx.dispatches(accs), ctx.dispatches(abcs)
    wanted = taken.cycle - latency
    at = np.searchsorted(sent.cycle, wanted)
    there = np.append(sent.cycle, -1)[at] == wanted
    got = np.append(sent.values(ctx.operand("abc", "dtype", sent.bursts)), -1)[at]
    need = taken.values(ctx.operand("acc", "dtype", taken.bursts))
    for burst, k, i in taken.firsts(~there | (got != need)):
        if there[i]:
            maker, repeat = sent.who(int(at[i]))
            names = (words.type_name(ctx.value(b, "dtype")) for b in (burst, maker))
            why = "accumulates {} products, but those of this cycle are {}, of ".format(*names)
            why += report.other(ctx, maker, repeat, burst)
            hint = "give both one type"
        else:
            why, hint = _no_product(ctx, burst, k, sent, int(wanted[i]))
        report.refuse_burst(ctx, 356, burst, why, instance=k, hint=hint)


def _no_product(ctx: Context, burst: int, k: int, sent: Dispatches, wanted: int) -> tuple[str, str]:
    """Why nothing leaves the array for an ``acc``, and what to do; ``wanted``: when it would have entered."""
    latency = ctx.machine["mxm.array_latency"]
    if not len(sent):
        plane, hint = words.unit(ctx, burst).partition(".")[0], f"send some @{wanted}"
        why = f"takes products, but no activations are ever sent into {plane}"
        return why, hint if wanted >= 0 else "send some, and take the products later"
    near = int(np.abs(sent.cycle - wanted).argmin())
    maker, repeat = sent.who(near)
    gap = words.cycle(ctx, burst) - latency - words.cycle(ctx, maker)
    off = int(sent.cycle[near]) - wanted
    meeting = report.meeting(ctx, burst, k, maker, gap, off)
    delta, party = meeting.delta, report.other(ctx, maker, 0, burst)
    if meeting.why:
        return (
            f"takes products in cycle {wanted + latency}, but {party} {meeting.why}",
            meeting.hint,
        )
    if meeting.whole:
        begin = words.cycle(ctx, maker) + latency
        why = f"takes products in cycle {wanted + latency}, but those of {party} leave the array "
        why += f"from cycle {begin} on, and are taken from cycle {begin - delta} on: {report.miss(delta)}"
    else:
        why = f"takes products in cycle {wanted + latency}, but those of "
        why += f"{report.other(ctx, maker, repeat, burst)} leave the array in cycle "
        why += f"{wanted + off + latency}: {report.miss(delta)}"
    return why, report.moves(ctx, (burst, delta), (maker, -delta))


def _rows(ctx: Context, plane: int) -> None:
    """Rule 357: an ``acc`` without ``start`` continues a row that one with ``start`` began, in its type."""
    d = ctx.dispatches(of(ctx, "acc", plane))
    if not len(d):
        return
    row = d.values(ctx.operand("acc", "row", d.bursts), ctx.stride[d.bursts])
    start, dtype = (d.values(ctx.operand("acc", n, d.bursts)) for n in ("start", "dtype"))
    order = np.argsort(row, kind="stable")
    latest = np.maximum.accumulate(np.where(start[order] != 0, np.arange(len(row)), -1))
    begun = np.empty_like(order)
    begun[order] = np.where(latest >= 0, order[latest], -1)
    begun[row[begun] != row] = -1
    for burst, k, i in d.firsts((begun < 0) | (dtype[begun] != dtype)):
        here, hint = int(row[i]), "set start on the first pass"
        why = f"adds to accumulator row {here}, which no acc has started"
        starts = np.flatnonzero((row == here) & (start != 0) & (d.cycle > d.cycle[i]))
        if begun[i] >= 0:
            maker, repeat = d.who(int(begun[i]))
            names = (words.type_name(ctx.value(b, "dtype")) for b in (burst, maker))
            party = report.other(ctx, maker, repeat, burst)
            why = f"adds {next(names)} to accumulator row {here}, which {party} started as {next(names)}"
            hint = "set start on the first pass of this type, or use another row"
        elif len(starts):
            maker, repeat = d.who(int(starts[0]))
            late = int(d.cycle[starts[0]]) - int(d.cycle[i])
            party = report.other(ctx, maker, repeat, burst)
            why = f"adds to accumulator row {here}, which {party} starts only {words.cycles(late)} later"
            hint = "set start on this one, or let it come after that"
        report.refuse_burst(ctx, 357, burst, why, instance=k, hint=hint)
