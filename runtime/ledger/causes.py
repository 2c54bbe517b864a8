"""Why a stencil starts when it does, and so why a unit stood idle before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from runtime.ledger.columns import Columns, Ints
from runtime.ledger.flow import Edges, Flow

CAUSES: Final = {
    "operand": "waited for an operand that an earlier node writes to memory",
    "weights": "waited for weights to be loaded or installed",
    "accumulator": "waited for partial sums",
    "buffer": "waited for the weight buffer to be free",
    "unit": "waited for another of its units, busy with something else",
    "placement": "all was there: ports, banks or streams were taken, or the scheduler chose so",
    "no demand": "weights and copies that are needed later still",
    "pace": "between dispatches that belong together, at the pace of the slowest of their chain",
    "start-up": "before the unit's first dispatch",
    "drain": "after the unit's last dispatch",
    "unused": "the program never uses the unit",
    "stagger": "the end of the program: superlanes finish one after another",
}
"""Names of the causes of idleness, in the order in which they are numbered; the first four are kinds of edges."""

NAMES: Final = tuple(CAUSES)
TIGHT: Final = 4
"""Cycles of slack up to which something counts as what a stencil waited for: a start may be moved to fit a bank or a beat."""
_COMPUTE: Final = ("MXM.activations", "VXM", "SXM")


@dataclass(frozen=True)
class Binding:
    """Of each stencil: its cause, an index into ``NAMES``; the edge or the burst that it waited for, or -1."""

    cause: Ints
    edge: Ints
    blocker: Ints


def bindings(c: Columns, flow: Flow) -> Binding:
    """The tightest edge if it is tight, else a unit that became free just then, else placement or no demand."""
    size = len(flow.start)
    edge = _least(flow.stencil[flow.edges.dst], flow.edges, size)
    # Edge -1, of a stencil without, is the last of these.
    slack = np.append(flow.edges.slack, np.iinfo(np.int64).max)[edge]
    gap, blocker = _pressure(c, flow, size)
    needed = np.full(size, np.iinfo(np.int64).max)
    np.minimum.at(needed, flow.stencil[flow.edges.src], flow.edges.slack)
    computes = np.zeros(size, np.bool_)
    computes[flow.stencil[np.isin(np.array(c.kinds)[c.unit], _COMPUTE)]] = True
    at = {name: number for number, name in enumerate(NAMES)}
    cause = np.where((needed <= TIGHT) | computes, at["placement"], at["no demand"])
    cause = np.where(gap <= TIGHT, at["unit"], cause)
    cause = np.where(slack <= TIGHT, np.append(flow.edges.kind, -1)[edge], cause)
    cause = _behind_weights(flow, cause, edge)
    return Binding(cause, edge, np.where(cause == at["unit"], blocker, -1))


def _behind_weights(flow: Flow, cause: Ints, edge: Ints) -> Ints:
    """Who waits for weights that themselves waited for an operand waits for that operand."""
    weights, operand = NAMES.index("weights"), NAMES.index("operand")
    for _ in range(2):  # From the activation to the install, from there to the load.
        waits = np.flatnonzero((cause == weights) & (edge >= 0))
        loader = flow.stencil[flow.edges.src[edge[waits]]]
        cause[waits[cause[loader] == operand]] = operand
    return cause


def _least(group: Ints, edges: Edges, size: int) -> Ints:
    """The edge of least slack of each group, the earliest of those; -1 for a group without."""
    order = np.lexsort((edges.dst_time, edges.slack, group))
    first = np.ones(len(order), np.bool_)
    first[1:] = group[order][1:] != group[order][:-1]
    out = np.full(size, -1)
    out[group[order][first]] = order[first]
    return out


def neighbours(c: Columns, flow: Flow) -> tuple[Ints, Ints, Ints]:
    """Bursts that follow one another on a compute unit, of different stencils: the first, the second, idle cycles between.

    Only the second's first dispatch counts.
    """
    d = c.dispatches
    compute = np.isin(np.array(c.kinds), _COMPUTE)
    same = np.zeros(len(d.unit), np.bool_)
    same[1:] = (d.unit[1:] == d.unit[:-1]) & compute[d.unit[1:]]
    stencil = flow.stencil[d.burst]
    at = np.flatnonzero(same)
    at = at[(stencil[at] != stencil[at - 1]) & (d.cycle[at] == c.cycle[d.burst[at]])]
    return d.burst[at - 1], d.burst[at], d.cycle[at] - (d.cycle[at - 1] + d.busy[at - 1])


def _pressure(c: Columns, flow: Flow, size: int) -> tuple[Ints, Ints]:
    """Least idle time of a compute unit before a stencil's dispatches, and the burst that kept it busy until then."""
    before, after, gap = neighbours(c, flow)
    stencil = flow.stencil[after]
    order = np.lexsort((c.cycle[after], gap, stencil))
    first = np.ones(len(order), np.bool_)
    first[1:] = stencil[order][1:] != stencil[order][:-1]
    chosen = order[first]
    least, blocker = np.full(size, np.iinfo(np.int64).max), np.full(size, -1)
    least[stencil[chosen]] = gap[chosen]
    blocker[stencil[chosen]] = before[chosen]
    return least, blocker
