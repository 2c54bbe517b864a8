"""What the generator of random programs promises: validity, coverage, and the same program every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emulator.reference import ReferenceInterpreter
from isa.errors import InternalError, VerifyError
from isa.instruction import REGISTRY, DType
from isa.machine import Fact, Machine, load_chip
from isa.verify import verify
from tests.emulator.random_programs import VECTORS, random_inputs, random_program, vxm_variants
from tests.emulator.random_variants import mutant, varied_chip

TINY = load_chip("tiny")
SINGLE_CHIP = {name for name, cls in REGISTRY.items() if cls.unit != "C2C" and not cls.word_only}


def test_a_seed_gives_one_program() -> None:
    a, b = random_program(5, TINY), random_program(5, TINY)
    assert a.bursts.tobytes() == b.bursts.tobytes()
    assert a.data.tobytes() == b.data.tobytes()
    assert a.inputs == b.inputs
    assert a.outputs == b.outputs
    assert a.bursts.tobytes() != random_program(6, TINY).bursts.tobytes()


def test_seeds_in_a_row_have_every_instruction_on_every_type() -> None:
    """Matrix instructions on both types, VXM ones on all their types; conversions to all types, saturating or not."""
    seen: set[tuple[int, ...]] = set()
    names: set[str] = set()
    for seed in range(-(-len(vxm_variants()) // VECTORS)):
        program = random_program(seed, TINY)
        for i in range(len(program.bursts)):
            instr = program.instruction(i)
            names.add(instr.mnemonic)
            fields = ("dtype", "to", "saturate")
            seen.add((instr.opcode, *(getattr(instr, f, -1) for f in fields)))
    assert names == SINGLE_CHIP
    for variant in vxm_variants():
        key = [REGISTRY[variant["name"]].opcode, variant["dtype"]]
        assert (*key, variant.get("to", -1), variant.get("saturate", -1)) in seen, variant
    for name in ("lw", "iw", "abc", "acc"):
        for dtype in (DType.I8, DType.F16):
            assert (REGISTRY[name].opcode, dtype, -1, -1) in seen


@pytest.mark.parametrize("seed", range(12))
def test_a_program_runs_and_writes_what_it_reads_back(seed: int) -> None:
    program = random_program(seed, TINY)
    reference = ReferenceInterpreter(program)
    outputs, trace = reference.run(random_inputs(seed, program))
    assert trace.instructions == program.instructions
    assert set(outputs) == {t.name for t in program.outputs}
    again, same = ReferenceInterpreter(program).run(random_inputs(seed, program))
    assert same == trace
    assert all(again[k].tobytes() == v.tobytes() for k, v in outputs.items())


def test_verifier_accepts_what_the_generator_makes_and_they_agree_on_the_cycle() -> None:
    for seed in range(30):
        chip = varied_chip(seed, TINY) if seed % 2 else TINY
        program = random_program(seed, chip)
        cycles = ReferenceInterpreter(program).run(random_inputs(seed, program))[1].cycles
        assert verify(program).cycles == cycles


def test_what_the_reference_cannot_give_a_meaning_the_verifier_refuses() -> None:
    """Of programs with one burst changed, most break; what still has a meaning takes the cycles that the verifier says."""
    rng, broken, sound = np.random.RandomState(0), 0, 0
    for seed in range(15):
        program = random_program(seed, TINY)
        for _ in range(6):
            changed = mutant(program, rng)
            try:
                certificate = verify(changed)
            except VerifyError:
                broken += 1
                continue
            sound += 1
            trace = ReferenceInterpreter(changed).run(random_inputs(seed, changed))[1]
            assert trace.cycles == certificate.cycles
    assert broken > 30
    assert sound > 10


@pytest.mark.parametrize(
    "key", [k for k, _ in TINY.facts if k.startswith("timing.") and k != "timing.c2c_hop"]
)
def test_a_latency_changed_in_one_place_is_noticed(key: str) -> None:
    """A chip whose latency differs by one from what the programs were made for: no meaning, another end, or other bits."""
    facts = dict(TINY.facts)
    facts[key] = Fact(int(facts[key].value) + 1, "assumed")
    other = Machine(tuple(sorted(facts.items())))
    for seed in range(40):
        program = random_program(seed, TINY)
        inputs = random_inputs(seed, program)
        reference = ReferenceInterpreter(program)
        changed = ReferenceInterpreter(replace(program, machine=other))
        _, trace = reference.run(inputs)
        try:
            if changed.run(inputs)[1].cycles != trace.cycles:
                return
        except InternalError:
            return
        if (changed.final_memory != reference.final_memory).any():
            return
    pytest.fail("nothing noticed")
