"""A ledger as a Chrome trace (``chrome://tracing``, Perfetto): a process a kind of unit, a thread a unit, cycles as microseconds.

The format is the JSON object form of Google's "Trace Event Format": complete events (``ph`` X) and metadata (``ph`` M).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from isa.instruction import BY_OPCODE
from runtime.ledger import Ledger


def chrome_trace(ledger: Ledger) -> bytes:
    """The trace as JSON in UTF-8: an event a burst, from its first dispatch to the end of its last."""
    head = {
        "displayTimeUnit": "ns",
        "otherData": {"chip": ledger.program.machine.name, "cycles": ledger.cycles},
        "traceEvents": [*_names(ledger), *_events(ledger)],
    }
    return json.dumps(head, separators=(",", ":")).encode()


def _names(ledger: Ledger) -> Iterator[dict[str, object]]:
    c = ledger.columns
    kinds = list(dict.fromkeys(c.kinds))
    for number, kind in enumerate(kinds):
        yield {"ph": "M", "name": "process_name", "pid": number, "args": {"name": kind}}
    for unit in np.unique(c.unit).tolist():
        process = kinds.index(c.kinds[unit])
        name = {"name": c.units[unit]}
        yield {"ph": "M", "name": "thread_name", "pid": process, "tid": unit, "args": name}


def _events(ledger: Ledger) -> Iterator[dict[str, object]]:
    c, nodes = ledger.columns, ledger.program.nodes
    kinds = list(dict.fromkeys(c.kinds))
    columns = (c.unit, c.cycle, c.last + c.busy, c.opcode, c.node, c.count)
    for unit, begin, end, opcode, node, count in zip(*(v.tolist() for v in columns), strict=True):
        mnemonic = BY_OPCODE[opcode].mnemonic
        yield {
            "ph": "X",
            "name": nodes[node] or mnemonic,
            "cat": mnemonic,
            "pid": kinds.index(c.kinds[unit]),
            "tid": unit,
            "ts": begin,
            "dur": end - begin,
            "args": {"instruction": mnemonic, "dispatches": count},
        }
