"""The verifier: from a program alone, proof that it runs on its chip without conflict, or a refusal that says why not.

What it proves: no port, queue, stream or unit is asked for two things at once; every operand is there in the cycle in which
it is sampled, of the width and type that is read; every word is defined before it is read; every access is inside the chip;
and the program ends in the cycle that the certificate names, which is computed here from queues and instruction timing.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, overload

import numpy as np

from isa.errors import VerifyError
from isa.program import Program, data_digest
from isa.verify import fields, layout, matrix, memory, operands, queues, streams, types, vector
from isa.verify.context import Context
from isa.verify.report import RULES, EnoughError, Refusal

VERSION: Final = 3
"""Of the rules: a certificate of another version is no longer one."""
NO_CERTIFICATE: Final = 390


@dataclass(frozen=True, slots=True)
class Certificate:
    """Proof that a program may run: its length in cycles, its dispatches, and the SHA-256 (hex) of what was verified."""

    cycles: int
    instructions: int
    digest: str


def digest(program: Program) -> str:
    """SHA-256 (hex) of a program's content, its chip and the verifier's version; ``meta`` does not count."""
    h = hashlib.sha256(f"{VERSION} {program.machine.abi_hash}\n".encode())
    for array in (program.bursts, program.segments, program.data):
        h.update(f"{array.dtype.descr} {array.shape}\n".encode())
        if array is program.data:
            h.update(data_digest(program).encode())
        else:
            h.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    h.update(repr((program.inputs, program.outputs, program.nodes)).encode())
    return h.hexdigest()


def admit(program: Program, certificate: Certificate) -> Certificate:
    """``certificate``, if it is that of these bytes, this chip and this verifier; else ``VerifyError`` TSP390."""
    found = digest(program)
    if certificate.digest != found:
        message = f"the certificate is of {certificate.digest[:16]}, the program is {found[:16]}"
        hint = "verify it again: program, chip or verifier are others since"
        raise VerifyError(NO_CERTIFICATE, message, where="the program", hint=hint)
    return certificate


@overload
def verify(program: Program, collect: Literal[False] = False) -> Certificate: ...


@overload
def verify(program: Program, collect: Literal[True]) -> tuple[VerifyError, ...]: ...


def verify(program: Program, collect: bool = False) -> Certificate | tuple[VerifyError, ...]:
    """The certificate of a program, or ``VerifyError`` TSP3xx (see ``RULES``) with the first thing that is wrong with it.

    With ``collect``, all that is wrong with it instead, 20 refusals at most: empty for a program that may run. Rules about
    single bursts come first, and only when they all hold are the others looked at.
    """
    ctx = Context(program)
    with suppress(EnoughError):
        _judge(ctx)
    if collect:
        return tuple(ctx.refusals)
    if ctx.refusals:
        raise ctx.refusals[0]
    return Certificate(queues.total_cycles(ctx), int(ctx.count.sum()), digest(program))


def _judge(ctx: Context) -> None:
    """All rules, in stages that rely on those before them."""
    fields.structure(ctx)
    if ctx.refusals:
        return
    operands.check(ctx)
    initial = layout.initial(ctx)
    if ctx.refusals:
        return
    queues.dispatch(ctx)
    slices = memory.Slices(ctx, initial)
    layout.outputs(ctx, slices.check())
    vector.forwarding(ctx)
    matrix.check(ctx)
    meetings = streams.check(ctx)
    if meetings is not None:
        types.check(ctx, meetings, slices.origins)


__all__ = ["RULES", "VERSION", "Certificate", "Refusal", "admit", "digest", "verify"]
