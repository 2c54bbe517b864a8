"""An author's names, kept with the program: ``meta`` carries them, and a listing says them beside what they name.

Names are those of labels, tensors, kernels, and of numbers, streams and units that the text outside all blocks defines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from isa.assembly.expressions import Stream, Unit, Value
from isa.assembly.names import Alu, Label
from isa.assembly.ports import Contract
from isa.assembly.syntax import value_text
from isa.assembly.tensors import Tensor
from isa.instruction import BY_OPCODE, Instruction, Kind
from isa.machine import Machine
from isa.program import Program

KEY: Final = "symbols"
_STREAM: Final = re.compile(r"[EW][0-9]{1,4}")


def symbols_entry(
    labels: Iterable[Label],
    tensors: Iterable[Tensor],
    names: Mapping[str, Value] | None = None,
    kernels: Iterable[Contract] = (),
) -> tuple[str, str] | None:
    """The entry of ``Program.meta`` that says where names belong; None where there are none.

    JSON: ``labels`` name -> [queue, cycle] of each first dispatch, of each time that the line was met; ``tensors`` name -> [words, [slice, address] a byte plane];
    ``names`` name -> a number, or the text of a stream, a unit, an ALU or a text; ``kernels``: [name of the call, kernel,
    cycle, clauses] of each call. Only what there is.
    """
    at: dict[str, list[list[int]]] = {}
    for label in labels:
        at.setdefault(label.name, []).extend([row[0], row[3]] for row in label.rows)
    known = {
        "labels": at,
        "tensors": {t.name: [t.words, *([s, a] for s, a in t.places)] for t in tensors},
        "names": {
            name: value if isinstance(value, int | float) else str(value)
            for name, value in (names or {}).items()
            if isinstance(value, int | float | str | Stream | Unit | Alu)
        },
        "kernels": [[c.party, c.kernel, c.start, c.clauses()] for c in kernels],
    }
    if not any(known.values()):
        return None
    kept = {key: value for key, value in known.items() if value or key in ("labels", "tensors")}
    return KEY, json.dumps(kept, separators=(",", ":"))


@dataclass(frozen=True)
class Symbols:
    """Names by place: labels by (queue, cycle); tensors by slice as (first word, words, name, byte plane)."""

    labels: dict[tuple[int, int], str]
    places: dict[int, list[tuple[int, int, str, int]]]
    streams: dict[str, str] = field(default_factory=dict)
    """By text (``E4``): the name, or names."""
    head: tuple[str, ...] = ()
    """Lines that say what belongs to no dispatch: definitions, and calls of kernels with their contracts."""

    @staticmethod
    def of(program: Program) -> Symbols:
        """What a program carries, and its inputs and outputs. An entry that is no such text is ignored."""
        labels: dict[tuple[int, int], str] = {}
        places: dict[int, list[tuple[int, int, str, int]]] = {}
        for tensor in (*program.inputs, *program.outputs):
            for p in tensor.pieces:
                places.setdefault(p.slice, []).append((p.address, p.rows, tensor.name, p.plane))
        streams: dict[str, str] = {}
        head: list[str] = []
        try:
            for table in (json.loads(text) for key, text in program.meta if key == KEY):
                _take(table, labels, places, streams, head)
        except (ValueError, TypeError, AttributeError, KeyError):
            return Symbols({}, {})
        return Symbols(labels, places, streams, tuple(head))

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
        if self.streams:
            parts += self._streams(machine, cls, args)
        return one_line(" ".join(parts))

    def _streams(self, machine: Machine, cls: type[Instruction], args: Any) -> Iterator[str]:
        """``E4=acc`` for each operand on a stream that has a name."""
        for operand, value in zip(cls.operands, args, strict=False):
            if operand.kind in (Kind.STREAM, Kind.STREAM_OR_NONE, Kind.SOURCE):
                text = value_text(operand, int(value), machine).partition("~")[0]
                if text in self.streams:
                    yield f"{text}={self.streams[text]}"


def _take(
    table: Any,
    labels: dict[tuple[int, int], str],
    places: dict[int, list[tuple[int, int, str, int]]],
    streams: dict[str, str],
    head: list[str],
) -> None:
    """Add what one entry says. Raises what a text that is no such entry makes Python raise."""
    for name, rows in table.get("labels", {}).items():
        labels |= {(int(queue), int(cycle)): str(name) for queue, cycle in rows}
    for name, (words, *planes) in table.get("tensors", {}).items():
        for plane, (slice_, address) in enumerate(planes):
            found = (int(address), int(words), str(name), plane)
            places.setdefault(int(slice_), []).insert(0, found)
    for name, value in table.get("names", {}).items():
        head.append(one_line(f"{name} = {value}"))
        if isinstance(value, str) and _STREAM.fullmatch(value):
            streams[value] = "/".join(n for n in (streams.get(value), str(name)) if n)
    for party, kernel, start, clauses in table.get("kernels", ()):
        title = f"{party}: {kernel}" if party != kernel else kernel
        head.append(one_line(f"{title} @{start}: {'; '.join(map(str, clauses))}"))


def one_line(text: str) -> str:
    """A text that fits a comment."""
    return " ".join(text.split())
