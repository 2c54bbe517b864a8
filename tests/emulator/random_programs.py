"""Random valid programs: every instruction on every type it takes, in the shapes that make an implementation stumble.

Values are supplied from constants in memory or picked up from whatever other bursts left on a stream, so that streams are
overwritten, operands come from several producers, and bursts overlap in time both ways. Data is never what makes a program
legal. ``random_program(seed, machine)`` gives the same program for the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from isa.instruction import REGISTRY, DType, Source, SourceKind
from isa.machine import Machine
from isa.ops import mem, vxm
from isa.program import Piece, PortTensor, Program, pack_constants
from tests.emulator.random_board import MOVED, Board
from tests.emulator.random_matrix import matrix_passes
from tests.emulator.random_moves import (
    exchange,
    gather,
    interleaved_rewrite,
    memory_loop,
    queue_control,
    scatter,
)
from tests.emulator.random_source import Maker
from tests.emulator.random_types import Byte, Walk, Word, fits, kept

HORIZON: Final = 640
VECTORS: Final = 12
"""VXM variants a program has; together, seeds in a row go through all of them."""
SMALL_HORIZON: Final = 340
SMALL_VECTORS: Final = 5
SMALL_GADGETS: Final = 2
NODES: Final = ("", "first", "second")


@lru_cache(maxsize=1)
def vxm_variants() -> tuple[dict[str, Any], ...]:
    """Every VXM operation with every type (and target type, and saturation) it takes, in a fixed shuffled order."""
    variants: list[dict[str, Any]] = []
    for name, cls in sorted(REGISTRY.items()):
        if cls.unit != "VXM":
            continue
        assert issubclass(cls, vxm.VxmInstruction)
        names = {o.name for o in cls.operands}
        for dtype in cls.types:
            for to in DType if "to" in names else (None,):
                for saturate in (0, 1) if "saturate" in names else (None,):
                    variant = {"name": name, "dtype": dtype, "to": to, "saturate": saturate}
                    variants.append({k: v for k, v in variant.items() if v is not None})
    order = np.random.RandomState(0).permutation(len(variants))
    return tuple(variants[i] for i in order)


def vector(make: Maker, variant: dict[str, Any]) -> bool:
    """A burst of one VXM operation, its operands from anywhere; what it drives out is mostly stored."""
    rng, machine = make.rng, make.machine
    cls = REGISTRY[variant["name"]]
    fields = {k: v for k, v in variant.items() if k != "name"}
    count, interval = make.count(), make.interval()
    cycle = make.cycle()
    alu = rng.randint(machine["vxm.large_alus"] if cls.large else machine["vxm.alus"])
    probe = cls(**fields, **dict.fromkeys("abc"[: cls.arity], 0))
    assert isinstance(probe, vxm.VxmInstruction)
    for i, name in enumerate("abc"[: cls.arity]):
        free = variant["name"] == "mov"
        source = operand(make, probe.source_dtype(i), cycle, count, interval, free)
        if source is None:
            return False
        fields[name] = source.pack()
        if source.kind is SourceKind.IMMEDIATE:
            fields["imm"] = immediate(make, probe.source_dtype(i))
    planes = probe.result_dtype.planes
    sides = rng.randint(4)
    if sides & 1 or sides == 0:
        fields["east"] = 1 + make.group(planes)
    if sides & 2:
        fields["west"] = 1 + make.group(planes)
    queue = machine.vxm_queue + alu
    placed = make.board.place(queue, cycle, cls(**fields), count, interval, shorten=True)
    if not placed:
        return False
    landing = cycle + machine.timing("vxm_alu")
    for side, first in (("east", 0), ("west", machine.streams)):
        if side in fields:
            stream = first + fields[side] - 1
            make.store(stream, planes, machine.vxm_position, landing, placed, interval)
    return True


def immediate(make: Maker, dtype: DType) -> int:
    """An immediate of ``dtype``; the bytes past its width are arbitrary."""
    value = make.values(dtype, 1)[:, :1].copy().view(np.uint8)[0]
    raw = make.rng.randint(0, 256, 4).astype(np.uint8)
    raw[: dtype.planes] = value
    return int(raw.view("<u4")[0])


def operand(
    make: Maker, dtype: DType, cycle: int, count: int, interval: int, free: bool
) -> Source | None:
    """A source whose value exists from ``cycle`` on: an immediate, another ALU, a stream of other bursts or of constants.

    Values are of the type, as far as the board knows, unless the instruction is ``free`` to take others.
    """
    rng, board, machine = make.rng, make.board, make.machine
    draw = rng.rand()
    longest = machine["vxm.max_delay"]
    window, typed = slice(max(0, cycle - longest), cycle + 1), (int(dtype), MOVED)
    if draw < 0.12:
        return Source(SourceKind.IMMEDIATE)
    if draw < 0.45:
        good = board.outputs[:, window] == dtype.planes
        alus, cycles = np.nonzero(good & (free | (board.types[:, window] == dtype)))
        if len(alus):
            i = rng.randint(len(alus))
            return Source(SourceKind.ALU, int(alus[i]), cycle - window.start - int(cycles[i]))
    if draw < 0.7:
        good = board.at_vxm[:, window] & (free | np.isin(board.types_at_vxm[:, window], typed))
        whole = good.reshape(-1, dtype.planes, good.shape[1]).all(1)
        groups, cycles = np.nonzero(whole)
        if len(groups):
            i = rng.randint(len(groups))
            delay = cycle - window.start - int(cycles[i])
            return Source(SourceKind.STREAM, int(groups[i]) * dtype.planes, delay)
    delay = rng.randint(longest + 1) if rng.rand() < 0.3 else 0
    stream = make.group(dtype.planes) + machine.streams * rng.randint(2)
    place = machine.vxm_position
    if not make.supply(stream, dtype, place, cycle - delay, count, interval):
        return None
    return Source(SourceKind.STREAM, stream, delay)


REDUCTIONS: Final = ("add", "sub", "mul", "max", "min", "and", "or", "xor", "le", "select")


def running(make: Maker) -> bool:
    """A reduction over time: a burst reads its own results, ``partials`` of them under way, after as many plain moves."""
    rng, machine = make.rng, make.machine
    cls = REGISTRY[REDUCTIONS[rng.randint(len(REDUCTIONS))]]
    dtype = DType.I8 if cls.mnemonic == "le" else DType(rng.randint(5))
    latency, longest = machine.timing("vxm_alu"), machine["vxm.max_delay"]
    interval, partials = make.interval(), rng.randint(1, 5)
    delay = partials * interval - latency
    if not 0 <= delay <= longest:
        return False
    cycle, steps = make.cycle(), rng.randint(1, 16)
    alu = rng.randint(machine["vxm.large_alus"])
    stream = make.group(dtype.planes)
    here = machine.vxm_position
    if not make.supply(stream, dtype, here, cycle, partials + steps, interval):
        return False
    first, own = Source(SourceKind.STREAM, stream), Source(SourceKind.ALU, alu, delay)
    queue, start = machine.vxm_queue + alu, cycle + partials * interval
    east = 1 + make.group(dtype.planes)
    fields: dict[str, int] = {"dtype": dtype, "a": own.pack(), "b": first.pack(), "east": east}
    if cls.arity == 3:
        mask = make.group(1) + machine.streams
        if not make.supply(mask, DType.I8, here, start, steps, interval):
            return False
        fields["c"] = Source(SourceKind.STREAM, mask).pack()
    elif rng.rand() < 0.5:
        fields["a"], fields["b"] = fields["b"], fields["a"]
    move = vxm.Mov(dtype, first.pack(), 0, east)
    if not make.board.place(queue, cycle, move, partials, interval):
        return False
    if not make.board.place(queue, start, cls(**fields), steps, interval):
        return False
    last = start + (steps - 1) * interval + latency
    make.store(east - 1, dtype.planes, here, last, 1, 1)
    return make.store(east - 1, dtype.planes, here, start + latency, steps, interval)


def chain(make: Maker) -> bool:
    """A few operations ALU to ALU with equal repeats, as a fused region looks; sources reach back with delays."""
    rng, machine = make.rng, make.machine
    latency, length = machine.timing("vxm_alu"), rng.randint(2, 7)
    cycle, count, interval = make.cycle(), make.count(), make.interval()
    stream = make.group(4)
    if not make.supply(stream, DType.F32, machine.vxm_position, cycle, count, interval):
        return False
    queues = rng.permutation(machine["vxm.large_alus"])[:length]
    names = ("add", "mul", "sub", "max", "exp", "rsqrt", "tanh", "relu", "neg")
    for i, alu in enumerate(int(q) for q in queues):
        cls = REGISTRY[names[rng.randint(len(names))]]
        at = cycle + latency * i

        def source(step: int = i) -> int:
            back = rng.randint(-1, step) if step else -1
            if back < 0:
                return Source(SourceKind.STREAM, stream, latency * step).pack()
            delay = latency * (step - 1 - back)
            return Source(SourceKind.ALU, int(queues[back]), delay).pack()

        fields = {"dtype": int(DType.F32), **{n: source() for n in "abc"[: cls.arity]}}
        if i == length - 1:
            fields["west"] = 1 + make.group(4)
        if not make.board.place(machine.vxm_queue + alu, at, cls(**fields), count, interval):
            return False
    out, landing = machine.streams + fields["west"] - 1, cycle + latency * length
    return make.store(out, 4, machine.vxm_position, landing, count, interval)


def copy(make: Maker) -> bool:
    """Words of memory, however they came about, to other words."""
    found = make.initialised(make.count())
    if found is None:
        return False
    slice_, address, stride, count, ready = found
    cycle = max(make.cycle(), ready) if make.rng.rand() < 0.5 else ready + make.rng.randint(20)
    stream, interval = make.rng.randint(2 * make.machine.streams), make.interval()
    instr = mem.Read(address, stream)
    placed = make.board.place(slice_, cycle, instr, count, interval, stride, shorten=True)
    landing = cycle + make.machine.timing("mem_read")
    position = make.machine.queue_positions[slice_]
    return bool(placed) and make.store(stream, 1, position, landing, placed, interval)


GADGETS: Final[tuple[tuple[Callable[[Maker], bool], int], ...]] = (
    (running, 3),
    (chain, 2),
    (copy, 4),
    (interleaved_rewrite, 3),
    (memory_loop, 1),
    (gather, 3),
    (scatter, 3),
    (exchange, 7),
    (queue_control, 2),
    (matrix_passes, 4),
)
"""What a program is made of besides VXM variants, and how many of each are tried."""


def add_inputs(make: Maker) -> tuple[PortTensor, ...]:
    """Inputs of every kind of border type, in words of their own; ``copy`` and ``gather`` may read them."""
    kinds = (
        ("int64", DType.I32),
        ("float32", DType.F32),
        ("float16", DType.F16),
        ("bool", DType.I8),
    )
    tensors = []
    for i in make.rng.permutation(len(kinds))[: make.rng.randint(4)]:
        abi, dtype = kinds[i]
        rows, columns = make.rng.randint(1, 6), make.rng.randint(1, make.machine.lanes + 1)
        lane = make.rng.randint(make.machine.lanes - columns + 1)
        splat = bool(make.rng.rand() < 0.3)
        pieces = []
        for plane in range(dtype.planes):
            slice_ = make.rng.randint(2 * make.machine.slices)
            address = make.fresh(slice_, rows)
            if address is not None:
                make.board.defined[slice_, address : address + rows] = 0
                width, at = (1, 0) if splat else (columns, lane)
                pieces.append(Piece(slice_, address, plane, columns, 0, rows, 0, width, at, splat))
        tensors.append(PortTensor(f"in{i}", (rows, columns), abi, dtype, tuple(pieces)))
    return tuple(tensors)


def pick_outputs(make: Maker, words: dict[Word, Byte]) -> tuple[PortTensor, ...]:
    """Outputs read from wherever something was written that may be taken so; ``words``: what is there in the end."""
    tensors = []
    written = [(int(s), int(w)) for s, w in zip(*np.nonzero(make.written()), strict=True)]
    for i in range(3):
        dtype, rows = DType(make.rng.randint(5)), make.rng.randint(1, 4)
        pieces = []
        for plane in range(dtype.planes):
            byte = dtype, plane
            there = [at for at in written if fits(words.get(at), byte, moved=True)]
            if there:
                slice_, word = there[make.rng.randint(len(there))]
                pieces += [Piece(slice_, word, plane, 8, r, 1, 0, 8, 5) for r in range(rows)]
        if len(pieces) == dtype.planes * rows:
            abi = "int64" if dtype is DType.I32 else str(dtype.numpy)
            tensors.append(PortTensor(f"out{i}", (rows, 8), abi, dtype, tuple(pieces)))
    return tuple(tensors)


def random_program(seed: int, machine: Machine) -> Program:
    """A valid program of some 300 bursts and 1,400 dispatches, for a chip about as small as ``tiny``."""
    gadgets = [gadget for gadget, copies in GADGETS for _ in range(copies)]

    def make(rng: np.random.RandomState) -> Program | None:
        maker = Maker(Board(machine, HORIZON), rng)
        return _program(maker, seed * VECTORS, VECTORS, gadgets, 0.8)

    return _first(seed, make)


def small_program(seed: int, machine: Machine) -> Program:
    """A valid program of some 40 bursts: a few VXM variants and two other gadgets. Seeds in a row go through all variants."""
    weights = np.array([copies for _, copies in GADGETS])

    def make(rng: np.random.RandomState) -> Program | None:
        maker = Maker(Board(machine, SMALL_HORIZON), rng)
        maker.counts = (1, 2, 2, 3, 5)
        some = rng.randint(1, SMALL_GADGETS + 1)
        drawn = rng.choice(len(GADGETS), some, p=weights / weights.sum())
        gadgets = [GADGETS[i][0] for i in drawn]
        if rng.rand() < 0.25:
            gadgets.append(queue_control)
        return _program(maker, seed * SMALL_VECTORS, SMALL_VECTORS, gadgets, 0.15)

    return _first(seed, make)


def _first(seed: int, make: Callable[[np.random.RandomState], Program | None]) -> Program:
    """The first of a seed's programs whose values are read as what they are."""
    rng = np.random.RandomState(seed)
    while True:
        program = make(rng)
        if program is not None:
            return program


def _program(
    make: Maker, first: int, vectors: int, gadgets: list[Callable[[Maker], bool]], pool: float
) -> Program | None:
    """VXM variants from number ``first`` on and gadgets, in random order; constants at so many edges of banks.

    None if some value is overwritten by one of another type, and cannot be replaced by an immediate.
    """
    inputs = add_inputs(make)
    make.pool(pool)
    variants = vxm_variants()
    wanted: list[Callable[[Maker], bool]] = [
        partial(vector, variant=variants[i % len(variants)]) for i in range(first, first + vectors)
    ]
    wanted += gadgets
    for i in make.rng.permutation(len(wanted)):
        make.attempt(wanted[i], tries=12 if i < vectors else 6)
    segments, data = pack_constants(make.board.words, make.machine.lanes)
    bursts = make.board.bursts.array()
    program = kept(Program(make.machine, bursts, segments, data, inputs, (), NODES))
    if program is None:
        return None
    return replace(program, outputs=pick_outputs(make, Walk(program).words))


def random_inputs(seed: int, program: Program) -> dict[str, npt.NDArray[Any]]:
    """Values for all inputs of a program, special ones among them."""
    make = Maker(Board(program.machine, 1), np.random.RandomState(seed))
    return {
        t.name: (make.values(t.dtype, t.shape[0])[:, : t.shape[1]] != 0).astype(bool)
        if t.abi_dtype == "bool"
        else make.values(t.dtype, t.shape[0])[:, : t.shape[1]].astype(t.abi_dtype)
        for t in program.inputs
    }
