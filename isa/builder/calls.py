"""A method an instruction, made from the registry: the declarations are all there is. ``calls.pyi`` is their typed form."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from keyword import iskeyword
from typing import Any, Final

from isa.arrival import effects
from isa.builder.issued import Issued
from isa.instruction import REGISTRY, Instruction, Kind, Operand
from isa.machine import load_chip

SUFFIXES: Final = ("at", "x", "every", "step", "node")
"""Of every call: time, count, interval, stride, node."""
_AWAY: Final = 16
"""A stream at which a group of any width may begin."""


def method_name(mnemonic: str) -> str:
    """The method of an instruction: its mnemonic, with an underscore behind a word of Python."""
    return f"{mnemonic}_" if iskeyword(mnemonic) else mnemonic


def call_operands(cls: type[Instruction]) -> tuple[list[Operand], list[Operand]]:
    """Operands given by place, and by name only: immediates, results and flags. A class's default counts for both."""
    named = (Kind.BITS32, Kind.STREAM_OR_NONE, Kind.FLAG)
    fields = cls.operands
    return [o for o in fields if o.kind not in named], [
        o for o in fields if o.kind in named and o.kind is not Kind.BITS32
    ]


@cache
def is_sampled(cls: type[Instruction], operand: Operand) -> bool:
    """Whether a stream operand is one that the instruction reads: its meaning, run once, says so."""
    if operand.kind is not Kind.STREAM:
        return False
    once = {o.name: 1 if o.kind is Kind.UINT else 0 for o in cls.operands}
    args = once | {operand.name: _AWAY} | {n: 0 for n in ("dtype",) if n in once}
    return any(
        first == _AWAY for first, _ in effects(load_chip(), cls.opcode, tuple(args.values())).reads
    )


class Calls:
    """One method an instruction of ``isa.instruction.REGISTRY``; see ``KernelBuilder`` for what all have in common."""

    def issue(self, mnemonic: str, given: dict[str, Any], on: Any, **how: Any) -> Issued:
        """Dispatch an instruction; every method comes down to this."""
        raise NotImplementedError


def _signature(cls: type[Instruction]) -> inspect.Signature:
    placed, named = call_operands(cls)
    P = inspect.Parameter
    parameters = [P("self", P.POSITIONAL_ONLY)]
    parameters += [P(o.name, P.POSITIONAL_OR_KEYWORD) for o in placed]
    parameters.append(P("on", P.KEYWORD_ONLY))
    off = {Kind.FLAG: False, Kind.STREAM_OR_NONE: None}
    parameters += [P(o.name, P.KEYWORD_ONLY, default=off[o.kind]) for o in named]
    defaults = {"at": None, "x": 1, "every": 1, "step": 0, "node": ""}
    parameters += [P(n, P.KEYWORD_ONLY, default=defaults[n]) for n in SUFFIXES]
    return inspect.Signature(parameters)


def _method(cls: type[Instruction]) -> Callable[..., Issued]:
    signature = _signature(cls)

    def call(self: Calls, *args: Any, **kwargs: Any) -> Issued:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        given = {k: v for k, v in bound.arguments.items() if k not in ("self", "on", *SUFFIXES)}
        how = {name: bound.arguments[name] for name in SUFFIXES}
        return self.issue(cls.mnemonic, given, bound.arguments["on"], **how)

    call.__name__ = call.__qualname__ = method_name(cls.mnemonic)
    call.__doc__ = cls.__doc__
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


for _cls in REGISTRY.values():
    if not _cls.word_only:
        setattr(Calls, method_name(_cls.mnemonic), _method(_cls))
