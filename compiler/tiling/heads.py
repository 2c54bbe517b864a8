"""Where the heads of an attention lie in its operands, and the operands.

A *place* is the position of a head within its unit. Q exists in a copy a place, in which the heads of other places are zero.

Where q, k and v are products of one tensor with constants, they are one *joint* product whose columns are laid out for the
attention: the units of Q in the first tiles, those of K at the same lanes of the next, and the heads of V in what is left of
both, then in tiles of their own. Otherwise each is an operand of its own, head after head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.graph import Node
from compiler.tiles import Array, Buffer
from compiler.tiling.context import Context, row_dims
from compiler.tiling.expr import Expr, Leaf, Value, apply
from compiler.tiling.linear import halves, products
from compiler.tiling.values import operand, value
from isa.instruction import DType


@dataclass(frozen=True)
class Plan:
    """Sizes of one attention. ``slots`` heads share the lanes of a moved vector.

    Sequences longer than a vector are worked off in ``blocks`` of queries, each on its own, and in ``cuts`` of keys, over which
    products with V are accumulated: runs of rows, ``(first, count)``.
    """

    batch: int
    heads: int
    queries: int
    keys: int
    blocks: tuple[tuple[int, int], ...]
    cuts: tuple[tuple[int, int], ...]
    width: int  # of q and k, a head
    out_width: int  # of v, a head
    scale: float
    slots: int
    group: int  # heads a unit
    nan_to_zero: bool


@dataclass(frozen=True)
class Unit:
    """Heads scored together: the chunks of q and k in which they lie, and their first lane in both."""

    heads: tuple[int, ...]
    q: int
    k: int
    lane: int


@dataclass(frozen=True)
class Turn:
    """Heads of V that are transposed together: a chunk a slot, lanes ``lane .. lane+lanes``."""

    chunks: tuple[int, ...]
    lane: int
    lanes: int


@dataclass(frozen=True)
class Layout:
    """``groups``: units whose P is moved together, one a slot. ``turned``: for each head its turn and first row there."""

    units: tuple[Unit, ...]
    groups: tuple[tuple[Unit, ...], ...]
    turns: tuple[Turn, ...]
    turned: dict[int, tuple[int, int]]


@dataclass(frozen=True)
class Heads:
    """Operands of an attention: q by part and place, k by part, v by chunk and part."""

    layout: Layout
    q: list[list[Buffer]]
    k: tuple[Buffer, ...]
    v: list[tuple[Buffer, ...]]


def heads_of(ctx: Context, node: Node, plan: Plan) -> Heads:
    """The operands of ``node``."""
    if node.inputs[0] in ctx.joint:
        return _joint(ctx, node, plan)
    q = _queries(ctx, node.inputs[0], plan)
    k, v = (operand(ctx, name) for name in node.inputs[1:3])
    return Heads(_apart(plan, ctx.lanes), q, k, [v] * v[0].chunks(ctx.lanes))


def joint_operands(ctx: Context) -> frozenset[str]:
    """Results of Linear that need not exist, since an attention multiplies its q, k and v in one go."""
    found: set[str] = set()
    for node in ctx.graph.nodes:
        if node.op == "Attention" and _are_joint(ctx, node):
            found.update(node.inputs[:3])
    return frozenset(found)


def _are_joint(ctx: Context, node: Node) -> bool:
    names = node.inputs[:3]
    sources = [ctx.producers.get(name) for name in names]
    if len(set(names)) < 3 or any(s is None or s.op != "Linear" for s in sources):
        return False
    linears = [s for s in sources if s is not None]
    constant = all(
        all(name in ctx.graph.constants for name in s.inputs[1:] if name) for s in linears
    )
    same = len({s.inputs[0] for s in linears}) == 1 and len({ctx.shape(n) for n in names}) == 1
    alone = all(ctx.uses[n] == 1 and n not in ctx.named for n in names)
    return constant and same and alone


def _apart(plan: Plan, lanes: int) -> Layout:
    """Heads one after another in every operand."""
    units, per = [], max(1, lanes // plan.width)
    for first in range(0, plan.heads, per):
        chunk = first * plan.width // lanes
        for i in range(first, min(first + per, plan.heads), plan.group):
            heads = tuple(range(i, min(i + plan.group, first + per, plan.heads)))
            units.append(Unit(heads, chunk, chunk, i * plan.width % lanes))
    chunks: dict[int, list[Unit]] = {}
    for unit in units:
        chunks.setdefault(unit.heads[0] * plan.out_width // lanes, []).append(unit)
    groups: list[tuple[Unit, ...]] = []
    turns: list[Turn] = []
    turned: dict[int, tuple[int, int]] = {}
    c = 0
    while c in chunks:
        own, beside = chunks[c], chunks.get(c + 1, [])
        side = plan.slots == 2 and len(beside) == len(own)
        slots = 2 if side else min(plan.slots, len(own))
        if side:
            groups += zip(own, beside, strict=True)
        else:
            groups += [tuple(own[i : i + slots]) for i in range(0, len(own), slots)]
        for unit in (*own, *(beside if side else ())):
            for head in unit.heads:
                turned[head] = (len(turns), head * plan.out_width % lanes)
        wide = min(lanes, plan.heads * plan.out_width - c * lanes)
        turns.append(Turn((c, c + 1) if side else (c,) * slots, 0, wide))
        c += 2 if side else 1
    return Layout(tuple(units), tuple(groups), tuple(turns), turned)


@dataclass(frozen=True)
class _Columns:
    """A joint product's columns: for each, the operand (0 q, 1 k, 2 v) and head that it holds, or -1."""

    layout: Layout
    cells: dict[tuple[int, int], tuple[int, int]]  # (chunk, lane) -> (operand, head)
    chunks: int
    queries: int  # chunks that hold q

    @property
    def order(self) -> list[int]:
        """Chunks in the order in which they are wanted: each of q with that of k, then v alone."""
        pairs = [c for t in range(self.queries) for c in (t, self.queries + t)]
        return [*pairs, *range(2 * self.queries, self.chunks)]


def _columns(plan: Plan, lanes: int) -> _Columns:
    """Units of q, those of k at the same lanes, v in the rest; v's heads in the slot in which their unit's P will be."""
    cells = lanes // plan.width
    per = max(1, cells // plan.group)
    firsts = range(0, plan.heads, plan.group)
    tiles = -(-len(firsts) // per)
    held: dict[tuple[int, int], tuple[int, int]] = {}
    units: list[Unit] = []
    for u, first in enumerate(firsts):
        heads = tuple(range(first, min(first + plan.group, plan.heads)))
        units.append(Unit(heads, u // per, tiles + u // per, u % per * plan.group * plan.width))
        for operand_, chunk in ((0, units[-1].q), (1, units[-1].k)):
            for i, head in enumerate(heads):
                held[chunk, units[-1].lane + i * plan.width] = (operand_, head)
    step = plan.slots
    groups = [tuple(units[i : i + step]) for i in range(0, len(units), step)]
    left = [[h for g in groups if s < len(g) for h in g[s].heads] for s in range(step)]
    turns: list[Turn] = []
    turned: dict[int, tuple[int, int]] = {}

    def fill(chunks: tuple[int, ...], lane: int, free: int) -> None:
        taken = 0
        for slot, chunk in enumerate(chunks):
            now, left[slot] = left[slot][:free], left[slot][free:]
            for i, head in enumerate(now):
                held[chunk, lane + i * plan.width] = (2, head)
                turned[head] = (len(turns), i * plan.width)
            taken = max(taken, len(now))
        if taken:
            turns.append(Turn(chunks, lane, taken * plan.width))

    for t in range(tiles):
        used = sum(unit.q == t for unit in units) * plan.group
        for chunks in ((t, tiles + t),) if step == 2 else ((t,), (tiles + t,)):
            fill(chunks, used * plan.width, cells - used)
    chunk = 2 * tiles
    if step == 2 and 0 < len(left[0]) + len(left[1]) <= cells:
        left = [left[0] + left[1]]
        before = len(turns)
        fill((chunk,), 0, cells)
        turns[before] = Turn((chunk, chunk), 0, turns[before].lanes)
        chunk += 1
    while any(left):
        fill(tuple(range(chunk, chunk + step)), 0, cells)
        chunk += step
    layout = Layout(tuple(units), tuple(groups), tuple(turns), turned)
    return _Columns(layout, held, chunk, tiles)


def _joint(ctx: Context, node: Node, plan: Plan) -> Heads:
    """q, k and v by one product."""
    columns = _columns(plan, ctx.lanes)
    sources = [ctx.producers[name] for name in node.inputs[:3]]
    raw, bias = _product(ctx, node, plan, columns, sources)
    dims, total = row_dims(ctx.shape(node.inputs[0]), "N"), raw.columns
    expr = ctx.leaf(raw).expr
    if bias is not None:
        expr = apply("add", expr, Leaf(bias, np.zeros(raw.rows, np.int64)))
    name = node.inputs[0]
    q: list[list[Buffer]] = []
    rest: list[Buffer] = []
    masked: list[tuple[Expr, Buffer]] = []
    plain: list[tuple[Expr, Buffer]] = []
    for i, part in enumerate(ctx.split(expr)):
        rest.append(ctx.buffer(f"{name}.qkv{i}", DType.F16, dims, total, both=True))
        plain.append((part, rest[-1]))
        q.append([])
        for place in range(plan.group if plan.group > 1 else 0):
            mask = Leaf(_mask(ctx, plan, columns, place), np.zeros(raw.rows, np.int64))
            q[-1].append(ctx.buffer(f"{name}.q{i}.{place}", DType.F16, dims, total, both=True))
            masked.append((apply("and", part, mask), q[-1][-1]))
    for chunk in columns.order:
        before = ctx.enter(sources[min(chunk // columns.queries, 2)])
        queries = chunk < columns.queries and masked
        ctx.write(dims, masked if queries else plain, chunks=range(chunk, chunk + 1))
        ctx.node = before
    first = tuple(places[0] for places in q) if masked else tuple(rest)
    v = [first if chunk < columns.queries else tuple(rest) for chunk in range(columns.chunks)]
    return Heads(columns.layout, q if masked else [[r] for r in rest], tuple(rest), v)


def _index(plan: Plan, columns: _Columns, lanes: int) -> list[tuple[int, int, int]]:
    """``(first column, operand, first column there)`` of every head's run of ``plan.width`` columns."""
    return [
        (chunk * lanes + lane, source, head * plan.width)
        for (chunk, lane), (source, head) in sorted(columns.cells.items())
    ]


def _product(
    ctx: Context, node: Node, plan: Plan, columns: _Columns, sources: list[Node]
) -> tuple[Buffer, Buffer | None]:
    """The raw sums of the joint product and its bias."""
    total, runs = columns.chunks * ctx.lanes, _index(plan, columns, ctx.lanes)
    name, w = node.inputs[0], plan.width
    parts = [halves(ctx, source) for source in sources]

    def load() -> tuple[Array, ...]:
        single = [p() for p in parts]
        joined = tuple(np.zeros((total, half.shape[1]), np.float16) for half in single[0])
        for to, source, at in runs:
            for whole, half in zip(joined, single[source], strict=True):
                whole[to : to + w] = half[at : at + w]
        return joined

    widths = [
        max(to + w - chunk * ctx.lanes for to, _, _ in runs if to // ctx.lanes == chunk)
        for chunk in range(columns.chunks)
    ]
    owners = [sources[min(chunk // columns.queries, 2)] for chunk in range(columns.chunks)]
    raw = products(ctx, sources[0], f"{name}.qkv", load, widths, owners, columns.order)
    biases = [s.inputs[2] if len(s.inputs) > 2 else "" for s in sources]
    if not any(biases):
        return raw, None

    def data() -> Array:
        row = np.zeros((1, total), np.float32)
        for to, source, at in runs:
            if biases[source]:
                full = np.ravel(ctx.graph.constants[biases[source]].value())
                row[0, to : to + w] = np.broadcast_to(full, w * plan.heads)[at : at + w]
        return row

    return raw, ctx.constant(f"{name}.qkv.bias", (1, total), DType.F32, data)


def _mask(ctx: Context, plan: Plan, columns: _Columns, place: int) -> Buffer:
    """All bits set in the lanes of heads of q at ``place`` in their unit; with the first of them go those of v."""

    def data() -> Array:
        row = np.zeros((1, columns.chunks * ctx.lanes), np.int16)
        for to, source, at in _index(plan, columns, ctx.lanes):
            here = source == 0 and at // plan.width % plan.group == place
            if here or (source == 2 and place == 0):
                row[0, to : to + plan.width] = -1
        return row.view(np.float16)

    name = f"heads.{plan.heads}.{plan.width}.{plan.group}.{plan.slots}.{place}"
    return ctx.constant(name, (1, columns.chunks * ctx.lanes), DType.F16, data)


def _queries(ctx: Context, name: str, plan: Plan) -> list[list[Buffer]]:
    """Q by part and by place in a unit: a copy in which only the heads of that place are not zero."""
    if plan.group == 1:
        return [[part] for part in operand(ctx, name)]
    found: Value = value(ctx, name, "N")
    shape = ctx.shape(name)
    dims, total = row_dims(shape, "N"), shape[-1]
    row0 = np.zeros(found.rows, np.int64)
    targets: list[tuple[Expr, Buffer]] = []
    queries: list[list[Buffer]] = []
    for i, part in enumerate(ctx.split(found.expr)):
        queries.append([])
        for place in range(plan.group):
            mask = Leaf(_head_mask(ctx, plan, total, place), row0)
            buffer = ctx.buffer(f"{name}.q{i}.{place}", DType.F16, dims, total, both=True)
            targets.append((apply("and", part, mask), buffer))
            queries[-1].append(buffer)
    ctx.write(dims, targets)
    return queries


def _head_mask(ctx: Context, plan: Plan, columns: int, place: int) -> Buffer:
    """All bits set in the lanes of heads at ``place`` in their unit; units start anew in every chunk."""

    def data() -> Array:
        lane = np.arange(columns) % ctx.lanes
        row = np.where(lane // plan.width % plan.group == place, -1, 0).astype(np.int16)
        return row[None].view(np.float16)

    name = f"heads{columns}.{plan.width}.{plan.group}.{place}"
    return ctx.constant(name, (1, columns), DType.F16, data)
