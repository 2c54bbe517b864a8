"""Orders that a kernel a burst could not keep: bursts that feed each other while they run. And what a run leaves behind."""

from __future__ import annotations

import ctypes
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulator.jit import Kernel
from emulator.jit.accesses import Accesses
from emulator.jit.clashes import directions, meeting, row_by_row
from emulator.jit.host import this_host
from emulator.jit.library import Library
from emulator.reference import ReferenceInterpreter
from isa.errors import InputError, InternalError, UsageError
from isa.instruction import DType
from isa.machine import load_chip
from isa.ops.mem import Read, Write
from isa.ops.vxm import Add, Max, Mov, Mul
from isa.program import Piece, PortTensor, Program
from isa.verify import verify
from tests.emulator.jit_programs import IMMEDIATE, Build, alu, byte_planes, real, stream
from tests.emulator.random_programs import random_inputs, random_program

TINY = load_chip("tiny")
LANES = TINY.lanes


def both(program: Program, cache: Path, threads: int = 1) -> Kernel:
    """Verify; run both emulators; all of memory agrees."""
    verify(program)
    reference, kernel = ReferenceInterpreter(program), Kernel(program, threads, cache)
    reference.run({})
    for _ in range(2):
        kernel.run({})
        assert (reference.final_memory == kernel.final_memory).all()
    return kernel


def shifted(step: int, rows: int, add: int) -> Program:
    """Every word plus ``add`` goes ``step`` words further on, read and written while both bursts run."""
    rng, b = np.random.RandomState(step), Build(TINY)
    b.constant(3, 0, rng.randint(0, 256, (rows + 40, LANES), np.uint8))
    b.mem(3, TINY.vxm_position, 100, Read(0, b.inward), rows, 2)
    # A cycle of delay: reads and writes of the one bank alternate.
    add_op = Add(DType.I8, stream(b.inward, 1), IMMEDIATE, add, west=5)
    b.unit(TINY.vxm_queue, 101, add_op, rows, 2)
    done = 101 + TINY.timing("vxm_alu")
    b.store(done, TINY.vxm_position, b.outward + 4, [3], step, rows, 2)
    return b.program()


@pytest.mark.parametrize("step", [0, 1, 5, 6, 7, 8, 30])
def test_words_moved_within_a_slice(step: int, tmp_path: Path) -> None:
    """Beyond the distance that a word travels, the burst reads what it has written itself."""
    both(shifted(step, 24, 3), tmp_path, 2)


def running(rows: int) -> Program:
    """A running maximum: three starting values, then each row against the result of three rows before."""
    rng, b = np.random.RandomState(rows), Build(TINY)
    values = rng.randn(rows + 3, LANES).astype(np.float32)
    for plane, data in enumerate(byte_planes(values)):
        b.constant(plane, 0, data)
        b.mem(plane, TINY.vxm_position, 100, Read(0, b.inward + plane), rows + 3)
    b.unit(TINY.vxm_queue, 100, Mov(DType.F32, stream(b.inward)), 3)
    b.unit(TINY.vxm_queue, 103, Max(DType.F32, stream(b.inward), alu(0), west=5), rows)
    b.unit(TINY.vxm_queue + 9, 106, Mul(DType.F32, alu(0), IMMEDIATE, real(2.0), west=9), rows)
    b.store(106, TINY.vxm_position, b.outward + 4, [4, 5, 6, 7], 0, rows)
    b.store(109, TINY.vxm_position, b.outward + 8, [8, 9, 10, 11], 0, rows)
    return b.program()


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 20])
def test_running_maximum(rows: int, tmp_path: Path) -> None:
    kernel = both(running(rows), tmp_path, 2)
    values = np.stack([kernel.final_memory[4 + p, :rows] for p in range(4)], -1).view("<f4")[..., 0]
    given = np.stack([kernel.final_memory[p, : rows + 3] for p in range(4)], -1).view("<f4")[..., 0]
    for row in range(rows):
        assert (values[row] == given[row % 3 : row + 4 : 3].max(0)).all()


def test_two_bursts_that_feed_each_other(tmp_path: Path) -> None:
    """ALU 0 adds to what ALU 1 made of ALU 0's row before, and so on."""
    b = Build(TINY)
    b.constant(0, 0, np.arange(LANES, dtype=np.uint8)[None])
    b.mem(0, TINY.vxm_position, 100, Read(0, b.inward), 1)
    q, rows = TINY.vxm_queue, 9
    b.unit(q + 1, 100, Mov(DType.I8, stream(b.inward)), 1)
    b.unit(q + 0, 103, Add(DType.I8, alu(1), IMMEDIATE, 1, west=3), rows, 6)
    b.unit(q + 1, 106, Mul(DType.I8, alu(0), IMMEDIATE, 3), rows, 6)
    b.store(106, TINY.vxm_position, b.outward + 2, [5], 0, rows, 6)
    kernel = both(b.program(), tmp_path)
    expected = np.arange(LANES)
    for row in range(rows):
        expected = expected + 1
        assert (kernel.final_memory[5, row] == expected % 256).all()
        expected = expected * 3


@pytest.mark.parametrize("seed", [418, 580])
def test_constant_weights_of_which_another_reader_needs_a_copy(seed: int, tmp_path: Path) -> None:
    program = random_program(seed, TINY)
    inputs = random_inputs(seed, program)
    reference, kernel = ReferenceInterpreter(program), Kernel(program, 1, tmp_path)
    reference.run(inputs)
    kernel.run(inputs)
    assert (reference.final_memory == kernel.final_memory).all()


def test_constants_that_a_run_overwrites_are_back_before_the_next(tmp_path: Path) -> None:
    both(shifted(0, 4, 1), tmp_path)


def test_inputs_are_checked_and_outputs_returned(tmp_path: Path) -> None:
    b = Build(TINY)
    b.mem(0, TINY.vxm_position, 100, Read(0, b.inward), 2)
    b.unit(TINY.vxm_queue, 100, Add(DType.I8, stream(b.inward), IMMEDIATE, 1, west=3), 2)
    b.store(103, TINY.vxm_position, b.outward + 2, [5], 0, 2)
    base = b.program()

    def tensor(name: str, slice_: int) -> PortTensor:
        piece = Piece(TINY.mem_queue("W", slice_), 0, 0, LANES, 0, 2, 0, LANES)
        return PortTensor(name, (2, LANES), "int8", DType.I8, (piece,))

    given, made = (tensor("x", 0),), (tensor("y", 5),)
    program = Program(TINY, base.bursts, base.segments, base.data, given, made)
    kernel = Kernel(program, cache_dir=tmp_path)
    for value in (3, -4):
        outputs, trace = kernel.run({"x": np.full((2, LANES), value, np.int8)})
        assert (outputs["y"] == value + 1).all()
        assert trace.instructions == 6
    with pytest.raises(InputError, match="TSP602"):
        kernel.run({})


def test_a_burst_that_leaves_its_slice_is_refused_before_anything_runs(tmp_path: Path) -> None:
    b = Build(TINY)
    b.mem(0, TINY.vxm_position, 100, Write(TINY.words - 1, b.inward), 2)
    with pytest.raises(InternalError, match="TSP974"):
        Kernel(b.program(), cache_dir=tmp_path)


def test_no_threads_cannot_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="TSP610"):
        Kernel(running(1), 0, tmp_path)


def test_an_operand_that_nothing_produced_is_refused(tmp_path: Path) -> None:
    b = Build(TINY)
    b.unit(TINY.vxm_queue, 100, Mov(DType.I8, stream(0), west=3))
    b.store(103, TINY.vxm_position, b.outward + 2, [5], 0, 1)
    with pytest.raises(InternalError, match="TSP972"):
        Kernel(b.program(), cache_dir=tmp_path)


class Control:
    """``kernel(value, old)``: sets MXCSR, keeps what it was."""

    def source(self, target: object) -> str:
        del target
        return """define void @kernel(ptr %value, ptr %old) {
  call void @llvm.x86.sse.stmxcsr(ptr %old)
  call void @llvm.x86.sse.ldmxcsr(ptr %value)
  ret void
}
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
"""


def test_subnormals_survive_a_caller_that_flushes_them(tmp_path: Path) -> None:
    host = this_host()
    if host.arch != "x86_64":
        pytest.skip("MXCSR is x86's")
    library = Library(host, host.target(TINY), None)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(library.address(Control()))
    b, rows = Build(TINY), 2
    values = np.full((rows, LANES), 1e-40, np.float32)
    for plane, data in enumerate(byte_planes(values)):
        b.constant(plane, 0, data)
        b.mem(plane, TINY.vxm_position, 100, Read(0, b.inward + plane), rows)
    twice = Add(DType.F32, stream(b.inward), stream(b.inward), west=5)
    b.unit(TINY.vxm_queue, 100, twice, rows)
    b.store(103, TINY.vxm_position, b.outward + 4, [4, 5, 6, 7], 0, rows)
    kernel = Kernel(b.program(), cache_dir=tmp_path)
    flush, old, seen = (np.array([v], np.uint32) for v in (0x9FC0, 0, 0))
    function(flush.ctypes.data, old.ctypes.data)
    kernel.run({})
    function(old.ctypes.data, seen.ctypes.data)
    assert seen[0] & 0x8040 == 0x8040  # the caller's own setting is back
    stored: Any = np.stack([kernel.final_memory[4 + p, :rows] for p in range(4)], -1).view("<f4")
    assert (stored[..., 0].view(np.uint32) == (values + values).view(np.uint32)).all()


def some_accesses(rng: np.random.RandomState, count: int, dense: bool = False) -> Accesses:
    """Accesses to a slice, in order of time as ``meeting`` has it."""
    columns: dict[str, Any] = {
        "node": np.arange(count),
        "slice": np.zeros(count, np.int64),
        "address": rng.randint(0, 30, count),
        "stride": rng.choice([-1, 1], count) if dense else rng.randint(-2, 3, count),
        "width": rng.choice([1, 1, 1, 1 if dense else 4], count),
        "time": rng.randint(0, 60 if dense else 20, count),
        "interval": rng.randint(1, 4, count),
        "count": rng.randint(1, 9, count),
        "write": rng.randint(0, 2, count) > 0,
    }
    every = Accesses(**columns)
    return every.take(np.lexsort((~every.write, every.time)))._replace(node=np.arange(count))


def instances(every: Accesses, number: int) -> list[tuple[int, range]]:
    """When each access of a row happens, and the words that it touches."""
    row = {name: int(column[number]) for name, column in every._asdict().items()}
    starts = (row["address"] + k * row["stride"] for k in range(row["count"]))
    words = (range(first, first + row["width"]) for first in starts)
    return [(row["time"] + k * row["interval"], touched) for k, touched in enumerate(words)]


def orders(every: Accesses, x: int, y: int) -> set[bool]:
    """For every word that both touch: whether ``x``, which stands in front, does so first."""
    return {
        s < t or (s == t and bool(every.write[x]))
        for s, a in instances(every, x)
        for t, b in instances(every, y)
        if a.start < b.stop and b.start < a.stop
    }


@pytest.mark.parametrize("seed", range(40))
def test_directions_against_every_pair_of_instances(seed: int) -> None:
    every = some_accesses(np.random.RandomState(seed), 12)
    x, y = np.triu_indices(12, 1)
    forth, back = directions(every.take(x), every.take(y))
    for pair, (i, j) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        found = orders(every, i, j)
        done = every.last[i] < every.time[j] or (every.last[i] == every.time[j] and every.write[i])
        assert (forth[pair], back[pair]) == (
            (True, False) if done else (True in found, False in found)
        )


@pytest.mark.parametrize("seed", range(40))
def test_rows_against_every_pair_of_instances(seed: int) -> None:
    """Row by row: reads of a row before its writes; two writes of a row to one word have no order."""
    every = some_accesses(np.random.RandomState(seed), 12, dense=seed % 2 == 0)
    x, y = np.triu_indices(12, 1)
    kept, independent = row_by_row(every.take(x), every.take(y))
    for pair, (i, j) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        rows, expected, alone = (instances(every, n) for n in (i, j)), True, True
        first, second = rows
        for m, (s, a) in enumerate(first):
            for n, (t, b) in enumerate(second):
                if a.start < b.stop and b.start < a.stop:
                    earlier = s < t or (s == t and bool(every.write[i]))
                    by_row = m < n or (m == n and bool(every.write[j]))
                    both = m == n and bool(every.write[i] and every.write[j])
                    expected &= by_row == earlier and not both
                    alone &= m == n
        assert kept[pair] == expected
        if expected:
            assert independent[pair] == alone


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_pairs_ask_for_the_order_of_all_pairs(seed: int, dense: bool) -> None:
    """Whatever order two accesses to a word have, a chain of the pairs that are looked at asks for it."""
    every = some_accesses(np.random.RandomState(seed), 30, dense)
    x, y = meeting(every)
    assert (every.write[x] | every.write[y]).all()
    forth, back = directions(every.take(x), every.take(y))
    reach = np.zeros((30, 30), np.bool_)
    reach[x[forth], y[forth]] = True
    reach[y[back], x[back]] = True
    for through in range(30):
        reach |= reach[:, through, None] & reach[through]
    for i, j in combinations(range(30), 2):
        found = orders(every, i, j) if every.write[i] or every.write[j] else set()
        assert True not in found or reach[i, j]
        assert False not in found or reach[j, i]
