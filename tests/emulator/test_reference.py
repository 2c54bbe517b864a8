"""Small programs on ``tiny`` whose results and cycles were worked out by hand. Its VXM is at position 14, stagger is 4."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from emulator.reference import ReferenceInterpreter
from emulator.trace import Trace
from isa.errors import InternalError
from isa.instruction import DType, Instruction, Source, SourceKind
from isa.machine import load_chip
from isa.ops import icu, mem, mxm, sxm, vxm
from isa.program import BurstList, Program, pack_constants

TINY = load_chip("tiny")
LANES, VXM, WEST = TINY.lanes, TINY.vxm_queue, TINY.streams
STAGGER = TINY.timing("stagger")
QUAD = (0, 1, 2, 3)


def stream(index: int, delay: int = 0) -> int:
    return Source(SourceKind.STREAM, index, delay).pack()


def alu(index: int, delay: int = 0) -> int:
    return Source(SourceKind.ALU, index, delay).pack()


IMMEDIATE = Source(SourceKind.IMMEDIATE).pack()


class Builder:
    """A program in the making: bursts, and constants as ``[words, lanes]`` arrays of any type."""

    def __init__(self) -> None:
        self.bursts = BurstList()
        self.words: list[tuple[int, int, npt.NDArray[np.uint8]]] = []

    def add(self, queue: int | str, cycle: int, instr: Instruction, *repeat: int) -> None:
        number = queue if isinstance(queue, int) else TINY.queue_names.index(queue)
        self.bursts.add(number, cycle, instr, *repeat)

    def constant(self, slice_: int, address: int, values: npt.NDArray[Any]) -> None:
        """Byte plane ``p`` of ``values`` in ``slice_ + p``."""
        planes = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), LANES, -1)
        for p in range(planes.shape[2]):
            self.words.append((slice_ + p, address, np.ascontiguousarray(planes[:, :, p])))

    def run(self) -> tuple[npt.NDArray[np.uint8], Trace]:
        segments, data = pack_constants(self.words, LANES)
        reference = ReferenceInterpreter(Program(TINY, self.bursts.array(), segments, data))
        _, trace = reference.run({})
        return reference.final_memory, trace


def value(memory: npt.NDArray[np.uint8], slice_: int, address: int, dtype: str) -> npt.NDArray[Any]:
    """The word whose byte plane ``p`` lies in ``slice_ + p``."""
    planes = memory[slice_ : slice_ + np.dtype(dtype).itemsize, address]
    return np.ascontiguousarray(planes.T).view(dtype)[:, 0]


def test_no_burst_at_all_takes_the_stagger() -> None:
    assert Builder().run()[1] == Trace(STAGGER, 0, (0,) * TINY.queues)


def test_a_word_travels_one_position_a_cycle() -> None:
    """W2 (position 11) to E1 (position 16): read 5, five hops, so the write is at 3 + 5 + 5; it takes 1."""
    b = Builder()
    b.constant(2, 9, np.arange(LANES, dtype=np.uint8)[None])
    b.add("MEM_W2", 3, mem.Read(9, 4))
    b.add("MEM_E1", 13, mem.Write(300, 4))
    memory, trace = b.run()
    assert memory[TINY.mem_queue("E", 1), 300].tolist() == list(range(LANES))
    assert trace.cycles == 13 + 1 + STAGGER
    assert trace.instructions == 2
    assert trace.busy[2] == 1


@pytest.mark.parametrize("cycle", [12, 14])
def test_a_value_is_there_in_one_cycle_only(cycle: int) -> None:
    b = Builder()
    b.constant(2, 9, np.zeros((1, LANES), np.uint8))
    b.add("MEM_W2", 3, mem.Read(9, 4))
    b.add("MEM_E1", cycle, mem.Write(300, 4))
    with pytest.raises(
        InternalError, match=rf"cycle {cycle}, MEM_E1: write .* nothing is on E4 at position 16"
    ) as caught:
        b.run()
    assert caught.value.number == 910


def test_nearest_producer_upstream_wins() -> None:
    """Both reads ride the same diagonal of W0; E3's, farther upstream, is overwritten by E1's where it passes."""
    b = Builder()
    b.constant(TINY.mem_queue("E", 3), 0, np.full((1, LANES), 3, np.uint8))
    b.constant(TINY.mem_queue("E", 1), 0, np.full((1, LANES), 1, np.uint8))
    b.add("MEM_E3", 0, mem.Read(0, WEST))
    b.add("MEM_E1", 2, mem.Read(0, WEST))
    b.add("MEM_E2", 6, mem.Write(5, WEST))
    b.add("MEM_E1", 7, mem.Write(5, WEST))
    b.add("MEM_E0", 8, mem.Write(5, WEST))
    memory, _ = b.run()
    assert [memory[TINY.mem_queue("E", i), 5, 0] for i in (2, 1, 0)] == [3, 1, 1]


def test_a_read_sees_what_was_written_a_cycle_before() -> None:
    b = Builder()
    b.constant(0, 0, np.full((1, LANES), 8, np.uint8))
    b.constant(1, 0, np.full((1, LANES), 5, np.uint8))
    b.add("MEM_W1", 0, mem.Read(0, 0))
    b.add("MEM_W0", 6, mem.Write(0, 0))
    b.add("MEM_W0", 5, mem.Read(0, 1), 1)
    b.add("MEM_W0", 7, mem.Read(0, 1), 1)
    b.add("MEM_E0", 12, mem.Write(0, 1))
    b.add("MEM_E0", 14, mem.Write(1, 1))
    memory, _ = b.run()
    assert memory[12, :2, 0].tolist() == [8, 5]


def test_a_burst_strides_through_addresses() -> None:
    b = Builder()
    b.constant(0, 10, np.arange(8, dtype=np.uint8)[:, None].repeat(LANES, 1))
    b.add("MEM_W0", 0, mem.Read(17, 0), 4, 3, -2)
    b.add("MEM_E0", 7, mem.Write(1, 0), 4, 3, 5)
    memory, trace = b.run()
    assert memory[12, [1, 6, 11, 16], 0].tolist() == [7, 5, 3, 1]
    assert trace.cycles == 7 + 9 + 1 + STAGGER
    assert trace.busy[0] == 4


def test_gather_and_scatter_take_an_address_a_superlane_and_clamp_it() -> None:
    b = Builder()
    index = np.repeat(np.array([2, 0, 9, 1], np.uint16), 8)
    b.constant(0, 0, index[None])
    b.constant(3, 20, np.arange(40, 43, dtype=np.uint8)[:, None].repeat(LANES, 1))
    b.constant(4, 20, np.zeros((3, LANES), np.uint8))
    for w in (0, 1):
        b.add(f"MEM_W{w}", w, mem.Read(0, WEST + w))
    b.add("MEM_W3", 8, mem.Gather(20, 2, WEST, WEST + 2))
    b.add("MEM_W4", 16, mem.Write(30, WEST + 2))
    b.add("MEM_W4", 9, mem.Scatter(20, 2, WEST, WEST + 4))
    b.constant(1, 1, np.arange(LANES, dtype=np.uint8)[None])
    b.add("MEM_W1", 2, mem.Read(1, WEST + 5))
    b.add("MEM_W2", 2, mem.Read(0, WEST + 4))
    b.constant(2, 0, np.full((1, LANES), 6, np.uint8))
    memory, trace = b.run()
    assert memory[4, 30, ::8].tolist() == [42, 40, 42, 41]
    assert memory[4, 20:23, ::8].tolist() == [[0, 6, 0, 0], [0, 0, 0, 6], [6, 0, 6, 0]]
    assert trace.cycles == 16 + 1 + STAGGER


def quad_at_vxm(b: Builder, values: npt.NDArray[Any], cycle: int, first: int = 0) -> None:
    """Constants in W slices so that row ``i`` is at the VXM on E streams from ``first`` on in ``cycle + i``."""
    b.constant(0, 100 + first, values)
    for p in range(values.itemsize):
        b.add(p, cycle - 6 - p, mem.Read(100 + first, first + p), len(values), 1, 1)


def store_from_vxm(b: Builder, cycle: int, first: int, planes: int, *repeat: int) -> None:
    """What the VXM drives onto E streams in ``cycle`` goes to address 0 of E0.., a plane a slice."""
    for p in range(planes):
        b.add(TINY.slices + p, cycle + 1 + p, mem.Write(0, first + p), *repeat)


def test_a_chain_of_alus_with_a_delayed_operand() -> None:
    """(x + 1) * x: the product runs 3 cycles after the sum and takes x as it stood 3 cycles before."""
    x = np.linspace(-2, 2, 3 * LANES, dtype=np.float32).reshape(3, LANES)
    b = Builder()
    quad_at_vxm(b, x, 20)
    one = int(np.float32(1).view(np.uint32))
    b.add(VXM, 20, vxm.Add(DType.F32, stream(0), IMMEDIATE, one), 3, 1)
    b.add(VXM + 9, 23, vxm.Mul(DType.F32, alu(0), stream(0, 3), 0, 5), 3, 1)
    store_from_vxm(b, 26, 4, 4, 3, 1, 1)
    memory, trace = b.run()
    for i in range(3):
        assert (value(memory, 12, i, "<f4") == (x[i] + np.float32(1)) * x[i]).all()
    assert trace.cycles == 26 + 4 + 2 + 1 + STAGGER


def test_a_burst_that_reads_its_own_results_accumulates() -> None:
    """Interval 3 = latency + no delay: every addition takes the one before."""
    x = np.arange(4 * LANES, dtype=np.int16).reshape(4, LANES)
    b = Builder()
    b.constant(0, 100, x)
    for p in range(2):
        b.add(p, 14 - p, mem.Read(100, p), 4, 3, 1)
    b.add(VXM + 2, 20, vxm.Mov(DType.I16, stream(0), 0, 5))
    b.add(VXM + 2, 23, vxm.Add(DType.I16, stream(0), alu(2), 0, 5), 3, 3)
    store_from_vxm(b, 23, 4, 2, 4, 3, 1)
    memory, _ = b.run()
    for i in range(4):
        assert (value(memory, 12, i, "<i2") == x[: i + 1].sum(0)).all()


@pytest.mark.parametrize(("offset", "planes"), [(1, 4), (0, 2)])
def test_an_alu_output_of_another_cycle_or_width_is_nothing(offset: int, planes: int) -> None:
    b = Builder()
    quad_at_vxm(b, np.zeros((1, LANES), np.float32), 20)
    b.add(VXM, 20, vxm.Mov(DType.F32, stream(0)))
    dtype = DType.F32 if planes == 4 else DType.I16
    b.add(VXM + 1, 23 + offset, vxm.Mov(dtype, alu(0)))
    with pytest.raises(InternalError, match="ALU 0 finished") as caught:
        b.run()
    assert caught.value.number == 911


def load(b: Builder, weights: npt.NDArray[Any], dtype: DType, cycle: int, column: int) -> None:
    """Load rows of ``weights`` into columns from ``column`` on of plane E0, one a cycle from ``cycle`` on."""
    b.constant(12, 200 + cycle, weights)
    for p in range(dtype.planes):
        b.add(12 + p, cycle - 18 + p, mem.Read(200 + cycle, p), len(weights), 1, 1)
    instr = mxm.LoadWeights(dtype, 0, 1, column, 0)
    b.add("MXM_E0.weights", cycle, instr, len(weights), 1, 1)


def activate(b: Builder, rows: npt.NDArray[Any], dtype: DType, cycle: int, *window: int) -> None:
    """Send ``rows`` into plane E0, one every other cycle."""
    b.constant(12 + dtype.planes, 100 + cycle, rows)
    for p in range(dtype.planes):
        s = 12 + dtype.planes + p
        b.add(s, cycle - 18 + dtype.planes + p, mem.Read(100 + cycle, 8 + p), len(rows), 2, 1)
    b.add("MXM_E0.activations", cycle, mxm.Activate(dtype, 8, *window), len(rows), 2)


def emitted(b: Builder, cycle: int, *repeat: int) -> None:
    """Store what E0 emits onto W4.. in ``cycle`` at address 0 of E8..E11."""
    for p in range(4):
        b.add(f"MEM_E{8 + p}", cycle + 2 + (11 - 8 - p), mem.Write(0, WEST + 4 + p), *repeat)


def test_int8_product_of_a_window_with_partial_columns() -> None:
    rng = np.random.RandomState(1)
    w = rng.randint(-128, 128, (5, LANES)).astype(np.int8)
    a = rng.randint(-128, 128, (2, LANES)).astype(np.int8)
    b = Builder()
    load(b, w, DType.I8, 30, 3)
    b.add("MXM_E0.weights", 35, mxm.InstallWeights(DType.I8, 3, 5))
    activate(b, a, DType.I8, 36, 8, 16)
    b.add("MXM_E0.accumulate", 58, mxm.Accumulate(DType.I8, 7, 1, 1, WEST + 4), 2, 2, 1)
    emitted(b, 66, 2, 2, 1)
    memory, trace = b.run()
    for i in range(2):
        expected = np.zeros(LANES, np.int32)
        expected[3:8] = w[:, 8:24].astype(np.int32) @ a[i, 8:24].astype(np.int32)
        assert (value(memory, 20, i, "<i4") == expected).all()
    assert trace.cycles == 66 + 2 + 3 + 2 + 1 + STAGGER


def test_fp16_accumulates_two_passes_in_lane_order_with_other_weights() -> None:
    rng = np.random.RandomState(2)
    w = rng.randn(2, 4, LANES).astype(np.float16)
    a = rng.randn(2, 3, LANES).astype(np.float16)
    b = Builder()
    for i in range(2):
        load(b, w[i], DType.F16, 30 + 10 * i, 0)
        b.add("MXM_E0.weights", 34 + 10 * i, mxm.InstallWeights(DType.F16, 0, 4))
        activate(b, a[i], DType.F16, 36 + 10 * i, 0, LANES)
        accumulate = mxm.Accumulate(DType.F16, 0, int(i == 0), i, WEST + 4)
        b.add("MXM_E0.accumulate", 58 + 10 * i, accumulate, 3, 2, 1)
    emitted(b, 76, 3, 2, 1)
    memory, _ = b.run()
    total = np.zeros((3, LANES), np.float32)
    for i in range(2):
        for k in range(LANES):
            total[:, :4] += a[i, :, k, None].astype(np.float32) * w[i, :, k].astype(np.float32)
    for row in range(3):
        assert (value(memory, 20, row, "<f4") == total[row]).all()


def two_activations(gap: int, install: int) -> Builder:
    """Two fp16 activations of 2 cycles each from cycle 36 on, ``gap`` apart, and an install at ``install``."""
    b = Builder()
    load(b, np.ones((1, LANES), np.float16), DType.F16, 30, 0)
    b.add("MXM_E0.weights", 31, mxm.InstallWeights(DType.F16, 0, 1))
    load(b, np.ones((1, LANES), np.float16), DType.F16, 33, 1)
    b.add("MXM_E0.weights", install, mxm.InstallWeights(DType.F16, 1, 1))
    b.constant(14, 0, np.ones((4, LANES), np.float16))
    for p in range(2):
        b.add(14 + p, 20 + p, mem.Read(0, 8 + p), 4, 1, 1)
    b.add("MXM_E0.activations", 36, mxm.Activate(DType.F16, 8, 0, LANES), 2, gap)
    return b


def test_an_fp16_activation_takes_its_plane_for_all_its_cycles() -> None:
    _, trace = two_activations(2, 37).run()
    assert trace.cycles == 38 + 2 + STAGGER
    for builder in (two_activations(1, 35), two_activations(2, 36)):
        with pytest.raises(InternalError) as caught:
            builder.run()
        assert caught.value.number == 913


def test_an_install_wants_every_column_loaded_since_the_last_one() -> None:
    b = two_activations(2, 37)
    b.add("MXM_E0.weights", 40, mxm.InstallWeights(DType.F16, 1, 1))
    with pytest.raises(InternalError, match="column 1 was not loaded as F16") as caught:
        b.run()
    assert caught.value.number == 914


def test_an_exchange_unit_turns_lanes_around() -> None:
    """SXM_E is at position 27, 13 from the VXM."""
    b = Builder()
    b.constant(12, 0, np.arange(LANES, dtype=np.uint8)[None])
    b.add("MEM_E0", 0, mem.Read(0, 0))
    b.add("SXM_E.0", 5 + 12, sxm.Rotate(0, WEST + 1, 3))
    b.add("MEM_E0", 17 + 5 + 12, mem.Write(1, WEST + 1))
    b.add("SXM_E.3", 5 + 12, sxm.Shift(0, WEST + 2, -30))
    b.add("MEM_E1", 17 + 5 + 11, mem.Write(1, WEST + 2))
    memory, trace = b.run()
    assert memory[12, 1, :8].tolist() == [5, 6, 7, 0, 1, 2, 3, 4]
    assert memory[13, 1].tolist() == [30, 31] + [0] * 30
    assert trace.cycles == 34 + 1 + STAGGER


def test_queue_control_takes_a_cycle_on_any_queue() -> None:
    b = Builder()
    b.add("MXM_W1.accumulate", 6, icu.Sync(), 2, 5)
    b.add("MEM_W0", 2, icu.Notify())
    assert b.run()[1].cycles == 11 + 1 + STAGGER


def double_dispatch() -> Builder:
    b = Builder()
    b.constant(0, 0, np.zeros((1, LANES), np.uint8))
    b.constant(0, 256, np.zeros((1, LANES), np.uint8))
    b.add("MEM_W0", 0, mem.Read(0, 0))
    b.add("MEM_W0", 0, mem.Read(256, 1))
    return b


def double_put() -> Builder:
    b = Builder()
    quad_at_vxm(b, np.zeros((1, LANES), np.int8), 20)
    b.add(VXM, 20, vxm.Mov(DType.I8, stream(0), 0, 6))
    b.add(VXM + 1, 20, vxm.Mov(DType.I8, stream(0), 0, 6))
    return b


def bank_conflict() -> Builder:
    b = Builder()
    b.constant(0, 0, np.zeros((1, LANES), np.uint8))
    b.constant(1, 0, np.zeros((1, LANES), np.uint8))
    b.add("MEM_W1", 0, mem.Read(0, 0))
    b.add("MEM_W0", 6, mem.Write(3, 0))
    b.add("MEM_W0", 6, mem.Read(0, 0))
    return b


def undefined_word() -> Builder:
    b = Builder()
    b.add("MEM_W0", 0, mem.Read(0, 0))
    return b


def out_of_bounds() -> Builder:
    b = Builder()
    b.constant(0, 0, np.zeros((1, LANES), np.uint8))
    b.add("MEM_W0", 0, mem.Read(0, 0), 2, 1, -1)
    return b


def unaligned() -> Builder:
    b = Builder()
    quad_at_vxm(b, np.zeros((1, LANES), np.float32), 20)
    b.add(VXM, 20, vxm.Mov(DType.I16, stream(1)))
    return b


def wrong_unit() -> Builder:
    b = Builder()
    b.add("VXM_0", 0, mem.Read(0, 0))
    return b


@pytest.mark.parametrize(
    ("builder", "number", "place"),
    [
        (double_dispatch, 913, "cycle 0, MEM_W0"),
        (double_put, 913, "cycle 23, VXM_1"),
        (bank_conflict, 913, "cycle 6, MEM_W0"),
        (undefined_word, 912, "cycle 0, MEM_W0: read address=0"),
        (out_of_bounds, 915, "repeat 1"),
        (unaligned, 915, "cycle 20, VXM_0"),
        (wrong_unit, 917, "cycle 0, VXM_0"),
    ],
)
def test_a_step_without_meaning_names_its_place(builder: Any, number: int, place: str) -> None:
    with pytest.raises(InternalError) as caught:
        builder().run()
    assert caught.value.number == number
    assert place in str(caught.value)
