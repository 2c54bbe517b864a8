"""The shortest of several schedules: greedy choices made a little otherwise each time.

Which job goes first decides what finds its ports free thousands of cycles later, so neighbouring settings come out a percent or two
apart, in no order. The variants and their sequence are fixed: the same effort gives the same program.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Final

from compiler.scheduling.scheduler import (
    LEAD,
    SLACK,
    TRIALS,
    Placement,
    Progress,
    Schedule,
    Variant,
    schedule,
)
from compiler.tiles import TileGraph
from isa.errors import LimitError
from isa.machine import Machine

_LEADS: Final = ((LEAD, LEAD // 2), (2 * LEAD, 0))
_SLACKS: Final = (SLACK, 2 * SLACK)
_ROTATIONS: Final = (0, 3)

EFFORTS: Final = (1, 1, 4, 16)
"""Schedules that are tried at each effort; at effort 0 the one is made without trying jobs out."""

FRUGAL: Final = (0.4, 0.0)
"""`COPY_BELOW` of further schedules, tried in turn where none of an effort finds room: weights are not copied early."""


def variants(effort: int) -> list[Variant]:
    """What is tried at an effort (0 to 3), in this order; each effort from 1 on has what the one below it has."""
    if effort == 0:
        return [Variant(trials=1)]
    every = [
        Variant(lead, slack, TRIALS, rotation)
        for slack, leads in product(_SLACKS, _LEADS)
        for rotation, lead in product(_ROTATIONS, leads)
    ]
    return every[: EFFORTS[effort]]


def search(
    tiles: TileGraph, machine: Machine, effort: int = 1, progress: Progress | None = None
) -> tuple[Placement, Schedule]:
    """The schedule of fewest cycles among the variants of ``effort``, the first of those that are as short.

    A variant that finds no room is passed over; when none finds any, weights are copied less. Raises ``LimitError`` TSP413, the
    first one's, when that does not help.
    """
    best: tuple[Placement, Schedule] | None = None
    refused: LimitError | None = None
    tried = variants(effort)
    for i, variant in enumerate(tried):
        each = None if progress is None else _part(progress, i, len(tried))
        try:
            found = schedule(tiles, machine, each, variant)
        except LimitError as error:
            refused = refused or error
            continue
        if best is None or found[1].cycles < best[1].cycles:
            best = found
    for share in FRUGAL if best is None else ():
        try:
            return schedule(tiles, machine, progress, replace(tried[0], copy_below=share))
        except LimitError:
            continue
    if best is None:
        assert refused is not None
        raise refused
    return best


def _part(progress: Progress, index: int, parts: int) -> Progress:
    """Progress of one of several runs of equal length."""
    return lambda done, total: progress(index * total + done, parts * total)
