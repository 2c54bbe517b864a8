"""MEM gather and scatter, and the SXM: each row's bytes go where a table, a stream or the instruction says.

Every place is three words: pointer, bytes from row to row, bytes from lane to lane (1 for words of memory and planes of their
own, more inside a value of several bytes a lane).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from emulator.lowering.text import Function, Target, module

PLACE: Final = 3
"""Descriptor words of a place."""


@dataclass(frozen=True)
class Indexed:
    """``gather`` (memory to destination) and ``scatter`` (source to memory).

    Descriptor: rows; pointer to word ``base`` of the slice; bytes it moves from row to row; limit; low and high index planes;
    source or destination.
    """

    scatter: bool

    def source(self, target: Target) -> str:
        """The kernel's module."""
        f = Function()
        first, pitch, limit = f.pointer(1), f.word(2), f.word(3)
        begin, end = f.share(f.word(0))
        width = target.per_superlane
        with f.loop(begin, end) as row:
            memory = f.at(first, f.let(f"mul i64 {row}, {pitch}"))
            low, high, data = (Place(f, 4 + PLACE * i, row) for i in range(3))
            with f.loop(0, target.lanes, width) as lane:
                parts = [f.let(f"zext i8 {p.load(lane)} to i64") for p in (low, high)]
                index = f.let(f"or i64 {parts[0]}, {f.let(f'shl i64 {parts[1]}, 8')}")
                index = f.minimum(index, limit)
                word = f.at(memory, f.let(f"mul i64 {index}, {target.lanes}"))
                for i in range(width):
                    here = f.let(f"add i64 {lane}, {i}")
                    if self.scatter:
                        f.do(f"store i8 {data.load(here)}, ptr {f.at(word, here)}")
                    else:
                        data.store(here, f.let(f"load i8, ptr {f.at(word, here)}"))
        return module([("kernel", f)])


class Place:
    """A row of single bytes, described from word ``index`` on."""

    def __init__(self, f: Function, index: int, row: str) -> None:
        self.f = f
        self.row = f.at(f.pointer(index), f.let(f"mul i64 {row}, {f.word(index + 1)}"))
        self.step = f.word(index + 2)

    def at(self, lane: str) -> str:
        """Pointer to a lane's byte."""
        return self.f.at(self.row, self.f.let(f"mul i64 {lane}, {self.step}"))

    def load(self, lane: str) -> str:
        """A lane's byte."""
        return self.f.let(f"load i8, ptr {self.at(lane)}")

    def store(self, lane: str, byte: str) -> None:
        """Set a lane's byte."""
        self.f.do(f"store i8 {byte}, ptr {self.at(lane)}")


@dataclass(frozen=True)
class Slide:
    """``shift`` of bytes that lie side by side: a piece of each row is copied, the lanes around it are zero.

    Descriptor: rows; first byte of the source's piece; bytes from row to row; destination; bytes from row to row; the
    piece's first lane there; its lanes.
    """

    def source(self, target: Target) -> str:
        """The kernel's module."""
        f = Function()
        rows, _, step, _, pitch, first, lanes = (f.word(i) for i in range(7))
        given, out = f.pointer(1), f.pointer(3)
        begin, end = f.share(rows)
        f.declares.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        f.declares.add("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
        with f.loop(begin, end) as row:
            line = f.at(out, f.let(f"mul i64 {row}, {pitch}"))
            f.do(f"call void @llvm.memset.p0.i64(ptr {line}, i8 0, i64 {target.lanes}, i1 false)")
            piece, place = f.at(given, f.let(f"mul i64 {row}, {step}")), f.at(line, first)
            f.do(
                f"call void @llvm.memcpy.p0.p0.i64(ptr {place}, ptr {piece}, i64 {lanes}, i1 false)"
            )
        return module([("kernel", f)])


@dataclass(frozen=True)
class Spread:
    """``shift``, ``distribute``, ``rotate`` and ``transpose``: ``out[i] = in[table[i]]``, or zero where the entry is negative.

    An entry is ``plane * 65536 + lane``; ``i`` counts the lanes of plane 0, then those of plane 1 and so on.

    Descriptor: rows; table; planes; the sources; the destinations (``planes`` of each).
    """

    planes: int

    def source(self, target: Target) -> str:
        """The kernel's module."""
        f = Function()
        begin, end = f.share(f.word(0))
        table, n = f.pointer(1), self.planes
        with f.loop(begin, end) as row:
            places = f.slot(f"[{2 * n} x i64]")
            for i in range(n):
                given = Place(f, 2 + PLACE * i, row)
                for number, value in (
                    (2 * i, f"ptr {given.row}"),
                    (2 * i + 1, f"i64 {given.step}"),
                ):
                    f.do(f"store {value}, ptr {f.at(places, 8 * number)}")
            for i in range(n):
                out = Place(f, 2 + PLACE * (n + i), row)
                with f.loop(0, target.lanes) as lane:
                    entry = f.word(f.let(f"add i64 {lane}, {i * target.lanes}"), table)
                    keep = f.let(f"icmp sge i64 {entry}, 0")
                    safe = f.let(f"select i1 {keep}, i64 {entry}, i64 0")
                    pair = f.at(places, f.let(f"shl i64 {f.let(f'lshr i64 {safe}, 16')}, 4"))
                    step = f.let(f"load i64, ptr {f.at(pair, 8)}")
                    offset = f.let(f"mul i64 {f.let(f'and i64 {safe}, 65535')}, {step}")
                    byte = f.let(f"load i8, ptr {f.at(f.let(f'load ptr, ptr {pair}'), offset)}")
                    out.store(lane, f.let(f"select i1 {keep}, i8 {byte}, i8 0"))
        return module([("kernel", f)])


@dataclass(frozen=True)
class Permute:
    """``permute``: lanes by a stream of lane numbers, taken modulo the lanes.

    Descriptor: rows; low and high plane of the map; source; destination.
    """

    def source(self, target: Target) -> str:
        """The kernel's module."""
        f = Function()
        begin, end = f.share(f.word(0))
        with f.loop(begin, end) as row:
            low, high, given, out = (Place(f, 1 + PLACE * i, row) for i in range(4))
            with f.loop(0, target.lanes) as lane:
                parts = [f.let(f"zext i8 {p.load(lane)} to i64") for p in (low, high)]
                index = f.let(f"or i64 {parts[0]}, {f.let(f'shl i64 {parts[1]}, 8')}")
                out.store(lane, given.load(f.let(f"urem i64 {index}, {target.lanes}")))
        return module([("kernel", f)])
