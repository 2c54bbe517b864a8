"""The tile form: unit-sized pieces of work on vectors, before any time or address is chosen.

A `Buffer` is a matrix whose rows are vectors: row ``r``, chunk ``c`` is one vector of up to ``lanes`` elements, a byte plane
each. The scheduler places it in *blocks* of consecutive rows. Work on buffers is of three kinds: a `VectorOp` (VXM), a
`MatrixJob` (a run of passes on one MXM pair) and a `GatherOp` (MEM). Each names the buffers, chunks and rows it touches, so
that dependences are read off the operands.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from isa.instruction import DType

Array = npt.NDArray[Any]


@dataclass(eq=False, slots=True)
class Buffer:
    """A matrix ``[rows, columns]`` of ``dtype`` on the chip.

    ``columns`` = 1 means uniform: each row holds one value in every lane. ``starts`` are the first rows of its blocks. ``data``
    gives a constant's elements; ``origin`` is the graph input it comes from, if it is one.
    """

    name: str
    dtype: DType
    rows: int
    columns: int
    starts: tuple[int, ...] = (0,)
    data: Callable[[], Array] | None = None
    origin: str = ""
    both: bool = False  # kept in both hemispheres
    vector: bool = False  # kept in both hemispheres for the VXM, not as an operand of the MXM pairs

    def chunks(self, lanes: int) -> int:
        """Vectors a row."""
        return -(-self.columns // lanes)

    def block(self, row: int) -> tuple[int, int]:
        """First row and number of rows of the block that holds ``row``."""
        ends = (*self.starts[1:], self.rows)
        for start, end in zip(self.starts, ends, strict=True):
            if start <= row < end:
                return start, end - start
        raise IndexError(row)

    @property
    def operand(self) -> bool:
        """Read by the MXM pairs."""
        return self.both and not self.vector

    @property
    def preloaded(self) -> bool:
        """In memory before cycle 0."""
        return self.data is not None or self.origin != ""

    def __str__(self) -> str:
        return f"%{self.name}"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows ``row .. row+count`` of one chunk; with ``stride`` 0, row ``row`` again and again.

    A vector op's inputs may have their lanes moved on the way, ``shift`` up (down if negative); lanes left empty are zero.
    """

    buffer: Buffer
    chunk: int
    row: int
    count: int
    stride: int = 1
    shift: int = 0

    def __str__(self) -> str:
        span = f"{self.row}" if self.stride == 0 else f"{self.row}:{self.row + self.count}"
        moved = f"^{self.shift:+}" if self.shift else ""
        return f"{self.buffer}.{self.chunk}[{span}]{moved}"


@dataclass(frozen=True, slots=True)
class Operand:
    """What a step reads: input ``index``, step ``index``, the reduced value, or an immediate (raw bits)."""

    kind: str  # "in" | "step" | "reduced" | "imm"
    index: int = 0

    def __str__(self) -> str:
        names = {"in": f"i{self.index}", "step": f"s{self.index}", "reduced": "r"}
        return names.get(self.kind, f"#{self.index:#x}")


@dataclass(frozen=True, slots=True)
class Step:
    """One VXM instruction of a chain: mnemonic, operand type, operands, and for ``cvt`` the result type."""

    op: str
    dtype: DType
    operands: tuple[Operand, ...]
    to: DType | None = None
    saturate: bool = False

    def __str__(self) -> str:
        to = f".{self.to.name.lower()}" if self.to is not None else ""
        return f"{self.op}.{self.dtype.name.lower()}{to}({', '.join(map(str, self.operands))})"


@dataclass(frozen=True, slots=True)
class Reduce:
    """Running reduction (``add`` or ``max``) over the rows of step ``step``; ``post`` steps work on the result."""

    op: str
    dtype: DType
    step: Operand
    post: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """Where a result goes: the value of step ``source`` (or of the reduction's last step), row by row."""

    source: Operand
    rows: Rows
    reduced: bool = False


@dataclass(eq=False, slots=True)
class VectorOp:
    """A chain of steps over ``count`` rows: read ``inputs``, write ``outputs``."""

    node: int
    count: int
    inputs: tuple[Rows, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Output, ...]
    reduce: Reduce | None = None

    def reads(self) -> list[Rows]:
        """What must be in memory first."""
        return list(self.inputs)

    def writes(self) -> list[Rows]:
        """What is in memory afterwards."""
        return [o.rows for o in self.outputs]

    def __str__(self) -> str:
        steps = "; ".join(f"s{i} = {s}" for i, s in enumerate(self.steps))
        tail = ""
        if self.reduce is not None:
            post = "".join(f"; p{i} = {s}" for i, s in enumerate(self.reduce.post))
            tail = f"; r = {self.reduce.op}({self.reduce.step}){post}"
        out = ", ".join(f"{o.rows} = {'r' if o.reduced else ''}{o.source}" for o in self.outputs)
        return (
            f"vector x{self.count} ({', '.join(map(str, self.inputs))}) {{{steps}{tail}}} -> {out}"
        )


@dataclass(eq=False, slots=True)
class WeightTile:
    """Constant weights of one pass: ``data()`` gives ``[columns, lanes]`` fp16, lane = contraction index."""

    name: str
    columns: int
    data: Callable[[], Array]

    def __str__(self) -> str:
        return f"@{self.name}"


@dataclass(frozen=True, slots=True)
class Load:
    """Rows of a buffer loaded as the weights of output columns ``column ..``, one row a column."""

    rows: Rows
    column: int


@dataclass(eq=False, slots=True)
class Weights:
    """What a pass installs: a constant tile, or rows of buffers. Columns ``first .. first+columns``."""

    first: int
    columns: int
    tile: WeightTile | None = None
    loads: tuple[Load, ...] = ()

    def __str__(self) -> str:
        body = str(self.tile) if self.tile else "+".join(f"{x.rows}@{x.column}" for x in self.loads)
        return f"{body}[{self.first}:{self.first + self.columns}]"


@dataclass(frozen=True, slots=True)
class Pass:
    """Rows driven through installed weights; lanes ``first .. first+rows`` take part.

    Row ``i`` meets accumulator ``acc + i``; ``start`` clears it first, ``emit`` gives where the sums go.
    """

    weights: Weights
    rows: Rows
    first: int
    window: int
    acc: int
    start: bool
    emit: Rows | None = None

    def __str__(self) -> str:
        sign = "=" if self.start else "+="
        out = f" -> {self.emit}" if self.emit else ""
        lanes = f"{self.first}:{self.first + self.window}"
        return f"acc[{self.acc}:] {sign} {self.rows}<{lanes}> x {self.weights}{out}"


@dataclass(eq=False, slots=True)
class MatrixJob:
    """Passes on one MXM pair, in order, nothing in between. ``dtype`` I8 moves bytes on both planes at once."""

    node: int
    dtype: DType
    passes: tuple[Pass, ...]

    def reads(self) -> list[Rows]:
        """What must be in memory first."""
        found = [p.rows for p in self.passes]
        weights = dict.fromkeys(p.weights for p in self.passes)
        return found + [load.rows for w in weights for load in w.loads]

    def writes(self) -> list[Rows]:
        """What is in memory afterwards."""
        return [p.emit for p in self.passes if p.emit is not None]

    def __str__(self) -> str:
        return f"matrix.{self.dtype.name.lower()} {{{'; '.join(map(str, self.passes))}}}"


@dataclass(eq=False, slots=True)
class GatherOp:
    """Rows of a constant ``table`` looked up by ids, for one group of table rows.

    Lane groups read ``table[id - base]`` if that lies in ``0 .. limit``, else row ``limit``, which is zero. ``ids`` are rows of a
    uniform buffer (its low two byte planes count); ``outputs`` gives, for each chunk of the table, the rows written.
    """

    node: int
    table: Buffer
    base: int
    ids: Rows
    outputs: tuple[Rows, ...]

    def reads(self) -> list[Rows]:
        """What must be in memory first."""
        return [self.ids]

    def writes(self) -> list[Rows]:
        """What is in memory afterwards."""
        return list(self.outputs)

    def __str__(self) -> str:
        out = ", ".join(map(str, self.outputs))
        return f"gather {self.table}[{self.ids} - {self.base}] -> {out}"


TileOp = VectorOp | MatrixJob | GatherOp


@dataclass(slots=True)
class TileGraph:
    """All work of a model in dependence order. ``inputs``/``outputs`` map graph names to how the host sees a buffer."""

    lanes: int
    nodes: list[str] = field(default_factory=lambda: [""])
    ops: list[TileOp] = field(default_factory=list)
    inputs: dict[str, list[Buffer]] = field(default_factory=dict)
    outputs: dict[str, Buffer] = field(default_factory=dict)

    def text(self) -> str:
        """One line an op."""
        lines = [f"; {self.lanes} lanes, {len(self.ops)} ops"]
        node = -1
        for op in self.ops:
            if op.node != node:
                node = op.node
                lines.append(f"node {self.nodes[node]}")
            lines.append(f"  {op}")
        return "\n".join(lines) + "\n"


def row_blocks(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """First rows of the blocks of a row space of leading dimensions ``shape``, at most ``size`` rows a block.

    A long last dimension is cut into equal blocks; several short ones share a block, so that the rows of one batch item
    lie in as few blocks as possible.
    """
    total = int(np.prod(shape, dtype=np.int64)) if shape else 1
    inner = shape[-1] if shape else 1
    if inner <= size:
        step = inner * max(1, size // max(inner, 1))
        return tuple(range(0, total, step)) or (0,)
    pieces = -(-inner // size)
    step = math.ceil(inner / pieces / 16) * 16
    return tuple(o + i for o in range(0, total, inner) for i in range(0, inner, step))
