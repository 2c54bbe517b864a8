"""The critical path: from the last effect back to the first dispatch, by the way on which least time is spent waiting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime.ledger.causes import NAMES, neighbours
from runtime.ledger.columns import Columns, Ints
from runtime.ledger.flow import Flow

UNIT = NAMES.index("unit")


@dataclass(frozen=True, slots=True)
class Step:
    """Cycles ``begin .. end`` of the path: a stencil of ``node`` at work, or, with ``wait``, waiting to begin.

    ``why`` names, as in ``causes.CAUSES``, what the stencil needed before it could begin.
    """

    begin: int
    end: int
    node: str
    why: str
    wait: bool = False


@dataclass(frozen=True)
class _Arcs:
    """What may precede what, a row an arc between stencils; both an edge of the flow and a unit that became free."""

    src: Ints
    dst: Ints
    needed: Ints
    slack: Ints
    kind: Ints


def critical_path(c: Columns, flow: Flow, cycles: int) -> list[Step]:
    """The path in order of time; its steps cover ``0 .. cycles`` without a gap."""
    arcs = _arcs(c, flow)
    chosen = _least_waiting(flow, arcs)
    nodes = np.zeros(len(flow.start), np.int64)
    nodes[flow.stencil[::-1]] = c.node[::-1]
    now = cycles - c.machine.timing("stagger")
    steps = [Step(now, cycles, "", "stagger", wait=True)]
    stencil = int(flow.stencil[np.argmax(c.last + c.latency)]) if len(c) else -1
    while stencil >= 0:
        node, arc = c.program.nodes[nodes[stencil]], int(chosen[stencil])
        start = min(int(flow.start[stencil]), now)
        if arc < 0:
            steps += [Step(start, now, node, "start-up"), Step(0, start, "", "start-up", wait=True)]
            break
        needed, slack = int(arcs.needed[arc]), int(arcs.slack[arc])
        begin = needed if needed <= now else start
        ready = min(needed - slack, begin)
        why = NAMES[arcs.kind[arc]]
        steps += [Step(begin, now, node, why), Step(ready, begin, node, why, wait=True)]
        stencil, now = int(arcs.src[arc]), ready
    return [s for s in reversed(steps) if s.end > s.begin]


def _arcs(c: Columns, flow: Flow) -> _Arcs:
    """All arcs whose source begins before their target, by target."""
    edges = flow.edges
    before, after, gap = neighbours(c, flow)
    src = flow.stencil[np.concatenate([edges.src, before])]
    dst = flow.stencil[np.concatenate([edges.dst, after])]
    needed = np.concatenate([edges.dst_time, c.cycle[after]])
    slack = np.concatenate([edges.slack, gap])
    kind = np.concatenate([edges.kind, np.full(len(gap), UNIT)])
    order = np.lexsort((slack, dst))
    order = order[flow.start[src[order]] < flow.start[dst[order]]]
    return _Arcs(*(v[order] for v in (src, dst, needed, slack, kind)))


def _least_waiting(flow: Flow, arcs: _Arcs) -> Ints:
    """Of each stencil the arc by which a way from cycle 0 waits least; -1 where none is better than waiting from 0."""
    chosen = np.full(len(flow.start), -1)
    waited = flow.start.copy()
    # Stencils are numbered in order of their first cycle, and arcs are sorted by target.
    for arc, (src, dst, slack) in enumerate(
        zip(arcs.src.tolist(), arcs.dst.tolist(), arcs.slack.tolist(), strict=True)
    ):
        if waited[src] + slack < waited[dst]:
            waited[dst] = waited[src] + slack
            chosen[dst] = arc
    return chosen


__all__ = ["Step", "critical_path"]
