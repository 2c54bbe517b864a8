"""MXM: loaded weight vectors turned into what the product streams: contraction index outside, output columns inside.

A loaded vector holds, across lanes, the weights of one output column; packing transposes. Vectors are found through a table,
since each may lie anywhere: two words a column and byte plane, pointer (at the window's first lane) and bytes from lane to lane.
"""

from __future__ import annotations

from dataclasses import dataclass

from emulator.lowering.matrix import panel_columns
from emulator.lowering.text import Function, Target, module
from emulator.lowering.values import Lanes

BLOCK = 16
"""Columns and lanes transposed at once."""


@dataclass(frozen=True)
class Pack:
    """Packs weights of ``planes`` bytes into panels: of ``panel_columns`` for fp16, one of all columns for int8.

    ``fast`` takes blocks of 16 x 16 and needs lanes one byte apart and k a multiple of 16.

    Descriptor: columns, padded to whole blocks (fp16 not fast: to whole panels); k; destination; bytes from panel to panel;
    table; columns of a panel.
    """

    planes: int
    fast: bool

    def source(self, target: Target) -> str:
        """The kernel's module."""
        f = Function()
        (self._blocks if self.fast else self._elements)(f, target)
        return module([("kernel", f)])

    @staticmethod
    def can_be_fast(target: Target, window: int) -> bool:
        """Whether a host and chip allow blocks."""
        return window % BLOCK == 0 and panel_columns(target) % BLOCK == 0

    def _elements(self, f: Function, target: Target) -> None:
        """One element at a time, whatever the layout."""
        columns, k, _, gap, _, wide = (f.word(i) for i in range(6))
        to, table = f.pointer(2), f.pointer(4)
        begin, end = f.share(columns)
        with f.loop(begin, end) as column:
            entry = f.at(table, f.let(f"mul i64 {column}, {16 * self.planes}"))
            sources = [
                (f.pointer(2 * p, entry), f.word(2 * p + 1, entry)) for p in range(self.planes)
            ]
            panel = f.let(f"udiv i64 {column}, {wide}")
            inside = f.let(f"urem i64 {column}, {wide}")
            line = f.at(to, f.let(f"mul i64 {panel}, {gap}"))
            line = f.at(line, f.let(f"mul i64 {inside}, {self.planes}"))
            pitch = f.let(f"mul i64 {wide}, {self.planes}")
            with f.loop(0, k) as lane:
                place = f.at(line, f.let(f"mul i64 {lane}, {pitch}"))
                for p, (pointer, step) in enumerate(sources):
                    byte = f.at(pointer, f.let(f"mul i64 {lane}, {step}"))
                    f.do(f"store i8 {f.let(f'load i8, ptr {byte}')}, ptr {f.at(place, p)}")

    def _blocks(self, f: Function, target: Target) -> None:
        """16 columns by 16 lanes at a time: four rounds of interleaving row i with row i + 8 transpose."""
        columns, k, _, gap, _, wide = (f.word(i) for i in range(6))
        to, table = f.pointer(2), f.pointer(4)
        v, width = Lanes(f, BLOCK), 8 * self.planes
        begin, end = f.share(columns, BLOCK)
        with f.loop(begin, end, BLOCK) as column:
            entry = f.at(table, f.let(f"mul i64 {column}, {16 * self.planes}"))
            sources = [
                f.pointer(2 * self.planes * c + 2 * p, entry)
                for c in range(BLOCK)
                for p in range(self.planes)
            ]
            panel = f.let(f"udiv i64 {column}, {wide}")
            inside = f.let(f"urem i64 {column}, {wide}")
            line = f.at(to, f.let(f"mul i64 {panel}, {gap}"))
            line = f.at(line, f.let(f"mul i64 {inside}, {self.planes}"))
            pitch = f.let(f"mul i64 {wide}, {self.planes}")
            with f.loop(0, k, BLOCK) as lane:
                rows = [
                    self._row(v, sources[c * self.planes : (c + 1) * self.planes], lane)
                    for c in range(BLOCK)
                ]
                for i, row in enumerate(_transposed(f, rows, width)):
                    place = f.at(line, f.let(f"mul i64 {f.let(f'add i64 {lane}, {i}')}, {pitch}"))
                    f.do(f"store {v.integer(width)} {row}, ptr {place}, align 1")

    def _row(self, v: Lanes, sources: list[str], lane: str) -> str:
        """16 lanes of one column."""
        f = v.f
        parts = [
            f.let(f"load {v.integer(8)}, ptr {f.at(pointer, lane)}, align 1") for pointer in sources
        ]
        if len(parts) == 1:
            return parts[0]
        low, high = (v.resize(p, 8, 16, signed=False) for p in parts)
        return v.op("or", 16, low, v.op("shl", 16, high, v.splat(16, 8)))


def _transposed(f: Function, rows: list[str], width: int) -> list[str]:
    """A square of ``len(rows)`` vectors, transposed."""
    n = len(rows)
    type_ = f"<{n} x i{width}>"
    masks = []
    for half in (0, n // 2):
        order = [half + i // 2 + (n if i % 2 else 0) for i in range(n)]
        masks.append(f"<{n} x i32> <" + ", ".join(f"i32 {i}" for i in order) + ">")
    for _ in range(n.bit_length() - 1):
        rows = [
            f.let(f"shufflevector {type_} {rows[i]}, {type_} {rows[i + n // 2]}, {mask}")
            for i in range(n // 2)
            for mask in masks
        ]
    return rows
