"""Instructions, units and streams in an author's words: as they stand in assembly, whatever the numbers are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isa.instruction import BY_OPCODE, DType, Kind, Operand, Source, SourceKind
from isa.machine import Machine

if TYPE_CHECKING:
    from isa.verify.context import Context


def stream_name(machine: Machine, stream: int) -> str:
    """``E3`` or ``W12``."""
    n = machine.streams
    return f"E{stream}" if stream < n else f"W{stream - n}"


def group_name(machine: Machine, stream: int, planes: int) -> str:
    """``W12 .. W15``, or one stream's name."""
    first = stream_name(machine, stream)
    return first if planes == 1 else f"{first} .. {first[0]}{int(first[1:]) + planes - 1}"


def type_name(dtype: int) -> str:
    """``f32``, or the number of what is no type."""
    return DType(dtype).name.lower() if dtype in list(DType) else str(dtype)


def _source(machine: Machine, code: int, imm: int) -> str:
    kind, index, delay = Source.unpack(code)
    late = f"~{delay}" if delay else ""
    if kind is SourceKind.STREAM:
        return stream_name(machine, index) + late
    if kind is SourceKind.ALU:
        return f"alu{index}{late}"
    return f"#{imm:#010x}" if kind is SourceKind.IMMEDIATE else "none"


def _operand(machine: Machine, operand: Operand, value: int, imm: int) -> str:
    match operand.kind:
        case Kind.STREAM if 0 <= value < 2 * machine.streams:
            return stream_name(machine, value)
        case Kind.STREAM_OR_NONE:
            return f"{operand.direction}{value - 1}" if value > 0 else ""
        case Kind.FLAG if value in (0, 1):
            return operand.name if value else ""
        case Kind.DTYPE:
            return type_name(value)
        case Kind.SOURCE if 0 <= value < 1 << operand.bits:
            return _source(machine, value, imm)
        case Kind.UINT if operand.bits >= 16 and value >= 0:
            return f"{value:#0{2 + operand.bits // 4}x}"
    return str(value)


def text(ctx: Context, burst: int, instance: int = 0) -> str:
    """Mnemonic and operands of one dispatch."""
    opcode = int(ctx.opcode[burst])
    if opcode not in BY_OPCODE:
        return f"opcode {opcode:#04x}"
    cls = BY_OPCODE[opcode]
    values = [int(v) for v in ctx.args[burst][: len(cls.operands)]]
    imm = next((v for o, v in zip(cls.operands, values, strict=True) if o.kind is Kind.BITS32), 0)
    parts: list[str] = []
    results: list[str] = []
    for o, value in zip(cls.operands, values, strict=True):
        now = value + instance * int(ctx.stride[burst]) if o.strided else value
        if o.kind is not Kind.BITS32:
            shown = _operand(ctx.machine, o, now, imm)
            (results if o.kind is Kind.STREAM_OR_NONE else parts).extend([shown] if shown else [])
    out = f" -> {', '.join(results)}" if results else ""
    return f"{cls.mnemonic} {', '.join(parts)}".rstrip() + out


def mnemonic(ctx: Context, burst: int) -> str:
    """A burst's mnemonic."""
    return BY_OPCODE[int(ctx.opcode[burst])].mnemonic


def unit(ctx: Context, burst: int) -> str:
    """A burst's queue by name."""
    queue = int(ctx.queue[burst])
    names = ctx.machine.queue_names
    return names[queue] if queue < len(names) else f"queue {queue}"


def cycle(ctx: Context, burst: int, instance: int = 0) -> int:
    """The cycle of one dispatch."""
    return int(ctx.cycle[burst]) + instance * int(ctx.interval[burst])


def step(ctx: Context, burst: int) -> int:
    """Cycles between two dispatches of a burst."""
    return int(ctx.interval[burst])


def cycles(n: int) -> str:
    """``1 cycle``, ``2 cycles``."""
    return f"{n} cycle" if n == 1 else f"{n} cycles"


def planes(n: int) -> str:
    """``1 byte a lane``, ``2 bytes a lane``."""
    return "1 byte a lane" if n == 1 else f"{n} bytes a lane"
