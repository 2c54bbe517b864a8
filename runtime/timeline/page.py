"""The page of a run: every unit over time, the floorplan, and the report, in one HTML file without references to others.

``page.html``, ``page.css`` and ``page.js`` beside this file are put together here; the bursts travel as one deflated block of
32-bit integers, a column after the other.
"""

from __future__ import annotations

import base64
import html
import json
import zlib
from pathlib import Path
from typing import Final

import numpy as np

from isa.instruction import BY_OPCODE, DType
from runtime.ledger import Cost, Ledger
from runtime.ledger.render import text

HERE: Final = Path(__file__).parent
COLUMNS: Final = ("unit", "cycle", "count", "interval", "busy", "stride", "opcode", "node")
"""The columns that the page gets, in this order; the ten operands follow."""


def page(ledger: Ledger, cost: Cost) -> str:
    """The HTML of a ledger. What a model calls its nodes is escaped: a page never runs what a model says."""
    model = dict(ledger.program.meta).get("model", "") or "program"
    data = json.dumps(_facts(ledger), separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "TITLE": html.escape(f"{model} on {ledger.program.machine.name}"),
        "REPORT": html.escape(text(ledger, cost, top=40)),
        "STYLE": (HERE / "page.css").read_text(encoding="utf-8"),
        "SCRIPT": (HERE / "page.js").read_text(encoding="utf-8"),
        "FACTS": data,
        "BURSTS": _bursts(ledger),
    }
    out = (HERE / "page.html").read_text(encoding="utf-8")
    for name, value in parts.items():
        out = out.replace(f"<!--{name}-->", value, 1)
    return out


def _facts(ledger: Ledger) -> dict[str, object]:
    """What the script needs besides the bursts."""
    c, machine = ledger.columns, ledger.program.machine
    busy = ledger.books.busy.sum(1)
    return {
        "cycles": ledger.cycles,
        "units": list(c.units),
        "kinds": list(c.kinds),
        "busy": busy.tolist(),
        "positions": [machine.queue_positions[u % machine.queues] for u in range(len(c.units))],
        "nodes": list(ledger.program.nodes),
        "columns": list(COLUMNS),
        "count": len(c),
        "streams": machine.streams,
        "types": [d.name.lower() for d in DType],
        "operations": {
            code: {
                "name": cls.mnemonic,
                "operands": [[o.name, o.kind.name, o.strided] for o in cls.operands],
            }
            for code, cls in BY_OPCODE.items()
        },
        "path": [[s.begin, s.end, s.node, s.why, s.wait] for s in ledger.path],
        "memory": ledger.residency.curve.tolist(),
    }


def _bursts(ledger: Ledger) -> str:
    """The bursts by unit and cycle: columns of int32, deflated, in base 64."""
    c = ledger.columns
    order = np.lexsort((c.cycle, c.unit))
    columns = [getattr(c, name)[order] for name in COLUMNS]
    columns += list(c.args[order].T)
    block = np.ascontiguousarray(np.stack(columns).astype("<u4"))
    return base64.b64encode(zlib.compress(block.tobytes(), 6)).decode("ascii")
