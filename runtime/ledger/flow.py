"""What a program's bursts wait for: which move together, and which words, weights and sums they take from earlier ones.

Streams do not wait, so bursts joined by a stream, an ALU or the matrix array move together: a *stencil*. Between stencils
lies storage (memory words, weight buffers, accumulators), and there a value can wait; how long it does is an edge's slack.
Who put what on a stream is what the emulator resolves at load; the rest is found here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from emulator.jit.effects import Effects
from emulator.jit.join import join
from isa.program import Program
from runtime.ledger.columns import Columns, Ints
from runtime.ledger.words import Words


@dataclass(frozen=True)
class Edges:
    """A row an edge between two bursts: the dispatch of ``src`` that ends last before it is needed, and its reader.

    ``slack`` is ``dst_time`` less the first cycle in which the value could have been taken: from the bank of a memory word,
    when the burst that writes it is through. ``kind`` indexes ``EDGE_KINDS``.
    """

    src: Ints
    dst: Ints
    src_time: Ints
    dst_time: Ints
    slack: Ints
    kind: Ints


EDGE_KINDS: Final = ("operand", "weights", "accumulator", "buffer")
"""What lies between: a memory word, installed weights, an accumulator row; or the buffer, free again for a load."""


@dataclass(frozen=True)
class Flow:
    """Stencil of each burst (numbered in order of their first cycle), first cycle of each stencil, edges between stencils.

    ``links`` are the pairs (reader, producer) of bursts on streams and private wires; ``size`` the bytes a lane of each
    burst's result.
    """

    stencil: Ints
    start: Ints
    edges: Edges
    links: Ints
    size: Ints


def flow_of(program: Program, columns: Columns) -> Flow:
    """The flow of a verified program. Raises InternalError TSP972 for one that reads what nobody put."""
    effects = Effects(program)
    links = join(effects)
    pairs = [np.stack([effects.reads[:, 0], links.burst], 1)]
    pairs += [
        np.array([[effects.reads[read, 0], run.burst] for run in runs])
        for read, runs in links.runs.items()
    ]
    joined = np.unique(np.concatenate(pairs), axis=0)
    stencil, start = _stencils(columns, joined)
    edges = _by_bank(columns, _reduced(stencil, [*_memory(columns), *_matrix(columns)]))
    return Flow(stencil, start, edges, joined, effects.size)


def _stencils(c: Columns, links: Ints) -> tuple[Ints, Ints]:
    """Connected components, numbered in order of their first cycle; and those cycles."""
    label = np.arange(len(c))
    while True:
        low = np.minimum(label[links[:, 0]], label[links[:, 1]])
        new = label.copy()
        np.minimum.at(new, label[links[:, 0]], low)
        np.minimum.at(new, label[links[:, 1]], low)
        new = new[new]
        if (new == label).all():
            break
        label = new
    roots, member = np.unique(label, return_inverse=True)
    start = np.full(len(roots), np.iinfo(np.int64).max)
    np.minimum.at(start, member, c.cycle)
    order = np.argsort(start, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[member], start[order]


def _memory(c: Columns) -> list[Edges]:
    """Reads of words and accumulator rows, each after the last write that took effect before it."""
    machine = c.machine
    rows = 2 * machine.slices
    writes, reads = c.of("write"), c.of("read")
    acc = c.of("acc")
    plane = rows + (c.queue[acc] - machine.mxm_queue) // 3
    again = c.operand("acc", "start", acc) == 0
    words = Words(c)
    words.write(writes, c.queue[writes], c.args[writes, 0], machine.timing("mem_write"))
    words.write(acc, plane, c.operand("acc", "row", acc), 1)
    found = [_seen(words, reads, c.queue[reads], c.args[reads, 0], 0)]
    found.append(_seen(words, acc[again], plane[again], c.args[acc[again], 1], 2))
    return [*found, *_ranges(c, words)]


def _seen(words: Words, bursts: Ints, slices: Ints, base: Ints, kind: int) -> Edges:
    """Edges from the writes that the bursts' reads see; words that were constant or input have none."""
    burst, cycle, at, waited = words.seen(bursts, slices, base)
    _, source, sent = words.table[:, at]
    return Edges(source, burst, sent, cycle, waited, np.full(len(at), kind, np.int64))


def _ranges(c: Columns, words: Words) -> list[Edges]:
    """Gathers, which may touch any word of a range: after the last write to one of them before the first dispatch."""
    found = []
    for burst in c.of("gather"):
        _, source, sent = words.table
        span = words.between(int(c.queue[burst]), int(c.args[burst, 0]), int(c.args[burst, 1]) + 1)
        ready = words.ready[span]
        early = np.flatnonzero(ready <= c.cycle[burst])
        if len(early):
            at = span.start + early[np.argmax(ready[early])]
            row = (source[at], burst, sent[at], c.cycle[burst])
            slack = c.cycle[burst] - words.ready[at]
            found.append(Edges(*(np.array([v]) for v in (*row, slack, 0))))
    return found


def _matrix(c: Columns) -> list[Edges]:
    """Installs after the loads since the install before; activations after the last install."""
    machine, found = c.machine, []
    load, install = machine.timing("mxm_load"), machine.timing("mxm_install")
    for plane in range(2 * machine["mxm.planes"]):
        queue = machine.mxm_queue + 3 * plane
        on = c.queue == queue
        lw, iw = (b[on[b]] for b in (c.of("lw"), c.of("iw")))
        if not len(iw):
            continue
        iw = iw[np.argsort(c.cycle[iw], kind="stable")]
        # The first install after the load's last dispatch.
        into = np.searchsorted(c.cycle[iw], c.last[lw] + load)
        lw, into = lw[into < len(iw)], into[into < len(iw)]
        ready = c.last[lw] + load
        kind = np.ones(len(lw), np.int64)
        at = iw[into]
        found.append(Edges(lw, at, c.last[lw], c.cycle[at], c.cycle[at] - ready, kind))
        found.append(_buffer(c, iw, lw))
        abc = c.of("abc")
        abc = abc[c.queue[abc] == queue + 1]
        before = np.searchsorted(c.cycle[iw], c.cycle[abc] - install, "right") - 1
        abc, before = abc[before >= 0], before[before >= 0]
        at = iw[before]
        slack = c.cycle[abc] - c.cycle[at] - install
        found.append(Edges(at, abc, c.cycle[at], c.cycle[abc], slack, np.ones(len(abc), np.int64)))
        found.append(_passed(c, abc, iw))
    return found


def _buffer(c: Columns, iw: Ints, lw: Ints) -> Edges:
    """Loads after the install that emptied the buffer."""
    before = np.searchsorted(c.cycle[iw], c.cycle[lw], "right") - 1
    lw, at = lw[before >= 0], iw[before[before >= 0]]
    kind = np.full(len(lw), 3, np.int64)
    return Edges(at, lw, c.cycle[at], c.cycle[lw], c.cycle[lw] - c.cycle[at], kind)


def _passed(c: Columns, abc: Ints, iw: Ints) -> Edges:
    """Installs after the last activation that met the weights before."""
    abc = abc[np.argsort(c.last[abc], kind="stable")]
    before = np.searchsorted(c.last[abc], c.cycle[iw], "left") - 1
    at, iw = abc[before[before >= 0]], iw[before >= 0]
    slack = c.cycle[iw] - c.last[at] - c.busy[at]
    kind = np.full(len(iw), 3, np.int64)
    return Edges(at, iw, c.last[at], c.cycle[iw], np.maximum(slack, 0), kind)


def _reduced(stencil: Ints, parts: list[Edges]) -> Edges:
    """One edge for each pair of bursts in different stencils: the one of least slack, the earliest of those."""
    names = ("src", "dst", "src_time", "dst_time", "slack", "kind")
    columns = {n: np.concatenate([getattr(p, n) for p in parts]) for n in names}
    apart = stencil[columns["src"]] != stencil[columns["dst"]]
    columns = {n: v[apart] for n, v in columns.items()}
    order = np.lexsort((columns["dst_time"], columns["slack"], columns["dst"], columns["src"]))
    columns = {n: v[order] for n, v in columns.items()}
    src, dst = columns["src"], columns["dst"]
    first = np.ones(len(src), np.bool_)
    first[1:] = (src[1:] != src[:-1]) | (dst[1:] != dst[:-1])
    return Edges(*(columns[n][first] for n in names))


def _by_bank(c: Columns, edges: Edges) -> Edges:
    """A bank is not read while it is written: a reader of the bank may begin when the writing burst is through."""
    src, dst = edges.src, edges.dst
    words = np.isin(edges.src, c.of("write")) & np.isin(edges.dst, c.of("read"))
    bank = c.args[:, 0] // c.machine["mem.words"]
    free = c.cycle[dst] - c.last[src] - 1
    same = words & (bank[src] == bank[dst]) & (free >= 0)
    return replace(
        edges,
        slack=np.where(same, np.minimum(free, edges.slack), edges.slack),
        dst_time=np.where(same, c.cycle[dst], edges.dst_time),
    )
