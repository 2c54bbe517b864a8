"""What the debugger shows is what runs: values equal the JIT's, and going back is exact, within a cycle too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tspc
from emulator.jit import Kernel
from emulator.reference import ReferenceInterpreter
from isa.machine import load_chip
from isa.program import Program
from runtime.debug import Session
from runtime.feeds import random_feeds
from tests.emulator.random_programs import random_inputs, random_program
from tests.emulator.test_rewind import plain
from tests.runtime.debug.kernels import do

TINY = load_chip("tiny")


def everything(machine: ReferenceInterpreter) -> Any:
    """Memory, streams, accumulators, weights, ALUs, and all that is under way."""
    memory = machine.memory
    return plain(machine.save()), memory.image.tobytes(), memory.known.tobytes()


def fresh(program: Program, inputs: dict[str, Any], places: set[tuple[int, int]]) -> dict[Any, Any]:
    """The machine of a run that never goes back, at places."""
    machine, found = ReferenceInterpreter(program), {}
    machine.begin(inputs)
    while True:
        if (machine.cycle, machine.dispatched) in places:
            found[machine.cycle, machine.dispatched] = everything(machine)
        if machine.finished:
            return found
        if machine.dispatched < len(machine.due):
            machine.dispatch()
        else:
            machine.tick()


@pytest.mark.parametrize("seed", range(70, 74))
def test_every_way_back_is_exact(seed: int) -> None:
    program = random_program(seed, TINY)
    inputs = random_inputs(seed, program)
    on = Session(program, inputs)
    do(on, "continue")
    random = np.random.default_rng(seed)
    reached = {}
    for word, most in [("back", 60), ("backi", 90), ("back", 5), ("step", 30), ("stepi", 9)] * 3:
        do(on, f"{word} {random.integers(1, most)}")
        reached[on.run.position] = everything(on.run.interpreter)
    assert len(reached) > 9
    assert reached == fresh(program, inputs, set(reached))


@pytest.mark.parametrize("seed", range(80, 83))
def test_backi_undoes_stepi(seed: int) -> None:
    """Every place between two others, on the way there and on the way back."""
    program = random_program(seed, TINY)
    on = Session(program, random_inputs(seed, program))
    do(on, "goto 60")
    there = []
    for _ in range(25):
        do(on, "stepi")
        there.append((on.run.position, everything(on.run.interpreter)))
    for position, machine in reversed(there[:-1]):
        do(on, "backi")
        # Having dispatched the last of a cycle, and standing before a dispatch of a later one with none in between, are
        # different places; stepi stops at the former and backi at the latter.
        do(on, "backi", "stepi")
        assert (on.run.position, everything(on.run.interpreter)) == (position, machine)


@pytest.mark.parametrize("seed", range(90, 93))
def test_reverse_finds_what_continue_finds(seed: int) -> None:
    program = random_program(seed, TINY)
    on = Session(program, random_inputs(seed, program))
    do(on, "break queue VXM_3", "break instr read", "break E5@VXM as i8 > 0", "break alu1")
    stops = []
    while (stop := do(on, "continue")[0])["why"] == "breakpoint":
        stops.append((stop["cycle"], stop["dispatched"], stop["breakpoints"]))
    assert len(stops) > 10
    for expected in reversed(stops):
        stop = do(on, "reverse")[0]
        assert (stop["cycle"], stop["dispatched"], stop["breakpoints"]) == expected
    assert do(on, "reverse")[0]["why"] == "start"


def test_a_compiled_model_ends_as_the_jit_ends(demo_model: Path) -> None:
    """Outputs and all memory, bit for bit, after a look at the future and a way back."""
    program = tspc.compile(demo_model, dims={"batch": 1, "seq": 3})
    inputs = random_feeds(program.inputs, 3)
    kernel = Kernel(program)
    expected, trace = kernel.run(inputs)
    on = Session(program, inputs)
    name = program.outputs[0].name
    shown = do(
        on, "goto 700", f"who {name}[0, 0]", "back 123", "continue", f"print {name} lanes all"
    )[-1]
    outputs, counted = on.run.interpreter.result()
    assert counted == trace
    assert on.run.interpreter.memory.image.tobytes() == kernel.final_memory.tobytes()
    assert outputs[name].tobytes() == expected[name].tobytes()
    bits = [int(text, 16) for text in shown["bits"]]
    assert bits == expected[name].reshape(-1).view(np.uint32).tolist()
