"""State of the lowering from `Graph` to `TileGraph`: values by layout, buffers, and the writing of expressions to rows.

A *layout* says which axis of a tensor lies across lanes: ``N`` the last, ``T`` the one before it, ``U`` none (every element is a
uniform vector of its own). All other axes, in order, number the rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

import numpy as np

from compiler.graph import Constant, Graph, Node, Shape
from compiler.graph import DType as GraphDType
from compiler.tiles import (
    Array,
    Buffer,
    MatrixJob,
    Operand,
    Output,
    Reduce,
    Rows,
    Step,
    TileGraph,
    TileOp,
    VectorOp,
    Weights,
    row_blocks,
)
from compiler.tiling.expr import Apply, Chain, Expr, Imm, Index, Leaf, Value, convert, imm, runs
from isa.errors import InputError
from isa.instruction import DType
from isa.machine import Machine

Layout = Literal["N", "T", "U"]
T = TypeVar("T")

MACHINE_DTYPES: Final = {
    GraphDType.F32: DType.F32,
    GraphDType.F16: DType.F16,
    GraphDType.I32: DType.I32,
    GraphDType.I16: DType.I16,
    GraphDType.I8: DType.I8,
    GraphDType.BOOL: DType.I8,
}


def chunk_order(columns: int, lanes: int) -> list[int]:
    """Chunks of a matrix operand in the order of their passes, the short one first: a full one last lets results leave at half rate."""
    chunks = list(range(-(-columns // lanes)))
    return chunks[-1:] + chunks[:-1] if columns % lanes else chunks


def lane_axis(shape: Shape, layout: Layout) -> int | None:
    """The axis across lanes, or None."""
    rank = len(shape)
    axis = {"N": rank - 1, "T": rank - 2, "U": -1}[layout]
    return axis if 0 <= axis < rank else None


def row_dims(shape: Shape, layout: Layout) -> Shape:
    """The dimensions that number the rows."""
    lane = lane_axis(shape, layout)
    return tuple(d for a, d in enumerate(shape) if a != lane)


def columns(shape: Shape, layout: Layout) -> int:
    """Elements a row."""
    lane = lane_axis(shape, layout)
    return 1 if lane is None else shape[lane]


@dataclass
class Context:
    """Everything one lowering knows. ``parts`` is 1 (fp16 operands) or 2 (hi and lo fp16 parts)."""

    graph: Graph
    machine: Machine
    parts: int
    block: int
    tiles: TileGraph
    node: int = 0
    keep: frozenset[str] = frozenset()
    values: dict[tuple[str, Layout], Value] = field(default_factory=dict)
    operands: dict[str, tuple[Buffer, ...]] = field(default_factory=dict)
    shared: dict[str, Buffer] = field(default_factory=dict)
    weights: dict[str, Weights] = field(default_factory=dict)
    biases: dict[str, list[list[Value]]] = field(default_factory=dict)
    joint: frozenset[str] = frozenset()
    _latest: tuple[Callable[[], Any], Any] | None = None

    def __post_init__(self) -> None:
        self.uses = {name: len(users) for name, users in self.graph.consumers().items()}
        wanted = [o.tensor for o in self.graph.outputs]
        for name in [*wanted, *self.keep]:
            self.uses[name] = self.uses.get(name, 0) + 1
        self.named = frozenset(wanted) | self.keep
        self.numbers: dict[str, int] = {}
        self.producers = self.graph.producers()
        self.users = self.graph.consumers()
        self.matrix = frozenset(
            name for node in self.graph.nodes for name in matrix_operands(node) if name
        )

    def latest(self, load: Callable[[], T]) -> T:
        """``load()``, kept until another is asked for: the pieces of one matrix are read one after the other."""
        if self._latest is None or self._latest[0] is not load:
            self._latest = None  # No two are held at a time.
            self._latest = (load, load())
        found: T = self._latest[1]
        return found

    def matrix_only(self, tensor: str) -> bool:
        """Whether every user takes the tensor as an MXM operand."""
        return all(tensor in matrix_operands(node) for node in self.users[tensor])

    @property
    def lanes(self) -> int:
        """Lanes of a vector."""
        return self.machine.lanes

    def window(self, lanes: int) -> int:
        """``lanes`` rounded up to the row window's granularity."""
        grain = self.machine["mxm.window"]
        return -(-lanes // grain) * grain

    def shape(self, tensor: str) -> Shape:
        """Shape of a graph tensor."""
        return self.graph.tensors[tensor].shape

    def dtype(self, tensor: str) -> DType:
        """Machine type of a graph tensor."""
        found = MACHINE_DTYPES.get(self.graph.tensors[tensor].dtype)
        if found is None:
            kind = self.graph.tensors[tensor].dtype.value
            raise InputError(126, f"tensor '{tensor}' is {kind}, which the machine does not have")
        return found

    def unsupported(self, node: Node, reason: str) -> InputError:
        """A refusal that names the node."""
        origin = ", ".join(node.origin) or node.name
        return InputError(125, f"{node.op} cannot be mapped: {reason}", where=f"node '{origin}'")

    def enter(self, node: Node) -> int:
        """Attribute what follows to ``node``; the number of the node before it."""
        before = self.node
        name = node.name
        if name not in self.numbers:
            self.numbers[name] = len(self.tiles.nodes)
            self.tiles.nodes.append(name)
        self.node = self.numbers[name]
        return before

    def emit(self, op: TileOp) -> None:
        """Append an op."""
        self.tiles.ops.append(op)

    def constant(self, name: str, shape: tuple[int, int], dtype: DType, data: Callable[[], Array],
                 *, both: bool = False) -> Buffer:  # fmt: skip
        """A constant buffer, made once a name."""
        if name not in self.shared:
            rows, cols = shape
            self.shared[name] = Buffer(name, dtype, rows, cols, data=data, both=both)
        return self.shared[name]

    def buffer(self, name: str, dtype: DType, dims: Shape, cols: int, *, both: bool = False,
               starts: tuple[int, ...] | None = None) -> Buffer:  # fmt: skip
        """A new buffer over a row space of dimensions ``dims``."""
        rows = math.prod(dims)
        cut = row_blocks(dims, self.block) if starts is None else starts
        return Buffer(name, dtype, rows, cols, cut, both=both)

    def leaf(self, buffer: Buffer) -> Value:
        """All of a buffer as a value."""
        return Value(Leaf(buffer, np.arange(buffer.rows)), buffer.rows, buffer.columns)

    def write(self, dims: Shape, targets: Sequence[tuple[Expr, Buffer]],
              chunks: range | None = None, *, less: int = 0) -> None:  # fmt: skip
        """Compute expressions over a row space and write each to its buffer, one `VectorOp` a chunk and run of rows.

        Chunk ``c`` of an expression becomes chunk ``c - less`` of the buffer.
        """
        width = max(b.columns for _, b in targets)
        order = (
            chunk_order(width, self.lanes)
            if targets[-1][1].operand
            else range(-(-width // self.lanes))
        )
        found: dict[int, list[tuple[int, int]]] = {}  # by how many targets have the chunk
        for chunk in chunks if chunks is not None else order:
            to = chunk - less
            here = [(e, b) for e, b in targets if to < b.chunks(self.lanes)]
            if len(here) not in found:
                found[len(here)] = self.runs_of(here)
            for start, count in found[len(here)]:
                chain = Chain(chunk, start, count)
                outputs = [Output(chain.result(e), Rows(b, to, start, count)) for e, b in here]
                steps, inputs = tuple(chain.steps), tuple(chain.inputs)
                self.emit(VectorOp(self.node, count, inputs, steps, tuple(outputs)))

    def runs_of(self, targets: Sequence[tuple[Expr, Buffer]]) -> list[tuple[int, int]]:
        """Row runs within blocks of every target and even in every leaf."""
        starts = sorted({s for _, b in targets for s in b.starts})
        rows = targets[0][1].rows
        blocks = zip(starts, [*starts[1:], rows], strict=True)
        exprs = [e for e, _ in targets]
        return [run for start, stop in blocks for run in runs(exprs, start, stop)]

    def split(self, expr: Expr, parts: int = 0) -> list[Expr]:
        """An f32 expression as fp16 parts: hi, and if ``parts`` (or the precision) asks for two, lo = x - hi."""
        hi = convert(expr, DType.F16)
        if (parts or self.parts) == 1:
            return [hi]
        back = convert(hi, DType.F32)
        return [hi, convert(Apply("sub", DType.F32, (expr, back)), DType.F16)]

    def reduce(self, op: str, expr: Expr, span: tuple[int, int], chunk: int, out: Rows,
               post: Callable[[Operand], tuple[Step, ...]] | None = None,
               also: Sequence[tuple[Expr, Buffer]] = ()) -> None:  # fmt: skip
        """Reduce rows ``start .. start+count`` of ``expr`` to the single row ``out``; ``also`` is written row by row."""
        start, count = span
        chain = Chain(chunk, start, count)
        source = chain.result(expr)
        outputs = [Output(chain.result(e), Rows(b, chunk, start, count)) for e, b in also]
        steps = post(Operand("reduced")) if post else ()
        last = Operand("step", len(steps) - 1) if steps else Operand("reduced")
        outputs.append(Output(last, out, reduced=True))
        reduction = Reduce(op, expr.dtype, source, steps)
        inputs, body = tuple(chain.inputs), tuple(chain.steps)
        self.emit(VectorOp(self.node, count, inputs, body, tuple(outputs), reduction))

    def products(self) -> list[tuple[int, int]]:
        """Pairs of (left part, right part) whose products make up a matmul."""
        return [(0, 0)] if self.parts == 1 else [(0, 0), (1, 0), (0, 1)]

    def matrix_job(self, job: MatrixJob) -> None:
        """Append a matrix job; an empty one is dropped."""
        if job.passes:
            self.emit(job)


def matrix_operands(node: Node) -> tuple[str, ...]:
    """Operands of a node that go to the MXM as activations."""
    if node.op == "Linear":
        return node.inputs[:1]
    if node.op == "Attention":
        return node.inputs[:3]
    return node.inputs if node.op == "MatMul" else ()


def const_value(ctx: Context, name: str, constant: Constant, layout: Layout) -> Value:
    """A constant in a layout: a scalar as an immediate, else a buffer."""
    shape, dtype = constant.tensor.shape, ctx.dtype(name)
    if constant.tensor.size == 1:
        return Value(imm(constant.value().reshape(-1)[0], dtype), 1, 1)

    def data() -> Array:
        array: Any = constant.value()
        if layout == "T":
            array = np.swapaxes(array, -1, -2)
        cols = columns(shape, layout)
        flat: Array = array.reshape(-1, cols).astype(dtype.numpy)
        return flat

    extent = (math.prod(row_dims(shape, layout)), columns(shape, layout))
    return ctx.leaf(ctx.constant(f"{name}.{layout}", extent, dtype, data))


def broadcast_index(shape: Shape, layout: Layout, out: Shape, out_layout: Layout) -> Index:
    """For each row of ``out``, the row of an operand of shape ``shape`` (same rank) that it reads."""
    lane = lane_axis(out, out_layout)
    if layout == "U":
        dims = shape
        target = tuple(1 if a == lane else d for a, d in enumerate(out))
    else:
        dims, target = row_dims(shape, layout), row_dims(out, out_layout)
    rows = np.arange(math.prod(dims)).reshape(dims)
    return np.ascontiguousarray(np.broadcast_to(rows, target)).reshape(-1)


def is_scalar(value: Value) -> bool:
    """Whether a value is an immediate, the same in every row."""
    return isinstance(value.expr, Imm)
