"""A program cycle by cycle: what every queue dispatches, runs of cycles in which the same repeats taken together.

A burst is shown once a run, cut to it: in the run from cycle 4 on, ``read 0x0000, W3 x8 +1 `` of cycle 1 is
``read 0x0003, W3 x5 +1``. Nothing is expanded to cycles.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isa.assembly.printer import line_writer
from isa.assembly.symbols import Symbols
from isa.instruction import BY_OPCODE
from isa.program import Program


@dataclass(frozen=True)
class Cell:
    """What one queue dispatches in a run: the canonical line of a burst cut to the run, and what is known about it."""

    queue: str
    cycle: int
    count: int
    interval: int
    text: str
    node: str
    comment: str


@dataclass(frozen=True)
class Run:
    """Cycles ``first .. last`` in which the same bursts are under way; without cells nothing is dispatched."""

    first: int
    last: int
    cells: tuple[Cell, ...]


def timeline(
    program: Program,
    first: int = 0,
    last: int | None = None,
    queues: Sequence[int] | None = None,
) -> Iterator[Run]:
    """The runs of cycles ``first .. last`` (None: to the last dispatch), of some queues or of all."""
    bursts = program.bursts
    ends = bursts["cycle"] + (bursts["count"] - 1) * bursts["interval"]
    chosen = np.ones(len(bursts), np.bool_)
    if queues is not None:
        chosen = np.isin(bursts["queue"], queues)
    if last is None:
        last = int(ends[chosen].max(initial=first - 1))
    chosen &= (bursts["cycle"] <= last) & (ends >= first)
    rows = sorted(bursts[chosen].tolist(), key=lambda row: row[3])
    cuts = {first, last + 1}
    for row in rows:
        cuts |= {max(first, row[3]), min(last, row[3] + (row[4] - 1) * row[5]) + 1}
    yield from _runs(program, rows, sorted(cuts))


def _runs(program: Program, rows: Sequence[Any], cuts: Sequence[int]) -> Iterator[Run]:
    """One run between each two cuts, but those without a dispatch joined."""
    write, symbols = line_writer(program.machine), Symbols.of(program)
    under_way: list[tuple[int, int, Any]] = []
    at, idle = 0, -1
    for start, end in itertools.pairwise(cuts):
        while at < len(rows) and rows[at][3] <= start:
            row = rows[at]
            heapq.heappush(under_way, (row[3] + (row[4] - 1) * row[5], at, row))
            at += 1
        while under_way and under_way[0][0] < start:
            heapq.heappop(under_way)
        cut = [_cut(row, start, end - 1) for _, _, row in under_way]
        parts = sorted(row for row in cut if row is not None)
        if not parts:
            idle = start if idle < 0 else idle
            continue
        if idle >= 0:
            yield Run(idle, start - 1, ())
            idle = -1
        yield Run(start, end - 1, tuple(_cell(program, row, write(row), symbols) for row in parts))
    if idle >= 0 and cuts[-1] > idle:
        yield Run(idle, cuts[-1] - 1, ())


def _cut(row: Any, first: int, last: int) -> Any:
    """A burst's dispatches in cycles ``first .. last`` as a burst; None where there are none."""
    queue, opcode, node, cycle, count, interval, stride, args = row
    skip = max(0, -(-(first - cycle) // interval))
    begin = cycle + skip * interval
    if skip >= count or begin > last:
        return None
    left = min(count - skip, (last - begin) // interval + 1)
    operands = BY_OPCODE[opcode].operands
    moved = [
        int(v) + (skip * stride if i < len(operands) and operands[i].strided else 0)
        for i, v in enumerate(args)
    ]
    if left == 1:
        interval, stride = 1, 0
    return queue, opcode, node, begin, left, interval, stride, moved


def _cell(program: Program, row: Any, line: str, symbols: Symbols) -> Cell:
    queue, _, node, cycle, count, interval, *_ = row
    _, _, text = line.partition(": ")
    text = text.rpartition(" !")[0] if node else text
    name = program.nodes[node] if node < len(program.nodes) else ""
    return Cell(
        program.machine.queue_names[queue], cycle, count, interval, text, name,
        symbols.comment(program.machine, row),
    )  # fmt: skip


def timeline_lines(runs: Iterator[Run]) -> Iterator[str]:
    """The runs as text: the cycles, then a line a queue; ``@n`` before what begins later than its run."""
    for run in runs:
        when = f"@{run.first}" if run.first == run.last else f"@{run.first} .. {run.last}"
        if not run.cells:
            yield f"{when:<16}  nothing"
            continue
        for cell in run.cells:
            late = f"@{cell.cycle} " if cell.cycle != run.first else ""
            known = ", ".join(n for n in (cell.comment, cell.node) if n)
            line = f"{when:<16}  {late}{cell.queue}: {cell.text}"
            yield f"{line}  ; {known}" if known else line
            when = ""
