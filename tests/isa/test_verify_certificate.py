"""What a loader asks for: a certificate of these bytes, this chip and this verifier."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

import isa.verify
from emulator.jit import Kernel
from isa.assembly import assemble
from isa.binary import from_bytes, to_bytes
from isa.errors import VerifyError
from isa.machine import make_machine
from isa.program import Program
from isa.verify import Certificate, verify
from runtime.api import Session

ADD = """.chip tiny
.tensor x i8 2 32 at MEM_W0:0 input
.tensor y i8 2 32 at MEM_E0:0 output
@0 MEM_W0: read 0x0000, E0 x2 +1
@6 VXM_0: add i8, E0, #1 -> E1 x2
@10 MEM_E0: write 0x0000, E1 x2 +1
"""
PROGRAM = assemble(ADD)
X = np.arange(64, dtype=np.int8).reshape(2, 32)


def test_a_program_runs_with_its_certificate_and_is_not_verified_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certificate = verify(PROGRAM)
    monkeypatch.setattr(isa.verify, "verify", lambda _: pytest.fail("verified again"))
    session = Session(from_bytes(to_bytes(PROGRAM)), certificate=certificate)
    assert session.certificate is certificate
    assert np.array_equal(session.run(None, {"x": X})[0], X + 1)


def _other_immediate(program: Program) -> Program:
    bursts = program.bursts.copy()
    bursts["args"][bursts["opcode"] == 0x30, 3] = 2
    return dataclasses.replace(program, bursts=bursts)


def _other_chip(program: Program) -> Program:
    facts = dict(program.machine.facts)
    facts["mem.words"] = dataclasses.replace(facts["mem.words"], value=128)
    return dataclasses.replace(program, machine=make_machine(facts, "test"))


def _other_place(program: Program) -> Program:
    (port,) = program.outputs
    moved = dataclasses.replace(port.pieces[0], row=1, rows=1, address=1)
    return dataclasses.replace(
        program, outputs=(dataclasses.replace(port, pieces=(moved, *port.pieces)),)
    )


@pytest.mark.parametrize("change", [_other_immediate, _other_chip, _other_place])
def test_a_certificate_of_another_program_or_chip_runs_nothing(
    change: Callable[[Program], Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, other = verify(PROGRAM), change(PROGRAM)
    assert verify(other).digest != certificate.digest
    monkeypatch.setattr(Kernel, "__init__", lambda *_, **__: pytest.fail("prepared to run"))
    with pytest.raises(VerifyError, match="TSP390") as caught:
        Session(other, certificate=certificate)
    assert caught.value.exit_code == 5


def test_a_certificate_of_another_verifier_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = verify(PROGRAM)
    monkeypatch.setattr(isa.verify, "VERSION", isa.verify.VERSION + 1)
    with pytest.raises(VerifyError, match="TSP390"):
        Session(PROGRAM, certificate=certificate)


def test_a_made_up_certificate_runs_nothing() -> None:
    with pytest.raises(VerifyError, match="TSP390"):
        Session(PROGRAM, certificate=Certificate(25, 6, "0" * 64))


def test_without_one_the_program_is_verified() -> None:
    late = assemble(ADD.replace("@10 MEM_E0", "@11 MEM_E0"))
    with pytest.raises(VerifyError, match="TSP341"):
        Session(late)


def test_constants_of_a_file_cannot_be_changed_behind_their_certificate() -> None:
    with_data = assemble(f"{ADD}.segment MEM_W5, 0, x1\n.fill 7\n")
    program = from_bytes(to_bytes(with_data))
    certificate = verify(program)
    with pytest.raises(ValueError, match="read-only"):
        program.data[0] = 1
    changed = dataclasses.replace(program, data=program.data + 1)
    with pytest.raises(VerifyError, match="TSP390"):
        Session(changed, certificate=certificate)
