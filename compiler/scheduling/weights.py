"""Loading constant weight tiles: sixteen streams at a time, from slices chosen on first use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from compiler.scheduling.constants import Stored, tile_words
from compiler.scheduling.core import CONSTANT_BANK, Ints, Stream
from compiler.scheduling.feed import Feeder, Pair
from compiler.scheduling.memory import TilePlace
from compiler.scheduling.ways import spans
from compiler.tiles import MatrixJob, Weights, WeightTile
from isa.instruction import DType
from isa.ops.mem import Read
from isa.ops.mxm import LoadWeights

AT_ONCE = 32
"""Cycles that a search for free slices looks at in one go."""
PARTS = (2, 4)
"""Into how many parts a load may be cut that finds no time in one go."""
MAX_TILE_COPIES = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """A tile or a part of one: where it lies, its first column, and the cycle in which its load begins."""

    place: TilePlace
    column: int
    cycle: int

    @property
    def last(self) -> int:
        """The cycle of its last load."""
        return self.cycle + self.place.steps - 1


class TileLoader:
    """Places and loads `WeightTile`s."""

    def __init__(self, feeder: Feeder) -> None:
        self.feeder, self.core = feeder, feeder.core
        self.m, self.t = feeder.m, feeder.t
        self.t_load = self.m.timing("mxm_load")
        most = self.m["mxm.weight_streams"] // DType.F16.planes
        fits = (self.m.slices - 1) // DType.F16.planes
        self.groups = min(most, 1 << (fits.bit_length() - 1))
        self.streams = self.groups * DType.F16.planes
        self.distance = np.array(self.core.distance)

    def load(self, job: MatrixJob, weights: Weights, pair: Pair) -> int:
        """Load a constant tile over all weight streams; the last load's cycle."""
        tile = weights.tile
        assert tile is not None
        steps = -(-weights.columns // self.groups)
        start = pair.installed_at + 1
        places = [place for _, place in self.core.memory.tiles.setdefault(id(tile), [])]
        pieces = self._whole(tile, places, steps, pair, start)
        deadline = pair.free - self.m.timing("mxm_install") - self.t_load
        for parts in PARTS if pieces else ():
            if pieces[-1].last > deadline:
                cut = self._cut(places, parts, pair, start)
                if cut and cut[-1].last < pieces[-1].last:
                    pieces = cut
        if not pieces:
            raise self.core.full("weights", tile.name)
        for piece in pieces:
            self._emit_tile(job, piece, self._take_tile(piece, pair), pair)
        return pieces[-1].last

    def _whole(
        self, tile: WeightTile, places: list[TilePlace], steps: int, pair: Pair, start: int
    ) -> list[Piece]:
        """All of a tile in one go, from the place that is free first or from a new one that is free sooner."""
        found = [Piece(p, 0, self._soonest(p, steps, pair, start)) for p in places]
        best = min(found, key=lambda piece: piece.cycle, default=None)
        if best is None or self._may_copy(tile, places, pair):
            latest = start + len(self.core.trials(start))
            fresh = self._fresh(tile, steps, pair, start, best.cycle if best else latest)
            best = fresh or best
        return [best] if best else []

    def _cut(self, places: list[TilePlace], parts: int, pair: Pair, start: int) -> list[Piece]:
        """A tile's steps in parts one after the other, each at its first free cycle, of the copy that is done first; or none."""
        best: list[Piece] = []
        for place in places:
            pieces, cycle = list[Piece](), start
            for i in range(parts):
                part = place.part(place.steps * i // parts, place.steps * (i + 1) // parts)
                if part.steps:
                    cycle = self._soonest(part, part.steps, pair, cycle)
                    column = self.groups * (place.steps * i // parts)
                    pieces.append(Piece(part, column, cycle))
                    cycle += part.steps
            if not best or pieces[-1].last < best[-1].last:
                best = pieces
        return best

    def probe(self, job: MatrixJob, weights: Weights, pair: Pair) -> int:
        """The cycle of the last load if the tile were loaded now; a tile that lies nowhere yet finds a place."""
        assert weights.tile is not None
        steps = -(-weights.columns // self.groups)
        cycle = pair.installed_at + 1
        for _, place in self.core.memory.tiles.get(id(weights.tile), [])[:1]:
            cycle = self._soonest(place, steps, pair, cycle)
        return cycle + steps - 1

    def _may_copy(self, tile: WeightTile, places: list[TilePlace], pair: Pair) -> bool:
        """A second copy on the pair's own side, if memory is plenty; several of a tile that everything uses."""
        if tile.name == "ones":
            return len(places) < MAX_TILE_COPIES
        here = any(self.core.hemisphere(p.slices[0]) == pair.hemisphere for p in places)
        words = 2 * self.core.per * self.m.words
        return not here and self.core.memory.constant_words < self.core.copy_below * words

    def _fresh(
        self, tile: WeightTile, steps: int, pair: Pair, start: int, end: int
    ) -> Piece | None:
        """A new place for a tile, free before ``end``; if there is one, the tile is stored there."""
        pool, bank = self._pool(steps, pair)
        if len(pool) == 0:
            return None
        halves = (0, 1) if self.core.hemisphere(pool[0]) != pair.hemisphere else (pair.hemisphere,)
        while start < end:
            direction, diagonal = self.feeder.diagonal(pair.hemisphere, start)
            wanted = (direction, halves, diagonal, steps, 1, self.streams)
            if self.t.pick_stream(*wanted) is None:
                start += self.t.wait_stream(*wanted)
                continue
            cycle, chosen = self._choose(pool, bank, steps, pair, start, min(start + AT_ONCE, end))
            if cycle == start:
                place = TilePlace(chosen, [bank] * self.streams, [-1] * self.streams, steps)
                self._store(tile, place)
                self.core.memory.tiles[id(tile)].append((tile, place))
                return Piece(place, 0, start)
            start = cycle
        return None

    def _choose(
        self, pool: Ints, bank: int, steps: int, pair: Pair, start: int, end: int
    ) -> tuple[int, list[int]]:
        """The first cycle from ``start`` on in which enough slices' ports are free, and the roomiest of those; or ``end``."""
        t = self.t
        first = start - self.core.t_read - self.distance[pair.hemisphere][pool]
        free = t.free_starts(t.read + pool, first, end - start, steps)
        free &= t.free_starts(t.bank + pool * t.banks + bank, first, end - start, steps)
        enough = free.sum(axis=0) >= self.streams
        move = int(enough.argmax())
        if not enough[move]:
            return end, []
        ranked = np.argsort(-self.core.memory.room(bank)[pool], kind="stable")
        return start + move, sorted(pool[ranked[free[ranked, move]][: self.streams]].tolist())

    def _pool(self, steps: int, pair: Pair) -> tuple[Ints, int]:
        """Slices with room for a new tile, and the bank: in the pair's own hemisphere, among the weights' own, if there are enough."""
        core, streams = self.core, self.streams
        for hemisphere in (pair.hemisphere, 1 - pair.hemisphere):
            every = np.arange(hemisphere * core.per, (hemisphere + 1) * core.per)
            for among in (core.middle(every), every):
                for bank in (CONSTANT_BANK, 1 - CONSTANT_BANK):
                    pool = among[core.memory.room(bank)[among] >= steps]
                    if len(pool) >= streams:
                        return pool, bank
        return every[:0], CONSTANT_BANK

    def _store(self, tile: WeightTile, place: TilePlace) -> None:
        memory = self.core.memory
        for i, (s, b) in enumerate(zip(place.slices, place.banks, strict=True)):
            place.addresses[i] = memory.constant(s, b, place.steps)
        places = tuple(zip(place.slices, place.addresses, strict=True))
        cut = partial(tile_words, streams=len(places), steps=place.steps, lanes=self.m.lanes)
        memory.constants.append(Stored(tile.name, tile.data, cut, places, place.steps))

    def _soonest(self, place: TilePlace, steps: int, pair: Pair, cycle: int) -> int:
        """The first cycle from ``cycle`` on in which the load of a place finds its ports and streams free."""
        t, spans, width = self.t, self._spans(place, pair), len(place.slices)
        halves = self._sides(place, pair)
        while True:
            cycle = t.first(spans, cycle, steps, 1)
            direction, diagonal = self.feeder.diagonal(pair.hemisphere, cycle)
            if t.pick_stream(direction, halves, diagonal, steps, 1, width) is not None:
                return cycle
            cycle += t.wait_stream(direction, halves, diagonal, steps, 1, width)

    def _spans(self, place: TilePlace, pair: Pair) -> list[tuple[int, int]]:
        known = place.spans.get(pair.hemisphere)
        if known is None:
            distance = self.core.distance[pair.hemisphere]
            offsets = [-self.core.t_read - distance[s] for s in place.slices]
            known = place.spans[pair.hemisphere] = spans(self.t, self.t.read, place, offsets)
        return known

    def _sides(self, place: TilePlace, pair: Pair) -> tuple[int, ...]:
        """The halves that the streams of a place cross."""
        h = pair.hemisphere
        return (0, 1) if any(self.core.hemisphere(s) != h for s in place.slices) else (h,)

    def _take_tile(self, piece: Piece, pair: Pair) -> int:
        """Reserve streams and ports of a tile load whose cycle is free; the first stream."""
        halves, width = self._sides(piece.place, pair), len(piece.place.slices)
        steps = piece.place.steps
        direction, diagonal = self.feeder.diagonal(pair.hemisphere, piece.cycle)
        index = self.t.pick_stream(direction, halves, diagonal, steps, 1, width)
        assert index is not None
        self.t.take_all(self._spans(piece.place, pair), piece.cycle, steps, 1)
        self.t.take_stream(direction, halves, index, width, diagonal, steps, 1)
        return Stream(direction, index).number(self.m)

    def _emit_tile(self, job: MatrixJob, piece: Piece, base: int, pair: Pair) -> None:
        core, h, place = self.core, pair.hemisphere, piece.place
        core.commit()
        for i, (s, address) in enumerate(zip(place.slices, place.addresses, strict=True)):
            where = (s, piece.cycle - core.t_read - self.feeder.travel(s, h))
            core.put(
                where, Read.opcode, (address, base + i), core.t_read, place.steps, 1, 1, job.node
            )
        groups = len(place.slices) // DType.F16.planes
        instr = LoadWeights(int(DType.F16), base, groups, piece.column, 1)
        queue = self.feeder.queue(pair, 0, 0)
        core.emit(queue, piece.cycle, instr, self.t_load, place.steps, 1, self.groups, job.node)
