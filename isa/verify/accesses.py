"""What bursts do to the words of a slice, dispatch by dispatch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from isa.instruction import REGISTRY
from isa.verify.context import Bools, Context, Dispatches, Ints

INDEXED: Final = ("gather", "scatter")


def touched(ctx: Context, bursts: Ints) -> tuple[Ints, Ints, Bools]:
    """Of MEM bursts: the first word of the first dispatch, how many words follow that it may touch, and whether data decides."""
    first, reach = np.zeros(len(bursts), np.int64), np.zeros(len(bursts), np.int64)
    by_data = np.zeros(len(bursts), np.bool_)
    for name in ("read", "write", *INDEXED):
        here = ctx.opcode[bursts] == REGISTRY[name].opcode
        chosen = bursts[here]
        if name in INDEXED:
            first[here] = ctx.operand(name, "base", chosen)
            reach[here], by_data[here] = ctx.operand(name, "limit", chosen), True
        else:
            first[here] = ctx.operand(name, "address", chosen)
    return first, reach, by_data


@dataclass(frozen=True)
class Accesses:
    """Dispatches of one port of a slice, and the words that each may touch: ``first .. first + reach``.

    ``by_data`` marks gathers and scatters; None if there are none.
    """

    dispatches: Dispatches
    first: Ints
    reach: Ints
    by_data: Bools | None

    @staticmethod
    def of(ctx: Context, bursts: Ints) -> Accesses:
        """The accesses of some MEM bursts."""
        first, reach, by_data = touched(ctx, bursts)
        d = ctx.dispatches(bursts)
        mixed = d.values(by_data) != 0 if by_data.any() else None
        far = np.broadcast_to(np.int64(0), len(d)) if mixed is None else d.values(reach)
        return Accesses(d, d.values(first, ctx.stride[bursts]), far, mixed)


def range_maximum(values: Ints, start: Ints, length: Ints) -> Ints:
    """``values[start : start + length].max()`` for every pair, by tables of maxima over powers of two."""
    tables, width = [values], 1
    while 2 * width <= int(length.max()):
        table = tables[-1]
        tables.append(np.maximum(table[:-width], table[width:]))
        width *= 2
    level = np.floor(np.log2(length)).astype(np.int64)
    out = np.empty(len(start), np.int64)
    for i, table in enumerate(tables):
        here = level == i
        tail = start[here] + length[here] - (1 << i)
        out[here] = np.maximum(table[start[here]], table[tail])
    return out
