"""What takes the chip's memory, by tensor: asked before scheduling, and told when something finds no room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from compiler.tiles import Buffer, MatrixJob, TileGraph, WeightTile
from isa.errors import LimitError
from isa.instruction import DType
from isa.machine import Machine

LISTED = 8
"""Tensors named at most."""
NO_ROOM = 413
"""What the scheduler calls it."""
HINT = "use a chip with more memory (--chip tsp1-deep), a shorter sequence or a smaller batch"


def constant_words(tiles: TileGraph, machine: Machine) -> Counter[str]:
    """Words that must be in memory from the first cycle on, by tensor: weights, tables, constants and inputs."""
    words: Counter[str] = Counter()
    weights: dict[int, WeightTile] = {}
    buffers: dict[int, Buffer] = {}
    for op in tiles.ops:
        if isinstance(op, MatrixJob):
            weights |= {id(p.weights.tile): p.weights.tile for p in op.passes if p.weights.tile}
        else:
            table = getattr(op, "table", None)
            buffers |= {id(table): table} if table is not None else {}
        buffers |= {id(rows.buffer): rows.buffer for rows in op.reads() if rows.buffer.preloaded}
    streams = machine["mxm.weight_streams"]
    for tile in weights.values():
        columns = streams // DType.F16.planes
        words[tile.name.partition("[")[0]] += -(-tile.columns // columns) * streams
    for buffer in buffers.values():
        name = buffer.origin or buffer.name.partition("[")[0]
        words[name.removesuffix(".N").removesuffix(".T")] += (
            buffer.rows * buffer.chunks(machine.lanes) * buffer.dtype.planes
        )
    return words


@contextmanager
def within_capacity(tiles: TileGraph, machine: Machine) -> Iterator[None]:
    """Scheduling inside. Raises LimitError TSP410 with the largest tensors, at once if the constants alone do not fit."""
    words = constant_words(tiles, machine)
    total = 2 * machine.slices * machine.words
    if words.total() > total:
        raise _refusal(f"the model does not fit chip {machine.name}", words, machine)
    try:
        yield
    except LimitError as error:
        if error.number != NO_ROOM:
            raise
        raise _refusal(error.message, words, machine) from error


def _refusal(message: str, words: Counter[str], machine: Machine) -> LimitError:
    def mib(count: int) -> str:
        return f"{count * machine.lanes / (1 << 20):,.2f} MiB"

    lines = [f"  {mib(count)}  {name}" for name, count in words.most_common(LISTED)]
    rest = words.total() - sum(count for _, count in words.most_common(LISTED))
    if rest:
        lines.append(f"  {mib(rest)}  {len(words) - LISTED} more")
    total = mib(2 * machine.slices * machine.words)
    head = f"{message}: weights and constants take {mib(words.total())} of {total}"
    return LimitError(410, "\n".join([head, *lines]), hint=HINT)
