"""Dispatches in an author's words: tensors as queues, expressions as operands, times that follow from others."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from isa.arrival import Arrivals
from isa.assembly.advice import instruction_form
from isa.assembly.bind import bound
from isa.assembly.expressions import ExpressionError, Stream, Unit, Value, describe
from isa.assembly.lines import NO_INSTRUCTION, SYNTAX, Dispatch, Word
from isa.assembly.names import TIME, UNKNOWN, Label, Meaning, Row, Scope, Subject, unknown
from isa.assembly.planned import SPREAD, TELLING, Plan, UnplannedError
from isa.assembly.planned import Part as Planned
from isa.assembly.queues import MISUSE
from isa.assembly.render import (
    WrittenError,
    interpolated,
    is_canonical,
    operand,
    suffix,
    suffix_order,
    whole,
)
from isa.assembly.sources import Source
from isa.assembly.spelling import nearest
from isa.assembly.syntax import BindError, text_order
from isa.assembly.tensors import WRONG, Tensor
from isa.assembly.written import Canonical, Written, split, take_apart
from isa.instruction import BY_OPCODE, REGISTRY
from isa.machine import Machine

Take = Callable[[Canonical, Source], Row | None]


class _Part(NamedTuple):
    """One dispatch: its queue, and operands and suffixes in canonical form, with the words that these come from."""

    queue: str
    positional: list[str]
    results: list[str]
    suffixes: list[str]
    words: tuple[Sequence[Word], Sequence[Word], Sequence[Word]]


_QUEUE: Final = re.compile(r"[A-Z0-9]+_[A-Za-z0-9.]+")
"""What has the form of a queue."""
_PLACES: Final = {"x": 0, "/": 1, "+": 2, "-": 2, "!": 3}


def _plain(part: _Part, mnemonic: str, time: str, positional: Sequence[str]) -> Dispatch | None:
    """The dispatch, its columns not known, if its words mean themselves and stand in their order."""
    if not time or mnemonic not in REGISTRY:
        return None
    if not (all(map(is_canonical, positional)) and all(map(is_canonical, part.results))):
        return None
    given, last = ["", "", "", ""], -1
    for text in part.suffixes:
        place = _PLACES.get(text[:1], -1)
        if place <= last:
            return None
        given[place], last = text if place == 2 else text[1:], place
    words, ends = tuple(positional), tuple(part.results)
    times, interval, stride, node = given
    return Dispatch(time, part.queue, mnemonic, words, ends, times, interval, stride, node)


@dataclass
class Dispatcher:
    """Turns authors' dispatches into canonical ones.

    ``take`` takes one and gives the burst, or None where it is wrong, having said so; ``quick`` does the same of one whose
    words mean themselves, if it is right, and says nothing; it may be told what its operands are bound to. Of ``nop`` and
    ``repeat``, which are no bursts, ``quick`` gives an empty one.
    """

    machine: Machine
    quick: Callable[[Dispatch, Source, tuple[int, ...] | None], Row | None]
    take: Take
    taken: list[Row]
    labels: list[Label] = field(default_factory=list)
    arrivals: Arrivals = field(init=False)
    _seen: int = 0
    waiting: tuple[Word, Scope] | None = None

    def __post_init__(self) -> None:
        self.arrivals = Arrivals(self.machine)

    def planned(self, plan: Plan, digits: Sequence[str], source: Source, scope: Scope) -> None:
        """Take one line as planned, and from the first part on that is not as planned as ``line`` does."""
        names = Meaning(lambda: self.machine, scope, self.arrivals)
        rows: list[Row] = []
        with suppress(ExpressionError, WrittenError, UnplannedError):
            time = None if plan.telling else plan.cycle(digits, names)
            for part in plan.parts(digits, names):
                row = self._planned(part, plan, digits, names, source, time)
                if row is None:
                    break
                rows.append(row)
            else:
                if not rows[0]:
                    return
                if self.waiting is None:
                    if plan.label is not None:
                        self._name(Word(plan.label(digits), 0), scope, rows)
                    return
        written = take_apart(source.text)
        assert written is not None
        self.line(written, source, scope, rows)

    def _planned(
        self,
        part: Planned,
        plan: Plan,
        digits: Sequence[str],
        names: Meaning,
        source: Source,
        time: str | None,
    ) -> Row | None:
        """Take one part, at a time or (None) when the plan says; None where something is wrong with it."""
        queue, positional, results, (times, interval, stride, node) = part
        mnemonic, args = plan.mnemonic, None
        if time is None:
            self.catch_up()
            subject = names.subject = self._subject(queue, mnemonic, positional, results)
            if subject is None:
                return None
            time, args = plan.cycle(digits, names), subject.args
            delayed = self._delayed(positional, subject, int(time), 0)
            if delayed is not None:
                positional, args = tuple(delayed), None
        statement = Dispatch(
            time, queue, mnemonic, positional, results, times, interval, stride, node
        )
        return self.quick(statement, source, args)

    def line(
        self, written: Written, source: Source, scope: Scope, taken: Sequence[Row] = ()
    ) -> None:
        """Take one line, of which some parts may be ``taken`` already. Raises ``WrittenError``."""
        if written.label.text and not written.mnemonic.text:
            self.waiting = (written.label, scope)
            return
        if written.time.column and not written.time.text:
            raise WrittenError(
                ExpressionError("no time behind the @", code=SYNTAX), written.time.column
            )
        rows = [*taken]
        meaning = Meaning(lambda: self.machine, scope, self.arrivals)
        for part in self._parts(written, meaning)[len(rows) :]:
            row = self._one(part, written, meaning, source)
            if row is None:
                if written.label.text:
                    hint = "put the label on a line of its own; it names the next dispatch"
                    message = f"{written.mnemonic.text} takes no label"
                    error = ExpressionError(message, hint=hint, code=MISUSE)
                    raise WrittenError(error, written.label.column)
                return
            rows.append(row)
        waiting, self.waiting = self.waiting, None
        for word, where in [(written.label, scope), *([waiting] if waiting else [])]:
            if word.text:
                self._name(word, where, rows)

    def _name(self, word: Word, scope: Scope, rows: Sequence[Row]) -> None:
        label = Label(word.text, self.machine, tuple(rows))
        try:
            scope.define(word.text, label)
        except ExpressionError as error:
            raise WrittenError(error, word.column) from None
        self.labels.append(label)

    def _parts(self, written: Written, names: Meaning) -> list[_Part]:
        """One part for a queue's name, one a byte plane for a tensor's."""
        positional = [operand(w, names) for w in written.positional]
        results = [operand(w, names) for w in written.results]
        suffixes = [suffix(w, names) for w in written.suffixes]
        name, bracket, inside = written.queue.text.partition("[")
        found: Value = names.scope.find(name)
        if isinstance(found, Tensor):
            index = Word(inside.removesuffix("]"), written.queue.column + len(name) + 1)
            return self._tensor(
                found, index if bracket else None, written, names, positional, suffixes
            )
        text = interpolated(written.queue, names)
        if isinstance(found, Unit) and not bracket:
            text = found.name
        elif found is not None:
            what = "no tensor, and has no rows" if bracket else "neither a queue nor a tensor"
            error = ExpressionError(f"{describe(found)} is {what}", code=UNKNOWN)
            raise WrittenError(error, written.queue.column)
        elif text not in self.machine.queue_numbers and (
            bracket or text.islower() or (text.isidentifier() and not _QUEUE.fullmatch(text))
        ):
            error = unknown("queue or tensor", name, lambda: self._stations(names.scope))
            raise WrittenError(error, written.queue.column)
        words = written.positional, written.results, written.suffixes
        return [_Part(text, positional, results, suffixes, words)]

    def _stations(self, scope: Scope) -> list[str]:
        """Names of what dispatches: tensors and queues."""
        named = [n for n in scope.all() if isinstance(scope.find(n), Tensor | Unit)]
        return [*named, *self.machine.queue_names]

    def _tensor(
        self,
        tensor: Tensor,
        index: Word | None,
        written: Written,
        names: Meaning,
        positional: list[str],
        suffixes: list[str],
    ) -> list[_Part]:
        """The dispatches for the byte planes of (part of) a tensor; rows are walked unless the line says otherwise."""
        cls = REGISTRY.get(written.mnemonic.text)
        if cls is None:
            operation = written.mnemonic
            hint = nearest(operation.text, REGISTRY, "read, write, gather, scatter")
            missing = ExpressionError(
                f"no instruction {operation.text!r}", code=NO_INSTRUCTION, hint=hint
            )
            raise WrittenError(missing, operation.column)
        if cls.unit != "MEM":
            error = ExpressionError(
                f"{written.mnemonic.text} is nothing that a memory does",
                code=WRONG,
                hint="read, write, gather, scatter",
            )
            raise WrittenError(error, written.mnemonic.column)
        if written.results:
            hint = f"leave the arrow out: {instruction_form(written.mnemonic.text)}"
            error = ExpressionError(
                f"{written.mnemonic.text} has no results", code=WRONG, hint=hint
            )
            raise WrittenError(error, written.results[0].column)
        row, count, chunk = self._rows(tensor, index, names, written.queue)
        strided = any(o.strided for o in cls.operands)
        kinds = {s[:1] for s in suffixes}
        more = list(zip(suffixes, written.suffixes, strict=True))
        if strided and "x" not in kinds:
            more.insert(0, (f"x{count}", written.queue))
            if not kinds & {"+", "-"} and count > 1:
                more.append(("+1", written.queue))
        more.sort(key=lambda s: suffix_order(s[0]))
        walked, behind = [s for s, _ in more], [w for _, w in more]
        order = [o.name for _, o in text_order(written.mnemonic.text)][1:]
        parts = []
        for plane, (slice_, address) in enumerate(tensor.places):
            first = str(address + chunk * tensor.rows + row)
            moved = [
                self._beside(text, word, plane) if name == SPREAD else text
                for name, text, word in zip(order, positional, written.positional, strict=False)
            ]
            given = [first, *moved, *positional[len(order) :]]
            queue, operands = self.machine.queue_names[slice_], [written.queue, *written.positional]
            parts.append(_Part(queue, given, [], walked, (operands, [], behind)))
        return parts

    def _beside(self, text: str, word: Word, plane: int) -> str:
        """The stream ``plane`` places behind one in text."""
        if text[:1] not in ("E", "W") or not text[1:].isdigit():
            hint = "a tensor says its addresses; write E0, without one"
            error = ExpressionError(f"{text} is no stream", code=WRONG, hint=hint)
            raise WrittenError(error, word.column)
        return str(Stream(text[0], int(text[1:]) + plane))

    def _rows(
        self, tensor: Tensor, index: Word | None, names: Meaning, queue: Word
    ) -> tuple[int, int, int]:
        """First row, number of rows and chunk that ``[row, chunk]`` or ``[first..end, chunk]`` says."""
        given = split(index.text, index.column) if index is not None else []
        chunk = whole(given[1].text, given[1].column, names) if len(given) > 1 else 0
        if len(given) < 2 and tensor.chunks > 1:
            hint = f"{tensor}[0..{tensor.rows}, 0] are the first {tensor.lanes} columns"
            raise WrittenError(
                ExpressionError(
                    f"{tensor}'s rows take {tensor.chunks} words each", code=WRONG, hint=hint
                ),
                queue.column,
            )
        first, count = 0, tensor.rows
        if given:
            low, dots, high = given[0].text.partition("..")
            if ":" in low:
                column, hint = given[0].column + low.index(":"), f"{tensor}[0..{tensor.rows}]"
                raise WrittenError(ExpressionError("unexpected ':'", hint=hint), column)
            first = whole(low, given[0].column, names)
            count = whole(high, given[0].column + len(low) + 2, names) - first if dots else 1
        if not (
            first >= 0
            and count >= 1
            and first + count <= tensor.rows
            and 0 <= chunk < tensor.chunks
        ):
            message = f"rows {first} .. {first + count - 1} of chunk {chunk} are not in {tensor}: {tensor.rows} rows, {tensor.chunks} chunks"
            hint = f"rows count from 0: {tensor}[0..{tensor.rows}{', 0' * (tensor.chunks > 1)}] are all"
            raise WrittenError(ExpressionError(message, code=WRONG, hint=hint), queue.column)
        return first, count, chunk

    def _one(self, part: _Part, written: Written, names: Meaning, source: Source) -> Row | None:
        """Take one dispatch, its time found."""
        positional, time = part.positional, ""
        if written.time.text:
            time, positional = self._time(part, written, names)
        plain = _plain(part, written.mnemonic.text, time, positional)
        if plain is not None and (row := self.quick(plain, source, None)):
            return row
        line = Canonical()
        if time:
            line.add(f"@{time} ", Word("", written.time.column - 1))
        line.add(part.queue, written.queue)
        line.add(": ")
        line.add(written.mnemonic.text, written.mnemonic)
        operands, results, suffixes = part.words
        for i, (text, word) in enumerate(zip(positional, operands, strict=True)):
            line.add(", " if i else " ")
            line.add(text, word)
        for i, (text, word) in enumerate(zip(part.results, results, strict=True)):
            line.add(", " if i else " -> ")
            line.add(text, word)
        for text, word in zip(part.suffixes, suffixes, strict=True):
            line.add(" ")
            line.add(text, word)
        return self.take(line, source)

    def _time(self, part: _Part, written: Written, names: Meaning) -> tuple[str, list[str]]:
        """The cycle of a dispatch, and its operands with the delays that follow from it."""
        positional = part.positional
        text, column = written.time.text, written.time.column
        if text.isdigit():
            return text, positional
        if not TELLING.search(text):
            return str(self._cycle(text, column, names)), positional
        self.catch_up()
        operands = tuple(positional), tuple(part.results)
        subject = names.subject = self._subject(part.queue, written.mnemonic.text, *operands)
        if subject is None and ("arrives" in text or "reach" in text):
            return "0", positional  # The dispatch itself is wrong, and the assembler says why.
        cycle = self._cycle(text, column, names)
        if subject is not None and subject.arrived:
            positional = self._delayed(positional, subject, cycle, column) or positional
        return str(cycle), positional

    def _cycle(self, text: str, column: int, names: Meaning) -> int:
        """What the text of a time says."""
        cycle = whole(interpolated(Word(text, column), names), column, names)
        if cycle < 0:
            hint = f"everything {-cycle} cycles later would do"
            raise WrittenError(
                ExpressionError(f"cycle {cycle} is before the first", code=TIME, hint=hint), column
            )
        return cycle

    def catch_up(self) -> None:
        """Let arrive what has been dispatched since."""
        for row in self.taken[self._seen :]:
            self.arrivals.add(row[0], row[1], row[7], row[3])
        self._seen = len(self.taken)

    def _subject(
        self, name: str, mnemonic: str, positional: tuple[str, ...], results: tuple[str, ...]
    ) -> Subject | None:
        queue = self.machine.queue_numbers.get(name)
        if queue is None or mnemonic not in REGISTRY:
            return None
        cls = REGISTRY[mnemonic]
        if cls.unit not in ("ICU", self.machine.queue_kinds[queue]):
            return None
        try:
            args = bound(mnemonic, positional, results, self.machine)
        except BindError:
            return None
        return Subject(queue, cls.opcode, args)

    def _delayed(
        self, given: Sequence[str], subject: Subject, cycle: int, column: int
    ) -> list[str] | None:
        """Operands with ``~n`` where they arrive ``n`` cycles before the dispatch; None where all arrive with it."""
        if all(arrived == cycle for _, arrived in subject.arrived):
            return None
        positional = [*given]
        order = [i for i, _ in text_order(BY_OPCODE[subject.opcode].mnemonic)]
        for place, arrived in subject.arrived:
            late = cycle - arrived
            if late and (place < 0 or not 0 <= late <= self.machine["vxm.max_delay"]):
                side = "before" if late > 0 else "after"
                what = given[order.index(place)] if place >= 0 else "an operand"
                message = f"{what} arrives {abs(late)} cycles {side} this dispatch in cycle {cycle}"
                hint = (
                    "let all operands arrive together: @reach(unit, t) on the lines that put them"
                )
                raise WrittenError(ExpressionError(message, code=TIME, hint=hint), column)
            if late:
                positional[order.index(place)] += f"~{late}"
        return positional
