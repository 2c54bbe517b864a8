"""Which streams an instruction reads and drives: the verifier's own reading of the instruction set, as a table.

Every instruction of the registry stands here; one that does not is refused (rule 301). VXM operations share one rule:
sources in, result out on ``east`` and ``west``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np

from isa.instruction import BY_OPCODE, DType, Instruction, SourceKind
from isa.verify.context import Bools, Context, Ints

PLANES: Final = np.array([d.planes for d in DType], np.int64)


@dataclass(frozen=True, slots=True)
class Group:
    """Consecutive streams that an operand names: ``times`` groups of ``width``, aligned to ``width``.

    ``width`` ``"dtype"`` stands for the byte planes of the instruction's type; other strings name an operand or a chip
    field. Where ``when`` names an operand, the streams are used only if it is not 0. ``types`` gives the type that the
    group has for each type of the instruction, or the one type it has; None if it is moved as bytes.
    """

    operand: str
    width: int | str = 1
    times: int | str = 1
    when: str = ""
    types: tuple[DType, ...] | DType | None = None


Streams = tuple[tuple[Group, ...], tuple[Group, ...]]
AS_SAID: Final = tuple(DType)
"""Values have the type that the instruction names."""
SUMS: Final = (DType.I32, DType.I32, DType.I32, DType.F32, DType.F32)
"""What products of a type are accumulated in."""
INDICES: Final = DType.I16
ONE_TO_ONE: Final[Streams] = ((Group("src"),), (Group("dst"),))
NOTHING: Final[Streams] = ((), ())

STREAMS: Final[dict[str, Streams]] = {
    "read": ((), (Group("stream"),)),
    "write": ((Group("stream"),), ()),
    "gather": ((Group("indices", 2, types=INDICES),), (Group("stream"),)),
    "scatter": ((Group("indices", 2, types=INDICES), Group("stream")), ()),
    "lw": ((Group("stream", "dtype", "groups", types=AS_SAID),), ()),
    "iw": NOTHING,
    "abc": ((Group("stream", "dtype", types=AS_SAID),), ()),
    "acc": ((), (Group("stream", 4, when="emit", types=SUMS),)),
    "shift": ONE_TO_ONE,
    "permute": ((Group("src"), Group("map", 2, types=INDICES)), (Group("dst"),)),
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
NAMING: Final = frozenset({"mov"})
"""VXM operations that take bytes of any type: what comes out has the type that they name."""
UNTYPED: Final = -1


@dataclass(frozen=True)
class Columns:
    """Of dataclasses whose fields are arrays alike in length."""

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """All of ``parts`` as one."""
        none = np.zeros(0, np.int64)
        names = [f.name for f in fields(cls)]
        return cls(*(np.concatenate([none, *(getattr(p, n) for p in parts)]) for n in names))

    def where(self, keep: Bools) -> Self:
        """The entries that ``keep`` marks."""
        names = [f.name for f in fields(self)]
        return type(self)(*(getattr(self, n)[keep] for n in names))


@dataclass(frozen=True)
class Access(Columns):
    """Stream groups of some bursts. ``width`` streams a group, ``planes`` streams in all.

    ``dtype``: the type that is read or put, or ``UNTYPED``.
    """

    bursts: Ints
    stream: Ints
    width: Ints
    planes: Ints
    delay: Ints
    dtype: Ints


def known(cls: type[Instruction]) -> bool:
    """Whether the table says what an instruction does to streams."""
    return cls.unit == "VXM" or cls.mnemonic in STREAMS


def source_type(ctx: Context, mnemonic: str, index: int, bursts: Ints) -> Ints:
    """The type of VXM source ``index``: that of the operation, but int8 for the condition of ``select``."""
    if index == 2:
        return np.full(len(bursts), DType.I8, np.int64)
    return ctx.operand(mnemonic, "dtype", bursts)


def result_type(ctx: Context, mnemonic: str, bursts: Ints) -> Ints:
    """The type of a VXM operation's result."""
    if mnemonic in FLAG_RESULT:
        return np.full(len(bursts), DType.I8, np.int64)
    return ctx.operand(mnemonic, "to" if mnemonic == "cvt" else "dtype", bursts)


@dataclass(frozen=True)
class Sources(Columns):
    """Sources of VXM bursts, taken apart."""

    bursts: Ints
    kind: Ints
    unit: Ints  # stream or ALU
    delay: Ints
    planes: Ints
    dtype: Ints  # as it is read, or UNTYPED


def vxm_operations(ctx: Context) -> Iterator[tuple[type[Instruction], Ints]]:
    """The VXM operations that occur, with their bursts."""
    for code in ctx.opcodes:
        cls = BY_OPCODE.get(int(code))
        if cls is not None and cls.unit == "VXM":
            yield cls, ctx.bursts(cls.mnemonic)


def vxm_source(ctx: Context, mnemonic: str, index: int, bursts: Ints) -> Sources:
    """Source ``index`` of some bursts of one VXM operation."""
    code = ctx.operand(mnemonic, "abc"[index], bursts)
    dtype = source_type(ctx, mnemonic, index, bursts)
    planes = PLANES[dtype]
    if mnemonic in NAMING:
        dtype = np.full(len(bursts), UNTYPED, np.int64)
    return Sources(bursts, code & 3, code >> 2 & 63, code >> 8 & 63, planes, dtype)


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
        types = UNTYPED if group.types is None else group.types
        if isinstance(types, tuple):
            dtype = np.array(types, np.int64)[ctx.operand(mnemonic, "dtype", chosen)]
        else:
            dtype = np.full(len(chosen), types, np.int64)
        planes = width * number(group.times)
        yield Access(chosen, stream, width, planes, np.zeros_like(stream), dtype)


def reads(ctx: Context) -> Access:
    """Every stream group that the program reads, with the delay with which it is seen."""
    parts = [a for m, (takes, _) in STREAMS.items() for a in _declared(ctx, m, takes)]
    for s in vxm_sources(ctx):
        from_stream = s.kind == SourceKind.STREAM
        every = Access(s.bursts, s.unit, s.planes, s.planes, s.delay, s.dtype)
        parts.append(every.where(from_stream))
    return Access.join(parts)


def puts(ctx: Context) -> Access:
    """Every stream group that the program drives."""
    parts = [a for m, (_, gives) in STREAMS.items() for a in _declared(ctx, m, gives)]
    for cls, bursts in vxm_operations(ctx):
        dtype = result_type(ctx, cls.mnemonic, bursts)
        planes = PLANES[dtype]
        for name, base in (("east", -1), ("west", ctx.machine.streams - 1)):
            value = ctx.operand(cls.mnemonic, name, bursts)
            every = Access(bursts, value + base, planes, planes, np.zeros_like(planes), dtype)
            parts.append(every.where(value > 0))
    return Access.join(parts)
