"""MXM, fp16: activations as the product takes them."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.lowering import planes
from emulator.lowering.matrix import activation_pitch
from emulator.lowering.rows import Input, load, load_joined, load_plane
from emulator.lowering.text import Function, Target, module
from emulator.lowering.values import Lanes
from isa.instruction import DType


@dataclass(frozen=True)
class Widen:
    """float16 activations as float32 rows, ``activation_pitch`` floats from row to row.

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
            with f.loop(0, k, v.n) as lane:
                place = f.at(line, f.let(f"mul i64 {lane}, 4"))
                for number, (some, raw) in enumerate(self._halves(v, sources, lane)):
                    value = some.as_float(raw, DType.F16)
                    where = f.at(place, 4 * some.n * number)
                    f.do(f"store {some.floats} {value}, ptr {where}, align 4")
        return module([("kernel", f)])

    def _halves(self, v: Lanes, sources: list[str], lane: str) -> list[tuple[Lanes, str]]:
        """``v.n`` elements, in one or two vectors."""
        given = self.activations
        if not given.planes:
            return [(v, load(v, sources[0], lane, 2))]
        if v.n < planes.HALF:
            return [(v, load_joined(v, given, sources, lane))]
        parts = zip(sources, given.planes, strict=True)
        low, high = (load_plane(v, p, lane, *where) for p, where in parts)
        eight = Lanes(v.f, v.n // 2, v.half)
        return [(eight, raw) for raw in planes.zipped(v, low, high)]
