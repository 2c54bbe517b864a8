"""What each instruction does, on small cases worked out by hand; arithmetic against numpy on edge values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from isa.instruction import REGISTRY, DType, Instruction, Kind, Source, SourceKind
from isa.machine import Machine, load_chip
from isa.ops.mxm import PlaneState
from isa.ops.vxm import VxmInstruction, from_planes, to_planes
from isa.ops.vxm_extensions import Logic

TINY = load_chip("tiny")
LANES = TINY.lanes
Planes = npt.NDArray[np.uint8]


@dataclass
class Bench:
    """A ``Port`` with streams and outputs set by hand."""

    machine: Machine = TINY
    position: int = 0
    streams: dict[int, Planes] = field(default_factory=dict)
    outputs: dict[int, Planes] = field(default_factory=dict)
    puts: dict[int, Planes] = field(default_factory=dict)
    memory: Planes = field(default_factory=lambda: np.zeros((TINY.words, LANES), np.uint8))
    plane: Any = field(default_factory=lambda: PlaneState(TINY))
    sent: list[Any] = field(default_factory=list)
    made: list[Planes] = field(default_factory=list)

    def stream(self, stream: int, planes: int, delay: int = 0) -> Planes:
        del delay
        return np.concatenate([self.streams[stream + i][:1] for i in range(planes)])

    def alu(self, index: int, planes: int, delay: int = 0) -> Planes:
        del planes, delay
        return self.outputs[index]

    def put(self, stream: int, data: Planes) -> None:
        for i, plane in enumerate(data):
            self.puts[stream + i] = plane

    def produce(self, data: Planes) -> None:
        self.made.append(data)

    def store(self, address: npt.NDArray[np.int64] | int, data: Planes) -> None:
        if isinstance(address, int):
            self.memory[address] = data[0]
        else:
            wide = np.repeat(address, TINY["lanes.per_superlane"])
            self.memory[wide, np.arange(LANES)] = data[0]

    def activate(self, sent: Any) -> None:
        self.sent.append(sent)

    def products(self) -> Any:
        return self.sent[-1]

    def send(self, link: int, data: Planes) -> None:
        self.sent.append((link, data))

    def receive(self, link: int) -> Planes:
        return np.full((1, LANES), link, np.uint8)

    def deskew(self, link: int) -> None:
        self.sent.append(link)

    def load(self, stream: int, values: npt.ArrayLike, dtype: DType = DType.I8) -> Bench:
        """Put typed lanes on a stream group."""
        with np.errstate(invalid="ignore"):
            lanes = np.broadcast_to(np.asarray(values), LANES).astype(dtype.numpy)
        for i, plane in enumerate(to_planes(lanes)):
            self.streams[stream + i] = plane[None]
        return self


def run(mnemonic: str, bench: Bench, **operands: int) -> Bench:
    REGISTRY[mnemonic](**operands).execute(bench)
    return bench


RAMP = np.arange(LANES)


def test_read_and_write() -> None:
    bench = run("write", Bench().load(3, RAMP), address=7, stream=3)
    assert run("read", bench, address=7, stream=9).puts[9].tolist() == RAMP.tolist()


def test_gather_and_scatter_take_one_address_a_superlane() -> None:
    """Indices past ``limit`` are clamped to it."""
    bench = Bench().load(0, np.repeat([2, 0, 900, 1], 8), DType.I16).load(4, RAMP)
    run("scatter", bench, base=10, limit=5, indices=0, stream=4)
    assert [bench.memory[r].any() for r in (10, 11, 12, 15)] == [True] * 4
    assert bench.memory[12, :8].tolist() == list(range(8))
    assert bench.memory[15, 16:24].tolist() == list(range(16, 24))
    run("gather", bench, base=10, limit=5, indices=0, stream=6)
    assert bench.puts[6].tolist() == RAMP.tolist()


def test_shift_moves_across_superlanes_and_fills_with_zero() -> None:
    for n in (0, 3, -3, 40, -40):
        out = run("shift", Bench().load(0, RAMP + 1), src=0, dst=1, lanes=n).puts[1]
        expected = [i - n + 1 if 0 <= i - n < LANES else 0 for i in range(LANES)]
        assert out.tolist() == expected


def test_permute_follows_its_map() -> None:
    lanes = (RAMP * 5 + 3) % LANES
    bench = Bench().load(0, RAMP).load(2, lanes + LANES * 100, DType.I16)
    assert run("permute", bench, src=0, dst=8, map=2).puts[8].tolist() == lanes.tolist()


def test_distribute_replicates_and_zeroes_within_a_superlane() -> None:
    bench = run(
        "distribute", Bench().load(0, RAMP), src=0, dst=1, low=0x01237777, high=0, mask=0xFE
    )
    expected = [0, 7, 7, 7, 3, 2, 1, 0]
    assert bench.puts[1][:8].tolist() == expected
    assert bench.puts[1][8:16].tolist() == [0, 15, 15, 15, 11, 10, 9, 8]


def test_distribute_has_sixteen_entries() -> None:
    tsp1 = load_chip("tsp1")
    bench = Bench(machine=tsp1, streams={0: np.arange(320, dtype=np.uint16).astype(np.uint8)[None]})
    run("distribute", bench, src=0, dst=1, low=0x76543210, high=0x01234567, mask=0xFFFF)
    assert bench.puts[1][16:32].tolist() == [*range(16, 24), *range(23, 15, -1)]


def test_rotate_turns_each_superlane() -> None:
    out = run("rotate", Bench().load(0, RAMP), src=0, dst=1, lanes=3).puts[1]
    assert out[8:16].tolist() == [13, 14, 15, 8, 9, 10, 11, 12]


def test_transpose_swaps_stream_and_lane() -> None:
    bench = Bench()
    for s in range(8):
        bench.load(s, RAMP + 32 * s)
    run("transpose", bench, src=0, dst=16)
    for s in range(8):
        for lane in range(LANES):
            assert bench.puts[16 + s][lane] == 32 * (lane % 8) + lane - lane % 8 + s


def test_queue_instructions_do_nothing() -> None:
    for cls in REGISTRY.values():
        if cls.unit == "ICU":
            bench = run(cls.mnemonic, Bench(), **{o.name: 1 for o in cls.operands})
            assert not bench.puts
            assert not bench.memory.any()


def test_links() -> None:
    bench = run("send", Bench().load(0, RAMP), link=3, stream=0)
    assert bench.sent[0][0] == 3
    assert bench.sent[0][1].tolist() == [RAMP.tolist()]
    assert run("receive", bench, link=5, stream=2).puts[2].tolist() == [5] * LANES
    assert run("deskew", bench, link=1).sent[-1] == 1


def matmul(dtype: DType, x: npt.NDArray[Any], w: npt.NDArray[Any], **window: int) -> Bench:
    """Load ``w`` ``[columns, lanes]`` column by column, install it, send ``x``."""
    bench, kind = Bench(), {"dtype": int(dtype)}
    for column, weights in enumerate(w):
        run(
            "lw", bench.load(0, weights, dtype), stream=0, groups=1, column=column, spread=1, **kind
        )
    run("iw", bench, first=0, columns=len(w), **kind)
    return run(
        "abc", bench.load(0, x, dtype), stream=0, **({"first": 0, "rows": LANES} | window), **kind
    )


def accumulator(bench: Bench, stream: int, dtype: str) -> npt.NDArray[Any]:
    planes = np.stack([bench.puts[stream + i] for i in range(4)])
    return np.ascontiguousarray(planes.T).view(dtype)[:, 0]


def test_int8_products_accumulate_and_disabled_columns_keep() -> None:
    rng = np.random.RandomState(0)
    x, w = rng.randint(-128, 128, LANES), rng.randint(-128, 128, (5, LANES))
    bench = matmul(DType.I8, x, w)
    bench.plane.accumulators[2] = 9
    run("acc", bench, dtype=0, row=2, start=0, emit=1, stream=4)
    assert accumulator(bench, 4, "<i4").tolist() == (w @ x + 9).tolist() + [9] * (LANES - 5)
    run("acc", bench, dtype=0, row=2, start=1, emit=1, stream=4)
    assert accumulator(bench, 4, "<i4").tolist() == (w @ x).tolist() + [0] * (LANES - 5)


def test_fp16_adds_in_ascending_lane_order_and_only_the_window() -> None:
    """2**24 + 1 + 1 loses both ones in this order, and a NaN outside the window is not seen."""
    x, w = np.zeros(LANES), np.ones((2, LANES))
    x[8:11], x[20] = (4096, 1, 1), np.nan
    w[:, 8] = 4096
    bench = matmul(DType.F16, x, w, first=8, rows=8)
    run("acc", bench, dtype=3, row=0, start=1, emit=1, stream=4)
    assert accumulator(bench, 4, "<f4")[:3].tolist() == [2.0**24, 2.0**24, 0]


def test_an_accumulated_nan_is_canonical() -> None:
    bench = matmul(DType.F16, np.full(LANES, -np.inf), np.zeros((1, LANES)))
    run("acc", bench, dtype=3, row=0, start=1, emit=1, stream=4)
    assert accumulator(bench, 4, "<u4")[0] == 0x7FC00000


def test_lw_loads_groups_into_spread_columns() -> None:
    bench = Bench().load(0, 1, DType.F16).load(2, 2, DType.F16)
    run("lw", bench, dtype=3, stream=0, groups=2, column=3, spread=10)
    assert bench.plane.buffer[[3, 13], 0].tolist() == [0x3C00, 0x4000]


def vector(mnemonic: str, dtype: DType, *values: Any, **more: int) -> npt.NDArray[Any]:
    """The lanes that a VXM operation makes of typed values."""
    bench = Bench()
    cls = REGISTRY[mnemonic]
    sources = [o.name for o in cls.operands if o.kind is Kind.SOURCE]
    blank = cls(**{o.name: 0 for o in cls.operands} | {"dtype": int(dtype)} | more)
    assert isinstance(blank, VxmInstruction)
    for i, value in enumerate(values):
        bench.load(8 * i, np.resize(np.asarray(value), LANES), blank.source_dtype(i))
        more[sources[i]] = Source(SourceKind.STREAM, 8 * i).pack()
    run(mnemonic, bench, dtype=int(dtype), east=25, west=29, **more)
    result = from_planes(bench.made[0], blank.result_dtype)
    for i, plane in enumerate(bench.made[0]):
        assert (bench.puts[24 + i] == plane).all()
        assert (bench.puts[32 + 28 + i] == plane).all()
    return result


@pytest.mark.parametrize(
    ("mnemonic", "dtype", "values", "more", "expected"),
    [
        ("add", DType.I8, (127, 1), {}, -128),
        ("add", DType.I8, (127, 1), {"saturate": 1}, 127),
        ("sub", DType.I32, (-(2**31), 1), {"saturate": 1}, -(2**31)),
        ("mul", DType.I32, (2**30, 6), {}, -(2**31)),
        ("mul", DType.F16, (60000, 2), {}, np.inf),
        ("max", DType.F32, (np.nan, 1), {}, np.nan),
        ("max", DType.F32, (1, np.nan), {}, np.nan),
        ("min", DType.I16, (-3, 4), {}, -3),
        ("neg", DType.I8, (-128,), {}, -128),
        ("abs", DType.I16, (-32768,), {}, -32768),
        ("relu", DType.F32, (-2,), {}, 0),
        ("relu", DType.I32, (5,), {}, 5),
        ("rsqrt", DType.F32, (4,), {}, 0.5),
        ("rsqrt", DType.F32, (-1,), {}, np.nan),
        ("exp", DType.F32, (0,), {}, 1),
        ("exp", DType.F32, (89,), {}, np.inf),
        ("exp", DType.F32, (-105,), {}, 0),
        ("tanh", DType.F32, (-40,), {}, -1),
        ("cvt", DType.F32, (2049,), {"to": 3}, 2048),
        ("cvt", DType.F32, (-2.9,), {"to": 0}, -2),
        ("cvt", DType.F32, (1e9,), {"to": 0, "saturate": 1}, 127),
        ("cvt", DType.F32, (np.nan,), {"to": 2}, 0),
        ("cvt", DType.I32, (300,), {"to": 0, "saturate": 0}, 44),
        ("cvt", DType.I32, (300,), {"to": 0, "saturate": 1}, 127),
        ("and", DType.I16, (0x0FF0, 0x00FF), {}, 0x00F0),
        ("or", DType.I16, (0x0FF0, 0x00FF), {}, 0x0FFF),
        ("xor", DType.I16, (0x0FF0, 0x00FF), {}, 0x0F0F),
        ("shl", DType.I8, (3, 9), {}, 6),
        ("shr", DType.I32, (-8, 33), {}, -4),
        ("eq", DType.F32, (np.nan, np.nan), {}, 0),
        ("eq", DType.F32, (0.0, -0.0), {}, 1),
        ("lt", DType.I8, (-1, 0), {}, 1),
        ("le", DType.F16, (1, 1), {}, 1),
        ("select", DType.F32, (1.5, 2.5, -1), {}, 1.5),
        ("select", DType.F32, (1.5, 2.5, 0), {}, 2.5),
    ],
)
def test_vector_operations(
    mnemonic: str, dtype: DType, values: tuple[float, ...], more: dict[str, int], expected: float
) -> None:
    np.testing.assert_array_equal(vector(mnemonic, dtype, *values, **more), expected)


def test_mov_keeps_a_nans_bits_and_arithmetic_does_not() -> None:
    odd = np.array([0xFFC12345], np.uint32).view(np.float32)
    assert vector("mov", DType.F32, odd).view(np.uint32)[0] == 0xFFC12345
    assert vector("add", DType.F32, odd, 1.0).view(np.uint32)[0] == 0x7FC00000


def test_immediates_and_alu_sources() -> None:
    bench = Bench(outputs={5: to_planes(np.full(LANES, 2.0, np.float32))})
    sources = {"a": Source(SourceKind.ALU, 5).pack(), "b": Source(SourceKind.IMMEDIATE).pack()}
    run("add", bench, dtype=4, imm=0x3F800000, **sources)
    assert from_planes(bench.made[0], DType.F32)[0] == 3.0
    assert not bench.puts


@pytest.mark.parametrize("name", ["exp", "rsqrt", "tanh"])
def test_transcendentals_are_close_to_double_precision(name: str) -> None:
    x = np.linspace(1e-3 if name == "rsqrt" else -30, 30, LANES * 40).astype(np.float32)
    wide = x.astype(np.float64)
    double = {"exp": np.exp(wide), "rsqrt": np.abs(wide) ** -0.5, "tanh": np.tanh(wide)}[name]
    got = np.concatenate([vector(name, DType.F32, part) for part in x.reshape(-1, LANES)])
    assert np.abs(got / double - 1).max() < 4e-7


def _all_vector() -> list[tuple[type[Instruction], DType]]:
    found = [c for c in REGISTRY.values() if issubclass(c, VxmInstruction)]
    return [(c, t) for c in found for t in c.types]


@pytest.mark.parametrize(("cls", "dtype"), _all_vector())
def test_every_vector_operation_on_every_type_makes_its_result_type(
    cls: type[Instruction], dtype: DType
) -> None:
    """And a NaN with a payload leaves arithmetic as the canonical one."""
    edges = np.array([0, 1, -1, 127, -128], dtype.numpy)
    if dtype.is_float:
        edges = np.append(edges, np.array([-1], f"<i{edges.itemsize}").view(dtype.numpy))
    result = vector(cls.mnemonic, dtype, *[np.roll(edges, i) for i in range(cls.arity)])
    assert len(result) == LANES
    moves_bits = issubclass(cls, Logic) or cls.mnemonic in ("mov", "select")
    if result.dtype.kind == "f" and not moves_bits:
        nan = result[np.isnan(result)]
        assert len(nan)
        assert nan.tobytes() == np.full(len(nan), np.nan, result.dtype).tobytes()
