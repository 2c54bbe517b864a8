"""Lower bounds on the cycles of a program, each from one resource alone, with the arithmetic that gives it.

What the program does is taken as it is; only when and where is free. So a bound says what a better schedule of the same
instructions could not go below, but for ``multiply-accumulates``, which counts the model's shapes and not the program's tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isa.instruction import BY_OPCODE
from runtime.ledger.columns import Columns
from runtime.ledger.flow import Flow


@dataclass(frozen=True, slots=True)
class Bound:
    """A name, cycles, and how they come about."""

    name: str
    cycles: int
    arithmetic: str


def bounds_of(c: Columns, flow: Flow, macs: int) -> list[Bound]:
    """All bounds above 0, the largest first. ``macs`` are the multiply-accumulates of the model, 0 if unknown."""
    found = [
        *_matrix(c, macs),
        *_vector(c),
        *_memory(c),
        _streams(c, flow),
        _dependences(c, flow),
    ]
    return sorted((b for b in found if b.cycles), key=lambda b: -b.cycles)


def _share(total: int, units: int) -> int:
    return -(-total // max(units, 1))


def _matrix(c: Columns, macs: int) -> Iterator[Bound]:
    machine = c.machine
    rate = 2 * machine["mxm.fp16_k"] * machine.lanes
    if macs:
        text = f"{macs:,} multiply-accumulates of the model / {rate:,} a cycle"
        yield Bound("multiply-accumulates", _share(macs, rate), text)
    planes = 2 * machine["mxm.planes"]
    kinds = np.array(c.kinds)
    d = c.dispatches
    busy = int(d.busy[kinds[d.unit] == "MXM.activations"].sum())
    text = (
        f"{busy:,} plane-cycles of activations, as the model is cut into tiles, / {planes} planes"
    )
    yield Bound("matrix passes", _share(busy, planes), text)
    loads = c.of("lw")
    total = 2 * int(c.count[loads].sum())
    text = f"{total:,} plane-cycles of weight loads / {planes} planes"
    yield Bound("weight loading", _share(total, planes), text)


def _vector(c: Columns) -> Iterator[Bound]:
    machine = c.machine
    large = np.array([BY_OPCODE[code].large if code in BY_OPCODE else False for code in range(256)])
    on = np.array(c.machine.queue_kinds)[c.queue] == "VXM"
    every = int(c.count[on].sum())
    yield Bound(
        "vector ALUs",
        _share(every, machine["vxm.alus"]),
        f"{every:,} operations / {machine['vxm.alus']} ALUs",
    )
    some = int(c.count[on & large[c.opcode]].sum())
    text = f"{some:,} large operations / {machine['vxm.large_alus']} large ALUs"
    yield Bound("large vector ALUs", _share(some, machine["vxm.large_alus"]), text)


def _memory(c: Columns) -> Iterator[Bound]:
    slices = 2 * c.machine.slices
    for name, mnemonics in (("read", ("read", "gather")), ("write", ("write", "scatter"))):
        bursts = c.of(*mnemonics)
        total = int(c.count[bursts].sum())
        text = f"{total:,} words / {slices} {name} ports"
        yield Bound(f"memory {name} ports", _share(total, slices), text)
        each = np.bincount(c.queue[bursts], c.count[bursts], minlength=1)
        top = int(np.argmax(each))
        text = f"{int(each[top]):,} words on the {name} port of {c.machine.queue_names[top]}, where they lie"
        yield Bound(f"busiest {name} port", int(each[top]), text)


def _streams(c: Columns, flow: Flow) -> Bound:
    """The busiest crossing: values that pass from one position to the next in one direction, over the streams there."""
    machine = c.machine
    position = np.array(machine.queue_positions)
    reader, maker = flow.links[:, 0], flow.links[:, 1]
    crossings = np.zeros((2, machine.positions + 1), np.int64)
    for east in (True, False):
        start, stop = position[c.queue[maker]], position[c.queue[reader]]
        way = (stop - start) if east else (start - stop)
        chosen = way > 0
        far = np.zeros(len(c), np.int64)
        np.maximum.at(far, maker[chosen], way[chosen])
        who = np.flatnonzero(far)
        values = c.count[who] * flow.size[who]
        low = position[c.queue[who]] if east else position[c.queue[who]] - far[who]
        np.add.at(crossings[int(east)], low, values)
        np.add.at(crossings[int(east)], low + far[who], -values)
    crossed = np.cumsum(crossings, 1)
    side, place = np.unravel_index(int(np.argmax(crossed)), crossed.shape)
    total = int(crossed[side, place])
    way_name = "eastward" if side else "westward"
    text = (
        f"{total:,} bytes a lane go {way_name} between positions {place} and {place + 1} / "
        f"{machine.streams} streams"
    )
    return Bound("stream bandwidth", _share(total, machine.streams), text)


def _dependences(c: Columns, flow: Flow) -> Bound:
    """Every stencil as early as what it takes allows, whatever else the units do."""
    edges = flow.edges
    real = edges.kind <= 2  # A buffer that must be empty is a matter of resources.
    src, dst = flow.stencil[edges.src[real]], flow.stencil[edges.dst[real]]
    # A start may come earlier by no more than the tightest of its edges, beyond what their sources do.
    slack = edges.slack[real]
    order = np.argsort(dst, kind="stable")
    early = flow.start.copy()  # By how much a stencil can come earlier; at most to cycle 0.
    arcs = list(zip(src[order].tolist(), dst[order].tolist(), slack[order].tolist(), strict=True))
    changed = True
    while changed:
        changed = False
        for a, b, s in arcs:
            if early[a] + s < early[b]:
                early[b] = early[a] + s
                changed = True
    end = np.zeros(len(flow.start), np.int64)
    np.maximum.at(end, flow.stencil, c.last + c.latency)
    length = int((end - early).max()) + c.machine.timing("stagger") if len(c) else 0
    return Bound(
        "dependence path",
        length,
        "latencies and rows of the longest chain of stencils, with units, ports and streams without limit",
    )
