"""Which words of memory hold something that is still needed, over time, and whose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isa.program import Piece
from runtime.ledger.columns import Columns, Ints
from runtime.ledger.words import Words

POINTS = 256
"""How many points in time the curve has."""


@dataclass(frozen=True)
class Residency:
    """Bytes of memory in use. ``curve`` is ``[points, 2]``: first cycle of an equal stretch, and its largest use.

    ``at_peak`` names who holds how much in the cycle ``peak_cycle``, the largest first: ``weights`` and ``input X`` for what
    is there from the start, else the node that wrote it.
    """

    constant_bytes: int
    peak_bytes: int
    peak_cycle: int
    at_peak: tuple[tuple[str, int], ...]
    curve: Ints


def residency_of(c: Columns, cycles: int) -> Residency:
    """A word is in use from its write to its last reader before the next write, an output's to the end."""
    program, lanes = c.program, c.machine.lanes
    words = Words(c)
    writes, reads = c.of("write"), c.of("read")
    words.write(writes, c.queue[writes], c.args[writes, 0], c.machine.timing("mem_write"))
    _, seen, at, _ = words.seen(reads, c.queue[reads], c.args[reads, 0])
    begin = words.table[2]
    end = begin + 1
    np.maximum.at(end, at, seen + 1)
    for burst in c.of("gather"):
        span = words.between(int(c.queue[burst]), int(c.args[burst, 0]), int(c.args[burst, 1]) + 1)
        end[span] = np.maximum(end[span], np.minimum(int(c.last[burst]) + 1, cycles))
    for piece in (p for tensor in program.outputs for p in tensor.pieces):
        end[_last_writes(words, piece)] = cycles
    owner = c.node[words.table[1]]
    names = [*program.nodes, *(f"input {t.name}" for t in program.inputs)]
    fed = [_input(c, t.pieces) for t in program.inputs]
    begin = np.concatenate([begin, *(np.zeros(n, np.int64) for n, _ in fed)])
    end = np.concatenate([end, *(np.full(n, stop) for n, stop in fed)])
    extra = [np.full(n, len(program.nodes) + i) for i, (n, _) in enumerate(fed)]
    owner = np.concatenate([owner, *extra])
    constant = int(program.segments["count"].sum()) * lanes
    change = np.zeros(cycles + 1, np.int64)
    np.add.at(change, begin, lanes)
    np.add.at(change, np.minimum(end, cycles), -lanes)
    use = np.cumsum(change)[:-1] + constant
    peak = int(np.argmax(use))
    live = (begin <= peak) & (end > peak)
    held = np.bincount(owner[live], minlength=len(names)) * lanes
    top = [(names[i], int(held[i])) for i in np.argsort(-held, kind="stable") if held[i]]
    first = [("weights", constant)] if constant else []
    return Residency(constant, int(use[peak]), peak, (*first, *top), _curve(use, cycles))


def _last_writes(words: Words, piece: Piece) -> Ints:
    """Rows of the table: the last write to each word of a piece."""
    span = words.between(piece.slice, piece.address, piece.rows)
    word = words.table[0, span] >> 36
    last = np.ones(len(word), np.bool_)
    last[:-1] = word[1:] != word[:-1]
    rows: Ints = span.start + np.flatnonzero(last)
    return rows


def _input(c: Columns, pieces: tuple[Piece, ...]) -> tuple[int, int]:
    """Words of an input, and when the last of them was read for the last time before it was overwritten."""
    readers = c.of("read", "gather")
    words = {(p.slice, p.address + r) for p in pieces for r in range(p.rows)}
    stop = 1
    for p in pieces:
        on = readers[c.queue[readers] == p.slice]
        reach = c.args[on, 0] + (c.count[on] - 1) * c.stride[on]
        low, high = np.minimum(c.args[on, 0], reach), np.maximum(c.args[on, 0], reach)
        hit = on[(low < p.address + p.rows) & (high >= p.address)]
        stop = max(stop, int(c.last[hit].max()) + 1 if len(hit) else 1)
    return len(words), stop


def _curve(use: Ints, cycles: int) -> Ints:
    first = np.unique(np.linspace(0, cycles, POINTS, endpoint=False).astype(np.int64))
    return np.stack([first, np.maximum.reduceat(use, first)], 1)


__all__ = ["Residency", "residency_of"]
