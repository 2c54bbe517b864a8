"""What the verifier says: its rules by number, and instructions, units and streams in an author's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isa.errors import VerifyError
from isa.instruction import BY_OPCODE, DType, Kind, Operand, Source, SourceKind
from isa.machine import Machine

if TYPE_CHECKING:
    from isa.verify.context import Context

CAP: Final = 20
"""Refusals reported at most."""

RULES: Final[dict[int, str]] = {
    300: "a program stays within the verifier's limits on cycles and dispatches",
    301: "an instruction is one that this machine executes",
    302: "bursts are sorted by queue, cycle and opcode",
    303: "cycle >= 0, count >= 1 and interval >= 1",
    304: "an instruction is on a queue of its unit, and of its role",
    305: "an operand fits its field, in the first dispatch and in the last, and has a meaning",
    306: "an operand names something that the chip has",
    307: "only an instruction with a strided operand takes a stride",
    308: "a burst's node is one of the program's",
    309: "a program for one chip has no business with links to others",
    310: "a stream group is aligned to its size and stays in its direction",
    311: "an instruction takes the type",
    312: "a queue dispatches once a cycle; a MEM queue one read and one write",
    320: "a VXM operation has all of its sources",
    321: "a large operation is on a large ALU",
    322: "an operand is delayed by what the chip's skew registers hold",
    323: "immediates and other extensions are used only where the chip has them",
    324: "an ALU finishes a result in the cycle in which another reads it",
    325: "a result read from an ALU has the reader's width",
    330: "a read and a write of a slice in one cycle are in different banks",
    331: "one write a slice and cycle becomes effective",
    332: "a word is constant, input or written before it is read",
    333: "every word that a gather or scatter may touch is defined before",
    334: "constant segments are inside the memory, have data, and do not overlap",
    335: "inputs overlap neither each other nor constants",
    336: "every byte of an output is in words that the program defines",
    337: "an input's or output's pieces are inside its tensor and the memory",
    340: "one value at a time is put on a stream at one position",
    341: "a stream that is read carries a value",
    350: "fp16 runs on the queues of the even plane while the odd one rests",
    351: "weights arrive on the streams that a plane has",
    352: "an installed column was loaded, as this type, since the last install",
    353: "activations meet installed weights of their type",
    354: "an fp16 activation has its pair of planes for all of its cycles",
    355: "weights stay while an fp16 activation passes",
    356: "acc takes an activation of its type that entered the array array_latency before",
    357: "an accumulator row is started, as this type, before it is continued",
    358: "a row window is made of whole superlanes inside the array",
}
"""One line a rule. A number is what a refusal carries; a rule that is not listed refuses nothing."""


class EnoughError(Exception):
    """Enough refusals: stop looking."""


def stream_name(machine: Machine, stream: int) -> str:
    """``E3`` or ``W12``."""
    n = machine.streams
    return f"E{stream}" if stream < n else f"W{stream - n}"


def position_name(machine: Machine, position: int) -> str:
    """The unit at a position, as its queues call it: ``MEM_W3``, ``VXM``, ``MXM_E``."""
    queue = machine.queue_positions.index(position)
    name, kind = machine.queue_names[queue], machine.queue_kinds[queue]
    return {"MEM": name, "VXM": "VXM"}.get(kind, name[:5])


def _source(machine: Machine, code: int, imm: int) -> str:
    kind, index, delay = Source.unpack(code)
    late = f"~{delay}" if delay else ""
    if kind is SourceKind.STREAM:
        return stream_name(machine, index) + late
    if kind is SourceKind.ALU:
        return f"alu{index}{late}"
    return f"#{imm:#x}" if kind is SourceKind.IMMEDIATE else "-"


def _operand(machine: Machine, operand: Operand, value: int, imm: int) -> str:
    match operand.kind:
        case Kind.STREAM if 0 <= value < 2 * machine.streams:
            return stream_name(machine, value)
        case Kind.STREAM_OR_NONE:
            return f"{operand.direction}{value - 1}" if value > 0 else "-"
        case Kind.DTYPE if value in list(DType):
            return DType(value).name.lower()
        case Kind.SOURCE if value >= 0:
            return _source(machine, value, imm)
        case Kind.UINT if operand.name in ("address", "base") and value >= 0:
            return f"{value:#06x}"
        case Kind.BITS32:
            return f"{value:#x}"
    return str(value)


def text(ctx: Context, burst: int, instance: int = 0) -> str:
    """Mnemonic and operand values of one dispatch."""
    opcode = int(ctx.opcode[burst])
    if opcode not in BY_OPCODE:
        return f"opcode {opcode:#04x}"
    cls = BY_OPCODE[opcode]
    values = [int(v) for v in ctx.args[burst][: len(cls.operands)]]
    raw = next((v for o, v in zip(cls.operands, values, strict=True) if o.name == "imm"), 0)
    moved = (
        v + instance * int(ctx.stride[burst]) if o.strided else v
        for o, v in zip(cls.operands, values, strict=True)
    )
    shown = [
        _operand(ctx.machine, o, v, raw)
        for o, v in zip(cls.operands, moved, strict=True)
        if o.name != "imm"
    ]
    return f"{cls.mnemonic} {', '.join(shown)}".rstrip()


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


def place(ctx: Context, burst: int, instance: int = 0) -> str:
    """Where a refusal is: cycle, queue, instruction, which repeat, and the node it works for."""
    count, node = int(ctx.count[burst]), int(ctx.node[burst])
    repeat = f" (dispatch {instance + 1} of {count})" if count > 1 else ""
    names = ctx.program.nodes
    owner = f" for node {names[node]!r}" if node < len(names) and names[node] else ""
    when = cycle(ctx, burst, instance)
    return f"@{when} {unit(ctx, burst)}: {text(ctx, burst, instance)}{repeat}{owner}"


def other(ctx: Context, burst: int, instance: int = 0) -> str:
    """A second party within a sentence."""
    return f"`{text(ctx, burst, instance)}` of {unit(ctx, burst)} in cycle {cycle(ctx, burst, instance)}"


def cycles(n: int) -> str:
    """``1 cycle``, ``2 cycles``."""
    return f"{n} cycle" if n == 1 else f"{n} cycles"


def shift(delta: int, other: str) -> str:
    """What to do when what ``other`` makes comes ``delta`` cycles after (before, if negative) it is wanted."""
    late, early = ("later", "earlier") if delta > 0 else ("earlier", "later")
    n = cycles(abs(delta))
    return f"issue it {n} {late}, or the {other} {n} {early}"


def refuse(ctx: Context, rule: int, message: str, *, where: str = "", hint: str = "") -> None:
    """Record a refusal under ``rule``; raises ``EnoughError`` when there are ``CAP``."""
    if rule not in RULES:
        return
    ctx.refusals.append(VerifyError(rule, message, where=where, hint=hint))
    if len(ctx.refusals) >= CAP:
        raise EnoughError
