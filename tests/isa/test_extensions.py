"""What is outside the published instruction set says so, and can be switched off in the chip file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isa.instruction import REGISTRY, Kind, Source, SourceKind
from isa.machine import Fact, Machine
from isa.program import BURST, Program
from isa.verify import verify

EXTENSIONS = [cls for cls in REGISTRY.values() if cls.extension]


def one(mnemonic: str, machine: Machine) -> Program:
    """A program of one dispatch on immediates."""
    cls = REGISTRY[mnemonic]
    source = Source(SourceKind.IMMEDIATE).pack()
    args = [source if o.kind is Kind.SOURCE else 0 for o in cls.operands]
    row = (machine.vxm_queue, cls.opcode, 0, 0, 1, 1, 0, tuple(args + [0] * (10 - len(args))))
    return Program(machine, np.array([row], BURST), nodes=("",))


@pytest.mark.parametrize("mnemonic", [cls.mnemonic for cls in EXTENSIONS])
def test_a_chip_without_an_extension_refuses_it(mnemonic: str, tsp1: Machine) -> None:
    facts = dict(tsp1.facts)
    name = REGISTRY[mnemonic].extension
    assert facts[name].source == "extension"
    assert facts[name].note
    program = one(mnemonic, tsp1)
    assert verify(program).instructions == 1
    facts[name] = Fact(False, "extension")
    (refusal,) = verify(replace(program, machine=Machine(tuple(sorted(facts.items())))), True)
    assert refusal.number == 323
    assert "extension" in refusal.message
    assert f"({name})" in refusal.message


def test_the_chip_file_names_every_extension(tsp1: Machine) -> None:
    """Fields of that source are switches of instructions, or hold what instructions have in common."""
    marked = {name for name, fact in tsp1.facts if fact.source == "extension"}
    assert marked == {cls.extension for cls in EXTENSIONS} | {"vxm.immediates", "vxm.max_delay"}
