"""Point-wise expressions over rows: what an element-wise value is before it is written anywhere.

An expression is a DAG of `Apply` over `Leaf` (rows of a buffer) and `Imm`. A leaf's ``index`` gives, for each row of the value,
the buffer row it reads, so that broadcasting, reshaping and transposing of rows are index arithmetic and cost nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compiler.tiles import Buffer, Operand, Rows, Step
from isa.instruction import DType

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """Rows of a buffer, their lanes moved up by ``shift``."""

    buffer: Buffer
    index: Index
    shift: int = 0

    @property
    def dtype(self) -> DType:
        """Element type."""
        return self.buffer.dtype


@dataclass(frozen=True, slots=True, eq=False)
class Imm:
    """A scalar, as raw bits."""

    bits: int
    dtype: DType


@dataclass(frozen=True, slots=True, eq=False)
class Apply:
    """A VXM instruction on expressions."""

    op: str
    operand_dtype: DType
    args: tuple[Expr, ...]
    to: DType | None = None
    saturate: bool = False

    @property
    def dtype(self) -> DType:
        """Element type of the result."""
        if self.op in ("eq", "lt", "le"):
            return DType.I8
        return self.operand_dtype if self.to is None else self.to


Expr = Leaf | Imm | Apply


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """An expression with its extent: ``rows`` rows of ``columns`` elements (1 = uniform over lanes)."""

    expr: Expr
    rows: int
    columns: int

    @property
    def dtype(self) -> DType:
        """Element type."""
        return self.expr.dtype

    def at(self, index: Index) -> Value:
        """The value whose row ``i`` is row ``index[i]`` of this one."""
        memo: dict[int, Expr] = {}
        return Value(_remap(self.expr, index, memo), len(index), self.columns)


def _remap(expr: Expr, index: Index, memo: dict[int, Expr]) -> Expr:
    found = memo.get(id(expr))
    if found is None:
        if isinstance(expr, Leaf):
            found = Leaf(expr.buffer, expr.index[index], expr.shift)
        elif isinstance(expr, Apply):
            args = tuple(_remap(a, index, memo) for a in expr.args)
            found = Apply(expr.op, expr.operand_dtype, args, expr.to, expr.saturate)
        else:
            found = expr
        memo[id(expr)] = found
    return found


def shifted(expr: Expr, lanes: int) -> Expr:
    """``expr`` with what varies over lanes moved up by ``lanes`` (down if negative); what stands in the lanes left is of no use."""
    memo: dict[int, Expr] = {}

    def visit(e: Expr) -> Expr:
        found = memo.get(id(e))
        if found is None:
            found = e
            if isinstance(e, Leaf) and e.buffer.columns > 1:
                found = Leaf(e.buffer, e.index, e.shift + lanes)
            elif isinstance(e, Apply):
                found = Apply(e.op, e.operand_dtype, tuple(map(visit, e.args)), e.to, e.saturate)
            memo[id(e)] = found
        return found

    return visit(expr)


def imm(value: Any, dtype: DType = DType.F32) -> Imm:
    """A scalar immediate of ``dtype``."""
    raw = np.zeros(4, np.uint8)
    data = np.array([value]).astype(dtype.numpy).view(np.uint8)
    raw[: len(data)] = data
    return Imm(int(raw.view("<u4")[0]), dtype)


def apply(op: str, *args: Expr, saturate: bool = False) -> Apply:
    """``op`` on arguments of one type; an immediate beside another immediate is moved to an ALU first."""
    dtype = args[0].dtype
    seen: set[int] = set()
    fixed: list[Expr] = []
    for arg in args:
        if isinstance(arg, Imm) and seen and arg.bits not in seen:
            arg = Apply("mov", arg.dtype, (arg,))
        elif isinstance(arg, Imm):
            seen.add(arg.bits)
        fixed.append(arg)
    return Apply(op, dtype, tuple(fixed), None, saturate)


def convert(expr: Expr, to: DType, *, saturate: bool = True) -> Expr:
    """``expr`` as ``to``; itself if it already is."""
    if expr.dtype is to:
        return expr
    return Apply("cvt", expr.dtype, (expr,), to, saturate)


def leaves(roots: Sequence[Expr]) -> list[Leaf]:
    """Every leaf once, in order of first use."""
    found: dict[int, Leaf] = {}
    stack = list(reversed(roots))
    seen: set[int] = set()
    while stack:
        expr = stack.pop()
        if id(expr) in seen:
            continue
        seen.add(id(expr))
        if isinstance(expr, Leaf):
            found[id(expr)] = expr
        elif isinstance(expr, Apply):
            stack.extend(reversed(expr.args))
    return list(found.values())


def size(expr: Expr) -> int:
    """Number of instructions of an expression."""
    seen: set[int] = set()
    stack = [expr]
    while stack:
        found = stack.pop()
        if isinstance(found, Apply) and id(found) not in seen:
            seen.add(id(found))
            stack.extend(found.args)
    return len(seen)


def runs(exprs: Sequence[Expr], start: int, stop: int) -> list[tuple[int, int]]:
    """Cut rows ``start .. stop`` where any leaf stops advancing evenly or enters another block: ``(row, count)``."""
    cuts = {start, stop}
    for leaf in leaves(exprs):
        index = leaf.index[start:stop]
        step = np.diff(index)
        edges = np.flatnonzero(step[1:] != step[:-1]) + 1 if len(step) > 1 else np.zeros(0, int)
        odd = np.flatnonzero((step != 0) & (step != 1)) + 1
        enters = np.flatnonzero(np.isin(index[1:], leaf.buffer.starts) & (step != 0)) + 1
        cuts.update(int(start + e) for e in np.concatenate([edges, odd, enters]))
    ordered = sorted(cuts)
    return [(a, b - a) for a, b in itertools.pairwise(ordered)]


class Chain:
    """Collects the inputs and steps of one `VectorOp` from expressions, for rows ``row .. row+count`` of chunk ``chunk``."""

    def __init__(self, chunk: int, row: int, count: int) -> None:
        self.chunk, self.row, self.count = chunk, row, count
        self.inputs: list[Rows] = []
        self.steps: list[Step] = []
        self._memo: dict[tuple[int, int], Operand] = {}
        self._uniform: dict[int, bool] = {}

    def operand(self, expr: Expr) -> Operand:
        """Where the expression's value is found, adding inputs and steps as needed."""
        if isinstance(expr, Imm):
            return Operand("imm", expr.bits)
        key = (id(expr), -1 if self._same_in_all_chunks(expr) else self.chunk)
        found = self._memo.get(key)
        if found is None:
            found = self._leaf(expr) if isinstance(expr, Leaf) else self._step(expr)
            self._memo[key] = found
        return found

    def _same_in_all_chunks(self, expr: Expr) -> bool:
        found = self._uniform.get(id(expr))
        if found is None:
            if isinstance(expr, Leaf):
                found = expr.buffer.columns == 1
            else:
                args = expr.args if isinstance(expr, Apply) else ()
                found = all(self._same_in_all_chunks(a) for a in args)
            self._uniform[id(expr)] = found
        return found

    def _leaf(self, leaf: Leaf) -> Operand:
        index = leaf.index[self.row : self.row + self.count]
        stride = int(index[1] - index[0]) if len(index) > 1 else 1
        chunk = 0 if leaf.buffer.columns == 1 else self.chunk
        rows = Rows(leaf.buffer, chunk, int(index[0]), self.count, stride, leaf.shift)
        if rows not in self.inputs:
            self.inputs.append(rows)
        return Operand("in", self.inputs.index(rows))

    def _step(self, expr: Apply) -> Operand:
        operands = tuple(self.operand(a) for a in expr.args)
        step = Step(expr.op, expr.operand_dtype, operands, expr.to, expr.saturate)
        self.steps.append(step)
        return Operand("step", len(self.steps) - 1)

    def add(self, op: str, dtype: DType, *operands: Operand, to: DType | None = None) -> Operand:
        """Append a step on operands of this chain."""
        self.steps.append(Step(op, dtype, operands, to, to is not None))
        return Operand("step", len(self.steps) - 1)

    def result(self, expr: Expr) -> Operand:
        """Like ``operand``, but always a step: an input or immediate is moved through an ALU."""
        found = self.operand(expr)
        if found.kind != "step":
            self.steps.append(Step("mov", expr.dtype, (found,)))
            found = Operand("step", len(self.steps) - 1)
        return found
