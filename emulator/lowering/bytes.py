"""MXM, int8: exact products modulo 2**32, and the special case of activations of a few ones, which only move or add bytes."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.lowering.matrix import clear_outside, column_mask, masked_store
from emulator.lowering.text import Function, Target, module
from emulator.lowering.values import Lanes

COLUMNS = 16
"""Output columns taken at once."""


@dataclass(frozen=True)
class MultiplyBytes:
    """The kernel of one int8 ``acc`` burst.

    Descriptor: rows; k; columns; panel ``[k][columns]`` (at the window's first k); its bytes from k to k; accumulators (first
    row, first column); bytes from accumulator row to row; 1 to start from zero; accumulators (first row, lane 0); first
    column; activations (at the window's first lane); bytes from row to row; bytes from lane to lane.
    """

    def source(self, target: Target) -> str:
        """The kernel's module."""
        f = Function()
        v = Lanes(f, COLUMNS)
        rows, k, columns, _, gap, _, pitch, start, _, first, _, row_step, lane_step = (
            f.word(i) for i in range(13)
        )
        panel, acc, base, given = (f.pointer(i) for i in (3, 5, 8, 10))
        started = f.let(f"icmp ne i64 {start}, 0")
        mine = f.let(f"and i1 {started}, {f.let('icmp eq i64 %part, 0')}")
        clear_outside(f, mine, rows, base, pitch, first, columns, target.lanes)
        begin, end = f.share(columns, COLUMNS)
        with f.loop(0, rows) as row, f.loop(begin, end, COLUMNS) as column:
            place = f.at(acc, f.let(f"mul i64 {row}, {pitch}"))
            place = f.at(place, f.let(f"mul i64 {column}, 4"))
            mask = column_mask(f, COLUMNS, column, columns)
            old = f.let(f"load {v.integer(32)}, ptr {place}, align 4")
            seed = f.let(
                f"select i1 {started}, {v.integer(32)} zeroinitializer, {v.integer(32)} {old}"
            )
            line = f.at(given, f.let(f"mul i64 {row}, {row_step}"))
            with f.fold(0, k, v.integer(32), seed) as fold:
                byte = f.at(line, f.let(f"mul i64 {fold.index}, {lane_step}"))
                a = f.let(f"sext i8 {f.let(f'load i8, ptr {byte}')} to i32")
                where = f.at(panel, f.let(f"mul i64 {fold.index}, {gap}"))
                w = f.let(f"load {v.integer(8)}, ptr {f.at(where, column)}, align 1")
                product = v.op("mul", 32, v.resize(w, 8, 32), v.spread("i32", a))
                fold.value = v.op("add", 32, fold.value, product)
            done = fold.value
            masked_store(f, f"v{COLUMNS}i32", v.integer(32), done, place, mask, COLUMNS)
        return module([("kernel", f)])


@dataclass(frozen=True)
class Move:
    """Sums modulo 256 of ``terms`` rows of an int8 panel, by number: what activations with so many ones select; other lanes zero.

    Descriptor: rows; table of k, ``terms`` a row; panel ``[k][columns]``; its bytes from k to k; destination; bytes from row to
    row; first column; columns.
    """

    terms: int = 1

    def source(self, target: Target) -> str:
        """The kernel's module."""
        f = Function()
        rows, _, _, gap, _, pitch, first, columns = (f.word(i) for i in range(8))
        table, panel, to = (f.pointer(i) for i in (1, 2, 4))
        begin, end = f.share(rows)
        f.declares.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        f.declares.add("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
        some = f.let(f"icmp ne i64 {columns}, {target.lanes}")
        with f.loop(begin, end) as row:
            line = f.at(to, f.let(f"mul i64 {row}, {pitch}"))
            with f.when(some):
                f.do(
                    f"call void @llvm.memset.p0.i64(ptr {line}, i8 0, i64 {target.lanes}, i1 false)"
                )
            entry = f.let(f"mul i64 {row}, {self.terms}")
            sources = []
            for term in range(self.terms):
                number = f.word(f.let(f"add i64 {entry}, {term}"), table)
                sources.append(f.at(panel, f.let(f"mul i64 {number}, {gap}")))
            place = f.at(line, first)
            if self.terms == 1:
                f.do(
                    f"call void @llvm.memcpy.p0.p0.i64(ptr {place}, ptr {sources[0]}, i64 {columns}, i1 false)"
                )
            else:
                self._add(f, sources, place, columns)
        return module([("kernel", f)])

    def _add(self, f: Function, sources: list[str], place: str, columns: str) -> None:
        """Bytes of several rows added up, a vector at a time, then one by one."""
        whole = f.let(f"and i64 {columns}, -{COLUMNS}")
        for start, stop, step in (("0", whole, COLUMNS), (whole, columns, 1)):
            type_ = f"<{step} x i8>"
            with f.loop(start, stop, step) as column:
                parts = [f.let(f"load {type_}, ptr {f.at(s, column)}, align 1") for s in sources]
                total = parts[0]
                for part in parts[1:]:
                    total = f.let(f"add {type_} {total}, {part}")
                f.do(f"store {type_} {total}, ptr {f.at(place, column)}, align 1")
