"""MXM, fp16: weights packed into panels, and the product of a block of activations with them.

A *panel* holds ``Target.width * 2`` output columns as ``[k][column]`` float16, so that the inner loop streams it. Accumulators
are float32 rows of all lanes. Each accumulator takes its products one by one in ascending k, seeded by what it holds:
products of two float16 are exact in float32, so a fused step and a multiplication followed by an addition agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from emulator.lowering.text import Function, Target
from emulator.lowering.values import Lanes
from isa.instruction import DType

VECTORS: Final = 2
"""Host vectors of output columns a panel is wide."""
PAD: Final = 16
"""Floats between rows of widened activations beyond their lanes: keeps rows off one cache set."""
ALIGN: Final = 16
ZEROS: Final = 16
"""Columns, and steps of k, of which ``Pack`` tells whether they are zeros."""
LINE: Final = 64
AHEAD: Final = 4
"""Bytes of the next panel that a tile asks for a step of k: eleven tiles ask for all of it."""


def panel_columns(target: Target) -> int:
    """Columns of a panel."""
    return VECTORS * target.width


def activation_pitch(target: Target) -> int:
    """Floats from one row of widened activations to the next."""
    return -(-target.lanes // ALIGN) * ALIGN + PAD


def flag_place(target: Target) -> int:
    """Which float of a row of widened activations tells whether they are finite."""
    return activation_pitch(target) - PAD


def row_blocks(target: Target) -> tuple[int, ...]:
    """Numbers of rows a tile takes at once, largest first: as many as accumulators fit in registers."""
    return (
        (8, 4, 2, 1) if target.registers >= 32 else (6, 4, 2, 1) if target.width > 4 else (4, 2, 1)
    )


@dataclass(frozen=True)
class Multiply:
    """The kernel of one ``acc`` burst: rows of activations times installed columns, added to accumulator rows.

    Descriptor: rows; k; columns; panels (at the window's first k); bytes from panel to panel; accumulators (first row, first
    column); bytes from accumulator row to row; 1 to start from zero, 2 to leave all other columns as they are then; accumulators
    (first row, lane 0); first column; activations that ``Widen`` made; and where ``skips``: what ``Pack`` told of the weights'
    zeros; k before the window in the panels.

    With ``skips``, sums that start from zero leave out zeros before the first and behind the last other weight of a panel,
    where all activations are finite: such a product is a zero, and a sum that began as +0 never is -0, so adding it changes nothing.
    """

    window: int
    skips: bool = False

    def source(self, target: Target) -> str:
        """The kernel's module."""
        tiles, declares = [], set()
        for tile in (*_tiles(target, self.window), _strip(target, self.window)):
            f = tile.write()
            tiles.append(f.text(tile.name, TILE, "internal"))
            declares |= f.declares
        f = Function()
        _Multiply(self, target, f).write()
        texts = [*tiles, f.text("kernel"), *sorted(declares | f.declares)]
        return "\n".join(texts) + "\n"


# ``%gap``: from panel to panel in a strip; else from this panel to what it is to ask for of the next one.
TILE: Final = "ptr %a, ptr %b, ptr %c, i64 %pitch, i64 %k, i1 %start, i64 %valid, i64 %gap"


def _tile(rows: int, masked: bool, panels: int = 1) -> str:
    return f"tile{rows}{'m' if masked else ''}x{panels}"


def _tiles(target: Target, window: int) -> Iterator[_Tile]:
    """Tiles of one panel, for any number of rows and columns."""
    for rows in row_blocks(target):
        for masked in (False, True):
            yield _Tile(target, window, rows, masked)


def _strip(target: Target, window: int) -> _Tile:
    """A tile of a single row: as many panels as keep the pipes busy while each sum waits for the step before."""
    return _Tile(target, window, 1, False, strip_panels(target))


def strip_panels(target: Target) -> int:
    """Panels of a strip."""
    return 5 if target.registers >= 16 and target.width > 4 else 2


class _Tile:
    """A block of accumulators in registers, while k runs; ``masked`` keeps columns from ``%valid`` on as they are."""

    def __init__(
        self, target: Target, window: int, rows: int, masked: bool, panels: int = 1
    ) -> None:
        self.target, self.rows, self.masked, self.panels = target, rows, masked, panels
        self.name = _tile(rows, masked, panels)
        self.unroll = next(n for n in (4, 2, 1) if window % n == 0)
        self.f = Function()
        self.v = Lanes(self.f, target.width, target.half)
        self.cells = [(r, c) for r in range(rows) for c in range(panels * VECTORS)]

    def write(self) -> Function:
        f, v = self.f, self.v
        places = self._places()
        f.do("br i1 %start, label %ready, label %seed")
        f.label("seed")
        seeds = [f.let(f"load {v.floats}, ptr {p}, align 4") for p in places]
        f.do("br label %ready")
        f.label("ready")
        first = [f.let(f"phi {v.floats} [zeroinitializer, %entry], [{s}, %seed]") for s in seeds]
        f.do("br label %loop")
        f.label("loop")
        k = f.let("phi i64 [0, %ready], [%next, %loop]")
        sums = [
            f.let(f"phi {v.floats} [{s}, %ready], [%last{n}, %loop]") for n, s in enumerate(first)
        ]
        sums = self._steps(k, sums)
        for n, s in enumerate(sums):  # the names that the phis of the loop refer to
            f.do(f"%last{n} = bitcast {v.floats} {s} to {v.floats}")
        f.do(f"%next = add i64 {k}, {self.unroll}")
        more = f.let("icmp ult i64 %next, %k")
        f.do(f"br i1 {more}, label %loop, label %end")
        f.label("end")
        self._store(places)
        return f

    def _places(self) -> list[str]:
        """Pointers to the accumulators."""
        f, out = self.f, []
        for r, c in self.cells:
            row = f.at("%c", f.let(f"mul i64 %pitch, {r}"))
            out.append(f.at(row, 4 * self.target.width * c))
        return out

    def _steps(self, k: str, sums: list[str]) -> list[str]:
        """``unroll`` steps of k."""
        f, v, wide = self.f, self.v, panel_columns(self.target)
        weights = [f.at("%b", f.let(f"mul i64 {k}, {2 * wide}"))]
        for _ in range(1, self.panels):
            weights.append(f.at(weights[-1], "%gap"))
        self._prefetch(k, weights)
        lanes = f.at("%a", f.let(f"mul i64 {k}, 4"))
        pitch = activation_pitch(self.target)
        for u in range(self.unroll):
            columns = []
            for c in range(self.panels * VECTORS):
                inside = c % VECTORS * self.target.width
                place = f.at(weights[c // VECTORS], 2 * (u * wide + inside))
                raw = f.let(f"load {v.integer(16)}, ptr {place}, align 2")
                columns.append(v.as_float(raw, DType.F16))
            spread = []
            for r in range(self.rows):
                value = f.let(f"load float, ptr {f.at(lanes, 4 * (r * pitch + u))}, align 4")
                spread.append(v.spread("float", value))
            sums = [
                self._add(spread[r], columns[c], s)
                for (r, c), s in zip(self.cells, sums, strict=True)
            ]
        return sums

    def _prefetch(self, k: str, weights: list[str]) -> None:
        """Ask for what comes next: of the next panel a line a few steps, or all that the next strip streams."""
        f, name = self.f, "llvm.prefetch.p0"
        f.declares.add(f"declare void @{name}(ptr, i32, i32, i32)")
        if self.panels == 1:
            where = f.at(f.at("%b", "%gap"), f.let(f"mul i64 {k}, {AHEAD}"))
            f.do(f"call void @{name}(ptr {where}, i32 0, i32 3, i32 1)")
            return
        ahead = f.let(f"mul i64 %gap, {self.panels}")
        for panel in weights:
            for line in range(0, 2 * self.unroll * panel_columns(self.target), LINE):
                where = f.at(f.at(panel, ahead), line)
                f.do(f"call void @{name}(ptr {where}, i32 0, i32 3, i32 1)")

    def _add(self, a: str, b: str, total: str) -> str:
        v = self.v
        if not self.target.fma:
            return v.arith("fadd", total, v.arith("fmul", a, b))
        t = v.floats
        return v.f.call(t, f"llvm.fma.v{v.n}f32", (t, a), (t, b), (t, total))

    def _store(self, places: list[str]) -> None:
        f, v = self.f, self.v
        masks = [self._mask(c) for c in range(VECTORS)] if self.masked else []
        for n, ((_, c), place) in enumerate(zip(self.cells, places, strict=True)):
            if not self.masked:
                f.do(f"store {v.floats} %last{n}, ptr {place}, align 4")
                continue
            masked_store(f, f"v{v.n}f32", v.floats, f"%last{n}", place, masks[c], v.n)

    def _mask(self, vector: int) -> str:
        first = vector * self.target.width
        return column_mask(self.f, self.v.n, first, "%valid")


def column_mask(f: Function, n: int, first: int | str, valid: str) -> str:
    """``n`` i1: whether column ``first + lane`` is below ``valid``."""
    numbers = "<" + ", ".join(f"i64 {i}" for i in range(n)) + ">"
    left = f.let(f"sub i64 {valid}, {first}")
    one = f.let(f"insertelement <{n} x i64> undef, i64 {left}, i64 0")
    zero = f"<{n} x i32> zeroinitializer"
    all_ = f.let(f"shufflevector <{n} x i64> {one}, <{n} x i64> undef, {zero}")
    return f.let(f"icmp slt <{n} x i64> {numbers}, {all_}")


def masked_store(
    f: Function, suffix: str, type_: str, value: str, place: str, mask: str, n: int
) -> None:
    """Store the lanes of ``value`` whose mask holds."""
    name = f"llvm.masked.store.{suffix}.p0"
    f.declares.add(f"declare void @{name}({type_}, ptr, i32, <{n} x i1>)")
    f.do(f"call void @{name}({type_} {value}, ptr {place}, i32 4, <{n} x i1> {mask})")


class _Multiply:
    """The kernel around the tiles."""

    def __init__(self, shape: Multiply, target: Target, f: Function) -> None:
        self.shape, self.target, self.f = shape, target, f
        self.words = [f.word(i) for i in range(10)]

    def write(self) -> None:
        f = self.f
        rows, k, columns, panels, gap, acc, pitch, start = self.words[:8]
        started = f.let(f"icmp ne i64 {start}, 0")
        scratch = f.pointer(10)
        self._clear(rows, columns, pitch, f.let(f"icmp eq i64 {start}, 1"))
        wide = panel_columns(self.target)
        count = f.let(f"udiv i64 {f.let(f'add i64 {columns}, {wide - 1}')}, {wide}")
        few = f.let(
            f"icmp ult i64 {count}, %parts"
        )  # then rows are shared, each against all panels
        begin, end = self._shared(few, ("0", count), f.share(count))
        first, rows = self._shared(few, f.share(rows), ("0", rows))
        scratch = f.at(scratch, f.let(f"mul i64 {first}, {4 * activation_pitch(self.target)}"))
        acc = f.let(f"add i64 {acc}, {f.let(f'mul i64 {first}, {pitch}')}")
        rows = f.let(f"sub i64 {rows}, {first}")
        panels, acc = (f.let(f"inttoptr i64 {p} to ptr") for p in (panels, acc))
        begin = self._strips(begin, end, rows, panels, acc, scratch)
        exact = self._exact(rows, scratch, started) if self.shape.skips else ""
        with f.loop(begin, end) as panel:
            weights = f.at(panels, f.let(f"mul i64 {panel}, {gap}"))
            if exact:
                low, k = self._between_zeros(panel, k, exact)
                weights = f.at(weights, f.let(f"mul i64 {low}, {2 * wide}"))
                scratch = f.at(scratch, f.let(f"mul i64 {low}, 4"))
            first = f.let(f"mul i64 {panel}, {wide}")
            sums = f.at(acc, f.let(f"mul i64 {first}, 4"))
            valid = f.let(f"sub i64 {columns}, {first}")
            full = f.let(f"icmp sge i64 {valid}, {wide}")
            part = f.let(f"xor i1 {full}, true")
            for condition, masked in ((full, False), (part, True)):
                with f.when(condition):
                    self._rows(rows, masked, scratch, weights, sums, (pitch, k, started, valid))

    def _exact(self, rows: str, scratch: str, started: str) -> str:
        """i1: whether zeros may be left out."""
        f = self.f
        odd = f.slot("i32")
        f.do(f"store i32 1, ptr {odd}")
        with f.when(started):
            flags = f.at(scratch, 4 * flag_place(self.target))
            with f.fold(0, rows, "i32", "0") as fold:
                pitch = 4 * activation_pitch(self.target)
                place = f.at(flags, f.let(f"mul i64 {fold.index}, {pitch}"))
                fold.value = f.let(f"or i32 {fold.value}, {f.let(f'load i32, ptr {place}')}")
            f.do(f"store i32 {fold.value}, ptr {odd}")
        return f.let(f"icmp eq i32 {f.let(f'load i32, ptr {odd}')}, 0")

    def _between_zeros(self, panel: str, k: str, exact: str) -> tuple[str, str]:
        """First k of a panel and how many: those between its zeros, a block at least; all where that is not exact."""
        f, each = self.f, panel_columns(self.target) // ZEROS
        told = f.at(f.pointer(11), f.let(f"mul i64 {panel}, {16 * each}"))
        ends = [(f.word(2 * i, told), f.word(2 * i + 1, told)) for i in range(each)]
        low, high = ends[0]
        for first, last in ends[1:]:
            low = f.minimum(low, first)
            high = f.call("i64", "llvm.smax.i64", ("i64", high), ("i64", last))
        before = f.word(12)
        low, high = (f.let(f"sub i64 {end}, {before}") for end in (low, high))
        low = f.minimum(low, f.let(f"sub i64 {k}, {ZEROS}"))
        low = f.call("i64", "llvm.smax.i64", ("i64", low), ("i64", "0"))
        least = f.let(f"add i64 {low}, {ZEROS}")
        high = f.call("i64", "llvm.smax.i64", ("i64", f.minimum(high, k)), ("i64", least))
        count = f.let(f"sub i64 {high}, {low}")
        return (
            f.let(f"select i1 {exact}, i64 {low}, i64 0"),
            f.let(f"select i1 {exact}, i64 {count}, i64 {k}"),
        )

    def _shared(self, few: str, a: tuple[str, str], b: tuple[str, str]) -> list[str]:
        """Bounds ``a`` where there are few panels, else ``b``."""
        return [self.f.let(f"select i1 {few}, i64 {x}, i64 {y}") for x, y in zip(a, b, strict=True)]

    def _strips(self, begin: str, end: str, rows: str, panels: str, acc: str, scratch: str) -> str:
        """A single row against several whole panels at once; the first panel that is left over."""
        f, at_once = self.f, strip_panels(self.target)
        _, k, columns, _, gap, _, pitch, start = self.words[:8]
        wide = panel_columns(self.target)
        whole = f.minimum(end, f.let(f"udiv i64 {columns}, {wide}"))
        count = f.let(f"sdiv i64 {f.let(f'sub i64 {whole}, {begin}')}, {at_once}")
        count = f.let(f"select i1 {f.let(f'icmp eq i64 {rows}, 1')}, i64 {count}, i64 0")
        rest = f.let(f"add i64 {begin}, {f.let(f'mul i64 {count}, {at_once}')}")
        started = f.let(f"icmp ne i64 {start}, 0")
        with f.loop(begin, rest, at_once) as panel:
            weights = f.at(panels, f.let(f"mul i64 {panel}, {gap}"))
            sums = f.at(acc, f.let(f"mul i64 {panel}, {4 * wide}"))
            f.do(
                f"call void @{_tile(1, False, at_once)}(ptr {scratch}, ptr {weights}, ptr {sums}, "
                f"i64 {pitch}, i64 {k}, i1 {started}, i64 {wide}, i64 {gap})"
            )
        return rest

    def _clear(self, rows: str, columns: str, pitch: str, started: str) -> None:
        """Where accumulation starts, columns that are not installed become zero; the first part does it."""
        f = self.f
        some = f.let(f"icmp ne i64 {columns}, {self.target.lanes}")
        mine = f.let("icmp eq i64 %part, 0")
        both = f.let(f"and i1 {f.let(f'and i1 {some}, {mine}')}, {started}")
        base, first = f.let(f"inttoptr i64 {self.words[8]} to ptr"), self.words[9]
        clear_outside(f, both, rows, base, pitch, first, columns, self.target.lanes)

    def _rows(
        self,
        rows: str,
        masked: bool,
        scratch: str,
        weights: str,
        sums: str,
        rest: tuple[str, str, str, str],
    ) -> None:
        """All rows against one panel, the largest blocks first."""
        f, done = self.f, "0"
        pitch, k, started, valid = rest
        for block in row_blocks(self.target):
            left = f.let(f"sub i64 {rows}, {done}")
            whole = f.let(f"udiv i64 {left}, {block}")
            if block == 6:
                whole = self._even(left, whole)
            end = f.let(f"add i64 {done}, {f.let(f'mul i64 {whole}, {block}')}")
            with f.loop(done, end, block) as row:
                a = f.at(scratch, f.let(f"mul i64 {row}, {4 * activation_pitch(self.target)}"))
                c = f.at(sums, f.let(f"mul i64 {row}, {pitch}"))
                tile = f.let(f"udiv i64 {row}, {block}")
                ahead = f.let(f"mul i64 {tile}, {f.let(f'mul i64 {k}, {AHEAD}')}")
                ahead = f.let(f"add i64 {ahead}, {self.words[4]}")
                f.do(
                    f"call void @{_tile(block, masked)}(ptr {a}, ptr {weights}, ptr {c}, "
                    f"i64 {pitch}, i64 {k}, i1 {started}, i64 {valid}, i64 {ahead})"
                )
            done = end

    def _even(self, rows: str, sixes: str) -> str:
        """Blocks of six: one less where two rows would be left over, which two blocks of four do better."""
        f = self.f
        two = f.let(f"icmp eq i64 {f.let(f'urem i64 {rows}, 6')}, 2")
        some = f.let(f"icmp ne i64 {sixes}, 0")
        less = f.let(f"zext i1 {f.let(f'and i1 {two}, {some}')} to i64")
        return f.let(f"sub i64 {sixes}, {less}")


def clear_outside(
    f: Function,
    condition: str,
    rows: str,
    base: str,
    pitch: str,
    first: str,
    columns: str,
    lanes: int,
) -> None:
    """Where ``condition`` holds, zero 32-bit ``[rows][lanes]`` but for ``columns`` lanes from ``first`` on."""
    f.declares.add("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
    with f.when(condition), f.loop(0, rows) as row:
        line = f.at(base, f.let(f"mul i64 {row}, {pitch}"))
        head = f.let(f"mul i64 {first}, 4")
        f.do(f"call void @llvm.memset.p0.i64(ptr {line}, i8 0, i64 {head}, i1 false)")
        last = f.let(f"add i64 {first}, {columns}")
        tail = f.let(f"mul i64 {f.let(f'sub i64 {lanes}, {last}')}, 4")
        rest = f.at(line, f.let(f"mul i64 {last}, 4"))
        f.do(f"call void @llvm.memset.p0.i64(ptr {rest}, i8 0, i64 {tail}, i1 false)")
