"""Elements from their byte planes and back, for many lanes at once.

A *block* is ``BLOCK`` lanes in two *halves* of 16, in an order of lanes that bytes can be brought into without crossing the
16-byte parts of a register: element ``i`` of half ``h`` is lane ``ORDER[h][i]``. What is done lane by lane does not mind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from emulator.lowering.values import Lanes

HALF: Final = 16
BLOCK: Final = 2 * HALF
ORDER: Final = [
    [16 * (i % 8 // 4) + 4 * (2 * h + i // 8) + i % 4 for i in range(HALF)] for h in range(2)
]
"""Register ``2 * h + i // 8`` of a block has four lanes of its first and the same four of its second 16."""


def joined(v: Lanes, planes: Sequence[str]) -> list[str]:
    """Both halves of a block's elements, from ``BLOCK`` bytes of each plane, lowest first."""
    if len(planes) == 1:
        return _ordered(v, planes[0], 8)
    low, high = _zipped(v, planes[0], planes[1], 8)
    if len(planes) == 2:
        both = _concatenated(v, 16, 16, low, high)
        return _ordered_from(
            v, both, 16, [*range(8), *range(16, 24), *range(8, 16), *range(24, 32)]
        )
    upper = _zipped(v, planes[2], planes[3], 8)
    registers = [r for a, b in zip((low, high), upper, strict=True) for r in _zipped(v, a, b, 16)]
    return [_concatenated(v, 32, 8, registers[2 * h], registers[2 * h + 1]) for h in range(2)]


def split(v: Lanes, halves: Sequence[str], width: int) -> list[str]:
    """``BLOCK`` bytes of each plane of a block's elements, lowest first: the inverse of ``joined``."""
    if width == 8:
        return [natural(v, halves, 8)]
    count, total = width // 8, HALF * width // 8
    per = 16 // count
    order = [16 * (i // 16) + (i % 16 % per) * count + i % 16 // per for i in range(total)]
    sorted_ = [_shuffled(v, f"<{total} x i8>", _cast(v, h, width, 8), None, order) for h in halves]
    words = [v.f.let(f"bitcast <{total} x i8> {s} to <{total // 4} x i32>") for s in sorted_]
    if width == 16:
        orders = [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15]
        pairs = [_shuffled(v, "<8 x i32>", words[0], words[1], o) for o in orders]
        out = [_shuffled(v, "<8 x i32>", p, None, [0, 4, 2, 6, 1, 5, 3, 7]) for p in pairs]
        return [v.f.let(f"bitcast <8 x i32> {o} to <32 x i8>") for o in out]
    registers = [
        _shuffled(v, "<16 x i32>", w, None, range(8 * r, 8 * r + 8))
        for w in words
        for r in range(2)
    ]
    out = []
    for first in (0, 2):
        order = [first + o for o in (0, 8, 1, 9, 4, 12, 5, 13)]
        quads = [_shuffled(v, "<8 x i32>", registers[i], registers[i + 1], order) for i in (0, 2)]
        longs = [v.f.let(f"bitcast <8 x i32> {q} to <4 x i64>") for q in quads]
        for order in ([0, 4, 2, 6], [1, 5, 3, 7]):
            plane = _shuffled(v, "<4 x i64>", longs[0], longs[1], order)
            out.append(v.f.let(f"bitcast <4 x i64> {plane} to <32 x i8>"))
    return out


def load_value(v: Lanes, pointer: str, width: int) -> list[str]:
    """Both halves of a block of elements that lie one behind the other."""
    type_ = f"<{BLOCK} x i{width}>"
    if width < 32:
        return _ordered(v, v.f.let(f"load {type_}, ptr {pointer}, align 1"), width)
    parts = [v.f.let(f"load <4 x i32>, ptr {v.f.at(pointer, 16 * i)}, align 1") for i in range(8)]
    pairs = [_concatenated(v, 32, 4, parts[j], parts[4 + j]) for j in range(4)]
    return [_concatenated(v, 32, 8, pairs[2 * h], pairs[2 * h + 1]) for h in range(2)]


def store_value(v: Lanes, halves: Sequence[str], pointer: str, width: int) -> None:
    """Store a block's elements one behind the other."""
    if width < 32:
        raw = natural(v, halves, width)
        v.f.do(f"store <{BLOCK} x i{width}> {raw}, ptr {pointer}, align 1")
        return
    for h, half in enumerate(halves):
        for first in range(0, HALF, 4):
            part = _shuffled(v, "<16 x i32>", half, None, range(first, first + 4))
            place = v.f.at(pointer, 4 * ORDER[h][first])
            v.f.do(f"store <4 x i32> {part}, ptr {place}, align 1")


def natural(v: Lanes, halves: Sequence[str], width: int) -> str:
    """``BLOCK`` elements in order of lanes, from both halves."""
    place = {lane: HALF * h + i for h in range(2) for i, lane in enumerate(ORDER[h])}
    order = [place[lane] for lane in range(BLOCK)]
    return _shuffled(v, v.integer(width), halves[0], halves[1], order)


def _ordered(v: Lanes, raw: str, width: int) -> list[str]:
    """Both halves of ``BLOCK`` elements that are in order of lanes."""
    return _ordered_from(v, raw, width, range(BLOCK))


def _ordered_from(v: Lanes, raw: str, width: int, lanes: Sequence[int]) -> list[str]:
    """Both halves of ``BLOCK`` elements, of which number ``i`` is lane ``lanes[i]``."""
    place = {lane: i for i, lane in enumerate(lanes)}
    type_ = f"<{BLOCK} x i{width}>"
    return [_shuffled(v, type_, raw, None, [place[lane] for lane in half]) for half in ORDER]


def _zipped(v: Lanes, low: str, high: str, width: int) -> list[str]:
    """Elements of twice the width from lower and upper halves in registers of 32 bytes: two registers."""
    count = 256 // width
    per, type_, out = 128 // width, f"<{count} x i{width}>", []
    for part in range(2):
        inside = [part * per // 2 + i // 2 + count * (i % 2) for i in range(per)]
        both = _shuffled(v, type_, low, high, [*inside, *(per + i for i in inside)])
        out.append(v.f.let(f"bitcast {type_} {both} to <{count // 2} x i{2 * width}>"))
    return out


def zipped(v: Lanes, low: str, high: str) -> list[str]:
    """16 elements of two bytes, the first eight and the others, from ``HALF`` bytes of each plane."""
    out = []
    for first in (0, HALF // 2):
        order = [first + i // 2 + HALF * (i % 2) for i in range(HALF)]
        both = _shuffled(v, f"<{HALF} x i8>", low, high, order)
        out.append(v.f.let(f"bitcast <{HALF} x i8> {both} to <{HALF // 2} x i16>"))
    return out


def _concatenated(v: Lanes, width: int, count: int, a: str, b: str) -> str:
    return _shuffled(v, f"<{count} x i{width}>", a, b, range(2 * count))


def _cast(v: Lanes, raw: str, old: int, new: int) -> str:
    count = HALF * old // new
    return v.f.let(f"bitcast {v.integer(old)} {raw} to <{count} x i{new}>")


def _shuffled(v: Lanes, type_: str, a: str, b: str | None, order: Iterable[int]) -> str:
    numbers = [f"i32 {i}" for i in order]
    mask = f"<{len(numbers)} x i32> <{', '.join(numbers)}>"
    other = "poison" if b is None else b
    return v.f.let(f"shufflevector {type_} {a}, {type_} {other}, {mask}")
