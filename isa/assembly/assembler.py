"""``assemble``: lines to bursts, every error collected."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from isa.assembly.advice import form_of, misplaced
from isa.assembly.author import Author
from isa.assembly.blocks import Blocks
from isa.assembly.cycles import no_search_for_cycles
from isa.assembly.directives import DirectiveError, Surroundings
from isa.assembly.dispatching import Dispatcher
from isa.assembly.errors import AssemblyError, AssemblyErrors
from isa.assembly.expressions import ExpressionError
from isa.assembly.kernels import Kernels
from isa.assembly.lines import SYNTAX, Directive, Dispatch, parse_fast, parse_line
from isa.assembly.names import SAID, UNKNOWN, Meaning, Row, Scope
from isa.assembly.planned import planned
from isa.assembly.ports import Contract
from isa.assembly.queues import RANGE, Queues, WordError
from isa.assembly.render import WrittenError, all_canonical
from isa.assembly.sources import Source, StopError
from isa.assembly.spelling import limited, nearest
from isa.assembly.symbols import symbols_entry
from isa.assembly.written import Canonical, take_apart
from isa.machine import Machine
from isa.program import BURST, Line, Program, burst_order


class Assembler:
    """Takes the lines of one text."""

    def __init__(
        self, machine: Machine | None, where: str, given: Mapping[str, int | float]
    ) -> None:
        self.where, self._chip = where, machine
        self.around = Surroundings(machine)
        self.queues: Queues | None = None
        self.errors: dict[tuple[object, ...], AssemblyError] = {}
        self.author = Author(lambda: self.around.machine, given)
        self.noted = 0
        self.calls: list[Contract] = []
        self.scope = Scope()
        self._dispatcher: Dispatcher | None = None

    def names(self, scope: Scope) -> Meaning:
        """What names mean in a scope."""
        return self.author.names(scope)

    def line(self, source: Source, scope: Scope) -> None:
        """Take one line, or note what is wrong with it."""
        text = source.text
        statement = parse_fast(text)
        try:
            if isinstance(statement, Directive):
                self.around.take(statement)
            elif (
                statement is not None
                and all_canonical(statement)
                and not self._label_waits()
                and self._quick(statement, source)
            ):
                pass
            elif (plan := planned(text)) is not None:
                self.dispatcher().planned(*plan, source, scope)
            elif not self.author.statement(source, scope):
                self._slow(source, scope)
        except WrittenError as error:
            inner = error.error
            self.note(inner.code, inner.message, source, error.column, inner.hint)
        except DirectiveError as error:
            column = error.word.column if error.word else 0
            self.note(error.code, error.message, source, column, error.hint)
        except WordError as error:
            self.note(error.code, error.message, source, error.column, error.hint)

    def _label_waits(self) -> bool:
        """Whether a label on a line of its own is still to name the next dispatch."""
        return self._dispatcher is not None and self._dispatcher.waiting is not None

    def _quick(self, statement: Dispatch, source: Source) -> bool:
        """Take a dispatch without its columns; False where something is wrong with it."""
        try:
            self._queues().take(statement, source)
        except WordError:
            return False
        return True

    def _slow(self, source: Source, scope: Scope) -> None:
        """A line with an author's words, or one for the grammar."""
        written = take_apart(source.text)
        if written is not None:
            self.dispatcher().line(written, source, scope)
            return
        try:
            statement = parse_line(source.text, source.number, source.where)
        except AssemblyError as error:
            found = misplaced(source.text) if error.number == SYNTAX else None
            column, message, hint = found or (error.column, error.message, error.hint)
            self.note(error.number, message, source, column, hint)
            return
        if isinstance(statement, Directive):
            self.around.take(statement)
        elif statement is not None:
            self._queues().take(statement, source)

    def dispatcher(self) -> Dispatcher:
        """Who turns authors' dispatches into canonical ones."""
        if self._dispatcher is None:
            rows = self._queues().rows
            self._dispatcher = Dispatcher(
                self.around.machine, self._dispatch_quickly, self._dispatch, rows
            )
        return self._dispatcher

    def dispatches(self) -> tuple[list[Row], list[Source]]:
        """Every dispatch so far and its line; a ``repeat`` behind changes none of them."""
        queues = self._queues()
        queues.last.clear()
        return queues.rows, queues.lines

    def _dispatch_quickly(
        self, statement: Dispatch, source: Source, args: tuple[int, ...] | None
    ) -> Row | None:
        """Take a canonical dispatch, if it is right."""
        try:
            return self._queues().take(statement, source, args) or ()
        except WordError:
            return None

    def _dispatch(self, line: Canonical, source: Source) -> Row | None:
        """Take a canonical dispatch; errors get the author's columns."""
        try:
            statement = parse_line(line.text, source.number, source.where)
            assert isinstance(statement, Dispatch)
            return self._queues().take(statement, source)
        except AssemblyError as error:
            self.note(error.number, error.message, source, line.column(error.column), error.hint)
        except WordError as error:
            self.note(error.code, error.message, source, line.column(error.column), error.hint)
        return None

    def _queues(self) -> Queues:
        if self.queues is None:
            self.queues = Queues(self.around.machine)
        return self.queues

    def note(
        self, code: int, message: str, source: Source, column: int = 0, hint: str = ""
    ) -> None:
        """Note an error; the same one of the same line, met again in a loop, is noted once."""
        self.noted += 1
        if code == SAID and self.errors:
            return
        error = AssemblyError(
            code,
            message,
            line=source.number,
            column=column,
            text=source.text,
            where=source.where,
            hint=hint or form_of(source.text),
            trace=source.trace,
        )
        self.errors.setdefault((source.where, source.number, column, code), error)

    def _at_end(self, last: Source, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except DirectiveError as error:
            self.note(error.code, error.message, last._replace(text=""), hint=error.hint)
            return None

    def _filled(self) -> None:
        """Place the elements of the author's tensors behind all other constants."""
        for contents, source in self.author.contents:
            if not contents.given:
                continue
            try:
                placed = contents.words()
            except ExpressionError as error:
                self.note(error.code, error.message, source, 0, error.hint)
                continue
            for slice_, address, rows in placed:
                self.around.segments.append((slice_, address, len(rows), self.around.row_count))
                self.around.rows.append(rows)
                self.around.row_count += len(rows)

    def _meta(self) -> tuple[tuple[str, str], ...]:
        labels = self._dispatcher.labels if self._dispatcher else []
        known = symbols_entry(labels, self.author.tensors.values(), self.scope.own, self.calls)
        return (*self.around.meta, *([known] if known else []))

    def run(self, text: str, folder: str | os.PathLike[str] | None) -> Program:
        """Take a whole text; see ``assemble``."""
        root = None if folder is None else Path(folder)
        lines = [Source(t, n, self.where, root) for n, t in enumerate(text.split("\n"), 1)]
        with limited():
            if self._take(lines, root).uncalled():
                self._prove_uncalled(lines, root)
            return self.program(lines[-1])

    def _take(self, lines: list[Source], root: Path | None) -> Kernels:
        blocks = Blocks(self, root)
        with suppress(StopError):
            blocks.run(lines, self.scope)
        return blocks.kernels

    def _prove_uncalled(self, lines: list[Source], root: Path | None) -> None:
        """Note the errors of kernels that nothing calls; they are found in the text taken a second time, where they are called."""
        other = Assembler(self._chip, self.where, self.author.given)
        kernels = other._take(lines, root)
        for kernel in kernels.uncalled():
            if kernel.name not in kernels.named:
                rows, _ = other.dispatches()
                end = max((r[3] + (r[4] - 1) * r[5] + 1 for r in rows), default=0)
                kernels.prove_alone(kernel, end)
        self.errors = other.errors

    def program(self, last: Source) -> Program:
        """The program, once all lines are taken; raises ``AssemblyErrors`` if anything was wrong."""
        around = self.around
        self._filled()
        constants = self._at_end(last, lambda: (around.machine, *around.constants()))
        rows, at = (self.queues.rows, self.queues.lines) if self.queues else ([], [])
        nodes = tuple(around.nodes) or ("",)
        for row, source in zip(rows, at, strict=True):
            if row[2] >= len(nodes):
                hint = f'.node {row[2]} "name" defines it, behind those before it'
                self.note(RANGE, f"node {row[2]} of {len(nodes)}", source, hint=hint)
        for name in sorted(set(self.author.given) - self.author.parameters):
            hint = nearest(name, self.author.parameters, "-D gives a value to a .param of the text")
            self.note(UNKNOWN, f"no .param {name}", last._replace(text=""), hint=hint)
        if self.errors:
            found = list(self.errors.values())
            main = [e for e in found if e.place == self.where]
            rest = [e for e in found if e.place != self.where]
            raise AssemblyErrors([*sorted(main, key=lambda e: (e.line, e.column)), *rest])
        machine, segments, data = constants
        ports = [t.port() for t in self.author.tensors.values() if t.use == "input"]
        results = [t.port() for t in self.author.tensors.values() if t.use == "output"]
        bursts = np.array(rows, BURST)
        order = burst_order(bursts)
        return Program(
            machine,
            bursts[order],
            segments,
            data,
            (*around.inputs, *ports),
            (*around.outputs, *results),
            nodes,
            self._meta(),
            tuple(
                Line(s.where, s.number, s.text, s.trace) for s in (at[i] for i in order.tolist())
            ),
        )


def assemble(
    text: str,
    machine: Machine | None = None,
    where: str = "",
    folder: str | os.PathLike[str] | None = None,
    parameters: Mapping[str, int | float] | None = None,
) -> Program:
    """The program that ``text`` says; lines may stand in any order, but for ``.chip`` and ``.fact``, which come first,
    and for names, which are defined above their use.

    Without ``.chip`` the program is for ``machine``, by default ``tsp1``. ``where`` names the text in messages; files that it
    names are read from within ``folder``; ``parameters`` replace the values of its ``.param``.

    Raises ``AssemblyErrors`` holding every error: TSP201 syntax, TSP202 no such instruction, TSP203 a value out of range,
    TSP204 wrong queue, TSP205 a statement out of place, TSP206 memory that is not there, TSP207 chip, TSP208 expression,
    TSP209 name, TSP210 block, TSP211 limit, TSP212 file, TSP213 tensor or data, TSP214 time, TSP216 .. TSP221 contracts.
    """
    assembler = Assembler(machine, where, parameters or {})
    with no_search_for_cycles():
        try:
            return assembler.run(text, folder)
        finally:
            vars(assembler).clear()  # Else the search walks all of it, once it is on again.
