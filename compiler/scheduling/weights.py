"""Loading constant weight tiles: sixteen streams at a time, from slices chosen on first use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.scheduling.core import CONSTANT_BANK, Stream
from compiler.scheduling.feed import Feeder, Pair
from compiler.scheduling.memory import Copy, TilePlace, plane_words
from compiler.tiles import MatrixJob, Rows, Weights, WeightTile
from isa.instruction import DType
from isa.ops.mxm import LoadWeights

PROBES = 128
HALVED = 2
"""Columns a cycle from which on a load may be cut in two."""
MAX_TILE_COPIES = 4
COPY_BELOW = 0.7
"""Share of the memory that constants may take before weights are no longer copied to the other hemisphere."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A tile or half of one: where it lies, its first column, and the cycle in which its load begins."""

    place: TilePlace
    column: int
    cycle: int


class TileLoader:
    """Places and loads `WeightTile`s."""

    def __init__(self, feeder: Feeder) -> None:
        self.feeder, self.core = feeder, feeder.core
        self.m, self.t = feeder.m, feeder.t
        self.t_load = self.m.timing("mxm_load")
        most = self.m["mxm.weight_streams"] // DType.F16.planes
        fits = (self.m.slices - 1) // DType.F16.planes
        self.groups = min(most, 1 << (fits.bit_length() - 1))

    def load(self, job: MatrixJob, weights: Weights, pair: Pair) -> int:
        """Load a constant tile over all weight streams; the last load's cycle."""
        assert weights.tile is not None
        steps = -(-weights.columns // self.groups)
        start = pair.installed_at + 1
        deadline = pair.free - self.m.timing("mxm_install") - self.t_load
        pieces: list[Piece] | None = None
        for cycle in (start + i for i in self.core.trials(start)):
            if cycle + steps > deadline + 1 and pieces is None:
                pieces = self._pieces(weights.tile, steps, pair, start)
            if pieces and cycle > pieces[-1].cycle:
                for piece in pieces:
                    base = self._take_tile(piece.place, steps, pair, piece.cycle)
                    assert base is not None
                    self._emit_tile(job, piece, base, pair)
                return pieces[-1].cycle + steps - 1
            found = self._try_tile(weights.tile, steps, pair, cycle)
            if found is not None:
                place, base = found
                self._emit_tile(job, Piece(place, 0, cycle), base, pair)
                return cycle + steps - 1
        raise self.core.full("weights", weights.tile.name)

    def _pieces(self, tile: WeightTile, steps: int, pair: Pair, start: int) -> list[Piece]:
        """The two halves of a tile one after the other, each at its first free cycle, the copy that is done first; or none."""
        best: list[Piece] = []
        for _, place in self.core.memory.tiles.get(id(tile), ()):
            half = len(place.slices) // 2
            if self.groups < HALVED:
                continue
            mark, cycle, found = self.core.mark(), start, []
            for first in (0, half):
                part = place.part(first, first + half)
                for at in range(cycle, cycle + PROBES):
                    if self._take_tile(part, steps, pair, at) is not None:
                        found.append(Piece(part, first // DType.F16.planes, at))
                        cycle = at + steps
                        break
            self.core.undo(mark)
            if len(found) == 2 and (not best or found[-1].cycle < best[-1].cycle):
                best = found
        return best

    def probe(self, job: MatrixJob, weights: Weights, pair: Pair) -> int:
        """The cycle of the last load if the tile were loaded now; a tile that lies nowhere yet finds a place."""
        assert weights.tile is not None
        steps = -(-weights.columns // self.groups)
        cycle = pair.installed_at + 1
        for _, place in self.core.memory.tiles.get(id(weights.tile), [])[:1]:
            for _ in range(PROBES):
                mark = self.core.mark()
                found = self._take_tile(place, steps, pair, cycle)
                self.core.undo(mark)
                if found is not None:
                    break
                cycle += 1
        return cycle + steps - 1

    def _try_tile(
        self, tile: WeightTile, steps: int, pair: Pair, cycle: int
    ) -> tuple[TilePlace, int] | None:
        core = self.core
        places = core.memory.tiles.setdefault(id(tile), [])
        for _, place in places:
            base = self._take_tile(place, steps, pair, cycle)
            if base is not None:
                return place, base
        if places and not self._may_copy(tile, places, pair):
            return None
        fresh = self._choose(tile, steps, pair, cycle)
        if fresh is None:
            return None
        base = self._take_tile(fresh, steps, pair, cycle)
        if base is None:
            return None
        self._store(tile, fresh)
        places.append((tile, fresh))
        return fresh, base

    def _may_copy(
        self, tile: WeightTile, places: list[tuple[WeightTile, TilePlace]], pair: Pair
    ) -> bool:
        """A second copy on the pair's own side, if memory is plenty; several of a tile that everything uses."""
        if tile.name == "ones":
            return len(places) < MAX_TILE_COPIES
        here = any(self.core.hemisphere(p.slices[0]) == pair.hemisphere for _, p in places)
        words = 2 * self.core.per * self.m.words
        return not here and self.core.memory.constant_words < COPY_BELOW * words

    def _choose(self, tile: WeightTile, steps: int, pair: Pair, cycle: int) -> TilePlace | None:
        """Slices that are free for a new tile, the roomiest first; in the pair's own hemisphere if it has room."""
        core, h = self.core, pair.hemisphere
        streams = self.groups * DType.F16.planes
        for hemisphere in (h, 1 - h):
            every = np.arange(hemisphere * core.per, (hemisphere + 1) * core.per)
            for among in (core.middle(every), every):
                for bank in (CONSTANT_BANK, 1 - CONSTANT_BANK):
                    pool = among[core.memory.room(bank)[among] >= steps]
                    if len(pool) < streams:
                        continue
                    travel = np.array([self.feeder.travel(int(s), h) for s in pool])
                    ok = core.candidates(
                        self.t.read, bank, pool, cycle - core.t_read - travel, steps, 1
                    )
                    if ok.sum() < streams:
                        return None
                    room = core.memory.room(bank)[pool[ok]]
                    slices = pool[ok][np.argsort(-room, kind="stable")][:streams]
                    chosen = [int(s) for s in sorted(slices)]
                    return TilePlace(chosen, [bank] * streams, [-1] * streams, steps)
        return None

    def _store(self, tile: WeightTile, place: TilePlace) -> None:
        memory, lanes = self.core.memory, self.m.lanes
        groups = len(place.slices) // DType.F16.planes
        values = np.zeros((place.steps * groups, lanes), np.float16)
        data = tile.data()
        values[: len(data)] = data
        planes = plane_words(values, lanes, uniform=False)
        for i, (s, b) in enumerate(zip(place.slices, place.banks, strict=True)):
            place.addresses[i] = memory.constant(s, b, place.steps)
            words = np.ascontiguousarray(planes[i % 2, i // 2 :: groups])
            memory.constants.append((s, place.addresses[i], words))

    def _take_tile(self, place: TilePlace, steps: int, pair: Pair, cycle: int) -> int | None:
        """Reserve streams and ports of a tile load; the first stream."""
        core, h = self.core, pair.hemisphere
        halves = (0, 1) if any(core.hemisphere(s) != h for s in place.slices) else (h,)
        direction, diagonal = self.feeder.diagonal(h, cycle)
        width = len(place.slices)
        index = self.t.pick_stream(direction, halves, diagonal, steps, 1, width)
        if index is None:
            return None
        first = cycle - core.t_read
        reads = [
            (s, b, first - self.feeder.travel(s, h))
            for s, b in zip(place.slices, place.banks, strict=True)
        ]
        if not all(core.port_free(self.t.read, s, b, at, steps, 1) for s, b, at in reads):
            return None
        for s, b, at in reads:
            core.take_port(self.t.read, s, b, at, steps, 1)
        self.t.take_stream(direction, halves, index, width, diagonal, steps, 1)
        return Stream(direction, index).number(self.m)

    def _emit_tile(self, job: MatrixJob, piece: Piece, base: int, pair: Pair) -> None:
        core, h, place = self.core, pair.hemisphere, piece.place
        core.commit()
        for i, s in enumerate(place.slices):
            copy = Copy(h, [s], [place.banks[i]], [place.addresses[i]], [[]])
            rows = Rows(None, 0, 0, place.steps)  # type: ignore[arg-type]
            issue = piece.cycle - core.t_read - self.feeder.travel(s, h)
            core.emit_read(copy, 0, rows, 0, base + i, issue, place.steps, 1, job.node)
        groups = len(place.slices) // DType.F16.planes
        instr = LoadWeights(int(DType.F16), base, groups, piece.column, 1)
        queue = self.feeder.queue(pair, 0, 0)
        core.emit(queue, piece.cycle, instr, self.t_load, place.steps, 1, self.groups, job.node)
