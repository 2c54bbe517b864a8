"""Results as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from runtime.debug.commands import HELP, PLACES, SHORT

MOST: Final = 12
"""Dispatches that a list shows."""


def dispatch(d: Mapping[str, Any], cycle: bool = True) -> str:
    """``@9 VXM_0: add f32, E0, #0x3f800000 -> E4 (2 of 4, line 17)``."""
    about = [f"{d['dispatch']} of {d['of']}"] if d["of"] > 1 else []
    about += [f"line {d['line']}"] if "line" in d else []
    about += [f"label {d['label']}"] if "label" in d else []
    about += [f"node {d['node']}"] if "node" in d else []
    about += [d["about"]] if "about" in d else []
    when = f"@{d['cycle']} " if cycle else ""
    told = f" ({', '.join(about)})" if about else ""
    return f"{when}{d['queue']}: {d['instruction']}{told}"


def _listed(dispatches: list[str]) -> Iterable[str]:
    yield from dispatches[:MOST]
    if len(dispatches) > MOST:
        yield f"... and {len(dispatches) - MOST} more"


def render(result: Mapping[str, Any]) -> str:
    """The text of a result, without a newline behind it."""
    return "\n".join(_KINDS[result["kind"]](result))


def _stop(r: Mapping[str, Any]) -> Iterable[str]:
    for change in r["changes"]:
        yield f"watch {change['watch']}, cycle {change['cycle']}: {value(change)}"
    reasons = {
        "finished": f", finished: {r.get('cycles')} cycles with the stagger",
        "fault": ", cannot go on",
        "interrupted": ", interrupted",
        "start": ", the start",
    }
    why = reasons.get(r["why"], "")
    if r["why"] == "breakpoint":
        numbers = [f"breakpoint {b['number']} ({b['text']})" for b in r["breakpoints"]]
        why = f": {', '.join(numbers)}"
    yield f"cycle {r['cycle']}{why}"
    if "error" in r:
        error = r["error"]
        yield f"  {error['code']}: {error['where']}: {error['message']}"
    yield from _due(r["due"], r["dispatched"])


def _due(dispatches: list[Mapping[str, Any]], dispatched: int) -> Iterable[str]:
    """What has been dispatched in a cycle, what is next (``>``), what is to come; about the next one where they are many."""
    first = max(0, min(dispatched - MOST // 2, len(dispatches) - MOST))
    if first:
        yield f"    ... {first} before"
    for place, d in enumerate(dispatches[first : first + MOST], first):
        mark = ">" if place == dispatched else " "
        yield f"  {mark} {dispatch(d, cycle=False)}{', done' if place < dispatched else ''}"
    if rest := len(dispatches) - first - MOST:
        yield from [f"    ... {rest} more"] if rest > 0 else []


def value(r: Mapping[str, Any]) -> str:
    """``E4@VXM = 1.0 2.0 3.0 (f32, 29 more)``."""
    if r["values"] is None:
        return f"{r['place']} = nothing"
    lanes: list[int] = r["lanes"]
    told = [r["type"]]
    if lanes != list(range(len(lanes))):
        told.append(f"lane{'s' if len(lanes) > 1 else ''} {_ranges(lanes)}")
    if r["more"]:
        told.append(f"{r['more']} more")
    return f"{r['place']} = {' '.join(r['text'])} ({', '.join(told)})"


def _ranges(lanes: list[int]) -> str:
    """``0..4,9``: as lanes are chosen."""
    parts: list[tuple[int, int]] = []
    for lane in lanes:
        if parts and parts[-1][1] == lane:
            parts[-1] = (parts[-1][0], lane + 1)
        else:
            parts.append((lane, lane + 1))
    return ",".join(str(a) if b == a + 1 else f"{a}..{b}" for a, b in parts)


def _flight(r: Mapping[str, Any]) -> Iterable[str]:
    if not r["at"]:
        yield f"{r['stream']}: nothing is on it"
    for at in r["at"]:
        shown = value({**at, "place": f"{r['stream']}@{at['unit']}"})
        yield shown


def _who(r: Mapping[str, Any]) -> Iterable[str]:
    yield f"{r['place']} in cycle {r['cycle']}" + ("" if r["there"] else ": nothing is there")
    for origin in r["origin"]:
        yield f"  there from the start: {origin}"
    lists = {
        "written by": r["written"],
        "in place of": r["replaced"],
        "read by": [d for d in r["read"] if d["cycle"] <= r["cycle"]],
        "will be read by": [d for d in r["read"] if d["cycle"] > r["cycle"]],
    }
    for word, dispatches in lists.items():
        yield from (f"  {word} {line}" for line in _listed([dispatch(d) for d in dispatches]))
    if r["there"] and not r["read"] and not r["outputs"]:
        yield "  read by nobody"
    for output in r["outputs"]:
        yield f"  part of output {output!r}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _floor(r: Mapping[str, Any]) -> Iterable[str]:
    inside, streams = r["inside"], r["streams"]
    on_way = sum(len(s["at"]) for s in streams)
    counts = (
        _count(len(r["busy"]), "dispatch", "dispatches"),
        f"{_count(on_way, 'value')} on {_count(len(streams), 'stream')}",
        f"{_count(len(inside), 'result')} inside units",
    )
    yield f"cycle {r['cycle']}: {', '.join(counts)}"
    units: list[str] = r["units"]
    numbers = [u[5:] if u.startswith("MEM") else "" for u in units]
    if any(len(n) > 1 for n in numbers):
        yield "     " + "".join(n[0] if len(n) > 1 else " " for n in numbers).rstrip()
    heads = {"MXM": "X", "SXM": "S", "VXM": "V"}
    yield "     " + "".join(heads.get(u[:3], n[-1:]) for u, n in zip(units, numbers, strict=True))
    yield "busy " + "".join(_busy(unit, r) for unit in units)
    for stream in streams:
        at, mark = set(stream["at"]), ">" if stream["stream"][0] == "E" else "<"
        row = "".join(mark if p in at else "." for p in range(len(units)))
        yield f"{stream['stream']:<5}{row}"
    yield "X matrix, S exchange, V vector unit, digits: memory slices, west to east"
    yield "r read, w write, b both; a number: dispatches of its queues; ~: an fp16 activation goes on"
    yield from (f"  {line}" for line in _listed([dispatch(d, cycle=False) for d in r["busy"]]))


def _busy(unit: str, r: Mapping[str, Any]) -> str:
    """A unit's character."""
    memory = unit.startswith("MEM")
    own = [
        d for d in r["busy"] if d["queue"] == unit or (not memory and d["queue"].startswith(unit))
    ]
    if memory:
        kinds = {d["instruction"].split()[0] for d in own}
        reads, writes = kinds & {"read", "gather"}, kinds & {"write", "scatter"}
        other = "1" if kinds else "."
        return "b" if reads and writes else "r" if reads else "w" if writes else other
    if own:
        return str(len(own)) if len(own) < 10 else "+"
    return "~" if any(a["plane"].startswith(unit) for a in r["arrays"]) else "."


def _names(r: Mapping[str, Any]) -> Iterable[str]:
    for role in ("inputs", "outputs"):
        for t in r[role]:
            yield f"{role[:-1]} {t['name']}: {t['type']}{t['shape']}"
    for t in r["scratch"]:
        yield f"tensor {t['name']}: {t['words']} words of {t['planes']} bytes a lane"
    for label in r["labels"]:
        yield f"label {label['name']}: @{label['cycle']} {label['queue']}"


def _breaks(r: Mapping[str, Any]) -> Iterable[str]:
    if not r["breakpoints"] and not r["watches"]:
        yield "no breakpoints, no watches"
    for kind in ("breakpoint", "watch"):
        for b in r[f"{kind}s" if kind == "breakpoint" else "watches"]:
            yield f"{kind} {b['number']}: {b['text']}"


def _expect(r: Mapping[str, Any]) -> Iterable[str]:
    yield "as expected" if r["passed"] else f"FAILED: {r['text']}: {r['found']}"


def _help(r: Mapping[str, Any]) -> Iterable[str]:
    short = {long: s for s, long in SHORT.items()}
    topics = [r["topic"]] if r["topic"] else list(HELP)
    for name in topics:
        operands, meaning = HELP[name]
        also = f" ({short[name]})" if name in short else ""
        yield f"{name}{also} {operands}".rstrip()
        yield f"    {meaning}"
    yield from ["", PLACES] if not r["topic"] or "PLACE" in HELP[r["topic"]][0] else []


def _set(r: Mapping[str, Any]) -> Iterable[str]:
    yield f"{r['what']} {r['number']}: {r['text']}"


def _removed(r: Mapping[str, Any]) -> Iterable[str]:
    numbers = ", ".join(map(str, r["numbers"])) or "none"
    yield f"{r['what']} {numbers} deleted"


_KINDS: Final[dict[str, Any]] = {
    "stop": _stop,
    "value": lambda r: [value(r)],
    "flight": _flight,
    "who": _who,
    "floor": _floor,
    "names": _names,
    "breaks": _breaks,
    "expect": _expect,
    "help": _help,
    "set": _set,
    "removed": _removed,
    "quit": lambda _: [],
}
