"""``assemble``: lines to bursts, every error collected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np

from isa.assembly.bind import bind
from isa.assembly.directives import DirectiveError, Surroundings
from isa.assembly.errors import AssemblyError, AssemblyErrors
from isa.assembly.lines import Directive, Dispatch, Word, parse_fast, parse_line
from isa.assembly.syntax import BindError, number
from isa.instruction import MAX_OPERANDS, REGISTRY
from isa.machine import Machine
from isa.program import BURST, Program, sort_bursts

RANGE: Final = 203
QUEUE: Final = 204
MISUSE: Final = 205
LAST_CYCLE: Final = REGISTRY["nop"].operands[0].limits[1]
_REPEAT: Final = {o.name: o.limits for o in REGISTRY["repeat"].operands}
Row = tuple[Any, ...]


class _WordError(Exception):
    """A word of a line is wrong."""

    def __init__(self, code: int, message: str, word: Word | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.word = code, message, word


@lru_cache(maxsize=1 << 14)
def _bound(
    mnemonic: str, positional: tuple[str, ...], results: tuple[str, ...], machine: Machine
) -> tuple[int, ...]:
    """``bind``, padded to a burst's width; texts repeat a lot."""
    args = bind(mnemonic, positional, results, machine)
    return args + (0,) * (MAX_OPERANDS - len(args))


def _number(word: Word, what: str, limits: tuple[int, int], default: int) -> int:
    """The number of an optional suffix."""
    if not word.text:
        return default
    try:
        value = number(word.text)
    except ValueError as error:
        raise _WordError(RANGE, str(error), word) from None
    if not limits[0] <= value <= limits[1]:
        message = f"{what} {value} is outside {limits[0]} .. {limits[1]}"
        raise _WordError(RANGE, message, word)
    return value


@dataclass
class _Queues:
    """Bursts so far, and for each queue the cycle after its last line."""

    machine: Machine
    rows: list[Row] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    free: dict[int, int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    taken: dict[tuple[int, int], tuple[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.numbers = {name: i for i, name in enumerate(self.machine.queue_names)}

    def take(self, d: Dispatch, line: int) -> None:
        """Add one dispatch line; raises ``_WordError``."""
        queue = self.numbers.get(d.queue.text)
        if queue is None:
            message = f"{self.machine.name} has no queue {d.queue.text}"
            raise _WordError(QUEUE, message, d.queue)
        cls = REGISTRY[d.mnemonic]
        kind = self.machine.queue_kinds[queue]
        role = (queue - self.machine.mxm_queue) % 3 if kind == "MXM" else -1
        if cls.unit not in ("ICU", kind) or (cls.role >= 0 and cls.role != role):
            wanted = f"{cls.unit} queue" + (f" of role {cls.role}" if cls.role >= 0 else "")
            raise _WordError(QUEUE, f"{d.mnemonic} belongs on a {wanted}", d.queue)
        args = self._bind(d)
        if cls.word_only:
            self._control(d, queue, args)
            return
        limits = (0, LAST_CYCLE)
        cycle = _number(d.cycle, "cycle", limits, self.free.get(queue, 0))
        count = _number(d.times, "count", (1, _REPEAT["count"][1]), 1)
        interval = _number(d.interval, "interval", _REPEAT["interval"], 1)
        stride = _number(d.stride, "stride", _REPEAT["stride"], 0)
        node = _number(d.node, "node", (0, (1 << 32) - 1), 0)
        self._claim(queue, cycle, cls.port, line, d)
        self.free[queue] = cycle + (count - 1) * interval + 1
        self.last[queue] = len(self.rows)
        self.lines.append(line)
        self.rows.append((queue, cls.opcode, node, cycle, count, interval, stride, args))

    def _claim(self, queue: int, cycle: int, port: str, line: int, d: Dispatch) -> None:
        """One line a queue and cycle, or one read and one write."""
        if cycle > LAST_CYCLE:
            raise _WordError(RANGE, f"cycle {cycle} is above {LAST_CYCLE}", d.queue)
        other, first = self.taken.setdefault((queue, cycle), (port, line))
        if first != line and {other, port} != {"read", "write"}:
            message = f"{d.queue.text} already dispatches in cycle {cycle}: line {first}"
            raise _WordError(MISUSE, message, d.cycle)

    def _bind(self, d: Dispatch) -> tuple[int, ...]:
        positional = tuple(w.text for w in d.positional)
        results = tuple(w.text for w in d.results)
        try:
            return _bound(d.mnemonic, positional, results, self.machine)
        except BindError as error:
            words = [*d.positional, *d.results]
            word = words[error.index] if error.index < len(words) else None
            raise _WordError(RANGE, error.message, word) from None

    def _control(self, d: Dispatch, queue: int, args: tuple[int, ...]) -> None:
        """``nop`` and ``repeat``, which shape the queue's other lines."""
        if any(w.text for w in (d.cycle, d.times, d.interval, d.stride, d.node)):
            message = f"{d.mnemonic} stands for itself: no cycle, no repetition, no node"
            raise _WordError(MISUSE, message)
        if d.mnemonic == "nop":
            self.free[queue] = self.free.get(queue, 0) + args[0]
            return
        if queue not in self.last:
            raise _WordError(MISUSE, "nothing in this queue to repeat", d.queue)
        index = self.last.pop(queue)
        count, interval, stride = args[:3]
        if count < 1:
            raise _WordError(RANGE, "count 0", d.positional[0])
        row = self.rows[index]
        self.rows[index] = (*row[:4], count, interval, stride, row[7])
        self.free[queue] = row[3] + (count - 1) * interval + 1


class _Assembler:
    """Walks the lines of one text."""

    def __init__(self, machine: Machine | None, where: str) -> None:
        self.where = where
        self.around = Surroundings(machine)
        self.queues: _Queues | None = None
        self.errors: list[AssemblyError] = []

    def line(self, text: str, number: int) -> None:
        """Take one line, or note what is wrong with it."""
        statement = parse_fast(text)
        try:
            try:
                self._take(statement or parse_line(text, number, self.where), number)
            except _WordError:
                if statement is None:
                    raise
                self._take(parse_line(text, number, self.where), number)  # The same, with columns.
        except AssemblyError as error:
            self.errors.append(error)
        except (DirectiveError, _WordError) as error:
            column = error.word.column if error.word else 0
            self._note(error.code, error.message, number, column, text)

    def _take(self, statement: Dispatch | Directive | None, number: int) -> None:
        if isinstance(statement, Directive):
            self.around.take(statement)
        elif statement is not None:
            if self.queues is None:
                self.queues = _Queues(self.around.machine)
            self.queues.take(statement, number)

    def _note(self, code: int, message: str, number: int, column: int = 0, text: str = "") -> None:
        self.errors.append(
            AssemblyError(code, message, line=number, column=column, text=text, where=self.where)
        )

    def _at_end(self, lines: int, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except DirectiveError as error:
            self._note(error.code, error.message, lines)
            return None

    def program(self, lines: int) -> Program:
        """The program, once all lines are taken; raises ``AssemblyErrors`` if anything was wrong."""
        around = self.around
        constants = self._at_end(lines, lambda: (around.machine, *around.constants()))
        rows, at = (self.queues.rows, self.queues.lines) if self.queues else ([], [])
        nodes = tuple(around.nodes) or ("",)
        for row, line in zip(rows, at, strict=True):
            if row[2] >= len(nodes):
                self._note(RANGE, f"node {row[2]} of {len(nodes)}", line)
        if self.errors:
            raise AssemblyErrors(sorted(self.errors, key=lambda e: (e.line, e.column)))
        machine, segments, data = constants
        return Program(
            machine,
            sort_bursts(np.array(rows, BURST)),
            segments,
            data,
            tuple(around.inputs),
            tuple(around.outputs),
            nodes,
            tuple(around.meta),
        )


def assemble(text: str, machine: Machine | None = None, where: str = "") -> Program:
    """The program that ``text`` says; lines may stand in any order, but for ``.chip`` and ``.fact``, which come first.

    Without ``.chip`` the program is for ``machine``, by default ``tsp1``. Raises ``AssemblyErrors`` holding every error:
    TSP201 syntax, TSP202 no such instruction, TSP203 a value out of range, TSP204 wrong queue, TSP205 a statement out of
    place, TSP206 memory that is not there, TSP207 chip. ``where`` names the text in messages.
    """
    assembler = _Assembler(machine, where)
    lines = text.split("\n")
    for index, line in enumerate(lines, 1):
        assembler.line(line, index)
    return assembler.program(len(lines))
