"""Tiling: `Graph` to `TileGraph`, one function an op; `tile(graph, ...)` is the stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from compiler.graph import Graph, Node
from compiler.tiles import Buffer, TileGraph
from compiler.tiling.attention import attention
from compiler.tiling.context import Context, row_dims
from compiler.tiling.elementwise import RULES
from compiler.tiling.embedding import embedding
from compiler.tiling.expr import Leaf, Value
from compiler.tiling.heads import joint_operands
from compiler.tiling.linear import linear
from compiler.tiling.reduce import layer_norm, reduction, rms_norm
from compiler.tiling.values import MOVES, value
from isa.errors import InputError
from isa.machine import Machine

LOWERINGS: Final[Mapping[str, Callable[[Context, Node], Value]]] = {
    "Linear": linear,
    "Attention": attention,
    "LayerNorm": layer_norm,
    "RmsNorm": rms_norm,
    "Embedding": embedding,
    "ReduceSum": reduction,
    "ReduceMean": reduction,
    "ReduceMax": reduction,
}
"""Ops that are mapped when they are reached; element-wise ops and moves are mapped when somebody needs them."""

ROW_BLOCK: Final = 64
"""Rows a block: long enough to hide a weight load, short enough for one block's tail to hide under the next."""


def tile(
    graph: Graph, machine: Machine, precision: str = "fp16", keep: tuple[str, ...] = ()
) -> TileGraph:
    """The work of ``graph`` on ``machine``.

    ``precision`` "fp16" takes matrix operands as fp16; "strict" as hi and lo fp16 parts, three products each. ``keep`` names
    tensors that become outputs as well. Raises ``InputError`` TSP125 naming what cannot be mapped.
    """
    block = min(ROW_BLOCK, machine["mxm.acc_rows"])
    ctx = Context(
        graph, machine, 2 if precision == "strict" else 1, block, TileGraph(machine.lanes),
        keep=frozenset(keep),
    )  # fmt: skip
    _refuse_unmapped(graph)
    ctx.joint = joint_operands(ctx)
    for node in graph.nodes:
        ctx.enter(node)
        if node.op in LOWERINGS and node.output not in ctx.joint:
            ctx.values[node.output, "N"] = LOWERINGS[node.op](ctx, node)
    for name, tensor in [(o.name, o.tensor) for o in graph.outputs] + [(k, k) for k in keep]:
        ctx.enter(ctx.producers[tensor])
        ctx.tiles.outputs[name] = _output(ctx, name, tensor)
    return ctx.tiles


def _refuse_unmapped(graph: Graph) -> None:
    """Name every node that has no mapping, all at once."""
    missing = [
        n for n in graph.nodes if not any(n.op in known for known in (LOWERINGS, RULES, MOVES))
    ]
    if not missing:
        return
    lines = [f"{len(missing)} node(s) cannot be mapped to the machine:"]
    for node in missing:
        shapes = ", ".join(str(list(graph.tensors[name].shape)) for name in node.inputs if name)
        origin = ", ".join(node.origin) or node.name
        lines.append(f"  {origin}: {node.op} of {shapes}: there is no mapping for it")
    raise InputError(125, "\n".join(lines), hint="`tspc ops` lists what is supported")


def _output(ctx: Context, name: str, tensor: str) -> Buffer:
    """A buffer that holds an output in row order; written if the value is not one already."""
    shape = ctx.shape(tensor)
    found = value(ctx, tensor, "N")
    dims = row_dims(shape, "N")
    rows = math.prod(dims)
    leaf = found.expr
    if isinstance(leaf, Leaf) and not leaf.buffer.preloaded and leaf.buffer.rows == rows:
        whole = leaf.buffer.columns in (found.columns, 1)
        if whole and np.array_equal(leaf.index, np.arange(rows)):
            return leaf.buffer
    if found.rows != rows:
        found = found.at(np.zeros(rows, np.int64))
    buffer = ctx.buffer(f"{name}.out", found.dtype, dims, shape[-1] if shape else 1)
    ctx.write(dims, [(found.expr, buffer)])
    return buffer
