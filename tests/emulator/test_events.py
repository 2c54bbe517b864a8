"""Who made what an instruction takes: held against the JIT's resolver, which works without running anything, and by hand."""

from __future__ import annotations

from collections import defaultdict

import pytest

from emulator.events import Access, Event, Line, LineKind, diagonal
from emulator.jit.effects import Effects
from emulator.jit.join import Link, join
from emulator.rewind import Rewinder
from isa.assembly import assemble
from isa.machine import load_chip
from isa.program import Program
from tests.emulator.random_programs import random_inputs, random_program

TINY = load_chip("tiny")
Instance = tuple[int, int]
FLOWING = (LineKind.STREAM, LineKind.ALU, LineKind.ARRAY)


def resolved(program: Program) -> dict[Instance, set[Instance]]:
    """The JIT's view: which dispatches made what each dispatch takes from streams, ALUs and the matrix array."""
    effects = Effects(program)
    links = join(effects)
    made: dict[Instance, set[Instance]] = defaultdict(set)
    for number, read in enumerate(effects.reads.tolist()):
        burst, count = read[0], read[4]
        columns = (links.burst, links.part, links.index, links.step)
        whole = Link(0, *(int(column[number]) for column in columns))
        runs = links.runs.get(number, [whole])
        for step in range(count):
            run = [r for r in runs if r.start <= step][-1]
            made[burst, step].add((run.burst, run.index + (step - run.start) * run.step))
    return made


def observed(program: Program, seed: int) -> dict[Instance, set[Instance]]:
    """The same from a run."""
    run = Rewinder(program, random_inputs(seed, program))
    run.seek(1 << 40)
    made: dict[Instance, set[Instance]] = defaultdict(set)
    lines = {line for line in run.events.lines() if line.kind in FLOWING}
    for line in lines:
        last: Instance | None = None
        for event in run.events.on(line):
            if event.access is not Access.READ:
                last = (event.burst, event.step)
            else:
                assert last is not None
                made[event.burst, event.step].add(last)
    return made


@pytest.mark.parametrize("seed", range(60, 66))
def test_a_run_shows_the_producers_that_the_jit_resolves(seed: int) -> None:
    program = random_program(seed, TINY)
    assert observed(program, seed) == resolved(program)


ADD = """.chip tiny
.segment MEM_W0, 0, x2, 0
.fill 1
.fill 2
@3 MEM_W0: read 0, E0 x2 +1
@9 VXM_0: add i8, E0, #1 -> E4 x2
@13 VXM_1: mov i8, alu0~1 -> W0
@13 MEM_E0: write 5, E4 x2
@15 MEM_E1: write 5, E4
@20 MEM_E0: read 5, W1
"""
"""Position of the VXM: 14. The first word passes it in cycle 3 + 5 + 1 = 9; ALU 0 finishes in 12 and 13."""


@pytest.fixture(scope="module")
def run() -> Rewinder:
    found = Rewinder(assemble(ADD), {})
    found.seek(1 << 40)
    return found


def of(run: Rewinder, events: tuple[Event, ...]) -> list[str]:
    """``cycle queue step``."""
    queues = run.interpreter.program.bursts["queue"]
    return [f"{e.cycle} {TINY.queue_names[int(queues[e.burst])]} {e.step}" for e in events]


def test_a_stream_value(run: Rewinder) -> None:
    """The second sum leaves in cycle 13 and passes MEM_E0 (position 15) in cycle 14, MEM_E1 in 15."""
    line = Line(LineKind.STREAM, 4, diagonal(TINY, 4, 15, 14))
    uses = run.events.uses(line, 14)
    assert of(run, uses.writers) == ["10 VXM_0 1"]
    assert of(run, uses.readers) == ["14 MEM_E0 1", "15 MEM_E1 0"]
    assert run.events.uses(line, 12).writers == ()


def test_an_alu_result_read_late(run: Rewinder) -> None:
    """What ALU 0 finished in cycle 12 is taken in cycle 13, with a delay of 1."""
    uses = run.events.uses(Line(LineKind.ALU, 0, 12), 12)
    assert of(run, uses.writers) == ["9 VXM_0 0"]
    assert of(run, uses.readers) == ["13 VXM_1 0"]


def test_a_word_written_twice(run: Rewinder) -> None:
    """MEM_E0's word 5 is written in 13 and 14, each effective a cycle later; the read in 20 takes the second."""
    line = Line(LineKind.WORD, TINY.mem_queue("E", 0), 5)
    assert of(run, run.events.uses(line, 13).writers) == []
    first, second = run.events.uses(line, 14), run.events.uses(line, 15)
    assert (of(run, first.writers), of(run, first.readers)) == (["13 MEM_E0 0"], [])
    assert of(run, second.writers) == ["14 MEM_E0 1"]
    assert of(run, second.readers) == ["20 MEM_E0 0"]


def test_a_constant_is_written_by_nobody(run: Rewinder) -> None:
    uses = run.events.uses(Line(LineKind.WORD, 0, 1), 0)
    assert uses.writers == ()
    assert of(run, uses.readers) == ["4 MEM_W0 1"]
