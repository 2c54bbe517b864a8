"""Which streams an instruction reads and drives: the verifier's own reading of the instruction set, as a table.

Every instruction of the registry stands here; one that does not is refused (rule 301). VXM operations share one rule:
sources in, result out on ``east`` and ``west``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from isa.instruction import BY_OPCODE, DType, Instruction, SourceKind
from isa.verify.context import Context, Ints

PLANES: Final = np.array([d.planes for d in DType], np.int64)


@dataclass(frozen=True, slots=True)
class Group:
    """Consecutive streams that an operand names: ``times`` groups of ``width``, aligned to ``width``.

    ``width`` ``"dtype"`` stands for the byte planes of the instruction's type; other strings name an operand or a chip
    field. Where ``when`` names an operand, the streams are used only if it is not 0.
    """

    operand: str
    width: int | str = 1
    times: int | str = 1
    when: str = ""


Streams = tuple[tuple[Group, ...], tuple[Group, ...]]
ONE_TO_ONE: Final[Streams] = ((Group("src"),), (Group("dst"),))
NOTHING: Final[Streams] = ((), ())

STREAMS: Final[dict[str, Streams]] = {
    "read": ((), (Group("stream"),)),
    "write": ((Group("stream"),), ()),
    "gather": ((Group("indices", 2),), (Group("stream"),)),
    "scatter": ((Group("indices", 2), Group("stream")), ()),
    "lw": ((Group("stream", "dtype", "groups"),), ()),
    "iw": NOTHING,
    "abc": ((Group("stream", "dtype"),), ()),
    "acc": ((), (Group("stream", 4, when="emit"),)),
    "shift": ONE_TO_ONE,
    "permute": ((Group("src"), Group("map", 2)), (Group("dst"),)),
    "distribute": ONE_TO_ONE,
    "rotate": ONE_TO_ONE,
    "transpose": (
        (Group("src", "lanes.per_superlane"),),
        (Group("dst", "lanes.per_superlane"),),
    ),
    "sync": NOTHING,
    "notify": NOTHING,
    "ifetch": NOTHING,
    "config": NOTHING,
}
"""Reads and puts of every instruction outside the VXM."""

FLAG_RESULT: Final = frozenset({"eq", "lt", "le"})
"""VXM operations whose result is int8, whatever they compare."""


@dataclass(frozen=True)
class Access:
    """Stream groups of some bursts; arrays alike in length. ``width`` streams a group, ``planes`` streams in all."""

    bursts: Ints
    stream: Ints
    width: Ints
    planes: Ints
    delay: Ints

    @staticmethod
    def join(parts: list[Access]) -> Access:
        """All of ``parts`` as one."""
        none = np.zeros(0, np.int64)
        fields = ("bursts", "stream", "width", "planes", "delay")
        return Access(*(np.concatenate([none, *(getattr(p, f) for p in parts)]) for f in fields))

    def where(self, keep: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Access:
        """The groups that ``keep`` marks."""
        return Access(
            self.bursts[keep],
            self.stream[keep],
            self.width[keep],
            self.planes[keep],
            self.delay[keep],
        )


def known(cls: type[Instruction]) -> bool:
    """Whether the table says what an instruction does to streams."""
    return cls.unit == "VXM" or cls.mnemonic in STREAMS


def source_planes(ctx: Context, mnemonic: str, index: int, bursts: Ints) -> Ints:
    """Byte planes of VXM source ``index``: those of the type, but one for the condition of ``select``."""
    if index == 2:
        return np.ones(len(bursts), np.int64)
    return PLANES[ctx.operand(mnemonic, "dtype", bursts)]


def result_planes(ctx: Context, mnemonic: str, bursts: Ints) -> Ints:
    """Byte planes of a VXM operation's result."""
    if mnemonic in FLAG_RESULT:
        return np.ones(len(bursts), np.int64)
    return PLANES[ctx.operand(mnemonic, "to" if mnemonic == "cvt" else "dtype", bursts)]


@dataclass(frozen=True)
class Sources:
    """Source ``index`` of the bursts of one VXM operation, taken apart."""

    bursts: Ints
    kind: Ints
    unit: Ints  # stream or ALU
    delay: Ints
    planes: Ints


def vxm_operations(ctx: Context) -> Iterator[tuple[type[Instruction], Ints]]:
    """The VXM operations that occur, with their bursts."""
    for code in ctx.opcodes:
        cls = BY_OPCODE.get(int(code))
        if cls is not None and cls.unit == "VXM":
            yield cls, ctx.bursts(cls.mnemonic)


def vxm_source(ctx: Context, mnemonic: str, index: int, bursts: Ints) -> Sources:
    """Source ``index`` of some bursts of one VXM operation."""
    code = ctx.operand(mnemonic, "abc"[index], bursts)
    planes = source_planes(ctx, mnemonic, index, bursts)
    return Sources(bursts, code & 3, code >> 2 & 63, code >> 8 & 63, planes)


def vxm_sources(ctx: Context) -> Iterator[Sources]:
    """All sources of all VXM bursts, by operation and operand."""
    for cls, bursts in vxm_operations(ctx):
        for index in range(cls.arity):
            yield vxm_source(ctx, cls.mnemonic, index, bursts)


def _declared(ctx: Context, mnemonic: str, groups: tuple[Group, ...]) -> Iterator[Access]:
    bursts = ctx.bursts(mnemonic)
    for group in groups:
        chosen = bursts
        if group.when:
            chosen = bursts[ctx.operand(mnemonic, group.when) != 0]

        def number(value: int | str, chosen: Ints = chosen) -> Ints:
            if value == "dtype":
                return PLANES[ctx.operand(mnemonic, "dtype", chosen)]
            if isinstance(value, str) and "." not in value:
                return ctx.operand(mnemonic, value, chosen)
            fixed = ctx.machine[value] if isinstance(value, str) else value
            return np.full(len(chosen), fixed, np.int64)

        width = number(group.width)
        stream = ctx.operand(mnemonic, group.operand, chosen)
        yield Access(chosen, stream, width, width * number(group.times), np.zeros_like(stream))


def reads(ctx: Context) -> Access:
    """Every stream group that the program reads, with the delay with which it is seen."""
    parts = [a for m, (takes, _) in STREAMS.items() for a in _declared(ctx, m, takes)]
    for s in vxm_sources(ctx):
        from_stream = s.kind == SourceKind.STREAM
        every = Access(s.bursts, s.unit, s.planes, s.planes, s.delay)
        parts.append(every.where(from_stream))
    return Access.join(parts)


def puts(ctx: Context) -> Access:
    """Every stream group that the program drives."""
    parts = [a for m, (_, gives) in STREAMS.items() for a in _declared(ctx, m, gives)]
    for cls, bursts in vxm_operations(ctx):
        planes = result_planes(ctx, cls.mnemonic, bursts)
        for name, base in (("east", -1), ("west", ctx.machine.streams - 1)):
            value = ctx.operand(cls.mnemonic, name, bursts)
            every = Access(bursts, value + base, planes, planes, np.zeros_like(planes))
            parts.append(every.where(value > 0))
    return Access.join(parts)
