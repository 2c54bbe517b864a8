"""The verifier: what it certifies, and what it says when it does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from isa.errors import VerifyError
from isa.instruction import REGISTRY
from isa.machine import Machine, load_chip
from isa.ops import icu, mem
from isa.program import BurstList, Program
from isa.verify import Refusal, verify
from isa.verify.effects import known
from tests.isa.verify_programs import sample


@pytest.mark.parametrize(("chip", "cycles"), [("tiny", 118), ("tsp1", 166)])
def test_a_program_of_every_unit_is_certified(chip: str, cycles: int) -> None:
    program = sample(load_chip(chip)).program()
    certificate = verify(program)
    assert verify(program, collect=True) == ()
    assert (certificate.cycles, certificate.instructions) == (cycles, program.instructions)


def test_an_empty_program_takes_the_stagger(tiny: Machine) -> None:
    assert verify(Program(tiny, BurstList().array())).cycles == tiny.timing("stagger")


def test_the_first_refusal_is_raised(tiny: Machine) -> None:
    program = sample(tiny).change("write", cycle=9).program()
    with pytest.raises(VerifyError) as caught:
        verify(program)
    assert caught.value.exit_code == 5
    assert str(caught.value) == (
        "TSP341: @11 MEM_W1: write 0x0112, E0 (dispatch 3 of 4): reads stream E0 at position 12 in cycle 11, "
        "but the values of `read 0x0010, E0` of MEM_W3 @0 pass it from cycle 7 on, and are read from cycle 9 on: "
        "2 cycles too late\n"
        "  help: move the write from @9 to @7, or the read from @0 to @2"
    )
    assert isinstance(caught.value, Refusal)
    assert (caught.value.queue, caught.value.cycle, caught.value.line) == ("MEM_W1", 11, None)


def test_the_node_is_named(tiny: Machine) -> None:
    refusal = verify(sample(tiny).change("read", address=0x11).program(), collect=True)[0]
    assert "for node 'Add_1'" in str(refusal)


def test_refusals_are_capped(tiny: Machine) -> None:
    out = BurstList()
    for cycle in range(50):
        out.add(0, cycle, mem.Read(0, 0))
    assert len(verify(Program(tiny, out.array()), collect=True)) == 20


def test_every_instruction_is_known_or_refused_by_name() -> None:
    refused = {"nop", "repeat", "send", "receive", "deskew"}
    assert {m for m, cls in REGISTRY.items() if not known(cls)} == refused


def test_queue_control_is_legal_everywhere(tiny: Machine) -> None:
    out = BurstList()
    full = icu.Config(tiny["lanes.superlanes"])
    for queue in range(tiny.queues):
        for cycle, instr in enumerate((icu.Sync(), icu.Notify(), icu.Ifetch(9), full)):
            out.add(queue, cycle, instr)
    assert verify(Program(tiny, out.array())).cycles == 4 + tiny.timing("stagger")


def test_queue_control_shares_no_cycle_with_a_read(tiny: Machine) -> None:
    program = sample(tiny).add("sync", "MEM_W3", 2, icu.Sync()).program()
    assert [r.number for r in verify(program, collect=True)] == [312]


def test_the_digest_covers_what_has_meaning(tiny: Machine) -> None:
    program = sample(tiny).program()
    digest = verify(program).digest
    assert verify(dataclasses.replace(program, meta=(("model", "x"),))).digest == digest
    changed = [
        dataclasses.replace(program, data=program.data + 1),
        dataclasses.replace(program, nodes=("", "Add_2")),
        dataclasses.replace(program, inputs=()),
        sample(tiny).change("shift", lanes=2).program(),
        dataclasses.replace(program, machine=load_chip("tiny")),
    ]
    digests = [verify(p).digest for p in changed]
    assert len({digest, *digests[:-1]}) == len(digests)
    assert digests[-1] == digest


@pytest.mark.parametrize("empty", ["rows", "columns"])
def test_a_piece_of_nothing_takes_no_room(empty: str, tiny: Machine) -> None:
    sketch = sample(tiny)
    (x,) = sketch.inputs
    none: Any = {empty: 0}
    nothing = dataclasses.replace(x.pieces[0], **none)
    sketch.inputs = (dataclasses.replace(x, pieces=(*x.pieces, nothing)),)
    assert verify(sketch.program(), collect=True) == ()
