"""Rules about a burst by itself: its numbers, its queue, its operands. Everything later relies on these.

``structure`` makes sure that arithmetic on the columns cannot overflow and that every value decodes; ``operands`` holds
decoded values against the chip.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from isa.fields import complaint, field_range, out_of_range
from isa.instruction import BY_OPCODE, DType, Instruction, Operand, SourceKind
from isa.verify import effects, report
from isa.verify.context import MAX_CYCLE, MAX_DISPATCHES, MAX_OF_QUEUE, Bools, Context, Ints
from isa.verify.effects import PLANES

MAX_STRIDE: Final = 1 << 32
WORD_ONLY: Final = {
    "nop": "start the next burst later instead",
    "repeat": "give the burst before it a count and an interval instead",
}
LINKS: Final = frozenset({"send", "receive", "deskew"})
MATRIX_TYPES: Final = (DType.I8, DType.F16)


def flag(
    ctx: Context,
    rule: int,
    bursts: Ints,
    bad: Bools,
    why: str,
    hint: str = "",
    *,
    last: bool = False,
) -> None:
    """Refuse every burst of ``bursts`` that ``bad`` marks; ``last`` shows its last dispatch instead of its first."""
    for burst in bursts[bad][: report.CAP]:
        k = int(ctx.count[burst]) - 1 if last else 0
        report.refuse(ctx, rule, why, where=report.place(ctx, int(burst), k), hint=hint)


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
            why = f"{cls.mnemonic} has no operand that advances"
            flag(ctx, 307, bursts, bad, why, "leave the stride 0")
    names = len(ctx.program.nodes)
    flag(ctx, 308, every, ctx.node >= names, f"the program has {names} nodes", "add the name")


def _not_executed(ctx: Context, name: str, bursts: Ints) -> None:
    """Refuse bursts of what no queue of a single chip executes; ``name`` is empty for an unknown opcode."""
    rule, why, hint = 301, "no such instruction", ""
    if name in LINKS:
        rule, why, hint = 309, f"{name} needs a second chip", "this program is for one chip"
    elif name:
        why, hint = f"{name} shapes other bursts, and is none itself", WORD_ONLY.get(name, "")
    flag(ctx, rule, bursts, np.ones(len(bursts), np.bool_), why, hint)


def _numbers(ctx: Context, every: Ints) -> None:
    flag(ctx, 303, every, ctx.cycle < 0, "the first cycle is 0")
    flag(ctx, 303, every, ctx.count < 1, "a burst has at least one dispatch", "leave it out")
    slow, hint = ctx.interval < 1, "give it an interval of 1 or more"
    flag(ctx, 303, every, slow, "a queue dispatches once a cycle", hint)
    far = ctx.cycle.astype(np.float64) + (ctx.count - 1.0) * ctx.interval.astype(np.float64)
    why = f"a program ends before cycle 2**{MAX_CYCLE.bit_length() - 1}"
    flag(ctx, 300, every, far >= MAX_CYCLE, why)
    total = float(ctx.count.astype(np.float64).sum())
    if total > MAX_DISPATCHES:
        hint = "split it"
        why = f"{total:.0f} dispatches; {MAX_DISPATCHES} are verified at most"
        report.refuse(ctx, 300, why, where="the program", hint=hint)
        return
    each = np.bincount(ctx.queue, ctx.count) if len(ctx) else np.zeros(1)
    if each.max() > MAX_OF_QUEUE:
        why = f"{each.max():.0f} dispatches; {MAX_OF_QUEUE} of a queue are verified at most"
        where = report.unit(ctx, int((ctx.queue == each.argmax()).argmax()))
        report.refuse(ctx, 300, why, where=where, hint="split it")


def _order(ctx: Context) -> None:
    q, c, o = (np.diff(x) for x in (ctx.queue, ctx.cycle, ctx.opcode))
    bad = (q < 0) | (q == 0) & ((c < 0) | (c == 0) & (o < 0))
    after = np.arange(1, len(ctx))
    for burst in after[bad][:1] if len(ctx) else ():
        why = f"stands after {report.other(ctx, int(burst) - 1)}"
        hint = "sort the bursts by queue, cycle and opcode"
        report.refuse(ctx, 302, why, where=report.place(ctx, int(burst)), hint=hint)


def _queue(ctx: Context, cls: type[Instruction], bursts: Ints) -> None:
    kinds = np.array([*ctx.machine.queue_kinds, ""])
    queue = ctx.queue[bursts]
    exists = queue < ctx.machine.queues
    why = f"the chip has {ctx.machine.queues} queues"
    flag(ctx, 304, bursts, ~exists, why)
    if cls.unit == "ICU":
        return
    wrong = exists & (kinds[np.minimum(queue, len(kinds) - 1)] != cls.unit)
    flag(ctx, 304, bursts, wrong, f"{cls.mnemonic} is a {cls.unit} instruction", "move it there")
    if cls.role >= 0:
        role = ("weights", "activations", "accumulate")[cls.role]
        other = exists & ~wrong & ((queue - ctx.machine.mxm_queue) % 3 != cls.role)
        hint = "move it there"
        flag(
            ctx, 304, bursts, other, f"{cls.mnemonic} belongs on the {role} queue of a plane", hint
        )


def _field(ctx: Context, operand: Operand, bursts: Ints, column: int) -> None:
    low, high = field_range(operand, ctx.machine)
    value = ctx.args[bursts, column]
    bad = out_of_range(operand, value, ctx.machine)
    for burst in bursts[bad][: report.CAP]:
        why = complaint(operand, int(ctx.args[burst, column]), ctx.machine)
        report.refuse(ctx, 305, why, where=report.place(ctx, int(burst)), hint="correct it")
    if operand.strided:
        stride, count = ctx.stride[bursts], ctx.count[bursts]
        end = value + (count - 1.0) * np.where(count > 1, stride, 0).astype(np.float64)
        why = f"{operand.name} leaves {low} .. {high} on the way"
        wide = ~bad & ((end < low) | (end > high) | (np.abs(stride) > MAX_STRIDE) & (count > 1))
        flag(ctx, 305, bursts, wide, why, "shorten the burst, or start it elsewhere", last=True)


def operands(ctx: Context) -> None:
    """Rules 306, 310, 311, 320 to 323, 350, 351 and 358, on bursts that ``structure`` let pass."""
    _memory(ctx)
    _matrix(ctx)
    _vector(ctx)
    bursts = ctx.bursts("config")
    full = ctx.machine["lanes.superlanes"]
    bad = ctx.operand("config", "superlanes") != full
    flag(ctx, 306, bursts, bad, f"only the full vector of {full} superlanes is supported")
    for access, verb in ((effects.reads(ctx), "read"), (effects.puts(ctx), "driven")):
        inside = access.stream % ctx.machine.streams
        for burst, stream, width, planes in zip(
            *(
                a[(inside % access.width != 0) | (inside + access.planes > ctx.machine.streams)]
                for a in (access.bursts, access.stream, access.width, access.planes)
            ),
            strict=True,
        ):
            name = report.stream_name(ctx.machine, int(stream))
            why = f"{planes} streams from {name} on are {verb}"
            hint = f"start at a multiple of {width}, and end within the direction"
            report.refuse(ctx, 310, why, where=report.place(ctx, int(burst)), hint=hint)


def _span(ctx: Context, bursts: Ints, first: Ints, strided: bool = True) -> tuple[Ints, Ints]:
    """Least and greatest value of an operand over a burst's dispatches."""
    if not strided:
        return first, first
    last = first + (ctx.count[bursts] - 1) * ctx.stride[bursts]
    return np.minimum(first, last), np.maximum(first, last)


def _memory(ctx: Context) -> None:
    words = ctx.machine.words
    for name in ("read", "write"):
        bursts = ctx.bursts(name)
        high = _span(ctx, bursts, ctx.operand(name, "address"))[1]
        why = f"a slice has {words} words, {words - 1:#06x} is the last"
        flag(ctx, 306, bursts, high >= words, why, "shorten the burst, or start it elsewhere")
    for name in ("gather", "scatter"):
        bursts = ctx.bursts(name)
        high = _span(ctx, bursts, ctx.operand(name, "base"))[1] + ctx.operand(name, "limit")
        why = f"base + limit reaches past the slice's last word, {words - 1:#06x}"
        flag(ctx, 306, bursts, high >= words, why, "lower the limit")


def _matrix(ctx: Context) -> None:
    m = ctx.machine
    per_side = m["mxm.planes"]
    for name in ("lw", "iw", "abc", "acc"):
        bursts, dtype = ctx.bursts(name), ctx.operand(name, "dtype")
        bad = ~np.isin(dtype, MATRIX_TYPES)
        flag(ctx, 311, bursts, bad, "the matrix unit works on i8 and f16", "convert in the VXM")
        plane = (ctx.queue[bursts] - m.mxm_queue) // 3 % per_side
        odd = (dtype == DType.F16) & ((plane % 2 == 1) | (plane + 1 >= per_side))
        why = "fp16 is run by a pair of planes, on the queues of the even one"
        flag(ctx, 350, bursts, odd, why, "move it to the even plane's queue")
    _weights(ctx)
    bursts = ctx.bursts("abc")
    first, rows = ctx.operand("abc", "first"), ctx.operand("abc", "rows")
    window = m["mxm.window"]
    ragged = (first % window != 0) | (rows % window != 0) | (rows < 1) | (first + rows > m.lanes)
    why = f"rows {window} and more, in steps of {window}, inside the {m.lanes} lanes"
    flag(ctx, 358, bursts, ragged, why, "pad the window with zero weights")
    bursts = ctx.bursts("acc")
    high = _span(ctx, bursts, ctx.operand("acc", "row"))[1]
    why = f"a plane has {m['mxm.acc_rows']} accumulator rows"
    flag(ctx, 306, bursts, high >= m["mxm.acc_rows"], why, "emit, and start again from row 0")


def _weights(ctx: Context) -> None:
    m = ctx.machine
    bursts = ctx.bursts("lw")
    groups = ctx.operand("lw", "groups")
    wide = groups * PLANES[ctx.operand("lw", "dtype")]
    limit = m["mxm.weight_streams"]
    why = f"a plane takes weights from 1 to {limit} streams"
    flag(ctx, 351, bursts, (wide > limit) | (groups < 1), why, "load in more dispatches")
    high = _span(ctx, bursts, ctx.operand("lw", "column"))[1]
    high += (groups - 1).clip(0) * ctx.operand("lw", "spread")
    why = f"the array has {m.lanes} columns"
    flag(ctx, 306, bursts, high >= m.lanes, why, "load fewer columns")
    bursts = ctx.bursts("iw")
    first, columns = ctx.operand("iw", "first"), ctx.operand("iw", "columns")
    bad = (columns < 1) | (first + columns > m.lanes)
    flag(ctx, 306, bursts, bad, f"a window is 1 or more of the array's {m.lanes} columns")


def _vector(ctx: Context) -> None:
    m = ctx.machine
    large, immediates, delay = m["vxm.large_alus"], m["vxm.immediates"], m["vxm.max_delay"]
    for cls, bursts in effects.vxm_operations(ctx):
        types = getattr(cls, "types", tuple(DType))
        bad = ~np.isin(ctx.operand(cls.mnemonic, "dtype", bursts), types)
        names = ", ".join(DType(t).name.lower() for t in types)
        flag(ctx, 311, bursts, bad, f"{cls.mnemonic} works on {names}", "convert with cvt before")
        lacking = np.full(len(bursts), bool(cls.extension) and not m[cls.extension])
        why = f"this chip is without the extension {cls.extension}"
        flag(ctx, 323, bursts, lacking, why, "do without it, or switch it on in the chip file")
        if cls.large:
            small = ctx.queue[bursts] - m.vxm_queue >= large
            why = f"{cls.mnemonic} needs a large ALU, one of VXM_0 .. VXM_{large - 1}"
            flag(ctx, 321, bursts, small, why, "move it there")
    for s in effects.vxm_sources(ctx):
        stream, alu = s.kind == SourceKind.STREAM, s.kind == SourceKind.ALU
        absent = s.kind == SourceKind.NONE
        flag(ctx, 320, s.bursts, absent, "a source is missing", "name a stream or an ALU")
        why = f"an operand is delayed by at most {delay} cycles"
        late = (s.delay > delay) & (stream | alu)
        flag(ctx, 322, s.bursts, late, why, "pass it through a mov")
        bad = (s.kind == SourceKind.IMMEDIATE) & (immediates == 0)
        flag(ctx, 323, s.bursts, bad, "this chip has no immediates", "stream the constant")
