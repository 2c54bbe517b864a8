"""MXM, fp16: activations as the product takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from emulator.lowering import planes
from emulator.lowering.matrix import activation_pitch, flag_place
from emulator.lowering.rows import Input, load, load_joined, load_plane
from emulator.lowering.text import Function, Target, module
from emulator.lowering.values import Lanes
from isa.instruction import DType

INFINITY: Final = 0x7C00
"""float16, without its sign; NaNs are greater."""


@dataclass(frozen=True)
class Widen:
    """float16 activations as float32 rows, ``activation_pitch`` floats from row to row.

    Behind a row's lanes, at float ``flag_place``, stands an i32: 0 if all of them are finite.

    Descriptor: rows; k, a multiple of ``window``; destination; then pointer and stride of each place of the activations.
    """

    activations: Input
    window: int

    def source(self, target: Target) -> str:
        """The kernel's module."""
        f = Function()
        given, k, out = self.activations, f.word(1), f.pointer(2)
        v = Lanes(f, next(n for n in (16, 8, 4, 2, 1) if self.window % n == 0), target.half)
        begin, end = f.share(f.word(0))
        places = [(f.pointer(3 + 2 * i), f.word(4 + 2 * i)) for i in range(len(given.planes) or 1)]
        with f.loop(begin, end) as row:
            sources = [f.at(p, f.let(f"mul i64 {row}, {s}")) for p, s in places]
            line = f.at(out, f.let(f"mul i64 {row}, {4 * activation_pitch(target)}"))
            n = v.n // self._vectors(v)
            type_, name = f"<{n} x i16>", f"v{n}i16"
            with f.fold(0, k, type_, "zeroinitializer", v.n) as fold:
                place = f.at(line, f.let(f"mul i64 {fold.index}, 4"))
                for number, (some, raw) in enumerate(self._halves(v, sources, fold.index)):
                    value = some.as_float(raw, DType.F16)
                    where = f.at(place, 4 * some.n * number)
                    f.do(f"store {some.floats} {value}, ptr {where}, align 4")
                    size = some.op("and", 16, raw, some.splat(16, 0x7FFF))
                    fold.value = some.intrinsic("umax", 16, fold.value, size)
            largest = f.call("i16", f"llvm.vector.reduce.umax.{name}", (type_, fold.value))
            flag = f.let(f"zext i1 {f.let(f'icmp uge i16 {largest}, {INFINITY}')} to i32")
            f.do(f"store i32 {flag}, ptr {f.at(line, 4 * flag_place(target))}, align 4")
        return module([("kernel", f)])

    def _vectors(self, v: Lanes) -> int:
        """How many vectors ``_halves`` gives."""
        return 2 if self.activations.planes and v.n >= planes.HALF else 1

    def _halves(self, v: Lanes, sources: list[str], lane: str) -> list[tuple[Lanes, str]]:
        """``v.n`` elements, in one or two vectors."""
        given = self.activations
        if not given.planes:
            return [(v, load(v, sources[0], lane, 2))]
        if self._vectors(v) == 1:
            return [(v, load_joined(v, given, sources, lane))]
        parts = zip(sources, given.planes, strict=True)
        low, high = (load_plane(v, p, lane, *where) for p, where in parts)
        eight = Lanes(v.f, v.n // 2, v.half)
        return [(eight, raw) for raw in planes.zipped(v, low, high)]
