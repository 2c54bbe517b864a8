"""Rules about a burst by itself: its numbers, its queue, its operand fields. Everything later relies on these.

They make sure that arithmetic on the columns cannot overflow and that every value decodes; ``operands`` holds decoded values
against the chip.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import numpy as np

from isa.fields import complaint, field_range, out_of_range
from isa.instruction import BY_OPCODE, DType, Instruction, Kind, Operand
from isa.verify import effects, report, words
from isa.verify.context import MAX_CYCLE, MAX_DISPATCHES, MAX_OF_QUEUE, Bools, Context, Ints

MAX_STRIDE: Final = 1 << 32
WORD_ONLY: Final = {
    "nop": "start the next burst later instead",
    "repeat": "give the burst before it a count and an interval instead",
}
LINKS: Final = frozenset({"send", "receive", "deskew"})
ROLES: Final = ("weights", "activations", "accumulate")
Say = str | Callable[[int], str]
"""A text, or what makes one for a burst."""


def flag(
    ctx: Context,
    rule: int,
    bursts: Ints,
    bad: Bools,
    why: Say,
    hint: Say = "",
    *,
    at: Say = "",
    nth: Callable[[int], int] = lambda _: 0,
    instance: Callable[[int], int] = lambda _: 0,
) -> None:
    """Refuse every burst of ``bursts`` that ``bad`` marks; ``instance`` tells which dispatch of it is shown."""

    def told(say: Say, burst: int) -> str:
        return say if isinstance(say, str) else say(burst)

    for burst in (int(b) for b in bursts[bad][: report.CAP]):
        said = told(why, burst)
        help_, word = told(hint, burst), told(at, burst)
        k = instance(burst)
        report.refuse_burst(ctx, rule, burst, said, instance=k, hint=help_, at=word, nth=nth(burst))


def structure(ctx: Context) -> None:
    """Rules 300 to 305, 307 and 308."""
    every = np.arange(len(ctx))
    _numbers(ctx, every)
    _order(ctx)
    for code in ctx.opcodes:
        cls = BY_OPCODE.get(int(code))
        bursts = np.flatnonzero(ctx.opcode == code)
        if cls is None or not effects.known(cls):
            _not_executed(ctx, "" if cls is None else cls.mnemonic, bursts)
            continue
        _queue(ctx, cls, bursts)
        for column, operand in enumerate(cls.operands):
            _field(ctx, operand, bursts, column)
        if not any(o.strided for o in cls.operands):
            bad = (ctx.stride[bursts] != 0) & (ctx.count[bursts] > 1)
            why = f"{cls.mnemonic} has no operand that a stride could advance"
            hint = "leave the stride out"
            flag(ctx, 307, bursts, bad, why, hint, at=lambda b: re.escape(f"{ctx.stride[b]:+d}"))
    names = len(ctx.program.nodes)
    flag(
        ctx,
        308,
        every,
        ctx.node >= names,
        lambda b: f"node {ctx.node[b]}: the program has {names}, counted from 0",
        lambda b: f"give node {ctx.node[b]} a name, or use one of the others",
    )


def _not_executed(ctx: Context, name: str, bursts: Ints) -> None:
    """Refuse bursts of what no queue of a single chip executes; ``name`` is empty for an unknown opcode."""
    rule, why = 301, "the machine has no such instruction"
    hint = "were the bytes made by another version?"
    if name in LINKS:
        rule, why = 309, f"{name} needs a second chip, and a program is for one"
        hint = "leave it out: a value stays on the chip by way of streams and memory"
    elif name:
        why = f"{name} is an instruction word that shapes other bursts, and no burst itself"
        hint = WORD_ONLY.get(name, "")
    flag(ctx, rule, bursts, np.ones(len(bursts), np.bool_), why, hint)


def _numbers(ctx: Context, every: Ints) -> None:
    early = ctx.cycle < 0
    flag(ctx, 303, every, early, "a program starts in cycle 0", "issue it in cycle 0 or later")
    none = ctx.count < 1
    why = "a burst has at least one dispatch"
    flag(ctx, 303, every, none, lambda b: f"count {ctx.count[b]}: {why}", "leave it out")
    slow, hint = ctx.interval < 1, "give it an interval of 1 or more"
    why_slow = "a queue dispatches once a cycle at most"
    flag(ctx, 303, every, slow, lambda b: f"interval {ctx.interval[b]}: {why_slow}", hint)
    far = ctx.cycle.astype(np.float64) + (ctx.count - 1.0) * ctx.interval.astype(np.float64)

    def end(burst: int) -> str:
        last = words.cycle(ctx, burst, int(ctx.count[burst]) - 1)
        limit = MAX_CYCLE.bit_length() - 1
        return f"its last dispatch is in cycle {last}; a program ends before cycle 2**{limit}"

    flag(ctx, 300, every, far >= MAX_CYCLE, end, "split the program")
    total = float(ctx.count.astype(np.float64).sum())
    if total > MAX_DISPATCHES:
        why = f"{total:.0f} dispatches; {MAX_DISPATCHES} are verified at most"
        report.refuse(ctx, 300, why, where="the program", hint="split it")
        return
    each = np.bincount(ctx.queue, ctx.count) if len(ctx) else np.zeros(1)
    if each.max() > MAX_OF_QUEUE:
        why = f"{each.max():.0f} dispatches; {MAX_OF_QUEUE} of a queue are verified at most"
        where = words.unit(ctx, int((ctx.queue == each.argmax()).argmax()))
        report.refuse(ctx, 300, why, where=where, hint="split the program, or use further queues")


def _order(ctx: Context) -> None:
    q, c, o = (np.diff(x) for x in (ctx.queue, ctx.cycle, ctx.opcode))
    bad = (q < 0) | (q == 0) & ((c < 0) | (c == 0) & (o < 0))
    after = np.arange(1, len(ctx))
    for burst in (int(b) for b in (after[bad][:1] if len(ctx) else ())):
        by = "queue" if q[burst - 1] < 0 else "cycle" if c[burst - 1] < 0 else "opcode"
        why = f"is listed behind {report.other(ctx, burst - 1, 0, burst)}, whose {by} is greater"
        hint = "sort the bursts by queue, cycle and opcode"
        report.refuse_burst(ctx, 302, burst, why, hint=hint)


def _queue(ctx: Context, cls: type[Instruction], bursts: Ints) -> None:
    m = ctx.machine
    fits = np.array([*(kind == cls.unit for kind in m.queue_kinds), False])
    queue = ctx.queue[bursts]
    exists = queue < m.queues
    why = f"the chip has {m.queues} queues, numbered from 0"
    flag(ctx, 304, bursts, ~exists, why, "use one of those")
    if cls.unit == "ICU":
        return
    wrong = exists & ~fits[np.minimum(queue, m.queues)]
    fit = [n for n, k in zip(m.queue_names, m.queue_kinds, strict=True) if k == cls.unit]
    if cls.role >= 0:
        fit = fit[cls.role :: 3]
    hint = f"issue it on one of {fit[0]} .. {fit[-1]}" if fit else "this chip has none"
    why = f"{cls.mnemonic} is an instruction of {cls.unit} queues"
    flag(ctx, 304, bursts, wrong, why, hint)
    if cls.role >= 0:
        role = ROLES[cls.role]
        other = exists & ~wrong & ((queue - m.mxm_queue) % 3 != cls.role)
        why = f"{cls.mnemonic} is an instruction of a plane's {role} queue"

        def there(burst: int) -> str:
            return f"issue it on {words.unit(ctx, burst).partition('.')[0]}.{role}"

        flag(ctx, 304, bursts, other, why, there)


def _field(ctx: Context, operand: Operand, bursts: Ints, column: int) -> None:
    low, high = field_range(operand, ctx.machine)
    value = ctx.args[bursts, column]
    bad = out_of_range(operand, value, ctx.machine)

    def why(burst: int) -> str:
        return complaint(operand, int(ctx.args[burst, column]), ctx.machine)

    if bad.any():
        kinds = {
            Kind.DTYPE: f"name a type: {', '.join(words.type_name(t) for t in DType)}",
            Kind.STREAM: f"name one of {words.group_name(ctx.machine, 0, ctx.machine.streams)}, or of the W streams",
            Kind.SOURCE: "name a stream, an ALU or an immediate",
        }
        flag(ctx, 305, bursts, bad, why, kinds.get(operand.kind, f"write {low} .. {high}"))
    if not operand.strided:
        return
    stride, count = ctx.stride[bursts], ctx.count[bursts]
    fast = ~bad & (np.abs(stride) > MAX_STRIDE) & (count > 1)
    flag(ctx, 305, bursts, fast, lambda b: f"a stride of {ctx.stride[b]}", "write one of 32 bits")
    end = value + (count - 1.0) * np.where(count > 1, stride, 0).astype(np.float64)
    wide = ~bad & ~fast & ((end < low) | (end > high))

    def at(burst: int) -> int:
        return beyond(int(ctx.args[burst, column]), int(ctx.stride[burst]), low, high)

    def leaves(burst: int) -> str:
        there = int(ctx.args[burst, column]) + at(burst) * int(ctx.stride[burst])
        return f"{operand.name} is {there} here, outside {low} .. {high}"

    hint: Say = lambda b: f"end it at x{at(b)}, or start it elsewhere"  # noqa: E731
    flag(ctx, 305, bursts, wide, leaves, hint, instance=at)


def beyond(value: int, stride: int, low: int, high: int) -> int:
    """The first dispatch in which a value that starts within ``low .. high`` has left it."""
    return (high - value) // stride + 1 if stride > 0 else (value - low) // -stride + 1
