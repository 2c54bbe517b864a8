"""Which write each read sees, against a memory that is written and read word by word in order of time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from runtime.api import compile as compile_program
from runtime.ledger.columns import Columns
from runtime.ledger.words import Words


def test_reads_see_the_last_write_before_them(demo_model: Path) -> None:
    program = compile_program(demo_model, {"batch": 1, "seq": 7})
    c = Columns(program)
    writes, reads = c.of("write"), c.of("read")
    words = Words(c)
    words.write(writes, c.queue[writes], c.args[writes, 0], program.machine.timing("mem_write"))
    burst, cycle, at, waited = words.seen(reads, c.queue[reads], c.args[reads, 0])
    found = {
        (int(b), int(t)): (int(words.table[1, a]), int(words.table[2, a]), int(w))
        for b, t, a, w in zip(burst, cycle, at, waited, strict=True)
    }

    events = []
    for kind, bursts in (("write", writes), ("read", reads)):
        for b in bursts.tolist():
            for k in range(int(c.count[b])):
                t = int(c.cycle[b] + k * c.interval[b])
                word = int(c.queue[b]), int(c.args[b, 0] + k * c.stride[b])
                # A write dispatched in t is seen by a read dispatched in t + 1.
                events.append((t + 1 if kind == "write" else t, kind == "read", word, b, t))
    held: dict[tuple[int, int], tuple[int, int]] = {}
    seen = {}
    for ready, is_read, word, b, t in sorted(events):
        if not is_read:
            held[word] = b, t
        elif word in held:
            source, sent = held[word]
            seen[b, t] = source, sent, ready - sent - 1
    assert program.machine.timing("mem_write") == 1
    assert len(seen) > 100
    assert found == seen
    assert np.all(words.ready[1:] >= 0)
