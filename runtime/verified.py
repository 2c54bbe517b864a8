"""Programs that were verified before: the certificate is kept beside the kernels."""

from __future__ import annotations

import json
from typing import Final

import isa.verify
from isa.program import Program
from isa.verify import Certificate, digest

WORTH: Final = 4096
"""Bursts from which on a certificate is kept."""
MOST_KEPT: Final = 64


def verified(program: Program) -> Certificate:
    """The certificate of a program, by the verifier, or kept from when it gave it for these bytes. Raises as ``verify`` does.

    It is kept under the digest of the program and the source of verifier and emulator, in the private folder in which
    compiled kernels lie: who could forge it could as well change the code that runs.
    """
    from emulator.jit.cache import ObjectCache, default_directory
    from emulator.jit.kernel import code

    if len(program.bursts) < WORTH:
        return isa.verify.verify(program)
    store, found = ObjectCache(default_directory()), digest(program)
    key = f"{found}\0{code()}"
    kept = store.get(key, "certificate")
    if kept is not None:
        cycles, instructions = json.loads(kept)
        return Certificate(cycles, instructions, found)
    certificate = isa.verify.verify(program)
    facts = json.dumps([certificate.cycles, certificate.instructions])
    store.put(key, facts.encode(), "certificate", MOST_KEPT)
    return certificate
