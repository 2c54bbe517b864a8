"""Rules about the slices: banks, and words that are defined before they are read.

A word is defined from cycle -1 on if it is constant or input, else from the first write to it that becomes effective.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from isa.verify import report, words
from isa.verify.accesses import Accesses, range_maximum, touched
from isa.verify.context import MAX_CYCLE, Bools, Context, Ints, collisions
from isa.verify.origins import Origins, declared
from isa.verify.queues import READ, WRITE, ports
from isa.verify.settled import settle

NEVER: Final = np.int64(1) << 62
BEFORE: Final = np.int64(-1)
SPAN: Final = MAX_CYCLE << 1


def overlapping(begin: Ints, end: Ints, start: Ints, stop: Ints) -> Bools:
    """Which ranges ``begin .. end`` share a number with one of ``start .. stop``."""
    order = np.argsort(start, kind="stable")
    before = np.searchsorted(start[order], end, "right") - 1
    furthest = np.append(np.maximum.accumulate(stop[order]), -1)
    return np.asarray(furthest[before] >= begin)


class Slices:
    """When each word of each slice is defined."""

    def __init__(self, ctx: Context, initial: dict[int, Bools]) -> None:
        self.ctx = ctx
        port = ports(ctx) * (ctx.queue < 2 * ctx.machine.slices)
        self.reading, self.writing = np.flatnonzero(port == READ), np.flatnonzero(port == WRITE)
        self.initial = initial
        self.origins = Origins(declared(ctx, ctx.program.inputs))

    def check(self) -> dict[int, Bools]:
        """Rules 330 to 333; the words that are defined in the end, of every slice that outputs are taken from."""
        self._effects()
        ctx, defined = self.ctx, dict(self.initial)
        plain = settle(ctx, self.initial, self.origins.first)
        self.origins.written.append(plain.written)
        self.origins.given.append(plain.given)
        doubtful = self.reading[~plain.reads[self.reading]]
        near = self._near()
        slices = np.arange(2 * ctx.machine.slices + 1)
        parts = (doubtful, self.writing, self.reading[near[0]], self.writing[near[1]])
        cuts = [np.searchsorted(ctx.queue[p], slices).tolist() for p in parts]
        asked = {p.slice for tensor in ctx.program.outputs for p in tensor.pieces}
        asked.update(ctx.queue[np.append(doubtful, ctx.bursts("scatter"))].tolist())
        for q in range(2 * ctx.machine.slices):
            own = [p[c[q] : c[q + 1]] for p, c in zip(parts, cuts, strict=True)]
            if q in asked and (len(own[0]) or len(own[1])):
                read, write = (Accesses.of(ctx, bursts) for bursts in own[:2])
                ready = self._ready(q, write)
                self._words(read, ready)
                self._ranges(read, ready)
                self._ranges(write, ready)
                self.origins.add(ctx, q, read, write)
                defined[q] = ready < NEVER
            if len(own[2]) and len(own[3]):
                self._banks(*(Accesses.of(ctx, bursts) for bursts in own[2:]))
        return defined

    def _near(self) -> tuple[Bools, Bools]:
        """Which reading and which writing bursts are under way while one of the other kind is, in a bank that both may use."""
        ctx, size = self.ctx, max(1, self.ctx.machine["mem.words"])
        banks = -(-ctx.machine.words // size)
        found = [np.zeros(len(p), np.bool_) for p in (self.reading, self.writing)]
        sides = []
        for bursts in (self.reading, self.writing):
            first, reach, _ = touched(ctx, bursts)
            far = (ctx.count[bursts] - 1) * ctx.stride[bursts]
            low = (first + np.minimum(far, 0)) // size
            high = (first + np.maximum(far, 0) + reach) // size
            sides.append((low, high, ctx.cycle[bursts], ctx.last[bursts], ctx.queue[bursts]))
        for bank in range(banks):
            inside = [np.flatnonzero((low <= bank) & (bank <= high)) for low, high, *_ in sides]
            times = [
                tuple(queue[i] * SPAN + t[i] for t in (begin, end))
                for i, (_, _, begin, end, queue) in zip(inside, sides, strict=True)
            ]
            for mine, other in ((0, 1), (1, 0)):
                found[mine][inside[mine][overlapping(*times[mine], *times[other])]] = True
        return found[0], found[1]

    def _effects(self) -> None:
        """Rule 331: one write a slice and cycle becomes effective."""
        ctx, w = self.ctx, self.writing
        start = ctx.cycle[w] + ctx.d_func[w]
        for i, k, j, n in collisions(ctx.queue[w], start, ctx.interval[w], ctx.count[w]):
            a, b = int(w[i]), int(w[j])
            if ctx.opcode[a] == ctx.opcode[b]:
                continue  # of one instruction: dispatched in one cycle, which is rule 312's
            cycle = int(start[i]) + k * words.step(ctx, a)
            party = report.other(ctx, a, k, b)
            why = f"becomes effective in cycle {cycle}, and so does {party}; a slice takes one a cycle"
            late = (int(ctx.d_func[x]) for x in (b, a))
            hint = report.separate(ctx, b, a, *late)
            report.refuse_burst(ctx, 331, b, why, instance=n, hint=hint)

    def _ready(self, q: int, write: Accesses) -> Ints:
        ready = np.full(self.ctx.machine.words, NEVER)
        if q in self.initial:
            ready[self.initial[q]] = BEFORE
        plain = slice(None) if write.by_data is None else ~write.by_data
        effective = write.dispatches.cycle[plain] + self.ctx.machine.timing("mem_write")
        np.minimum.at(ready, write.first[plain], effective)
        return ready

    def _words(self, read: Accesses, ready: Ints) -> None:
        """Rule 332."""
        late = ready[read.first] > read.dispatches.cycle
        if read.by_data is not None:
            late &= ~read.by_data
        for burst, k, index in read.dispatches.firsts(late):
            self._undefined(332, burst, k, int(read.first[index]), ready)

    def _undefined(self, rule: int, burst: int, k: int, address: int, ready: Ints) -> None:
        ctx = self.ctx
        when, cycle = int(ready[address]), words.cycle(ctx, burst, k)
        verb = "reads" if rule == 332 else "may touch"
        why = (
            f"{verb} word {address:#06x}, which is no constant and no input, and nothing writes it"
        )
        hint = "write it before, or make it a constant or an input"
        hint += "" if rule == 332 else ", or lower the limit"
        if when < NEVER:
            maker, repeat = self._writer(int(ctx.queue[burst]), address, when)
            party, early = report.other(ctx, maker, repeat, burst), when - cycle
            why = f"{verb} word {address:#06x}, which {party} defines from cycle {when} on: "
            why += f"{words.cycles(early)} too early"
            hint = report.moves(ctx, (burst, early), (maker, -early))
        report.refuse_burst(ctx, rule, burst, why, instance=k, hint=hint)

    def _writer(self, q: int, address: int, when: int) -> tuple[int, int]:
        ctx = self.ctx
        access = Accesses.of(ctx, self.writing[ctx.queue[self.writing] == q])
        d = access.dispatches
        match = access.first == address
        match &= d.cycle + ctx.machine.timing("mem_write") == when
        return d.who(int(np.flatnonzero(match)[0]))

    def _ranges(self, access: Accesses, ready: Ints) -> None:
        """Rule 333: the whole range of a gather or scatter is defined in the cycle of its dispatch."""
        if access.by_data is None:
            return
        latest = range_maximum(ready, access.first, access.reach + 1)
        late = access.by_data & (latest > access.dispatches.cycle)
        for burst, k, index in access.dispatches.firsts(late):
            low, high = int(access.first[index]), int(access.first[index] + access.reach[index])
            address = low + int(ready[low : high + 1].argmax())
            self._undefined(333, burst, k, address, ready)

    def _banks(self, read: Accesses, write: Accesses) -> None:
        """Rule 330."""
        size = max(1, self.ctx.machine["mem.words"])
        r, w = read.dispatches, write.dispatches
        if not len(r):
            return
        at = np.searchsorted(r.cycle, w.cycle)
        at[at == len(r)] = 0
        both = np.flatnonzero(r.cycle[at] == w.cycle)
        at = at[both]
        low, high = read.first[at] // size, (read.first[at] + read.reach[at]) // size
        first, reach = write.first[both], write.reach[both]
        clash = (first // size <= high) & (low <= (first + reach) // size)
        marked = np.zeros(len(w), np.bool_)
        marked[both[clash]] = True
        for b, n, index in w.firsts(marked):
            i = int(np.searchsorted(both, index))
            a, k = r.who(int(at[i]))
            bank = int(max(low[i], first[i] // size))
            party = report.other(self.ctx, a, k, b)
            why = f"uses bank {bank} in the cycle in which {party} does"
            hint = report.separate(self.ctx, b, a) + ", or keep them in different banks"
            report.refuse_burst(self.ctx, 330, b, why, instance=n, hint=hint)
