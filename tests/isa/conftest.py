"""Programs that no verifier has seen: any burst that has an encoding, with field values at their extremes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from isa.fields import field_range
from isa.instruction import REGISTRY, DType, Instruction, Kind, Operand, Source, SourceKind
from isa.machine import Machine, load_chip
from isa.program import BURST, SEGMENT, Piece, PortTensor, Program

Arbitrary = Callable[..., Program]
LONGEST = 0xFFFF


def _value(rng: np.random.RandomState, field: Operand, machine: Machine) -> int:
    if field.kind is Kind.SOURCE:
        kind = SourceKind(rng.randint(4))
        if kind in (SourceKind.NONE, SourceKind.IMMEDIATE):
            return Source(kind).pack()
        many = 2 * machine.streams if kind is SourceKind.STREAM else machine["vxm.alus"]
        return Source(kind, int(rng.choice([0, many - 1])), int(rng.choice([0, 1, 63]))).pack()
    low, high = field_range(field, machine)
    return int(rng.choice([low, high, (low + high) // 2, min(high, max(low, rng.randint(8)))]))


def queues_of(cls: type[Instruction], machine: Machine) -> list[int]:
    """The queues on which an instruction may stand."""
    kinds = machine.queue_kinds
    fit = [q for q in range(machine.queues) if cls.unit in ("ICU", kinds[q])]
    if cls.role >= 0:
        fit = [q for q in fit if (q - machine.mxm_queue) % 3 == cls.role]
    return fit


def arbitrary_program(seed: int, machine: Machine, size: int = 120) -> Program:
    """A program of every instruction, random where it may be; only the encoder's rules hold."""
    rng = np.random.RandomState(seed)
    classes = [cls for cls in REGISTRY.values() if not cls.word_only]
    clock: dict[int, int] = {}
    rows = []
    for i in range(size):
        cls = classes[i % len(classes)]
        fit = queues_of(cls, machine)
        queue = fit[rng.randint(len(fit))]
        wait = int(rng.choice([1, 2, LONGEST, LONGEST + 1, 10**9]))
        cycle = clock[queue] = clock.get(queue, 0) + wait
        args = [_value(rng, o, machine) for o in cls.operands]
        args += [0] * (10 - len(args))
        node = int(rng.randint(3))
        count = int(rng.choice([1, 2, 128, (1 << 32) - 1]))
        interval = int(rng.choice([0, 1, 4, (1 << 32) - 1]))
        stride = int(rng.choice([0, 1, -1, (1 << 31) - 1, -(1 << 31)]))
        rows.append((queue, cls.opcode, node, cycle, count, interval, stride, args))
        if cls.port == "read" and rng.randint(2):
            write = REGISTRY["write"].opcode
            if write > cls.opcode:
                rows.append((queue, write, 0, cycle, 1, 1, 0, [7, 3] + [0] * 8))
    rows.sort(key=lambda r: (r[0], r[3], r[1]))
    lanes = machine.lanes
    data = rng.randint(0, 256, (4, lanes)).astype(np.uint8)
    data[1:3] = 7
    pieces = (Piece(1, 4, 1, 6, 0, 2, 2, 4, 5), Piece(0, 4, 0, 12, 0, 1, 11, 1, 3, splat=True))
    return Program(
        machine,
        np.array([(*r[:-1], tuple(r[-1])) for r in rows], BURST),
        np.array([(0, 3, 2, 0), (5, 100, 1, 2)], SEGMENT),
        data,
        (PortTensor('ids; "x"\n', (3, 4), "int64", DType.I32, pieces, -3, 9),),
        (
            PortTensor("scalar é", (), "float32", DType.F32, ()),
            PortTensor("e", (0, 2), "bool", DType.I8, ()),
        ),
        ("", 'node "a"; b', "c"),
        (("model", "x.onnx"), ("dim", "seq=3")),
    )


def same_program(a: Program, b: Program) -> bool:
    """Equal in everything, arrays included."""
    arrays = all(
        np.array_equal(getattr(a, n), getattr(b, n)) for n in ("bursts", "segments", "data")
    )
    rest = all(
        getattr(a, n) == getattr(b, n) for n in ("machine", "inputs", "outputs", "nodes", "meta")
    )
    return arrays and rest


@pytest.fixture
def arbitrary() -> Arbitrary:
    """``arbitrary(seed, machine)``: see ``arbitrary_program``."""
    return arbitrary_program


@pytest.fixture
def same() -> Callable[[Program, Program], bool]:
    """``same(a, b)``: see ``same_program``."""
    return same_program


@pytest.fixture(scope="session")
def tiny() -> Machine:
    """The chip ``tiny``."""
    return load_chip("tiny")


@pytest.fixture(scope="session")
def tsp1() -> Machine:
    """The chip ``tsp1``."""
    return load_chip("tsp1")
