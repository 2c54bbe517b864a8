"""The clauses of a contract: ``.in``, ``.out`` and ``.uses`` at the head of a kernel, read for one call of it.

    .in x: W0 f32 @t at VXM x128 /2
    .out y: E4 f32 @t+2*timing.vxm_alu at VXM x128 /2
    .uses VXM_0, VXM_8..VXM_11, weights @t..t+256

is: a value of x passes the VXM on W0 .. W3 in cycle ``t`` and 127 more, 2 cycles apart; what is left out is one byte plane,
the VXM, once, 1. Units without cycles are used from the first of all values to the last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from isa.assembly.advice import FORMS
from isa.assembly.expressions import ExpressionError, Stream, Unit, Value, describe
from isa.assembly.lines import Word
from isa.assembly.names import Meaning
from isa.assembly.ports import FARTHEST, Contract, Port, Use
from isa.assembly.render import WrittenError, interpolated, suffix, value_of, whole
from isa.assembly.sources import Source
from isa.assembly.tensors import Tensor
from isa.assembly.written import code_of, find, split, words
from isa.instruction import DType
from isa.machine import Machine

CLAUSE: Final = 216
CLAUSES: Final = ("in", "out", "uses")
_HEAD: Final = re.compile(r"\s*\.(in|out|uses)\b\s*")
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_LOOSE: Final = re.compile(r"(?<=\s)x\s+(?=[0-9({])")
_TYPES: Final = {t.name.lower(): t for t in DType}


def wrong(message: str, column: int, hint: str = "") -> WrittenError:
    """A clause that cannot be."""
    return WrittenError(ExpressionError(message, code=CLAUSE, hint=hint), column)


def tight(text: str) -> str:
    """``x 128`` as ``x128``, with a space where it was: columns stay."""
    return _LOOSE.sub(lambda m: f"{' ' * (len(m[0]) - 1)}x", text)


@dataclass
class Clauses:
    """Collects the clauses of one call into its contract; ``names`` gives the meaning of the kernel's names."""

    kernel: str
    party: str
    start: int
    source: Source
    column: int
    ins: list[Port] = field(default_factory=list)
    outs: list[Port] = field(default_factory=list)
    uses: list[tuple[list[int], tuple[int, int] | None, Word]] = field(default_factory=list)

    def take(self, line: Source, names: Meaning) -> Port | None:
        """One clause; gives the value that it names. Raises ``WrittenError``."""
        head = _HEAD.match(line.text)
        assert head
        rest = Word(code_of(line.text)[head.end() :].rstrip(), head.end() + 1)
        if head[1] == "uses":
            self._uses(rest, names)
            return None
        port = self._port(head[1], rest, line, names)
        for other in (*self.ins, *self.outs):
            if other.name == port.name:
                raise wrong(f"{port.name} stands twice in {self.kernel}", rest.column)
        (self.ins if head[1] == "in" else self.outs).append(port)
        return port

    def _port(self, kind: str, rest: Word, line: Source, names: Meaning) -> Port:
        form, colon = FORMS[kind], find(rest.text, 0, ":")
        name = rest.text[:colon].strip()
        parts = words(tight(rest.text[colon + 1 :]), rest.column + colon + 1)
        if not _NAME.fullmatch(name) or not parts:
            raise wrong("unexpected form", rest.column, form)
        stream = value_of(interpolated(parts[0], names), parts[0].column, names)
        if not isinstance(stream, Stream):
            raise wrong(f"{describe(stream)} is no stream", parts[0].column, form)
        dtype, cycle = None, None
        unit: Value = Unit("VXM", names.machine.vxm_position)
        counts = {"x": 1, "/": 1}
        i = 1
        while i < len(parts):
            word = parts[i]
            i += 1
            if word.text in _TYPES:
                dtype = _TYPES[word.text]
            elif word.text.startswith("@") and len(word.text) > 1:
                cycle = whole(word.text[1:], word.column + 1, names)
            elif word.text == "at" and i < len(parts):
                word = parts[i]
                i += 1
                unit = value_of(interpolated(word, names), word.column, names)
                if not isinstance(unit, Unit):
                    raise wrong(f"{describe(unit)} is no place", word.column, "at VXM, at MEM_E4")
            elif word.text[:1] in counts and len(word.text) > 1:
                counts[word.text[0]] = int(suffix(word, names)[1:])
            else:
                raise wrong(f"unexpected {word.text!r}", word.column, form)
        if cycle is None:
            raise wrong(f"{name} has no cycle", rest.column, form)
        count, interval = counts.values()
        port = Port(
            name, stream, dtype, unit, cycle, count, interval, line, rest.column, self.party
        )
        problem = port.fits(names.machine)
        if problem:
            raise wrong(problem, parts[0].column)
        return port

    def _uses(self, rest: Word, names: Meaning) -> None:
        at = find(rest.text, 0, "@")
        cycles = None
        if at < len(rest.text):
            low, dots, high = rest.text[at + 1 :].partition("..")
            if not dots:
                raise wrong("unexpected form", rest.column + at, FORMS["uses"])
            column = rest.column + at + 1
            cycles = (
                whole(low, column, names),
                whole(high, column + len(low) + 2, names),
            )
            if max(map(abs, cycles)) > FARTHEST:
                raise wrong(f"cycles {cycles[0]} .. {cycles[1]}", column, FORMS["uses"])
        for word in split(rest.text[:at].rstrip(), rest.column):
            if not word.text:
                raise wrong("unexpected form", rest.column, FORMS["uses"])
            self.uses.append((self._queues(word, names), cycles, word))

    def _queues(self, word: Word, names: Meaning) -> list[int]:
        """The queues that one word of ``.uses`` names."""
        low, dots, high = word.text.partition("..")
        found = _queues(Word(low, word.column), names)
        if not dots:
            return found
        last = _queues(Word(high, word.column + len(low) + 2), names)
        kinds = names.machine.queue_kinds
        if found[0] > last[-1] or kinds[found[0]] != kinds[last[-1]]:
            raise wrong(f"{word.text} is no range of queues", word.column, FORMS["uses"])
        return list(range(found[0], last[-1] + 1))

    def contract(self) -> Contract:
        """All of it. Raises ``WrittenError``."""
        ports = (*self.ins, *self.outs)
        first = min((p.cycle for p in ports), default=0)
        end = max((p.end for p in ports), default=0) + 1
        uses = []
        for queues, cycles, word in self.uses:
            if cycles is None and not ports:
                hint = f".uses {word.text} @t..t+128"
                raise wrong(
                    f"{self.kernel} has neither .in nor .out to say how long", word.column, hint
                )
            uses += [Use(q, *(cycles or (first, end))) for q in queues]
        return Contract(
            self.kernel, self.party, self.start, self.source, self.column,
            tuple(self.ins), tuple(self.outs), tuple(uses),
        )  # fmt: skip


def _queues(word: Word, names: Meaning) -> list[int]:
    """The queues of a name: a queue, a matrix plane, all of a unit, or the slices of a tensor."""
    machine, text = names.machine, interpolated(word, names)
    plane = [i for i, q in enumerate(machine.queue_names) if q.startswith(f"{text}.")]
    if plane and text not in ("SXM_E", "SXM_W"):
        return plane
    if text in machine.queue_names:
        return [machine.queue_names.index(text)]
    found = value_of(text, word.column, names)
    if isinstance(found, Tensor):
        return [slice_ for slice_, _ in found.places]
    if not isinstance(found, Unit):
        raise wrong(f"{describe(found)} is no unit", word.column, FORMS["uses"])
    if found.name in machine.queue_names:
        return [machine.queue_names.index(found.name)]
    return unit_queues(found, machine)


def unit_queues(unit: Unit, machine: Machine) -> list[int]:
    """The queues of a place: ``VXM``, ``MXM_E``, ``SXM_W``."""
    kind = unit.name[:3]
    return [
        i
        for i, (position, of) in enumerate(
            zip(machine.queue_positions, machine.queue_kinds, strict=True)
        )
        if position == unit.position and of == kind
    ]


def is_clause(text: str) -> bool:
    """Whether a line is a clause of a contract."""
    return _HEAD.match(text) is not None
