"""Kernels from Python: every declared instruction as a call, and times that follow from what arrives."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from isa.assembly import assemble, disassemble
from isa.assembly.expressions import Stream
from isa.builder import Alu, E, Exchange, Late, Links, Plane, Reach, Slice, W
from isa.builder.calls import call_operands, is_sampled, method_name
from isa.builder.kernel import KernelBuilder
from isa.builder.operands import QUEUES
from isa.builder.stub import STUB, stub
from isa.errors import InputError
from isa.instruction import REGISTRY, DType, Instruction, Kind
from isa.verify import verify

F32, F16, I8 = DType.F32, DType.F16, DType.I8
INSTRUCTIONS = [cls for cls in REGISTRY.values() if not cls.word_only]
SOME: dict[Kind, Any] = {
    Kind.UINT: 3,
    Kind.INT: -3,
    Kind.STREAM: W(4),
    Kind.DTYPE: I8,
    Kind.SOURCE: E(5),
}


def dispatches(k: KernelBuilder) -> list[str]:
    return [line for line in disassemble(k.program()).splitlines() if line.startswith("@")]


def queue_for(cls: type[Instruction]) -> Any:
    kind = QUEUES.get(cls.unit, Alu)
    return kind(2) if kind is Alu else kind("E", 0)


@pytest.mark.parametrize("cls", INSTRUCTIONS, ids=lambda cls: cls.mnemonic)
def test_every_instruction_is_a_call(cls: type[Instruction]) -> None:
    """What a call of smallest form issues is what its declaration prints and the assembler reads."""
    k = KernelBuilder("tiny")
    placed, named = call_operands(cls)
    assert {o.name for o in cls.operands} - {"imm"} == {o.name for o in placed + named}
    method = getattr(k, method_name(cls.mnemonic))
    assert inspect.getdoc(method) == inspect.getdoc(cls)
    issued = method(*(SOME[o.kind] for o in placed), on=queue_for(cls), at=7, x=2, every=3)
    assert (issued.cycle, issued.end, issued.count) == (7, 10, 2)
    (line,) = dispatches(k)
    assert line.split()[2] == cls.mnemonic
    assert assemble(line, k.machine).bursts.tobytes() == k.program().bursts.tobytes()


def test_the_typed_form_is_that_of_the_declarations() -> None:
    """If this fails: ``python -m isa.builder.stub``."""
    assert STUB.read_text(encoding="utf-8") == stub()


def test_what_is_sampled_follows_from_the_meaning() -> None:
    sampled = {
        f"{cls.mnemonic}.{o.name}"
        for cls in INSTRUCTIONS
        for o in cls.operands
        if is_sampled(cls, o)
    }
    assert sampled == {
        "send.stream", "write.stream", "gather.indices", "scatter.indices", "scatter.stream", "lw.stream",
        "abc.stream", "shift.src", "permute.src", "permute.map", "distribute.src", "rotate.src", "transpose.src",
    }  # fmt: skip


def test_flags_results_and_immediates() -> None:
    k = KernelBuilder("tiny")
    k.add(I8, E(4), -3, on=Alu(1), at=0, saturate=True, east=E(8), west=W(9))
    k.select(F32, 1.5, Late(E(4), 2), Alu(1), on=Alu(2), at=3)
    k.cvt(F16, W(2), DType.I32, on=Alu(3), at=9, node="convert")
    k.acc(I8, 3, E(0), on=Plane("W", 1), at=5, start=True, emit=True)
    assert dispatches(k) == [
        "@0 VXM_1: add i8, E4, #0x000000fd, saturate -> E8, W9",
        "@3 VXM_2: select f32, #0x3fc00000, E4~2, alu1",
        "@9 VXM_3: cvt f16, W2, i32 !1",
        "@5 MXM_W1.accumulate: acc i8, 3, start, emit, E0",
    ]
    assert k.program().nodes == ("", "convert")


def kernel() -> KernelBuilder:
    """z = relu(x) * 3 + y, by values alone."""
    k = KernelBuilder("tiny")
    x = k.input("x", F32, 9, 32, Slice("E", 0))
    y = k.input("y", F16, 9, 32, [Slice("W", 3), Slice("W", 1)], address=7)
    z = k.output("z", F32, 9, 32, Slice("E", 5))
    a = k.load(x, W(0), Reach("VXM", 30), every=2)
    b = k.load(y, E(0), Reach("VXM", 33), every=2)
    wide = k.cvt(F16, b, F32, on=Alu(1), x=9, every=2)
    top = k.relu(F32, a, on=Alu(0), x=9, every=2)
    three = k.mul(F32, top, 3, on=Alu(9), x=9, every=2)
    total = k.add(F32, three, wide, on=Alu(10), x=9, every=2, east=E(4))
    assert (a.at("VXM"), b.at("VXM"), total.cycle, total.at("MXM_E")) == (30, 33, 36, 53)
    stored = k.store(z, total)
    assert stored.done == stored.end + 1
    assert stored.next == stored.end + 1
    return k


def test_values_find_their_times() -> None:
    program = kernel().program()
    assert verify(program).cycles == 36 + 3 + 9 + 8 * 2 + 1 + 4
    text = disassemble(program)
    assert "@36 VXM_10: add f32, alu9, alu1 -> E4 x9 /2" in text
    assert text == disassemble(kernel().program())


def test_early_operands_wait() -> None:
    k = KernelBuilder("tiny")
    a = k.mov(I8, 1, on=Alu(1), at=5)
    b = k.mov(I8, 2, on=Alu(2), at=9)
    assert k.add(I8, a, b, on=Alu(3)).cycle == 12
    assert k.add(I8, a, b, on=Alu(4), at=20).cycle == 20
    assert k.add(I8, Alu(2), 1, on=Alu(5)).cycle == 12
    assert [line.partition("add ")[2] for line in dispatches(k)[2:]] == [
        "i8, alu1~4, alu2",
        "i8, alu1~12, alu2~8",
        "i8, alu2, #0x00000001",
    ]


def test_constants_and_parts() -> None:
    k = KernelBuilder("tiny")
    w = k.constant("w", np.arange(120, dtype=np.int16).reshape(3, 40), Slice("W", 2), 5)
    k.load(w, E(6), 40, range(1, 3), chunk=1)
    k.load(w, E(8), 80, range(1), x=4)
    assert [x.split(": ")[1] for x in dispatches(k)] == [
        "read 0x0009, E6 x2 +1",
        "read 0x0005, E8 x4",
        "read 0x0009, E7 x2 +1",
        "read 0x0005, E9 x4",
    ]
    assert k.program().segments["count"].tolist() == [6, 6]
    assert k.program().data[3][:8].tolist() == [32, 33, 34, 35, 36, 37, 38, 39]


def test_a_matrix_operand_and_its_products() -> None:
    k = KernelBuilder("tiny")
    row = k.read(0, E(0), on=Slice("E", 1), at=0)
    sent = k.abc(I8, row, 0, 8, on=Plane("E", 0))
    assert sent.cycle == row.at("MXM_E")
    assert k.acc(I8, 0, W(0), on=Plane("E", 0), emit=True).cycle == sent.cycle + 22
    moved = k.rotate(row, W(3), 1, on=Exchange("E", 0))
    assert moved.cycle == row.at("SXM_E")
    with pytest.raises(InputError, match=r"TSP215.*abc: stream arrives 1 cycles before"):
        k.abc(I8, row, 0, 8, on=Plane("E", 1), at=sent.cycle + 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda k: k.add(F32, E(0), 1.0, on=Slice("E", 0), at=0), "belongs on a VXM queue"),
        (lambda k: k.read(0, E(0), on=Slice("E", 99), at=0), "no queue MEM_E99"),
        (lambda k: k.read(70000, E(0), on=Slice("E", 0), at=0), "address = 70000 is outside"),
        (lambda k: k.read(0, E(40), on=Slice("E", 0), at=0), "no stream E40"),
        (lambda k: k.read(0, 4, on=Slice("E", 0), at=0), "stream is 4, not a stream"),
        (lambda k: k.read(0, E(0), on=Slice("E", 0), at=0, x=0), "x is 0"),
        (lambda k: k.read(0, E(0), on=Slice("E", 0)), "no operand that arrives"),
        (lambda k: k.read(0, E(0), on=Slice("E", 0), at=Reach("VXM", 9)), "E0 flows east, away"),
        (lambda k: k.read(0, W(0), on=Slice("E", 0), at=Reach("VXM", 2)), "cycle -4 is before"),
        (lambda k: k.read(0, W(0), on=Slice("E", 0), at=Reach(Slice("W", 99), 2)), "no unit Slice"),
        (lambda k: k.mov(F32, "E0", on=Alu(0), at=0), "a is 'E0', not a stream, an earlier"),
        (lambda k: k.mov(F32, True, on=Alu(0), at=0), "a is True"),
        (lambda k: k.mov(4, E(0), on=Alu(0), at=0), "dtype is 4, not a DType"),
        (lambda k: k.mov(F32, E(0), on=Alu(0)), "nothing above puts a value on E0"),
        (lambda k: k.mov(F32, Alu(77), on=Alu(0)), "no ALU 77"),
        (lambda k: k.mov(F32, Late(E(0), 64), on=Alu(0), at=0), "a delay of 64 cycles"),
        (lambda k: k.mov(F32, E(0), on=Alu(0), at=0, east=W(1)), "flows the other way"),
        (lambda k: k.mov(I8, 300, on=Alu(0), at=0), "300 is outside -128 .. 127"),
        (lambda k: k.add(F32, 1.0, 2.0, on=Alu(0), at=0), "two different numbers"),
        (lambda k: k.acc(I8, 0, E(0), on=Plane("E", 0)), "no line above sends activations"),
        (lambda k: k.tensor("t", F32, 1, 32, Slice("E", 11)), "leave the hemisphere"),
        (lambda k: [k.tensor("t", I8, 1, 32, Slice("E", 1)) for _ in "ab"], "is there already"),
        (lambda k: k.constant("c", np.zeros((2, 2)), Slice("E", 1)), "'c' is float64"),
        (lambda k: k.load(k.tensor("t", I8, 2, 2, Slice("E", 1)), E(0), 0, range(3)), "not in 't'"),
        (lambda k: k.load(k.tensor("t", I8, 2, 2, Slice("E", 1)), E(0), 0, y=3), "argument: y"),
        (lambda k: k.send(0, E(0), on=Links("E", 9), at=0), "no queue C2C_E.9"),
    ],
)
def test_mistakes(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make(KernelBuilder("tiny"))
    assert caught.value.number == 215


def test_a_value_from_a_later_dispatch_on() -> None:
    """A running sum: the ALU's own result comes back after three cycles, so the first three start the sums."""
    k = KernelBuilder("tiny")
    x = k.input("x", F32, 8, 32, Slice("E", 0))
    assert k.earliest(x, "VXM", 10) == 10 + 5 + 4
    row = k.load(x, W(0), Reach("VXM", k.earliest(x, "VXM")))
    first = k.mov(F32, row, on=Alu(3), x=3)
    k.add(F32, row.behind(3), Alu(3), on=Alu(3), at=first.cycle + 3, x=5)
    assert dispatches(k)[4:] == ["@9 VXM_3: mov f32, W0 x3", "@12 VXM_3: add f32, W0, alu3 x5"]
    assert verify(k.program()).cycles == 12 + 5 - 1 + 3 + 4


def test_streams_are_values() -> None:
    assert E(3) == Stream("E", 3)
    assert str(W(12)) == "W12"
