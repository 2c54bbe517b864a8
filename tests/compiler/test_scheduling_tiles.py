"""Tile graphs made by hand, scheduled for chip ``tiny``: the programs pass the verifier and compute what the tiles say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compiler.scheduling import Placement, Schedule, schedule
from compiler.scheduling.constants import pack
from compiler.scheduling.core import Core
from compiler.scheduling.memory import Memory
from compiler.scheduling.tables import Tables
from compiler.scheduling.vector import VectorPlacer
from compiler.tiles import (
    Buffer,
    GatherOp,
    Load,
    MatrixJob,
    Operand,
    Output,
    Pass,
    Reduce,
    Rows,
    Step,
    TileGraph,
    TileOp,
    VectorOp,
    Weights,
    WeightTile,
)
from emulator.reference import ReferenceInterpreter
from isa.errors import InternalError, LimitError
from isa.instruction import DType
from isa.machine import Fact, Machine, load_chip
from isa.program import Piece, PortTensor, Program
from isa.verify import verify

TINY = load_chip("tiny")
LANES = TINY.lanes
WIDER = Machine(tuple(sorted((dict(TINY.facts) | {"mem.slices": Fact(20, "assumed")}).items())))
"""``tiny`` with slices enough for the sixteen streams of a weight tile."""
Array = NDArray[Any]
F16, F32, I32, I8 = DType.F16, DType.F32, DType.I32, DType.I8
RANDOM = np.random.default_rng(7)


def constant(name: str, values: Array, uniform: bool = False) -> Buffer:
    dtype = next(d for d in DType if d.numpy == values.dtype)
    return Buffer(name, dtype, len(values), 1 if uniform else values.shape[1], data=lambda: values)


def entry(i: int) -> Operand:
    return Operand("in", i)


def step(i: int) -> Operand:
    return Operand("step", i)


@dataclass
class Built:
    """A scheduled tile graph as a program."""

    tiles: TileGraph
    placement: Placement
    plan: Schedule
    program: Program
    results: dict[str, Array] = field(default_factory=dict)

    def run(self, **inputs: Array) -> Built:
        """Verify and run; the prediction, the certificate and the run agree on the cycles."""
        certificate = verify(self.program)
        self.results, trace = ReferenceInterpreter(self.program).run(inputs)
        assert self.plan.cycles == certificate.cycles == trace.cycles
        return self


def build(
    ops: Sequence[TileOp],
    outputs: Sequence[Buffer],
    inputs: Sequence[Buffer] = (),
    machine: Machine = TINY,
) -> Built:
    tiles = TileGraph(LANES, ops=list(ops))
    tiles.inputs = {b.name: [b] for b in inputs}
    tiles.outputs = {b.name: b for b in outputs}
    placement, plan = schedule(tiles, machine)
    given = tuple(_port(b, placement, whole=True) for b in inputs)
    made = tuple(_port(b, placement, whole=False) for b in outputs)
    segments, data = pack(placement.memory.constants, LANES)
    program = Program(machine, plan.bursts, segments, data, given, made)
    return Built(tiles, placement, plan, program)


def _port(buffer: Buffer, placement: Placement, whole: bool) -> PortTensor:
    pieces = []
    for f in placement.memory.fragments.values():
        if f.buffer is not buffer:
            continue
        first = f.chunk * LANES
        width = min(LANES, buffer.columns - first)
        for copy in f.all_copies() if whole else f.all_copies()[:1]:
            pieces += [
                Piece(s, a, p, buffer.columns, f.start, f.rows, first, width, 0, width == 1)
                for p, (s, a) in enumerate(zip(copy.slices, copy.addresses, strict=True))
            ]
    shape = (buffer.rows, buffer.columns)
    return PortTensor(buffer.name, shape, buffer.dtype.numpy.name, buffer.dtype, tuple(pieces))


def vector(out: Buffer, inputs: Sequence[Rows], steps: Sequence[Step], **facts: Any) -> VectorOp:
    count = facts.get("count", out.rows)
    result = Output(step(len(steps) - 1), Rows(out, facts.get("chunk", 0), 0, count))
    return VectorOp(0, count, tuple(inputs), tuple(steps), (result,))


def test_a_chain_of_steps_on_an_input_a_row_and_an_immediate() -> None:
    x = Buffer("x", F32, 8, 20, origin="x")
    row = constant("row", np.arange(20, dtype=np.float32)[None])
    y = Buffer("y", F32, 8, 20)
    two = Operand("imm", int(np.float32(2.0).view(np.uint32)))
    steps = [
        Step("mul", F32, (entry(0), two)),
        Step("add", F32, (step(0), entry(1))),
        Step("max", F32, (step(1), entry(0))),
    ]
    op = vector(y, [Rows(x, 0, 0, 8), Rows(row, 0, 0, 8, stride=0)], steps)
    given = RANDOM.standard_normal((8, 20)).astype(np.float32)
    built = build([op], [y], [x]).run(x=given)
    expected = np.maximum(given * np.float32(2) + np.arange(20, dtype=np.float32), given)
    np.testing.assert_array_equal(built.results["y"], expected)


@pytest.mark.parametrize("shift", [-17, -8, 1, 31])
@pytest.mark.parametrize("dtype", [F32, F16, I8])
@pytest.mark.parametrize("first", ["constant", "result"])
def test_rows_whose_lanes_are_moved_on_the_way(dtype: DType, shift: int, first: str) -> None:
    """Up or down past both ends, of what the program begins with or has computed, beside the same rows as they are."""
    given = RANDOM.integers(-9, 9, (2, 5, LANES)).astype(dtype.numpy)
    x, z = (constant(n, v) for n, v in zip("xz", given, strict=True))
    y, copy = Buffer("y", dtype, 5, LANES), Buffer("copy", dtype, 5, LANES)
    source = x if first == "constant" else copy
    ops = [
        vector(copy, [Rows(x, 0, 0, 5)], [Step("mov", dtype, (entry(0),))]),
        vector(
            y,
            [Rows(source, 0, 0, 5, shift=shift), Rows(z, 0, 0, 5)],
            [Step("add", dtype, (entry(0), entry(1)))],
        ),
    ]
    built = build(ops, [y, copy]).run()
    moved = np.zeros_like(given[0])
    kept = LANES - abs(shift)
    moved[:, max(shift, 0) :][:, :kept] = given[0][:, max(-shift, 0) :][:, :kept]
    np.testing.assert_array_equal(built.results["y"], moved + given[1])


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("name", ["add", "max"])
def test_a_running_reduction_with_a_step_on_its_result(name: str, rows: int) -> None:
    values = RANDOM.integers(-999, 999, (rows, LANES)).astype(np.int32)
    total = Buffer("total", I32, 1, LANES)
    reduced = Operand("reduced")
    reduce = Reduce(name, I32, step(0), (Step("add", I32, (reduced, reduced)),))
    op = VectorOp(
        0, rows, (Rows(constant("v", values), 0, 0, rows),), (Step("mov", I32, (entry(0),)),),
        (Output(step(0), Rows(total, 0, 0, 1), reduced=True),), reduce,
    )  # fmt: skip
    found = build([op], [total]).run().results["total"]
    expected = values.sum(axis=0) if name == "add" else values.max(axis=0)
    np.testing.assert_array_equal(found[0], 2 * expected)


def test_a_result_waits_in_one_go_for_the_port_of_the_copy_that_holds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second row of a block is written where its first one is, as soon as that can be."""
    total, starts = Buffer("total", I32, 2, LANES), list[int]()
    placer = VectorPlacer(Core(TINY, Tables(TINY), Memory(TINY)))
    core, trial = placer.core, placer._try

    def counted(*args: Any) -> Any:
        starts.append(args[-1])
        return trial(*args)

    def sums(row: int) -> VectorOp:
        return VectorOp(
            0, 4, (Rows(values, 0, 0, 4),), (Step("mov", I32, (entry(0),)),),
            (Output(step(0), Rows(total, 0, row, 1), reduced=True),), Reduce("add", I32, step(0)),
        )  # fmt: skip

    values = constant("v", np.ones((4, LANES), np.int32))
    placer.place(sums(0))
    busy, [copy] = 500, core.memory.fragment(total, 0, 0).all_copies()
    core.tables.take(core.tables.write + copy.slices[0], 0, busy, 1)
    core.commit()
    monkeypatch.setattr(placer, "_try", counted)
    placer.place(sums(1))
    assert len(starts) == 1
    assert copy.written[0][-1].time == busy + core.t_write


def product(
    name: str, x: Buffer, w: Array, y: Buffer, parts: Sequence[tuple[int, int]]
) -> MatrixJob:
    """``y = x @ w.T``, ``w`` fp16 ``[columns, K]``; a pass for each ``(first lane, lanes)`` of ``parts``."""
    passes = []
    for i, (first, window) in enumerate(parts):

        def data(first: int = first, window: int = window) -> Array:
            block = np.zeros((len(w), LANES), np.float16)
            block[:, first : first + window] = w[:, first : first + window]
            return block

        weights = Weights(0, len(w), WeightTile(f"{name}.{i}", len(w), data))
        emit = Rows(y, 0, 0, y.rows) if i == len(parts) - 1 else None
        passes.append(Pass(weights, Rows(x, 0, 0, x.rows), first, window, 0, i == 0, emit))
    return MatrixJob(0, F16, tuple(passes))


def test_matrix_passes_accumulate_and_spread_over_both_pairs() -> None:
    """Small integers: fp16 products and fp32 sums are exact."""
    x, jobs, outputs, expected = np.zeros(0), [], [], []
    for name in "abcd":
        x = RANDOM.integers(-8, 9, (12, LANES)).astype(np.float16)
        w = RANDOM.integers(-8, 9, (24, LANES)).astype(np.float16)
        y = Buffer(name, F32, 12, 24)
        jobs.append(product(name, constant(f"x{name}", x), w, y, [(0, 16), (16, 8), (24, 8)]))
        outputs.append(y)
        expected.append(x.astype(np.float32) @ w.astype(np.float32).T)
    built = build(jobs, outputs, machine=WIDER).run()
    for y, value in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(built.results[y.name], value)
    assert built.plan.matrix_busy == (6 * 12, 6 * 12)  # Two jobs each, three passes of 12 rows.


def test_what_one_op_writes_another_reads_wherever_it_is_placed() -> None:
    """Matrix into vector into the weights of the next matrix: dependences come from the rows alone."""
    x = RANDOM.integers(-4, 5, (8, LANES)).astype(np.float16)
    w = RANDOM.integers(-4, 5, (16, LANES)).astype(np.float16)
    raw, half = Buffer("raw", F32, 8, 16), Buffer("half", F16, 8, 16, both=True)
    cvt = vector(half, [Rows(raw, 0, 0, 8)], [Step("cvt", F32, (entry(0),), F16, True)])
    out = Buffer("out", F32, 8, 8)
    own = Weights(0, 8, loads=(Load(Rows(half, 0, 0, 8), 0),))
    square = Pass(own, Rows(half, 0, 0, 8), 0, 16, 0, True, Rows(out, 0, 0, 8))
    ops: list[TileOp] = [
        product("w", constant("x", x), w, raw, [(0, 32)]),
        cvt,
        MatrixJob(0, F16, (square,)),
    ]
    built = build(ops, [out], machine=WIDER).run()
    mid = (x.astype(np.float32) @ w.astype(np.float32).T).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(built.results["out"], mid @ mid.T)
    assert [len(f.copies) for f in built.placement.memory.fragments.values() if f.buffer is half] == [2]  # fmt: skip


def test_one_hot_rows_transpose_bytes() -> None:
    values = RANDOM.integers(0, 1 << 16, (24, LANES)).astype(np.uint16).view(np.float16)
    hot = constant("identity", np.eye(LANES, dtype=np.int8))
    out, v = Buffer("out", F16, LANES, 24), Buffer("v", F16, 24, LANES, origin="v")
    weights = Weights(0, 24, loads=(Load(Rows(v, 0, 0, 24), 0),))
    one = Pass(weights, Rows(hot, 0, 0, LANES), 0, LANES, 0, True, Rows(out, 0, 0, LANES))
    found = build([MatrixJob(0, I8, (one,))], [out], [v]).run(v=values).results["out"]
    np.testing.assert_array_equal(found.view(np.uint16), values.view(np.uint16).T)


def test_rows_are_looked_up_by_id() -> None:
    table = np.zeros((33, LANES), np.float16)
    table[:32] = RANDOM.standard_normal((32, LANES)).astype(np.float16)
    ids = np.array([[3], [31], [0], [500], [17]], np.int32)
    out, wanted = Buffer("out", F16, 5, LANES), Buffer("ids", I32, 5, 1, origin="ids")
    rows = Rows(wanted, 0, 0, 5)
    op = GatherOp(0, constant("table", table), 0, rows, (Rows(out, 0, 0, 5),))
    found = build([op], [out], [wanted]).run(ids=ids).results["out"]
    np.testing.assert_array_equal(found, table[np.minimum(ids[:, 0], 32)])


def long_chain(length: int, rows: int) -> tuple[list[TileOp], list[Buffer], Buffer]:
    x = Buffer("x", I32, rows, LANES, origin="x")
    buffers = [x] + [Buffer(f"b{i}", I32, rows, LANES) for i in range(length)]
    ops: list[TileOp] = [
        vector(b, [Rows(a, 0, 0, rows)], [Step("add", I32, (entry(0), Operand("imm", i)))])
        for i, (a, b) in enumerate(itertools.pairwise(buffers))
    ]
    return ops, buffers[-1:], x


def test_scratch_of_what_nobody_reads_any_more_is_used_again() -> None:
    """40 results of 4 x 160 words pass through a memory of 12,288."""
    rows, length = 160, 40
    ops, outputs, x = long_chain(length, rows)
    given = RANDOM.integers(-999, 999, (rows, LANES)).astype(np.int32)
    built = build(ops, outputs, [x]).run(x=given)
    np.testing.assert_array_equal(built.results[outputs[0].name], given + sum(range(length)))
    assert length * 4 * rows > 2 * TINY.slices * TINY.words
    assert built.placement.memory.peak_words <= 2 * TINY.slices * TINY.words


def test_a_tile_graph_gives_the_same_schedule_every_time() -> None:
    first, second = (build(*_args(long_chain(6, 16))) for _ in range(2))
    assert first.plan.bursts.tobytes() == second.plan.bursts.tobytes()
    assert first.plan.text() == second.plan.text()
    assert first.placement.text() == second.placement.text()


def _args(chain: tuple[list[TileOp], list[Buffer], Buffer]) -> tuple[Any, Any, Any]:
    ops, outputs, x = chain
    return ops, outputs, [x]


def test_what_finds_no_room_is_named_with_the_results_that_take_it() -> None:
    """Results that all stay until the end."""
    ops, _, x = long_chain(60, 128)
    everything = [op.outputs[0].rows.buffer for op in ops if isinstance(op, VectorOp)]
    with pytest.raises(
        LimitError,
        match=r"%b\d+': [\d,]+ of 12,288 words are taken, of results 512 by %b\d+, 512 by",
    ) as caught:
        build(ops, everything, [x])
    assert caught.value.exit_code == 4
    big = Buffer("big", F32, 9 * TINY.words, LANES, origin="big")
    with pytest.raises(LimitError, match="input '%big'"):
        build([], [], [big])


def test_reading_what_nothing_writes_is_a_broken_promise() -> None:
    a, b = Buffer("a", I32, 4, LANES), Buffer("b", I32, 4, LANES)
    with pytest.raises(InternalError, match=r"%a\.0\[0:4\] is read before"):
        build([vector(b, [Rows(a, 0, 0, 4)], [Step("mov", I32, (entry(0),))])], [b])
