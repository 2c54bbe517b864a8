"""Compiler-like programs on the JIT: what they compute, and that they run as the kernels made for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulator.jit import Kernel
from emulator.jit import kernel as kernel_module
from emulator.jit.host import Host, this_host
from emulator.lowering.bytes import Move, MultiplyBytes
from emulator.lowering.rows import Shape
from emulator.reference import ReferenceInterpreter
from isa.instruction import DType
from isa.machine import load_chip
from isa.ops.vxm import Add, Convert, Exp, Max, Mul
from isa.program import Program
from isa.verify import verify
from tests.emulator.jit_programs import IMMEDIATE, Build, alu, byte_planes, real, stream
from tests.emulator.random_programs import random_inputs, random_program

TINY = load_chip("tiny")
LANES = TINY.lanes
X86_64_V3 = "+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+movbe,+popcnt,+sse4.2,+ssse3,+avx"


def agree(program: Program, cache: Path, threads: int = 1) -> Kernel:
    """Verify, run both emulators, compare all of memory."""
    certificate = verify(program)
    reference, kernel = ReferenceInterpreter(program), Kernel(program, threads, cache)
    reference.run({})
    _, trace = kernel.run({})
    wrong = np.argwhere((reference.final_memory != kernel.final_memory).any(2))
    assert not len(wrong), wrong[:8]
    assert trace.cycles == certificate.cycles
    return kernel


def two_chunks(rows: int, columns: int, values: str = "normal") -> Program:
    """Two accumulating fp16 passes, then bias, exp and conversion on the VXM, stored on the same side."""
    rng, b = np.random.RandomState(rows), Build(TINY)
    wide = {"normal": (1.0, 0.2), "huge": (4e4, 4e4), "tiny": (1e-7, 1e-7)}[values]
    time = 300
    for chunk in range(2):
        w = (rng.randn(columns, LANES) * wide[1]).clip(-65504, 65504).astype(np.float16)
        x = (rng.randn(rows, LANES) * wide[0]).clip(-65504, 65504).astype(np.float16)
        for plane in range(2):
            b.constant(plane, 64 * chunk, byte_planes(w)[plane])
            b.constant(2 + plane, 64 * chunk, byte_planes(x)[plane])
        b.weights(time, DType.F16, [0, 1], 64 * chunk, columns)
        done = b.product(
            time, DType.F16, [2, 3], 64 * chunk, rows, LANES, start=chunk == 0, emit=chunk == 1
        )
        time += 2 * rows + columns + 8
    hops = abs(TINY.vxm_position - b.matrix)
    at, interval, q = done + hops, 2, TINY.vxm_queue
    b.unit(q + 8, at, Add(DType.F32, stream(b.inward + 4), IMMEDIATE, real(0.5)), rows, interval)
    b.unit(q + 0, at + 3, Max(DType.F32, alu(8), IMMEDIATE, real(-20.0)), rows, interval)
    b.unit(q + 1, at + 6, Exp(DType.F32, alu(0)), rows, interval)
    b.unit(q + 9, at + 9, Mul(DType.F32, alu(1), alu(8, 6)), rows, interval)
    b.unit(q + 2, at + 12, Convert(DType.F32, alu(9), west=11, to=DType.F16), rows, interval)
    b.store(at + 15, TINY.vxm_position, b.outward + 10, [6, 7], 0, rows, interval)
    return b.program()


@pytest.mark.parametrize("values", ["normal", "huge", "tiny"])
@pytest.mark.parametrize(("rows", "columns"), [(1, LANES), (13, LANES), (32, 9)])
def test_matrix_passes_with_an_epilogue(
    rows: int, columns: int, values: str, tmp_path: Path
) -> None:
    kernel = agree(two_chunks(rows, columns, values), tmp_path)
    chains = [s for s in kernel.shapes if isinstance(s, Shape) and len(s.operations) > 1]
    assert [len(s.operations) for s in chains] == [1 + 5]  # what the pass emits is taken in front
    assert len(chains[0].outputs) == 2


def moved(
    rows: int, double: bool = False, ones: int = 1, columns: int = LANES, odd: bool = False
) -> Program:
    """A transpose: bytes installed as int8 weights, rows of ``ones`` ones streamed, plane 0 of the sums stored.

    ``double``: twos instead; ``odd``: the last row has one more.
    """
    rng, b = np.random.RandomState(rows), Build(TINY)
    b.constant(0, 0, rng.randint(0, 256, (LANES, LANES), np.uint8))
    hot = np.zeros((rows, LANES), np.uint8)
    for row in range(rows):
        count = ones + (odd and row == rows - 1)
        hot[row, rng.choice(LANES, count, replace=False)] = 2 if double else 1
    b.constant(2, 0, hot)
    b.weights(200, DType.I8, [0], 0, columns)
    done = b.product(200, DType.I8, [2], 0, rows, LANES)
    b.store(done, b.matrix, b.inward + 4, [5], 0, rows)
    return b.program()


def test_one_hot_rows_move_bytes(tmp_path: Path) -> None:
    kernel = agree(moved(20), tmp_path)
    assert Move() in kernel.shapes
    assert MultiplyBytes() not in kernel.shapes


def test_rows_that_are_not_one_hot_are_multiplied(tmp_path: Path) -> None:
    kernel = agree(moved(20, double=True), tmp_path)
    assert Move() not in kernel.shapes
    assert MultiplyBytes() in kernel.shapes


@pytest.mark.parametrize(("ones", "columns"), [(2, LANES), (2, 21), (3, 7), (4, LANES)])
def test_rows_of_a_few_ones_add_bytes(ones: int, columns: int, tmp_path: Path) -> None:
    """Modulo 256: negative bytes and sums that leave int8 included, as plane 0 of the exact sum is."""
    program = moved(20, ones=ones, columns=columns)
    kernel = agree(program, tmp_path)
    assert Move(ones) in kernel.shapes
    assert MultiplyBytes() not in kernel.shapes
    agree(program, tmp_path, threads=3)


def test_rows_of_unlike_numbers_of_ones_are_multiplied(tmp_path: Path) -> None:
    for program in (moved(20, ones=2, odd=True), moved(20, ones=5)):
        assert MultiplyBytes() in agree(program, tmp_path).shapes


@pytest.mark.parametrize("threads", [2, 3])
def test_bits_do_not_depend_on_threads(threads: int, tmp_path: Path) -> None:
    agree(two_chunks(29, LANES), tmp_path, threads)
    agree(moved(11), tmp_path, threads)


@pytest.mark.parametrize(("cpu", "features"), [("x86-64-v3", X86_64_V3), ("x86-64", "")])
def test_bits_do_not_depend_on_the_host(
    cpu: str, features: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = this_host()
    if host.arch != "x86_64" or (features and not host.has("avx2")):
        pytest.skip("this host cannot run that code")
    other: Any = Host(host.triple, cpu, features, host.llvm)
    monkeypatch.setattr(kernel_module, "this_host", lambda: other)
    for rows, values in ((1, "normal"), (29, "huge"), (32, "tiny")):
        agree(two_chunks(rows, 23, values), tmp_path)
    for seed in range(500, 504):
        program = random_program(seed, TINY)
        inputs = random_inputs(seed, program)
        reference, kernel = ReferenceInterpreter(program), Kernel(program, 1, tmp_path)
        reference.run(inputs)
        kernel.run(inputs)
        assert (reference.final_memory == kernel.final_memory).all(), seed


@pytest.mark.parametrize(
    ("rows", "columns", "start"), [(1, 320, True), (1, 250, False), (7, 320, True)]
)
def test_single_rows_through_many_columns(
    rows: int, columns: int, start: bool, tmp_path: Path
) -> None:
    """A row alone takes several panels at once, and what is left of them one by one."""
    machine, rng = load_chip("tsp1"), np.random.RandomState(columns)
    b, time = Build(machine), 400
    special = np.array([np.inf, -np.inf, np.nan, -0.0, 65504, 6e-8], np.float16)
    for first in (True, False):
        w = rng.randn(columns, 320).astype(np.float16)
        x = rng.randn(rows, 320).astype(np.float16)
        x[-1, : len(special)] = special if not first else 1
        w[:, 7] = -0.0
        for plane in range(2):
            b.constant(plane, 640 * first, byte_planes(w)[plane])
            b.constant(2 + plane, 640 * first, byte_planes(x)[plane])
        b.weights(time, DType.F16, [0, 1], 640 * first, columns)
        done = b.product(
            time, DType.F16, [2, 3], 640 * first, rows, 320, start=first or start, emit=not first
        )
        time += 500
    b.store(done, b.matrix, b.inward + 4, [5, 6, 7, 8], 0, rows, 2)
    for threads in (1, 2, 3):
        agree(b.program(), tmp_path, threads)


@pytest.mark.parametrize("rows", [1, 13])
def test_what_a_pass_emits_is_used_twice(rows: int, tmp_path: Path) -> None:
    """Stored as it is, and by way of the VXM: one user follows the pass at once, the other finds it kept."""
    rng, b, q = np.random.RandomState(rows), Build(TINY), TINY.vxm_queue
    w, x = (rng.randn(n, LANES).astype(np.float16) for n in (LANES, rows))
    x[0, :3] = np.inf, -np.inf, np.nan
    for plane in range(2):
        b.constant(plane, 0, byte_planes(w)[plane])
        b.constant(2 + plane, 0, byte_planes(x)[plane])
    b.weights(300, DType.F16, [0, 1], 0, LANES)
    done, interval = b.product(300, DType.F16, [2, 3], 0, rows, LANES), 2
    b.store(done, b.matrix, b.inward + 4, [4, 5, 6, 7], 64, rows, interval)
    at = done + abs(TINY.vxm_position - b.matrix) * TINY["streams.hop"]
    b.unit(q + 0, at, Exp(DType.F32, stream(b.inward + 4), west=9), rows, interval)
    after = at + TINY.timing(Exp.timing)
    b.store(after, TINY.vxm_position, b.outward + 8, [4, 5, 6, 7], 0, rows, interval)
    for threads in (1, 2):
        agree(b.program(), tmp_path, threads)
