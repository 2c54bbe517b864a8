"""`Embedding`: rows of a constant table by id, through MEM gathers.

A table longer than a bank lies in groups of rows. Every group is asked for ``id - base``; an id outside the group clamps to
its last row, which is zero, so that OR-ing the groups' answers gives the row.
"""

from __future__ import annotations

import numpy as np

from compiler.graph import Node
from compiler.tiles import Array, Buffer, GatherOp, Rows
from compiler.tiling.context import Context, row_dims
from compiler.tiling.expr import Apply, Expr, Leaf, Value, apply, runs
from compiler.tiling.values import value, written
from isa.instruction import DType

MERGED = 4
MAX_ROWS = 57344
"""16-bit indices wrap: an id below a group's base must stay above the group's last row."""


def embedding(ctx: Context, node: Node) -> Value:
    """``table[ids]``; fp16 table rows (f32 in strict precision)."""
    table, ids = node.inputs
    constant = ctx.graph.constants.get(table)
    if constant is None:
        raise ctx.unsupported(node, "its table is not constant")
    rows, columns = constant.tensor.shape
    if rows > MAX_ROWS:
        raise ctx.unsupported(node, f"tables of more than {MAX_ROWS} rows are not mapped")
    shape = ctx.shape(node.output)
    dims = row_dims(shape, "N")
    found = value(ctx, ids, "U")
    leaf = found.expr if isinstance(found.expr, Leaf) else None
    if leaf is None:
        stored = written(ctx, f"{node.output}.ids", found, dims, "U").expr
        assert isinstance(stored, Leaf)
        leaf = stored
    store = DType.F16 if ctx.parts == 1 else DType.F32
    per = min(rows, ctx.machine["mem.words"] - 1)
    answers: list[Expr] = []

    def rows_of() -> Array:
        return constant.value().astype(store.numpy)

    for base in range(0, rows, per):
        count = min(per, rows - base)

        def data(base: int = base, count: int = count) -> Array:
            block = np.zeros((count + 1, columns), store.numpy)
            block[:count] = ctx.latest(rows_of)[base : base + count]
            return block

        group = Buffer(f"{table}[{base}:{base + count}]", store, count + 1, columns, data=data)
        out = ctx.buffer(f"{node.output}.g{base}", store, dims, columns)
        _lookups(ctx, leaf, group, base, out)
        answers.append(ctx.leaf(out).expr)
    merged = _merged(ctx, node, answers, store, dims, columns)
    result: Expr = merged
    if store is DType.F16:
        result = Apply("cvt", DType.F16, (merged,), DType.F32, True)
    return Value(result, out.rows, columns)


def _merged(
    ctx: Context, node: Node, answers: list[Expr], store: DType, dims: tuple[int, ...], columns: int
) -> Expr:
    """The answers OR-ed; many of them a few at a time, since what one op reads must lie in different slices."""
    while len(answers) > MERGED:
        shorter: list[Expr] = []
        for i in range(0, len(answers), MERGED):
            part = _ored(answers[i : i + MERGED])
            if not isinstance(part, Leaf):
                name = f"{node.output}.m{len(answers)}.{i}"
                buffer = ctx.buffer(name, store, dims, columns)
                ctx.write(dims, [(part, buffer)])
                part = ctx.leaf(buffer).expr
            shorter.append(part)
        answers = shorter
    return _ored(answers)


def _ored(answers: list[Expr]) -> Expr:
    merged = answers[0]
    for other in answers[1:]:
        merged = apply("or", merged, other)
    return merged


def _lookups(ctx: Context, ids: Leaf, group: Buffer, base: int, out: Buffer) -> None:
    for start in out.starts:
        for row, count in runs([ids], start, start + out.block(start)[1]):
            source = Rows(ids.buffer, 0, int(ids.index[row]), count)
            outputs = tuple(Rows(out, c, row, count) for c in range(out.chunks(ctx.lanes)))
            ctx.emit(GatherOp(ctx.node, group, base, source, outputs))
