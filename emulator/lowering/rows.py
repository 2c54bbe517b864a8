"""Row kernels: a graph of VXM operations applied lane by lane to row after row, between memory, values and memory.

A row is one dispatch of every operation. What a kernel reads and writes lies in rows ``stride`` bytes apart, in one of two forms:

- a *value*: an element a lane, contiguous, as one operation's result is kept between kernels;
- *planes*: a byte of each lane a plane, each plane in its own place; ``(size, byte)`` says that the byte is number ``byte``
  of an element of ``size`` bytes. Words of the chip's memory are planes ``(1, 0)``.

Descriptor: rows; pointer and stride of each place in ``Shape.inputs``; each immediate;
pointer and stride of each of ``Shape.outputs``. All loads of a row's lanes precede its stores; rows go in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from emulator.lowering import planes
from emulator.lowering.text import Function, Target, module
from emulator.lowering.values import Lanes
from emulator.lowering.vector import COMPARES, Op, condition, lower
from isa.instruction import DType


class Source(NamedTuple):
    """An operand inside a shape: ``i`` input, ``o`` operation or ``m`` immediate, by index."""

    kind: str
    index: int  # type: ignore[assignment]  # tuple.index is not used


class Input(NamedTuple):
    """What a row kernel reads: a value of ``size`` bytes a lane (``planes`` empty), or the planes of one.

    With ``spread``, a row is a single value, which every lane takes.
    """

    size: int
    planes: tuple[tuple[int, int], ...] = ()
    spread: bool = False


class Output(NamedTuple):
    """What a row kernel writes: all of a value (``plane`` -1), or one byte plane of it."""

    source: Source
    plane: int = -1


@dataclass(frozen=True)
class Shape:
    """All that decides a row kernel's code. Operations come after those they use."""

    inputs: tuple[Input, ...]
    operations: tuple[tuple[Op, tuple[Source, ...]], ...]
    immediates: int
    outputs: tuple[Output, ...]

    def source(self, target: Target) -> str:
        """The kernel's module."""
        return module([("kernel", _RowKernel(self, target).write())])


class _RowKernel:
    """One row kernel being written."""

    def __init__(self, shape: Shape, target: Target) -> None:
        self.shape = shape
        self.target = target
        self.f = Function()
        blocks = target.lanes % planes.BLOCK == 0 and self._in_planes(shape)
        self.halves = 2 if blocks else 1
        self.step = planes.BLOCK if blocks else target.step
        self.v = Lanes(self.f, self.step // self.halves, target.half)
        self.cursor = 1
        self.loose: dict[int, DType] = {}

    def write(self) -> Function:
        """The function's body."""
        f = self.f
        start, stop = f.share(f.word(0))
        places = [[self._place() for _ in i.planes or (0,)] for i in self.shape.inputs]
        immediates = [f.word(self._word()) for _ in range(self.shape.immediates)]
        spread = self._spread(immediates)
        outputs = [self._place() for _ in self.shape.outputs]
        with f.loop(start, stop) as row:
            inputs = [[self._row(p, row) for p in place] for place in places]
            targets = [self._row(p, row) for p in outputs]
            with f.loop(0, self.target.lanes, self.step) as lane:
                self._lanes(lane, inputs, spread, targets)
        return f

    def _in_planes(self, shape: Shape) -> bool:
        """Whether elements of several bytes are put together from planes, or taken apart."""
        whole = any(len(i.planes) > 1 for i in shape.inputs)
        return whole or any(o.plane >= 0 and self._size(o.source) > 1 for o in shape.outputs)

    def _word(self) -> int:
        self.cursor += 1
        return self.cursor - 1

    def _place(self) -> tuple[str, str]:
        return self.f.pointer(self._word()), self.f.word(self._word())

    def _row(self, place: tuple[str, str], row: str) -> str:
        pointer, stride = place
        return self.f.at(pointer, self.f.let(f"mul i64 {row}, {stride}"))

    def _spread(self, immediates: list[str]) -> dict[tuple[int, int], str]:
        """Each immediate in every lane, at each width it is used in."""
        spread: dict[tuple[int, int], str] = {}
        for op, sources in self.shape.operations:
            for place, source in enumerate(sources):
                width = 8 * op.source(place).planes
                if source.kind == "m" and (source.index, width) not in spread:
                    cut = self.f.let(f"trunc i64 {immediates[source.index]} to i{width}")
                    spread[source.index, width] = self.v.spread(f"i{width}", cut)
        return spread

    def _lanes(
        self,
        lane: str,
        inputs: list[list[str]],
        spread: dict[tuple[int, int], str],
        targets: list[str],
    ) -> None:
        """One step of the lane loop: load, compute, store."""
        shape = self.shape
        loaded = [self._load(lane, i, p) for i, p in zip(shape.inputs, inputs, strict=True)]
        halves = self._compute(loaded, spread)
        split: dict[Source, list[str]] = {}
        for number, (output, pointer) in enumerate(zip(shape.outputs, targets, strict=True)):
            raw, size = [half[number] for half in halves], self._size(output.source)
            if output.plane < 0:
                self._store_value(lane, raw, size, pointer)
                continue
            if output.source not in split:
                split[output.source] = self._split(raw, 8 * size)
            part = split[output.source][output.plane]
            self.f.do(f"store <{self.step} x i8> {part}, ptr {self.f.at(pointer, lane)}, align 1")

    def _compute(
        self, loaded: list[list[str]], spread: dict[tuple[int, int], str]
    ) -> list[list[str]]:
        """What is stored of each output, for ``v.n`` lanes of each half."""
        v, every = self.v, range(self.halves)
        results: list[list[str]] = []
        exact: dict[int, list[str]] = {}
        holds: dict[int, list[str]] = {}  # comparisons, as what a select wants

        def get(source: Source, width: int, read_as: DType | None) -> list[str]:
            if source.kind == "i":
                return loaded[source.index]
            if source.kind == "m":
                return [spread[source.index, width]] * self.halves
            op = self.shape.operations[source.index][0]
            if not op.loose or read_as is op.result:
                return results[source.index]
            if source.index not in exact:
                exact[source.index] = [v.canonical(r, op.result) for r in results[source.index]]
            return exact[source.index]

        for op, sources in self.shape.operations:
            operands = []
            for number, source in enumerate(sources):
                type_ = op.source(number)
                operands.append(get(source, 8 * type_.planes, None if op.exact_sources else type_))
            given = [[o[h] for o in operands] for h in every]
            if op.mnemonic in COMPARES:
                holds[len(results)] = [condition(v, op, *g) for g in given]
            if op.mnemonic == "select" and sources[2].kind == "o" and sources[2].index in holds:
                width = 8 * op.result.planes
                both = zip(holds[sources[2].index], given, strict=True)
                results.append([v.select(c, width, *g[:2]) for c, g in both])
            else:
                results.append([lower(v, op, *g) for g in given])
        outputs = self.shape.outputs
        got = [get(o.source, 8 * self._size(o.source), None) for o in outputs]
        return [[g[h] for g in got] for h in every]

    def _size(self, source: Source) -> int:
        if source.kind == "i":
            return self.shape.inputs[source.index].size
        return self.shape.operations[source.index][0].result.planes

    def _load(self, lane: str, given: Input, pointers: list[str]) -> list[str]:
        """An input's lanes as raw bits, half by half."""
        v, f = self.v, self.f
        if given.spread:
            type_ = f"i{8 * given.size}"
            one = f.let(f"load {type_}, ptr {pointers[0]}, align 1")
            return [v.spread(type_, one)] * self.halves
        if self.halves == 1:
            if not given.planes:
                return [load(v, pointers[0], lane, given.size)]
            return [load_joined(v, given, pointers, lane)]
        if not given.planes:
            place = f.at(pointers[0], f.let(f"mul i64 {lane}, {given.size}"))
            return planes.load_value(v, place, 8 * given.size)
        wide = Lanes(f, self.step, v.half)
        places = zip(given.planes, pointers, strict=True)
        return planes.joined(v, [load_plane(wide, p, lane, *where) for where, p in places])

    def _split(self, raw: list[str], width: int) -> list[str]:
        """All byte planes of a value."""
        if self.halves > 1:
            return planes.split(self.v, raw, width)
        v, out = self.v, []
        for plane in range(width // 8):
            part = v.op("lshr", width, raw[0], v.splat(width, 8 * plane)) if plane else raw[0]
            out.append(v.resize(part, width, 8))
        return out

    def _store_value(self, lane: str, raw: list[str], size: int, pointer: str) -> None:
        v, where = self.v, self.f.at(pointer, self.f.let(f"mul i64 {lane}, {size}"))
        if self.halves > 1:
            planes.store_value(v, raw, where, 8 * size)
        else:
            v.f.do(f"store {v.integer(8 * size)} {raw[0]}, ptr {where}, align 1")


def load_joined(v: Lanes, given: Input, pointers: list[str], lane: str) -> str:
    """``v.n`` elements of an input in byte planes, as raw bits."""
    raw, width = "", 8 * given.size
    for number, ((size, byte), pointer) in enumerate(zip(given.planes, pointers, strict=True)):
        part = v.resize(load_plane(v, pointer, lane, size, byte), 8, width, signed=False)
        if number:
            part = v.op("shl", width, part, v.splat(width, 8 * number))
            part = v.op("or", width, raw, part)
        raw = part
    return raw


def load(v: Lanes, pointer: str, lane: str, size: int) -> str:
    """``v.n`` elements of ``size`` bytes from element ``lane`` on, as raw bits."""
    where = v.f.at(pointer, v.f.let(f"mul i64 {lane}, {size}"))
    return v.f.let(f"load {v.integer(8 * size)}, ptr {where}, align 1")


def load_plane(v: Lanes, pointer: str, lane: str, size: int, byte: int) -> str:
    """Byte ``byte`` of ``v.n`` elements of ``size`` bytes from element ``lane`` on, as 8-bit lanes."""
    raw = load(v, pointer, lane, size)
    if byte:
        raw = v.op("lshr", 8 * size, raw, v.splat(8 * size, 8 * byte))
    return v.resize(raw, 8 * size, 8)
