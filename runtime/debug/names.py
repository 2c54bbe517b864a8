"""What words of a command mean on a machine and in a program: queues, units, streams, places, labels, lines."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NoReturn

from isa.assembly.symbols import Symbols
from isa.assembly.syntax import instruction_text
from isa.errors import UsageError
from isa.instruction import BY_OPCODE
from isa.machine import Machine
from isa.ops.mxm import Accumulate
from isa.program import PortTensor, Program
from runtime.debug.places import (
    MATRIX,
    NO_PLACE,
    AluPlace,
    FlightPlace,
    MatrixPlace,
    Place,
    StreamPlace,
    TensorPlace,
    WordPlace,
)

_STREAM: Final = re.compile(r"([EW])([0-9]{1,4})(?:@(.+))?")
_ALU: Final = re.compile(r"alu([0-9]{1,4})")
_WORD: Final = re.compile(r"(MEM_[EW][0-9]+):(0x[0-9a-fA-F]{1,8}|[0-9]{1,9})")
_MATRIX: Final = re.compile(r"(MXM_[EW][0-9]+)\.(\w+):([0-9]{1,9})")
_INDEX: Final = re.compile(r"([0-9]{1,9})(?:\.\.([0-9]{1,9}))?")
FORMS: Final = "a place is E4@VXM, alu3, MEM_E0:0x12, MXM_E0.acc:3 (or weights, buffer), or a tensor: y[1, 0..4]"


def refuse(what: str, name: str, known: Iterable[str], hint: str = "") -> NoReturn:
    """Raise UsageError TSP821 about a name, with the nearest known one."""
    near = difflib.get_close_matches(name, list(known), n=1)
    raise UsageError(
        NO_PLACE, f"no {what} {name!r}", hint=f"did you mean {near[0]}?" if near else hint
    )


@dataclass(frozen=True)
class Names:
    """``source`` is what the program's text was called; lines of other texts are named with their file."""

    program: Program
    source: str = ""

    @property
    def machine(self) -> Machine:
        """The program's."""
        return self.program.machine

    @cached_property
    def bursts(self) -> list[Any]:
        """The program's bursts as tuples."""
        rows: list[Any] = self.program.bursts.tolist()
        return rows

    @cached_property
    def _accumulations(self) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for row in self.bursts:
            if row[1] == Accumulate.opcode:
                found.setdefault((row[0] - self.machine.mxm_queue) // 3, []).append(row)
        return found

    def accumulations(self, plane: int) -> list[Any]:
        """The bursts, as in ``bursts``, that add to accumulators of a plane."""
        return self._accumulations.get(plane, [])

    @cached_property
    def lines(self) -> list[str]:
        """The source line of each burst, ``17`` or ``part.asm:17``; nothing where the text is not at hand."""
        return [
            str(line.number)
            if line.file == self.source
            else f"{Path(line.file).name}:{line.number}"
            for line in self.program.lines
        ]

    @cached_property
    def symbols(self) -> Symbols:
        """The names that the program carries."""
        return Symbols.of(self.program)

    @cached_property
    def tensors(self) -> dict[str, PortTensor]:
        """Inputs and outputs by name."""
        return {t.name: t for t in (*self.program.inputs, *self.program.outputs)}

    @cached_property
    def scratch(self) -> dict[str, dict[int, tuple[int, int, int]]]:
        """An author's other tensors: by name and byte plane the slice, first address and number of words."""
        found: dict[str, dict[int, tuple[int, int, int]]] = {}
        for slice_, parts in self.symbols.places.items():
            for first, words, name, plane in parts:
                if name not in self.tensors:
                    found.setdefault(name, {})[plane] = (slice_, first, words)
        return {n: p for n, p in found.items() if sorted(p) == list(range(len(p)))}

    @cached_property
    def positions(self) -> dict[str, int]:
        """Positions by the name of the unit there: ``VXM``, ``MEM_W3``, ``SXM_E``, ``MXM_W``."""
        known: dict[str, int] = {}
        queues = zip(self.machine.queue_names, self.machine.queue_positions, strict=True)
        for name, position in queues:
            kind = name[:3]
            unit = {"MEM": name, "VXM": "VXM"}.get(kind, name[:5])
            if kind != "C2C":
                known.setdefault(unit, position)
        for i, unit in enumerate(("MXM_W", "SXM_W")):
            known.setdefault(unit, i)
            known.setdefault(f"{unit[:4]}E", self.machine.positions - 1 - i)
        return known

    @cached_property
    def units(self) -> list[str]:
        """The unit at each position."""
        names = {position: name for name, position in self.positions.items()}
        return [names[position] for position in range(self.machine.positions)]

    def queue(self, name: str) -> int:
        """A queue's number. Raises UsageError TSP821."""
        if name not in self.machine.queue_names:
            refuse("queue", name, self.machine.queue_names, f"on {self.machine.name}")
        return self.machine.queue_names.index(name)

    def labelled(self, name: str) -> frozenset[int]:
        """The bursts of a label. Raises UsageError TSP821."""
        places = {place for place, label in self.symbols.labels.items() if label == name}
        if not places:
            hint = "the program carries no labels" if not self.symbols.labels else ""
            refuse("label", name, self.symbols.labels.values(), hint)
        return frozenset(i for i, row in enumerate(self.bursts) if (row[0], row[3]) in places)

    def on_line(self, line: str) -> frozenset[int]:
        """The bursts of a source line, ``17`` or ``part.asm:17``. Raises UsageError TSP821."""
        found = [burst for burst, at in enumerate(self.lines) if at == line]
        if not found:
            hint = "" if self.lines else "lines are known where the program is given as .asm"
            raise UsageError(NO_PLACE, f"nothing is dispatched by line {line}", hint=hint)
        return frozenset(found)

    def place(self, text: str) -> Place:
        """What a word names. Raises UsageError TSP821."""
        if found := _STREAM.fullmatch(text):
            return self._stream(text, found)
        if found := _ALU.fullmatch(text):
            if int(found[1]) >= self.machine["vxm.alus"]:
                raise UsageError(
                    NO_PLACE, f"no {text}: the last is alu{self.machine['vxm.alus'] - 1}"
                )
            return AluPlace(text, int(found[1]))
        if text.startswith("MEM_"):
            return WordPlace(text, tuple(self._word(part) for part in text.split("+")))
        if found := _MATRIX.fullmatch(text):
            return self._matrix(text, found)
        name, bracket, rest = text.partition("[")
        if name in self.tensors:
            return self._tensor(text, self.tensors[name], rest.removesuffix("]") if bracket else "")
        if name in self.scratch:
            return self._scratch(text, name, rest.removesuffix("]") if bracket else "0")
        return refuse("place", text, [*self.tensors, *self.scratch], FORMS)

    def _stream(self, text: str, found: re.Match[str]) -> Place:
        number, streams = int(found[2]), self.machine.streams
        if number >= streams:
            message = f"{self.machine.name} has no stream {found[1]}{number}: the last is {found[1]}{streams - 1}"
            raise UsageError(NO_PLACE, message)
        stream = number + (streams if found[1] == "W" else 0)
        if found[3] is None:
            return FlightPlace(text, stream)
        where = found[3]
        if where.isdigit() and int(where) < self.machine.positions:
            return StreamPlace(text, stream, int(where))
        if where not in self.positions:
            hint = f"units are named as in queues, or a position 0 .. {self.machine.positions - 1}"
            refuse("unit", where, self.positions, hint)
        return StreamPlace(text, stream, self.positions[where])

    def _word(self, text: str) -> tuple[int, int]:
        found = _WORD.fullmatch(text)
        if found is None:
            raise UsageError(NO_PLACE, f"no word {text!r}", hint="write MEM_E0:0x12")
        queue, address = self.queue(found[1]), int(found[2], 0)
        if address >= self.machine.words:
            last = self.machine.words - 1
            raise UsageError(NO_PLACE, f"no word {found[2]} in a slice: the last is {last:#06x}")
        return queue, address

    def words(self, text: str) -> list[tuple[int, int, int]]:
        """``(slice, first, end)`` of ``MEM_E0:3``, ``MEM_E0:3..8`` or a tensor. Raises UsageError TSP821."""
        head, dots, end = text.partition("..")
        if text.startswith("MEM_") and dots and "+" not in text:
            (slice_, first), (_, stop) = self._word(head), self._word(f"MEM_W0:{end}")
            return [(slice_, first, stop)]
        place = self.place(text)
        if isinstance(place, WordPlace):
            return [(slice_, address, address + 1) for slice_, address in place.words]
        if isinstance(place, TensorPlace):
            return sorted({(home[0], home[1], home[1] + 1) for home in place.homes})
        raise UsageError(
            NO_PLACE, f"{text} is no memory", hint="write MEM_E0:3, MEM_E0:3..8 or y[0]"
        )

    def _matrix(self, text: str, found: re.Match[str]) -> Place:
        part, index = found[2], int(found[3])
        queue = self.queue(f"{found[1]}.weights")
        if part not in MATRIX:
            refuse("part of a plane", part, MATRIX, f"parts are {', '.join(MATRIX)}")
        size = self.machine["mxm.acc_rows"] if part == "acc" else self.machine.lanes
        if index >= size:
            raise UsageError(NO_PLACE, f"no {text}: the last is {size - 1}")
        return MatrixPlace(text, part, (queue - self.machine.mxm_queue) // 3, index)

    def _tensor(self, text: str, tensor: PortTensor, index: str) -> Place:
        first, count = 0, math.prod(tensor.shape)
        parts = [part.strip() for part in index.split(",")] if index else []
        for axis, part in enumerate(parts):
            found = _INDEX.fullmatch(part)
            size = tensor.shape[axis] if axis < len(tensor.shape) else 0
            low, end = (int(found[1]), int(found[2] or int(found[1]) + 1)) if found else (0, 0)
            if not low < end <= size or (end - low > 1 and axis < len(parts) - 1):
                message = f"{text}: {part!r} is no index of axis {axis} of {list(tensor.shape)}"
                hint = "single numbers first, then at most one range: y[1, 0..4]"
                raise UsageError(NO_PLACE, message, hint=hint)
            count //= size
            first, count = first + low * count, (end - low) * count
        return TensorPlace(text, tensor, first, count)

    def _scratch(self, text: str, name: str, row: str) -> Place:
        planes = self.scratch[name]
        words = min(words for _, _, words in planes.values())
        if not row.isdigit() or int(row) >= words:
            raise UsageError(NO_PLACE, f"no {text}: {name} has words 0 .. {words - 1}")
        at = [planes[plane] for plane in range(len(planes))]
        return WordPlace(text, tuple((slice_, first + int(row)) for slice_, first, _ in at))

    def dispatch(self, burst: int, step: int) -> dict[str, Any]:
        """A dispatch as data: ``queue``, ``instruction``, ``dispatch`` (from 1), ``of``, ``cycle``, and, where known,
        ``node``, ``label``, ``line``, ``about`` (the tensor that a memory instruction works on)."""
        queue, opcode, node, cycle, count, interval, stride, args = self.bursts[burst]
        cls = BY_OPCODE[opcode]
        moved = [
            v + step * stride if o.strided else v for v, o in zip(args, cls.operands, strict=False)
        ]
        found = {
            "queue": self.machine.queue_names[queue],
            "instruction": instruction_text(cls, moved, self.machine),
            "dispatch": step + 1,
            "of": count,
            "cycle": cycle + step * interval,
        }
        nodes = self.program.nodes
        more = {
            "node": nodes[node] if node < len(nodes) else "",
            "label": self.symbols.labels.get((queue, cycle), ""),
            "line": self.lines[burst] if self.lines else "",
            "about": self.symbols.comment(self.machine, (queue, opcode, node, -1, 1, 1, 0, moved)),
        }
        return found | {key: value for key, value in more.items() if value}
