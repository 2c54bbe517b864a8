"""Rules about the matrix planes: weights loaded, installed, met by activations, accumulated.

int8 runs on a plane, fp16 on a pair seen through its even plane. What they share, they take from each other: an fp16 load
or install spoils what either plane held in int8, an int8 one on either plane what the pair held in fp16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from isa.instruction import REGISTRY, DType
from isa.verify import report
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
        why = f"{report.other(ctx, a, k)} in the same cycle: fp16 takes both planes"
        hint = "move one of them by a cycle"
        report.refuse(ctx, 350, why, where=report.place(ctx, b, n), hint=hint)


def _columns(ctx: Context, user: User, installs: Dispatches, all_installs: Dispatches) -> None:
    """Rule 352: an install's columns were loaded after what last emptied or spoiled the buffer."""
    if not len(installs):
        return
    load, lanes = ctx.machine.timing("mxm_load"), ctx.machine.lanes
    loads = ctx.dispatches(of(ctx, "lw", user.plane, user.dtype))
    spoilers = [of(ctx, "lw", p, d) for p, d in user.rivals]
    spoiled = ctx.dispatches(np.concatenate([np.zeros(0, np.int64), *spoilers])).cycle + load
    before = np.searchsorted(all_installs.cycle, installs.cycle, "left") - 1
    floor = np.where(before >= 0, all_installs.cycle[before], -1)
    if len(spoiled):
        last = np.searchsorted(spoiled, installs.cycle, "right") - 1
        floor = np.maximum(floor, np.where(last >= 0, spoiled[last], -1))
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
        loaded = np.zeros((size, lanes + 1), np.int32)
        lo, hi = np.searchsorted(to, (start, start + size))
        for g in range(int(groups.max(initial=0))):
            here = lo + np.flatnonzero(useful[lo:hi] & (groups[lo:hi] > g))
            loaded[to[here] - start, column[here] + g * spread[here] + 1] = 1
        total = np.cumsum(loaded, axis=1)
        rows, here = np.arange(size), slice(start, start + size)
        have = total[rows, first[here] + columns[here]] - total[rows, first[here]]
        for i in np.flatnonzero(have != columns[here])[: report.CAP]:
            window = loaded[i, first[start + i] + 1 : first[start + i] + columns[start + i] + 1]
            missing = int(first[start + i]) + int(window.argmin())
            _not_loaded(ctx, installs, start + int(i), missing, loads, int(floor[start + i]))


def _not_loaded(
    ctx: Context, installs: Dispatches, index: int, column: int, loads: Dispatches, floor: int
) -> None:
    burst, k = installs.who(index)
    name = DType(int(ctx.operand("iw", "dtype", installs.bursts[:1])[0])).name.lower()
    since = (
        f" since cycle {floor}, when the buffer was last installed or overwritten"
        if floor >= 0
        else ""
    )
    why = f"column {column} was not loaded as {name}{since}"
    hint = "load it, or install a smaller window"
    values = {n: loads.values(ctx.operand("lw", n, loads.bursts)) for n in ("spread", "groups")}
    base = loads.values(ctx.operand("lw", "column", loads.bursts), ctx.stride[loads.bursts])
    hit = np.zeros(len(loads), np.bool_)
    for g in range(int(values["groups"].max(initial=0))):
        hit |= (values["groups"] > g) & (base + g * values["spread"] == column)
    cycle = report.cycle(ctx, burst, k)
    after = np.flatnonzero(hit & (loads.cycle + ctx.machine.timing("mxm_load") > cycle))
    if len(after):
        maker, repeat = loads.who(int(after[0]))
        delta = int(loads.cycle[after[0]]) + ctx.machine.timing("mxm_load") - cycle
        why += f"; {report.other(ctx, maker, repeat)} takes effect {report.cycles(delta)} later"
        hint = report.shift(delta, "lw")
    report.refuse(ctx, 352, why, where=report.place(ctx, burst, k), hint=hint)


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
        why, hint = "no weights are installed", "install weights before"
        if at[i] >= 0:
            why = (
                f"the weights in force are those of {report.other(ctx, *installs.who(int(at[i])))}"
            )
            hint = f"install {user.dtype.name.lower()} weights before"
        elif len(installs):
            delta = int(installs.cycle[0]) + install - int(sent.cycle[i])
            why += (
                f"; {report.other(ctx, *installs.who(0))} takes effect {report.cycles(delta)} later"
            )
            hint = report.shift(delta, "iw")
        report.refuse(ctx, 353, why, where=report.place(ctx, burst, k), hint=hint)


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
        why = f"{report.other(ctx, a, k)} has the pair until cycle {int(last[i])}"
        hint = f"start {report.cycles(int(last[i]) + 1 - report.cycle(ctx, b, n))} later"
        hint = "widen the interval" if a == b else hint
        report.refuse(ctx, 354, why, where=report.place(ctx, b, n), hint=hint)
    installs = ctx.dispatches(np.concatenate([none, *(of(ctx, "iw", p) for p in pair)]))
    effective = installs.cycle + ctx.machine.timing("mxm_install")
    begin, end = (np.searchsorted(effective, x, "right") for x in (sent.cycle, last))
    for a, k, i in sent.firsts(end > begin):
        b, n = installs.who(int(begin[i]))
        why = f"it takes effect in cycle {int(effective[begin[i]])}, while {report.other(ctx, a, k)} passes"
        delta = int(last[i]) + 1 - int(effective[begin[i]])
        hint = f"install {report.cycles(delta)} later"
        report.refuse(ctx, 355, why, where=report.place(ctx, b, n), hint=hint)


def _products(ctx: Context, plane: int) -> None:
    """Rule 356: an ``acc`` takes an activation of its type."""
    taken, sent = (ctx.dispatches(of(ctx, n, plane)) for n in ("acc", "abc"))
    latency = ctx.machine["mxm.array_latency"]
    wanted = taken.cycle - latency
    at = np.searchsorted(sent.cycle, wanted)
    there = np.append(sent.cycle, -1)[at] == wanted
    got = np.append(sent.values(ctx.operand("abc", "dtype", sent.bursts)), -1)[at]
    need = taken.values(ctx.operand("acc", "dtype", taken.bursts))
    for burst, k, i in taken.firsts(~there | (got != need)):
        if there[i]:
            why = f"the products of that cycle are those of {report.other(ctx, *sent.who(int(at[i])))}"
            hint = "give both the same type"
        else:
            why = f"no activation entered the array in cycle {int(wanted[i])}"
            hint = f"issue it {latency} cycles after its abc"
            if len(sent):
                near = int(np.abs(sent.cycle - wanted[i]).argmin())
                off = int(sent.cycle[near]) - int(wanted[i])
                side = "later" if off > 0 else "earlier"
                why += (
                    f"; {report.other(ctx, *sent.who(near))} did, {report.cycles(abs(off))} {side}"
                )
                hint = report.shift(off, "abc")
        report.refuse(ctx, 356, why, where=report.place(ctx, burst, k), hint=hint)


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
        why = f"accumulator row {int(row[i])} has not been started"
        if begun[i] >= 0:
            why = f"accumulator row {int(row[i])} was started as another type, by "
            why += report.other(ctx, *d.who(int(begun[i])))
        hint = "set start on the first pass"
        report.refuse(ctx, 357, why, where=report.place(ctx, burst, k), hint=hint)
