"""From an instruction's operand texts to its values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from isa.assembly.syntax import BindError, immediate_bits, number, parse_value, text_order
from isa.instruction import MAX_OPERANDS, REGISTRY, Instruction, Kind
from isa.machine import Machine
from isa.ops.vxm import VxmInstruction


def bind(
    mnemonic: str, positional: Sequence[str], results: Sequence[str], machine: Machine
) -> tuple[int, ...]:
    """Operand values in declaration order, of an instruction that stands in text as ``mnemonic positional -> results``.

    Raises ``BindError`` naming the text that is wrong; an instruction without immediates keeps the value 0 there.
    """
    cls = REGISTRY[mnemonic]
    args = [0] * len(cls.operands)
    marks: list[tuple[int, int]] = []
    at = result = sources = 0
    for i, o in text_order(mnemonic):
        have = positional[at] if at < len(positional) else ""
        if o.kind is Kind.STREAM_OR_NONE:
            if result < len(results) and results[result].startswith(o.direction):
                args[i] = _parse(i, cls, results[result], machine, len(positional) + result)
                result += 1
        elif o.kind is Kind.FLAG:
            args[i] = int(have == o.name)
            at += args[i]
        elif o.kind is not Kind.BITS32 or have.startswith("imm="):
            if not have:
                raise BindError(at, f"{mnemonic} needs {o.name}")
            args[i] = _parse(i, cls, have, machine, at)
            if have.startswith("#"):
                marks.append((at, sources))
            sources += o.kind is Kind.SOURCE
            at += 1
    if at < len(positional) or result < len(results):
        spare = at if at < len(positional) else len(positional) + result
        raise BindError(spare, f"{mnemonic} takes no such operand here")
    if marks:
        _bind_immediate(cls, args, [(at, n, positional[at][1:]) for at, n in marks])
    return tuple(args)


@lru_cache(maxsize=1 << 14)
def bound(
    mnemonic: str, positional: tuple[str, ...], results: tuple[str, ...], machine: Machine
) -> tuple[int, ...]:
    """``bind``, padded to a burst's width; texts repeat a lot."""
    args = bind(mnemonic, positional, results, machine)
    return args + (0,) * (MAX_OPERANDS - len(args))


def _parse(i: int, cls: type[Instruction], text: str, machine: Machine, at: int) -> int:
    try:
        return parse_value(cls.operands[i], text, machine)
    except ValueError as error:
        raise BindError(at, str(error)) from None


def _bind_immediate(
    cls: type[Instruction], args: list[int], marks: Sequence[tuple[int, int, str]]
) -> None:
    """Give the immediate the value of the ``#`` texts ``(place, source, text)``: all must have the same bits."""
    place = next(i for i, o in enumerate(cls.operands) if o.kind is Kind.BITS32)
    filled = cls(**{o.name: v for o, v in zip(cls.operands, args, strict=True)})
    given = bool(args[place])
    for at, source, text in marks:
        try:
            if isinstance(filled, VxmInstruction) and not text.startswith("0x"):
                bits = immediate_bits(text, filled.source_dtype(source))
            else:
                bits = number(text)
        except ValueError as error:
            raise BindError(at, str(error)) from None
        if bits > cls.operands[place].limits[1]:
            raise BindError(at, f"an immediate has {cls.operands[place].bits} bits")
        if given and bits != args[place]:
            raise BindError(at, "differs from the other immediate, and a word holds one")
        args[place], given = bits, True
