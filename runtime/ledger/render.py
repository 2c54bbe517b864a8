"""A ledger as text and as data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from runtime.ledger import Cost, Ledger
from runtime.ledger.causes import CAUSES, NAMES
from runtime.ledger.events import EVENTS
from runtime.report import MIB, aligned, microseconds

_NO_NODE = "(no node)"


def to_dict(ledger: Ledger, cost: Cost) -> dict[str, object]:
    """Stable keys for ``--json``. Unit-cycles of each kind of unit: busy by node, idle by cause, and their total."""
    program = ledger.program
    return {
        "model": dict(program.meta).get("model", ""),
        "chip": program.machine.name,
        "cycles": ledger.cycles,
        "microseconds": round(microseconds(ledger.cycles, program.machine), 3),
        "units": [_unit(ledger, kind) for kind in ledger.books.by_kind()],
        "matrix_busy": {name: round(share, 4) for name, share in ledger.matrix_busy.items()},
        "nodes": list(_nodes(ledger)),
        "critical_path": [
            {"begin": s.begin, "end": s.end, "node": s.node, "why": s.why, "wait": s.wait}
            for s in ledger.path
        ],
        "bounds": [
            {
                "name": b.name,
                "cycles": b.cycles,
                "gap": ledger.cycles - b.cycles,
                "arithmetic": b.arithmetic,
            }
            for b in ledger.bounds
        ],
        "memory": {
            "constant_bytes": ledger.residency.constant_bytes,
            "peak_bytes": ledger.residency.peak_bytes,
            "peak_cycle": ledger.residency.peak_cycle,
            "at_peak": [{"name": n, "bytes": size} for n, size in ledger.residency.at_peak],
            "curve": ledger.residency.curve.tolist(),
        },
        "cost": {
            "tokens": cost.tokens,
            "runs_per_second": 1 / cost.seconds,
            "tokens_per_second": cost.tokens / cost.seconds,
            "joules_per_run": cost.joules,
            "dollars_per_run": cost.dollars,
            "joules_per_million_tokens": cost.joules * 1e6 / cost.tokens if cost.tokens else None,
            "dollars_per_million_tokens": cost.dollars * 1e6 / cost.tokens if cost.tokens else None,
        },
        "energies_pj": dict(ledger.energies) if ledger.energies is not None else None,
    }


def _unit(ledger: Ledger, kind: str) -> dict[str, object]:
    count, busy, idle = ledger.books.by_kind()[kind]
    return {
        "kind": kind,
        "units": count,
        "unit_cycles": count * ledger.cycles,
        "busy": {ledger.books.nodes[i]: int(busy[i]) for i in np.flatnonzero(busy)},
        "idle": {NAMES[i]: int(idle[i]) for i in np.flatnonzero(idle)},
    }


def _nodes(ledger: Ledger) -> Iterator[dict[str, object]]:
    """A node that makes the machine do anything: its cycles on the path, its unit-cycles, its events and energy."""
    kinds = ledger.books.by_kind()
    energy = ledger.picojoules
    for number, name in enumerate(ledger.books.nodes):
        events = ledger.events.counts[number]
        if events.any():
            yield {
                "node": name,
                "path_cycles": ledger.on_path.get(name, 0),
                "unit_cycles": {
                    k: int(busy[number]) for k, (_, busy, _) in kinds.items() if busy[number]
                },
                "events": dict(zip(EVENTS, events.tolist(), strict=True)),
                "picojoules": None if energy is None else float(energy[number]),
            }


def text(ledger: Ledger, cost: Cost, top: int) -> str:
    """The report of ``tspc report``; of nodes, the ``top`` with most cycles on the critical path."""
    machine = ledger.program.machine
    model = dict(ledger.program.meta).get("model", "program")
    head = (
        f"{model}: {ledger.cycles:,} cycles on {machine.name}, "
        f"{microseconds(ledger.cycles, machine):,.1f} us at {machine['chip.clock_hz'] / 1e6:,.0f} MHz"
    )
    parts = [head, _bounds_text(ledger), _units_text(ledger), _path_text(ledger)]
    parts += [_nodes_text(ledger, top), _memory_text(ledger), _cost_text(ledger, cost)]
    return "\n\n".join(parts)


def _bounds_text(ledger: Ledger) -> str:
    rows = [
        (b.name, f"{b.cycles:,}", f"{ledger.cycles / max(b.cycles, 1):.2f} x", b.arithmetic)
        for b in ledger.bounds
    ]
    return "lower bounds: cycles, how far the program is above, arithmetic\n" + aligned(rows)


def _units_text(ledger: Ledger) -> str:
    """A line a kind of unit, and under it what its idle cycles waited for."""
    lines = ["units: every unit-cycle is busy for a node or idle for a cause"]
    for kind, (count, busy, idle) in ledger.books.by_kind().items():
        total = count * ledger.cycles
        shares = [
            f"{name} {share / total:.1%}"
            for name, share in sorted(zip(NAMES, idle.tolist(), strict=True), key=lambda x: -x[1])
            if share * 1000 >= total
        ]
        lines.append(
            f"  {kind:<16} x {count:<3} busy {busy.sum() / total:6.1%}   idle: {', '.join(shares)}"
        )
    lines += [
        f"  {name} between first and last activation: busy {share:.1%}"
        for name, share in ledger.matrix_busy.items()
    ]
    used = {NAMES[i] for *_, idle in ledger.books.by_kind().values() for i in np.flatnonzero(idle)}
    return "\n".join([*lines, aligned((f"{n}:", CAUSES[n]) for n in NAMES if n in used)])


def _path_text(ledger: Ledger) -> str:
    """Cycles of the path by what the stencils on it needed, at work and waiting."""
    spent: dict[str, list[int]] = {}
    for step in ledger.path:
        spent.setdefault(step.why, [0, 0])[step.wait] += step.end - step.begin
    rows = [("needed before", "at work", "waiting")]
    rows += [
        (why, f"{a:,}", f"{b:,}") for why, (a, b) in sorted(spent.items(), key=lambda x: -sum(x[1]))
    ]
    return f"critical path: {len(ledger.path):,} steps\n" + aligned(rows)


def _nodes_text(ledger: Ledger, top: int) -> str:
    kinds = ledger.books.by_kind()
    energy = ledger.picojoules
    order = sorted(ledger.on_path.items(), key=lambda x: -x[1])[:top]
    header = ("node", "on path", "", "MXM", "VXM", "read KiB", "written KiB", "hops MiB")
    rows = [(*header, "uJ") if energy is not None else header]
    at = {name: number for number, name in enumerate(EVENTS)}
    for name, cycles in order:
        number = ledger.books.nodes.index(name)
        events = ledger.events.counts[number]
        row = (
            name or _NO_NODE,
            f"{cycles:,}",
            f"{cycles / ledger.cycles:.1%}",
            f"{int(kinds['MXM.activations'][1][number]):,}",
            f"{int(kinds['VXM'][1][number]):,}",
            f"{events[at['read_bytes']] >> 10:,}",
            f"{events[at['write_bytes']] >> 10:,}",
            f"{events[at['hop_bytes']] >> 20:,}",
        )
        rows.append((*row, f"{energy[number] / 1e6:,.2f}") if energy is not None else row)
    left = len(ledger.on_path) - len(order)
    more = f"\n  and {left} more: --top N" if left > 0 else ""
    return "nodes: cycles on the critical path; unit-cycles; traffic\n" + aligned(rows) + more


def _memory_text(ledger: Ledger) -> str:
    r = ledger.residency
    rows = [(name, f"{size / MIB:.2f}", "MiB") for name, size in r.at_peak[:8]]
    title = f"memory in use: at most {r.peak_bytes / MIB:.2f} MiB, in cycle {r.peak_cycle:,}"
    return f"{title}\n" + aligned(rows)


def _cost_text(ledger: Ledger, cost: Cost) -> str:
    m = ledger.program.machine
    basis = (
        f"assumed: {m['cost.watts']} W, ${m['cost.card_dollars']:,} over {m['cost.lifetime_days']:,} days, "
        f"{m['cost.busy_percent']} % busy, {m['cost.cents_per_kwh']} cents a kWh"
    )
    rows = [("runs a second", f"{1 / cost.seconds:,.0f}")]
    if cost.tokens:
        rows.append(("tokens a second", f"{cost.tokens / cost.seconds:,.0f}"))
        rows.append(("joules a million tokens", f"{cost.joules * 1e6 / cost.tokens:,.2f}"))
        rows.append(("dollars a million tokens", f"{cost.dollars * 1e6 / cost.tokens:.5f}"))
    else:
        rows += [("joules a run", f"{cost.joules:.3g}"), ("dollars a run", f"{cost.dollars:.3g}")]
    if ledger.picojoules is not None:
        rows.append(
            ("joules a run, by the given table", f"{float(ledger.picojoules.sum()) / 1e12:.3g}")
        )
    return f"cost ({basis})\n" + aligned(rows)
