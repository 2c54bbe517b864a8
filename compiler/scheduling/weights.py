"""Loading constant weight tiles: sixteen streams at a time, from slices chosen on first use."""

from __future__ import annotations

import numpy as np

from compiler.scheduling.core import CONSTANT_BANK, Stream
from compiler.scheduling.feed import Feeder, Pair
from compiler.scheduling.memory import Copy, TilePlace, plane_words
from compiler.tiles import MatrixJob, Rows, Weights, WeightTile
from isa.instruction import DType
from isa.ops.mxm import LoadWeights

PROBES = 128
MAX_TILE_COPIES = 4
COPY_BELOW = 0.7
"""Share of the memory that constants may take before weights are no longer copied to the other hemisphere."""


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
        groups = self.groups
        steps = -(-weights.columns // groups)
        start = pair.installed_at + 1
        for cycle in (start + i for i in self.core.trials(start)):
            found = self._try_tile(weights.tile, steps, pair, cycle)
            if found is not None:
                place, base = found
                self._emit_tile(job, place, base, groups, steps, pair, cycle)
                return cycle + steps - 1
        raise self.core.full("weights", weights.tile.name)

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
    ) -> tuple[TilePlace, dict[int, int]] | None:
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

    def _take_tile(
        self, place: TilePlace, steps: int, pair: Pair, cycle: int
    ) -> dict[int, int] | None:
        """Reserve streams and ports of a tile load; the first stream by source hemisphere."""
        core, h = self.core, pair.hemisphere
        mark = core.mark()
        halves = (0, 1) if any(core.hemisphere(s) != h for s in place.slices) else (h,)
        direction, diagonal = self.feeder.diagonal(h, cycle)
        width = len(place.slices)
        index = self.t.pick_stream(direction, halves, diagonal, steps, 1, width)
        if index is None:
            return None
        for s, b in zip(place.slices, place.banks, strict=True):
            if not core.take_port(
                self.t.read, s, b, cycle - core.t_read - self.feeder.travel(s, h), steps, 1
            ):
                core.undo(mark)
                return None
        self.t.take_stream(direction, halves, index, width, diagonal, steps, 1)
        return {h: Stream(direction, index).number(self.m)}

    def _emit_tile(self, job: MatrixJob, place: TilePlace, base: dict[int, int], groups: int, steps: int,
                   pair: Pair, cycle: int) -> None:  # fmt: skip
        core, h = self.core, pair.hemisphere
        core.commit()
        for i, s in enumerate(place.slices):
            copy = Copy(h, [s], [place.banks[i]], [place.addresses[i]], [[]])
            rows = Rows(None, 0, 0, steps)  # type: ignore[arg-type]
            issue = cycle - core.t_read - self.feeder.travel(s, h)
            core.emit_read(copy, 0, rows, 0, base[h] + i, issue, steps, 1, job.node)
        instr = LoadWeights(int(DType.F16), base[h], groups, 0, 1)
        core.emit(
            self.feeder.queue(pair, 0, 0), cycle, instr, self.t_load, steps, 1, groups, job.node
        )
