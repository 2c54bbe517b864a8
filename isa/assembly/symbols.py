"""An author's names, kept with the program: ``meta`` carries them, and a listing says them beside what they name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from isa.assembly.names import Label
from isa.assembly.tensors import Tensor
from isa.instruction import BY_OPCODE
from isa.machine import Machine
from isa.program import Program

KEY: Final = "symbols"


def symbols_entry(labels: Iterable[Label], tensors: Iterable[Tensor]) -> tuple[str, str] | None:
    """The entry of ``Program.meta`` that says where names belong; None where there are none.

    JSON: ``labels`` name -> [queue, cycle] of a first dispatch; ``tensors`` name -> [words, [slice, address] a byte plane].
    """
    at = {x.name: [[row[0], row[3]] for row in x.rows] for x in labels}
    places = {t.name: [t.words, *([s, a] for s, a in t.places)] for t in tensors}
    if not at and not places:
        return None
    return KEY, json.dumps({"labels": at, "tensors": places}, separators=(",", ":"))


@dataclass(frozen=True)
class Symbols:
    """Names by place: labels by (queue, cycle); tensors by slice as (first word, words, name, byte plane)."""

    labels: dict[tuple[int, int], str]
    places: dict[int, list[tuple[int, int, str, int]]]

    @staticmethod
    def of(program: Program) -> Symbols:
        """What a program carries, and its inputs and outputs. An entry that is no such text is ignored."""
        labels: dict[tuple[int, int], str] = {}
        places: dict[int, list[tuple[int, int, str, int]]] = {}
        for tensor in (*program.inputs, *program.outputs):
            for p in tensor.pieces:
                places.setdefault(p.slice, []).append((p.address, p.rows, tensor.name, p.plane))
        known = dict(program.meta).get(KEY)
        try:
            table: Any = json.loads(known) if known else {}
            for name, rows in table.get("labels", {}).items():
                labels |= {(int(queue), int(cycle)): str(name) for queue, cycle in rows}
            for name, (words, *planes) in table.get("tensors", {}).items():
                for plane, (slice_, address) in enumerate(planes):
                    found = (int(address), int(words), str(name), plane)
                    places.setdefault(int(slice_), []).insert(0, found)
        except (ValueError, TypeError, AttributeError, KeyError):
            return Symbols({}, {})
        return Symbols(labels, places)

    def comment(self, machine: Machine, burst: Any) -> str:
        """What is known about a burst (a row of ``Program.bursts`` as a tuple), for behind its line; empty if nothing."""
        queue, opcode, _, cycle, _, _, _, args = burst
        parts = []
        if (queue, cycle) in self.labels:
            parts.append(f"{self.labels[queue, cycle]}:")
        cls = BY_OPCODE[opcode]
        if cls.unit == "MEM" and queue < 2 * machine.slices:
            address = int(args[0])
            for first, words, name, plane in self.places.get(queue, ()):
                if first <= address < first + words:
                    row = f"[{address - first}]" if address > first else ""
                    parts.append(f"{name}{row} plane {plane}")
                    break
        return " ".join(p.replace("\n", " ") for p in parts)
