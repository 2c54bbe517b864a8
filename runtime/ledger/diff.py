"""Two programs held against each other: what changed, at which node, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runtime.ledger import Ledger
from runtime.ledger.causes import CAUSES
from runtime.ledger.events import EVENTS
from runtime.report import aligned

_MEMORY = ("read_bytes", "write_bytes")


@dataclass(frozen=True, slots=True)
class Change:
    """A figure in the first program and in the second."""

    name: str
    before: float
    after: float

    @property
    def delta(self) -> float:
        """How much more the second has."""
        return self.after - self.before

    def to_dict(self) -> dict[str, object]:
        """Stable keys for ``--json``."""
        return {"name": self.name, "before": self.before, "after": self.after, "delta": self.delta}


@dataclass(frozen=True)
class NodeChange:
    """A node that is not the same in both: cycles on the critical path, what made them differ, and its other figures."""

    node: str
    path: Change
    reasons: tuple[str, ...]
    figures: tuple[Change, ...]


@dataclass(frozen=True)
class Difference:
    """Totals, and the nodes that changed, those with the largest change on the critical path first."""

    totals: tuple[Change, ...]
    nodes: tuple[NodeChange, ...]

    @property
    def percent(self) -> float:
        """By how many percent of the first program's cycles the second is longer; negative if it is shorter."""
        cycles = self.totals[0]
        return 100.0 * cycles.delta / max(cycles.before, 1)

    @property
    def same(self) -> bool:
        """Whether no figure differs."""
        return not self.nodes and all(change.delta == 0 for change in self.totals)

    def to_dict(self) -> dict[str, object]:
        """Stable keys for ``--json``."""
        return {
            "same": self.same,
            "cycles_percent": self.percent,
            "totals": [change.to_dict() for change in self.totals],
            "nodes": [
                {
                    "node": n.node,
                    "path_cycles": n.path.to_dict(),
                    "reasons": list(n.reasons),
                    "figures": [change.to_dict() for change in n.figures],
                }
                for n in self.nodes
            ],
        }

    def text(self, top: int) -> str:
        """The totals, then at most ``top`` nodes with their reasons."""
        if self.same:
            return "no difference: cycles, instructions, memory and every node's share are the same"
        rows = [("", "before", "after", "change")]
        rows += [
            (c.name, _number(c.before), _number(c.after), _signed(c.delta)) for c in self.totals
        ]
        lines = [aligned(rows), f"  cycles {self.percent:+.2f} %"]
        if self.nodes:
            lines.append("nodes: change of their cycles on the critical path, and why")
        for change in self.nodes[:top]:
            name = change.node or "(no node)"
            lines.append(f"  {name}: {_signed(change.path.delta)} ({'; '.join(change.reasons)})")
        if len(self.nodes) > top:
            lines.append(f"  and {len(self.nodes) - top} more: --top N")
        return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _signed(value: float) -> str:
    return f"{value:+,.0f}" if value else "0"


def difference(before: Ledger, after: Ledger) -> Difference:
    """What changed from one run to the other. Nodes are the same if their names are."""
    totals = [
        Change("cycles", before.cycles, after.cycles),
        Change("instructions", before.program.instructions, after.program.instructions),
        Change("bursts", len(before.program.bursts), len(after.program.bursts)),
        Change("constant bytes", before.residency.constant_bytes, after.residency.constant_bytes),
        Change("peak bytes", before.residency.peak_bytes, after.residency.peak_bytes),
    ]
    energy = [ledger.picojoules for ledger in (before, after)]
    if energy[0] is not None and energy[1] is not None:
        totals.append(Change("picojoules", float(energy[0].sum()), float(energy[1].sum())))
    names = dict.fromkeys([*before.program.nodes, *after.program.nodes])
    changes = [found for name in names if (found := _node(name, before, after)) is not None]
    changes.sort(key=lambda n: (-abs(n.path.delta), -len(n.figures), n.node))
    return Difference(tuple(totals), tuple(changes))


def _figures(ledger: Ledger, name: str) -> dict[str, float]:
    """What a node makes its program do: unit-cycles by kind, events, energy; nothing for a node it lacks."""
    if name not in ledger.program.nodes:
        return {}
    number = ledger.program.nodes.index(name)
    found: dict[str, float] = {
        f"{kind} cycles": int(busy[number]) for kind, (_, busy, _) in ledger.books.by_kind().items()
    }
    found |= dict(zip(EVENTS, ledger.events.counts[number].tolist(), strict=True))
    if (energy := ledger.picojoules) is not None:
        found["picojoules"] = float(energy[number])
    return found


def _on_path(ledger: Ledger, name: str) -> dict[tuple[str, bool], int]:
    """The node's cycles on the critical path, by what was needed before and whether they were waiting."""
    found: dict[tuple[str, bool], int] = {}
    for step in ledger.path:
        if step.node == name:
            key = (step.why, step.wait)
            found[key] = found.get(key, 0) + step.end - step.begin
    return found


def _node(name: str, before: Ledger, after: Ledger) -> NodeChange | None:
    """The change of one node, or None where every figure is the same."""
    pair = [_figures(ledger, name) for ledger in (before, after)]
    figures = [
        Change(key, pair[0].get(key, 0), pair[1].get(key, 0))
        for key in dict.fromkeys([*pair[0], *pair[1]])
    ]
    figures = [change for change in figures if change.delta]
    paths = [_on_path(ledger, name) for ledger in (before, after)]
    path = Change("path cycles", sum(paths[0].values()), sum(paths[1].values()))
    if not figures and paths[0] == paths[1]:
        return None
    return NodeChange(name, path, tuple(_reasons(paths, pair, figures)), tuple(figures))


def _reasons(
    paths: list[dict[tuple[str, bool], int]],
    pair: list[dict[str, float]],
    figures: list[Change],
) -> list[str]:
    """The largest causes first: parts of the path that grew or shrank, then what the node does more or less of."""
    if not pair[0] or not pair[1]:
        return ["only in the second" if pair[1] else "only in the first"]
    parts = [(paths[1].get(key, 0) - paths[0].get(key, 0), key) for key in {*paths[0], *paths[1]}]
    parts = sorted((p for p in parts if p[0]), key=lambda p: (-abs(p[0]), p[1]))
    reasons = [
        f"{_signed(delta)} {'waiting' if wait else 'at work'}: {CAUSES[why]}"
        for delta, (why, wait) in parts[:2]
    ]
    work = [
        change for change in figures if change.name.endswith("cycles") or change.name in _MEMORY
    ]
    order = np.argsort(
        [-abs(change.delta) / max(change.before, 1) for change in work], kind="stable"
    )
    reasons += [
        f"{work[i].name} {_number(work[i].before)} -> {_number(work[i].after)}" for i in order[:2]
    ]
    return reasons or ["the same work in another order"]
