"""What can be seen where a run stands, as data: values, who made and takes them, the floorplan."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from emulator.events import Event
from emulator.reference import ReferenceInterpreter
from emulator.rewind import Rewinder
from isa.instruction import DType
from isa.ops.vxm import VxmInstruction
from runtime.debug.commands import Look
from runtime.debug.names import Names
from runtime.debug.places import (
    AluPlace,
    FlightPlace,
    MatrixPlace,
    Place,
    StreamPlace,
    TensorPlace,
    WordPlace,
)
from runtime.debug.values import Lanes, Type

Result = dict[str, Any]
_PRODUCT: Final = {DType.I8: DType.I32, DType.F16: DType.F32}


def type_of(run: Rewinder, names: Names, place: Place, said: Type | None) -> Type:
    """The type said, or that of what stands at a place now; bits where nothing tells."""
    if said is not None:
        return said
    found: DType | None = None
    planes = place.planes
    if isinstance(place, AluPlace):
        [at] = place.lines(run.interpreter, 1, None)
        for writer in run.events.uses(at.line, at.time).writers:
            instr = names.program.instruction(writer.burst)
            assert isinstance(instr, VxmInstruction)
            found = instr.result_dtype
    elif isinstance(place, MatrixPlace):
        unit = run.interpreter.matrix.planes[place.plane]
        if place.part == "acc":
            started = unit.started.get(place.index)
            found = None if started is None else _PRODUCT[started]
        else:
            found = unit.installed if place.part == "weights" else unit.loaded.get(place.index)
    return Type(None, planes) if found is None else Type(found, found.planes)


def value(run: Rewinder, names: Names, place: Place, said: Type | None, lanes: Lanes) -> Result:
    """``{place, type, lanes, values, bits, text, more}``: ``values`` is None where nothing stands, an element None where
    that is not finite or not there; ``text`` has every number as it is written; ``more`` tells of lanes that are not shown."""
    kind = type_of(run, names, place, said)
    found = place.read(run.interpreter, kind.planes)
    result: Result = {"place": place.text, "type": kind.name, "lanes": [], "values": None}
    if found is None:
        return result
    count = found.data.shape[1]
    chosen = lanes.of(count, shown=True)
    numbers, known = kind.numbers(found.data[:, chosen]), found.known[chosen]
    bits = Type(None, kind.planes)
    raw = [bits.text(n) for n in bits.numbers(found.data[:, chosen])]
    shown = list(zip(numbers, known, strict=True))
    return result | {
        "lanes": chosen,
        "values": [kind.json(n) if there else None for n, there in shown],
        "bits": [n if there else None for n, there in zip(raw, known, strict=True)],
        "text": [kind.text(n) if there else "-" for n, there in shown],
        "more": count - len(chosen) if lanes.chosen is None else 0,
    }


def looked_at(run: Rewinder, names: Names, look: Look) -> Result:
    """What ``print`` gives: a value, or all that is on a stream."""
    if not isinstance(look.place, FlightPlace):
        found = value(run, names, look.place, look.type, look.lanes)
        return {"kind": "value", "cycle": run.interpreter.cycle, **found}
    kind = look.type or Type(None, 1)
    at = []
    for place in look.place.everywhere(run.interpreter):
        found = value(run, names, place, kind, look.lanes)
        at.append({"position": place.position, "unit": names.units[place.position], **found})
    return {"kind": "flight", "cycle": run.interpreter.cycle, "stream": look.place.text, "at": at}


def who(run: Rewinder, names: Names, look: Look) -> Result:
    """``{origin, written, replaced, read}`` of what stands at a place: dispatches, and where it was from the start, what
    it is. ``replaced`` were on their way on the same stream when this was put in their place.

    The run goes to its end once, for who will read.
    """
    run.explore()
    machine = run.interpreter
    kind = type_of(run, names, look.place, look.type)
    chosen = None if look.lanes.chosen is None else list(look.lanes.chosen)
    written: dict[tuple[int, int], Event] = {}
    read: dict[tuple[int, int], Event] = {}
    replaced: dict[tuple[int, int], Event] = {}
    unwritten = []
    last = set()
    for at in look.place.lines(machine, kind.planes, chosen):
        uses = run.events.uses(at.line, at.time)
        written |= {(e.burst, e.step): e for e in uses.writers}
        if isinstance(look.place, StreamPlace):
            puts = [e for e in run.events.on(at.line) if e.access and e.time <= at.time]
            replaced |= {(e.burst, e.step): e for e in puts[-2:-1]}
        read |= {(e.burst, e.step): e for e in uses.readers}
        word = (at.line.unit, at.line.index)
        if not uses.writers:
            unwritten.append(word)
        if not any(e.access and e.time > at.time for e in run.events.on(at.line)):
            last.add(word)
    memory = isinstance(look.place, WordPlace | TensorPlace)
    origin = _origins(names, unwritten) if memory else []
    outputs = [
        t.name for t in names.program.outputs if memory and any(_inside(p, last) for p in t.pieces)
    ]
    return {
        "kind": "who",
        "cycle": machine.cycle,
        "place": look.place.text,
        "there": look.place.read(machine, kind.planes) is not None,
        "origin": origin,
        "written": _told(names, written),
        "replaced": _told(names, replaced),
        "read": _told(names, read),
        "outputs": outputs,
    }


def _told(names: Names, events: dict[tuple[int, int], Event]) -> list[Result]:
    ordered = sorted(events.values(), key=lambda e: (e.cycle, e.burst))
    return [names.dispatch(e.burst, e.step) for e in ordered]


def _inside(piece: Any, words: Any) -> bool:
    return any(
        slice_ == piece.slice and piece.address <= address < piece.address + piece.rows
        for slice_, address in words
    )


def _origins(names: Names, words: list[tuple[int, int]]) -> list[str]:
    """What words are before the run: inputs by name, constants."""
    found = [
        f"input {t.name!r}"
        for t in names.program.inputs
        if any(_inside(p, words) for p in t.pieces)
    ]
    for slice_, first, count, _ in names.program.segments.tolist():
        if any(s == slice_ and first <= a < first + count for s, a in words):
            return [*found, "constant"]
    return found


def due(run: ReferenceInterpreter, names: Names) -> list[Result]:
    """The dispatches of this cycle, those that have happened first; ``done`` says whether one has."""
    return [
        {**names.dispatch(burst, step), "done": place < run.dispatched}
        for place, (burst, step) in enumerate(run.due)
    ]


def _first(machine: ReferenceInterpreter, stream: int, position: int) -> int | None:
    """The byte in the first lane; None where the value is between two positions."""
    found = machine.streams.at(stream, position)
    return None if found is None else int(found[0])


def floor(run: Rewinder, names: Names) -> Result:
    """``{units, busy, inside, arrays, streams}``: names from west to east; dispatches of this cycle; results under way
    inside units, with the cycle in which they land; planes that an fp16 activation keeps busy; streams with values, by
    position, and the byte of each in lane 0."""
    machine = run.interpreter
    occupied = machine.streams.occupied()
    streams = names.machine.streams
    inside = {
        (origin.burst, origin.step): cycle
        for cycle, effects in sorted(machine.landings.items())
        for origin, _ in effects
    }
    return {
        "kind": "floor",
        "cycle": machine.cycle,
        "units": names.units,
        "busy": due(machine, names),
        "inside": [
            {**names.dispatch(burst, step), "lands": cycle}
            for (burst, step), cycle in sorted(inside.items(), key=lambda item: (item[1], item[0]))
        ],
        "arrays": [
            {
                "plane": names.machine.queue_names[names.machine.mxm_queue + 3 * n][:-8],
                "until": p.busy_until,
            }
            for n, p in enumerate(machine.matrix.planes)
            if p.busy_until > machine.cycle
        ],
        "streams": [
            {
                "stream": f"{'EW'[stream // streams]}{stream % streams}",
                "at": (at := np.flatnonzero(occupied[stream]).tolist()),
                "lane0": [_first(machine, stream, position) for position in at],
            }
            for stream in np.flatnonzero(occupied.any(axis=1)).tolist()
        ],
    }


def named(names: Names) -> Result:
    """``{inputs, outputs, scratch, labels}``."""
    port = [
        [{"name": t.name, "type": t.dtype.name.lower(), "shape": list(t.shape)} for t in ports]
        for ports in (names.program.inputs, names.program.outputs)
    ]
    scratch = [
        {"name": name, "planes": len(planes), "words": min(w for _, _, w in planes.values())}
        for name, planes in names.scratch.items()
    ]
    labels = [
        {"name": label, "queue": names.machine.queue_names[queue], "cycle": cycle}
        for (queue, cycle), label in sorted(names.symbols.labels.items(), key=lambda x: x[0][::-1])
    ]
    return {
        "kind": "names",
        "inputs": port[0],
        "outputs": port[1],
        "scratch": scratch,
        "labels": labels,
    }
