"""Reading or writing a copy: from when on that can be, and the ports and banks that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compiler.scheduling.memory import Copy, Fragment, TilePlace
from compiler.scheduling.tables import Ints, Tables
from compiler.tiles import Rows


@dataclass(slots=True)
class Way:
    """A copy to read, once all that will be read of it is placed, or to write: nothing of this changes any more.

    ``since`` is the start before which rows are missing, or words hold something else; ``spans`` are ports and banks as
    ``(row of the tables, cycles after the start)``, two a byte plane.
    """

    copy: Copy
    since: int
    spans: list[tuple[int, int]]

    def free(self, tables: Tables, start: int, count: int, step: int) -> int:
        """The first start from ``start`` on that is not too early and at which every port and bank is free."""
        return tables.first(self.spans, max(start, self.since), count, step)


def way(tables: Tables, copy: Copy, rows: Rows, offsets: Sequence[int], step: int) -> Way:
    """Reading ``rows`` of a copy, a byte plane each ``offsets`` cycles after the start, a row every ``step`` cycles."""
    since = max(
        copy.ready(p, rows.row, rows.count, rows.stride, step) - offset
        for p, offset in enumerate(offsets)
    )
    return Way(copy, since, spans(tables, tables.read, copy, offsets))


def writing(tables: Tables, fragment: Fragment, offsets: Ints) -> list[Way]:
    """Writing to the copies that a fragment has, the first of each side, by slice ``offsets`` cycles after the start."""
    found = []
    for copy, *_ in fragment.copies.values():
        mine = offsets[copy.slices].tolist()
        since = max(copy.since - offset for offset in mine)
        found.append(Way(copy, since, spans(tables, tables.write, copy, mine)))
    return found


def spans(
    tables: Tables, port: int, copy: Copy | TilePlace, offsets: Sequence[int]
) -> list[tuple[int, int]]:
    """Ports (``port``: the first row of their kind) and banks of a copy, a cycle offset a byte plane."""
    found = []
    for s, b, offset in zip(copy.slices, copy.banks, offsets, strict=True):
        found += [(port + s, offset), (tables.bank + s * tables.banks + b, offset)]
    return found
