"""Every entry that may be divided is, however little it does, and the bits stay those of the reference interpreter."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from emulator.jit import Kernel, table, walk
from emulator.reference import ReferenceInterpreter
from isa.instruction import DType
from isa.machine import load_chip
from tests.emulator.jit_programs import Build, byte_planes
from tests.emulator.random_programs import random_inputs, random_program

TINY = load_chip("tiny")
INTERVAL = -(-TINY.lanes // TINY["mxm.fp16_k"])


@pytest.fixture(autouse=True)
def everything_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "WORTH", 1)


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_random_programs(threads: int, tmp_path: Path) -> None:
    for seed in range(900 + 20 * threads, 906 + 20 * threads):
        program = random_program(seed, TINY)
        inputs = random_inputs(seed, program)
        reference, kernel = ReferenceInterpreter(program), Kernel(program, threads, tmp_path)
        reference.run(inputs)
        kernel.run(inputs)
        assert (reference.final_memory == kernel.final_memory).all(), seed


@pytest.mark.parametrize(("rows", "columns"), [(1, 16), (2, 5), (11, 16), (32, 16), (13, 32)])
def test_products_of_fewer_panels_than_threads(rows: int, columns: int, tmp_path: Path) -> None:
    """Rows are shared then; columns that are not installed are cleared by one thread."""
    rng, b = np.random.RandomState(rows), Build(TINY)
    w = rng.randn(columns, TINY.lanes).astype(np.float16)
    x = rng.randn(rows, TINY.lanes).astype(np.float16)
    x[0, :4] = [np.inf, -0.0, 6e-8, np.nan]
    for plane in range(2):
        b.constant(plane, 0, byte_planes(w)[plane])
        b.constant(2 + plane, 0, byte_planes(x)[plane])
    b.weights(200, DType.F16, [0, 1], 0, columns)
    done = b.product(200, DType.F16, [2, 3], 0, rows, TINY.lanes)
    b.store(done, b.matrix, b.inward + 4, [5, 6, 7, 8], 0, rows, INTERVAL)
    program = b.program()
    reference = ReferenceInterpreter(program)
    reference.run({})
    for threads in (1, 2, 3, 4):
        kernel = Kernel(program, threads, tmp_path)
        kernel.run({})
        assert (reference.final_memory == kernel.final_memory).all(), threads


def test_a_process_forked_after_a_run_has_threads_of_its_own(tmp_path: Path) -> None:
    program = random_program(930, TINY)
    inputs = random_inputs(930, program)
    kernel = Kernel(program, 3, tmp_path)
    kernel.run(inputs)
    expected = kernel.final_memory.copy()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        kernel.run(inputs)
        os._exit(0 if (kernel.final_memory == expected).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="the system does not say which core runs a thread"
)
def test_helpers_are_not_woken_on_the_core_of_the_caller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cores = os.sched_getaffinity(0)
    kernel = Kernel(random_program(900, TINY), 3, tmp_path)
    inputs = random_inputs(900, kernel.program)
    kernel.run(inputs)
    helpers = kernel._walker._ids
    assert 1 <= len(helpers) <= 2
    for core in cores:
        monkeypatch.setattr(walk, "this_core", lambda core=core: core)
        kernel.run(inputs)
        assert all(os.sched_getaffinity(h) == (cores - {core} or cores) for h in helpers)
    assert os.sched_getaffinity(0) == cores


def test_a_system_that_refuses_to_place_helpers_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    program, inputs = random_program(900, TINY), random_inputs(900, random_program(900, TINY))
    reference, kernel = ReferenceInterpreter(program), Kernel(program, 2, tmp_path)
    reference.run(inputs)
    monkeypatch.setattr(os, "sched_setaffinity", refuse, raising=False)
    for _ in range(2):
        kernel.run(inputs)
        assert (reference.final_memory == kernel.final_memory).all()
