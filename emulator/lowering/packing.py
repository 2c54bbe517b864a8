"""MXM: loaded weight vectors turned into what the product streams: contraction index outside, output columns inside.

A loaded vector holds, across lanes, the weights of one output column; packing transposes. Vectors are found through a table,
since each may lie anywhere: two words a column and byte plane, pointer (at the window's first lane) and bytes from lane to lane.
"""

from __future__ import annotations

from dataclasses import dataclass

from emulator.lowering.matrix import panel_columns
from emulator.lowering.text import Function, Target, module
from emulator.lowering.values import Lanes
from isa.instruction import DType

BLOCK = 16
"""Columns and lanes transposed at once."""


@dataclass(frozen=True)
class Pack:
    """Packs weights of ``planes`` bytes into panels: of ``panel_columns`` for fp16, one of all columns for int8.

    ``fast`` takes blocks of 16 x 16 and needs lanes one byte apart and k a multiple of 16. Of fp16 weights it also tells between
    which k those of each 16 columns are not all zeros: the first, and the one behind the last; it tells 0 and k where it is not fast.

    Descriptor: columns, padded to whole blocks (fp16 not fast: to whole panels); k; destination; bytes from panel to panel;
    table; columns of a panel; of fp16, where to put two words for each 16 columns.
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
        if self.planes == DType.F16.planes:
            with f.loop(*f.share(f.let(f"udiv i64 {columns}, {BLOCK}"))) as block:
                self._tell(f, block, "0", k)
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
        first, last = (f.slot("i64") for _ in range(2))
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
            f.do(f"store i64 {k}, ptr {first}")
            f.do(f"store i64 0, ptr {last}")
            with f.loop(0, k, BLOCK) as lane:
                rows = [
                    self._row(v, sources[c * self.planes : (c + 1) * self.planes], lane)
                    for c in range(BLOCK)
                ]
                if width == 16:
                    with f.when(self._any(v, rows)):
                        low = f.minimum(f.let(f"load i64, ptr {first}"), lane)
                        f.do(f"store i64 {low}, ptr {first}")
                        f.do(f"store i64 {f.let(f'add i64 {lane}, {BLOCK}')}, ptr {last}")
                for i, row in enumerate(_transposed(f, rows, width)):
                    place = f.at(line, f.let(f"mul i64 {f.let(f'add i64 {lane}, {i}')}, {pitch}"))
                    f.do(f"store {v.integer(width)} {row}, ptr {place}, align 1")
            if width == 16:
                ends = (f.let(f"load i64, ptr {place}") for place in (first, last))
                self._tell(f, f.let(f"udiv i64 {column}, {BLOCK}"), *ends)

    def _tell(self, f: Function, block: str, first: str, last: str) -> None:
        """The k between which 16 columns are not all zeros."""
        where = f.at(f.pointer(6), f.let(f"mul i64 {block}, 16"))
        f.do(f"store i64 {first}, ptr {where}")
        f.do(f"store i64 {last}, ptr {f.at(where, 8)}")

    def _any(self, v: Lanes, rows: list[str]) -> str:
        """i1: whether any float16 is other than zero, of either sign."""
        while len(rows) > 1:
            rows = [v.op("or", 16, a, b) for a, b in zip(rows[::2], rows[1::2], strict=True)]
        size = v.op("and", 16, rows[0], v.splat(16, 0x7FFF))
        bits = v.f.let(f"bitcast {v.integer(16)} {size} to i{16 * BLOCK}")
        return v.f.let(f"icmp ne i{16 * BLOCK} {bits}, 0")

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
    """A square of 16 vectors, transposed.

    Rounds that interleave row i with row i + n / 2 transpose; none crosses the 16-byte parts of a register. Where a row takes two
    of them, halves of the rows are transposed part by part, and parts joined in the end.
    """
    per = 16 * 8 // width
    parts = len(rows) // per
    groups = [_interleaved(f, rows[g : g + per], width, per) for g in range(0, len(rows), per)]
    if parts == 1:
        return groups[0]
    type_ = f"<{len(rows)} x i{width}>"
    out = []
    for part in range(parts):
        order = [part * per + i + len(rows) * g for g in range(2) for i in range(per)]
        mask = _mask(order)
        out += [
            f.let(f"shufflevector {type_} {a}, {type_} {b}, {mask}")
            for a, b in zip(*groups, strict=True)
        ]
    return out


def _interleaved(f: Function, rows: list[str], width: int, per: int) -> list[str]:
    """``per`` rows of 16 elements, each part of ``per`` of them transposed on its own."""
    n, type_ = BLOCK, f"<{BLOCK} x i{width}>"
    masks = []
    for half in (0, per // 2):
        inside = [half + i // 2 + (n if i % 2 else 0) for i in range(per)]
        masks.append(_mask([first + i for first in range(0, n, per) for i in inside]))
    for _ in range(per.bit_length() - 1):
        rows = [
            f.let(f"shufflevector {type_} {rows[i]}, {type_} {rows[i + per // 2]}, {mask}")
            for i in range(per // 2)
            for mask in masks
        ]
    return rows


def _mask(order: list[int]) -> str:
    return f"<{len(order)} x i32> <" + ", ".join(f"i32 {i}" for i in order) + ">"
