"""Kernels: blocks with a contract. A call is composed by contracts alone, and its body is held to its own.

.kernel scale(n, by)
  .in x: W0 f32 @t at VXM x{n}
  .out y: E4 f32 @t+timing.vxm_alu at VXM x{n}
  .uses VXM_0
  @arrives VXM_0: mul f32, x, #by -> y x{n}
.end
first: @20 scale(4, 2.5)
@arrives scale(4, 0.5, x=first.y)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from isa.arrival import ArrivalError, Arrivals
from isa.assembly.called import Called
from isa.assembly.composing import clash, feeds
from isa.assembly.contracts import CLAUSE, Clauses, is_clause, wrong
from isa.assembly.expressions import ExpressionError, Value, describe
from isa.assembly.lines import Word
from isa.assembly.names import TIME, Scope, unknown
from isa.assembly.ports import Broken, Contract, Frame, Port
from isa.assembly.proof import Body, prove
from isa.assembly.render import WrittenError, value_of, whole
from isa.assembly.sources import Lines, Source, place
from isa.assembly.written import code_of, split

_KEY: Final = re.compile(r"([A-Za-z_]\w*)\s*=(?!=)\s*")
_PLAIN: Final = re.compile(r"\s*(?:\.let\b.*)?")
ARRIVES: Final = "arrives"


@dataclass(frozen=True)
class Kernel:
    """A kernel's parameters, and what some are where a call does not say; its head, which holds the contract, and its body; the
    scope that it was defined in, and the line, from ``column`` on."""

    name: str
    parameters: tuple[str, ...]
    defaults: Mapping[str, Word]
    head: tuple[Source, ...]
    body: tuple[Source, ...]
    scope: Scope
    source: Source
    column: int


@dataclass
class Kernels:
    """The kernels of a text, and where in it one is being called."""

    lines: Lines
    run: Callable[[Sequence[Source], Scope, int], None]
    known: dict[str, Kernel] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    """What calls name, rightly or not."""

    def define(
        self,
        name: Word,
        parameters: tuple[str, ...],
        defaults: Mapping[str, Word],
        body: Sequence[Source],
        scope: Scope,
        source: Source,
    ) -> None:
        """A new kernel. Raises ``WrittenError`` where its head is not as it must be."""
        clauses = [i for i, line in enumerate(body) if is_clause(line.text)]
        cut = clauses[-1] + 1 if clauses else 0
        for line in body[:cut]:
            if not is_clause(line.text) and not _PLAIN.fullmatch(code_of(line.text)):
                self.lines.note(
                    CLAUSE, "a clause behind the body's first line", body[cut - 1], 1,
                    ".in, .out and .uses stand at the kernel's head, with .let among them at most",
                )  # fmt: skip
                return
        if not clauses:
            hint = "say what it consumes, produces and uses, or make it a .macro"
            raise wrong(f"kernel {name.text} has no contract", 1, hint)
        self.known[name.text] = Kernel(
            name.text,
            parameters,
            defaults,
            tuple(body[:cut]),
            tuple(body[cut:]),
            scope,
            source,
            name.column,
        )

    def call(self, source: Source, called: Called, scope: Scope, depth: int) -> None:
        """Compose the contract of one call with those before it, take the body, and prove that it keeps the contract.

        The call's label names the contract; where there is none, what refers to it is not an error of its own.
        """
        named: Contract | Broken = Broken(called.label.text)
        try:
            named = self._call(source, called, scope, depth) or named
        finally:
            if called.label.text:
                try:
                    scope.define(called.label.text, named)
                except ExpressionError as error:
                    self._noted(WrittenError(error, called.label.column), source)

    def uncalled(self) -> list[Kernel]:
        """The kernels that no call has named so far, the last one first: it may call those before it."""
        return [k for k in reversed(self.known.values()) if k.name not in self.named]

    def prove_alone(self, kernel: Kernel, start: int) -> None:
        """Prove a kernel that nothing calls as if it were called from cycle ``start`` on, with its parameters' own values.

        What it dispatches stays among what the text dispatches: those are of no use then.
        """
        source, name = kernel.source, Word(kernel.name, kernel.column)
        called = Called(Word("", 0), Word("", 0), name, "", kernel.column, "which nothing calls")
        try:
            missing = next((p for p in kernel.parameters if p not in kernel.defaults), "")
            if missing:
                message = (
                    f"nothing calls {kernel.name}, and {missing} has no value to prove it with"
                )
                hint = f"call it, or give one: .kernel {kernel.name}({missing}=...)"
                raise wrong(message, kernel.column, hint)
            values = self._arguments(kernel, called, kernel.scope)[0]
            contract, inner = self._contract(kernel, values, 0, source, called)
            if contract is not None:
                later = start - contract.first
                contract, inner = self._contract(kernel, values, later, source, called)
            if contract is not None:
                self._frame()
                self._body(kernel, contract, inner, called.trace(source), 0)
        except WrittenError as error:
            self._noted(error, source)

    def _call(self, source: Source, called: Called, scope: Scope, depth: int) -> Contract | None:
        self.named.add(called.name.text)
        kernel = self.known.get(called.name.text)
        if kernel is None:
            error = unknown(
                "kernel", called.name.text, list(self.known), ".kernel name(...) defines one"
            )
            raise WrittenError(error, called.name.column)
        values, links = self._arguments(kernel, called, scope)
        before = self.lines.noted
        names = self.lines.names(scope)
        called = called._replace(how=f"called at {place(source)}")
        if called.time.text == ARRIVES:
            at_zero = self._contract(kernel, values, 0, source, called)[0]
            start = self._arrives(at_zero, links, called) if at_zero else 0
        else:
            start = whole(called.time.text, called.time.column, names)
        contract, inner = self._contract(kernel, values, start, source, called)
        if contract is None or self.lines.noted > before:
            return None
        self._negative(contract, called)
        self._compose(contract, links, source, called)
        self._body(kernel, contract, inner, called.trace(source), depth)
        return contract

    def _body(
        self, kernel: Kernel, contract: Contract, inner: Scope, trace: tuple[str, ...], depth: int
    ) -> None:
        """Take the body, and prove that it keeps the contract."""
        self._enter(contract)
        before = self.lines.noted
        self.run([s._replace(trace=trace) for s in kernel.body], inner, depth + 1)
        self._leave(contract, prove_it=self.lines.noted == before)

    def _arguments(
        self, kernel: Kernel, called: Called, scope: Scope
    ) -> tuple[dict[str, tuple[Value, int]], dict[str, tuple[Port, int]]]:
        """Values of the parameters, and the values that a call names for what the kernel consumes; with their columns."""
        names = self.lines.names(scope)
        given: dict[str, tuple[Value, int]] = {}
        links: dict[str, tuple[Port, int]] = {}
        words = split(called.arguments, called.column) if called.arguments.strip() else []
        order = iter(kernel.parameters)
        for word in words:
            key = _KEY.match(word.text)
            column = word.column + (key.end() if key else 0)
            value = value_of(word.text[key.end() if key else 0 :], column, names)
            name = key[1] if key else next((p for p in order if p not in given), "")
            if name in kernel.parameters and name not in given:
                given[name] = value, column
            elif key and isinstance(value, Port):
                links[name] = value, word.column
            elif key:
                hint = f"{name}=label.y, where label names a kernel's call above and y its .out"
                raise wrong(f"{describe(value)} is nothing that a kernel produces", column, hint)
            else:
                break
        for name in kernel.defaults.keys() - given:
            default, own = kernel.defaults[name], self.lines.names(kernel.scope)
            given[name] = value_of(default.text, default.column, own), called.name.column
        if len(given) < len(kernel.parameters) or len(given) + len(links) < len(words):
            count = len(words) - len(links)
            message = f"{kernel.name} takes {len(kernel.parameters)} arguments, not {count}"
            hint = f"@t {kernel.name}({', '.join(kernel.parameters)})"
            raise wrong(message, called.name.column, hint)
        return given, links

    def _contract(
        self,
        kernel: Kernel,
        values: dict[str, tuple[Value, int]],
        start: int,
        source: Source,
        called: Called,
    ) -> tuple[Contract | None, Scope]:
        """The contract of a call for cycle ``start``, and the scope of its body; None where the head is wrong."""
        inner = Scope(kernel.scope)
        inner.define("t", start)
        for name, (value, column) in values.items():
            try:
                inner.define(name, value)
            except ExpressionError as error:
                raise WrittenError(error, column) from None
        party = called.label.text or kernel.name
        clauses = Clauses(kernel.name, party, start, source, called.name.column)
        trace = called.trace(source)
        before, line = self.lines.noted, kernel.source
        for plain in kernel.head:
            line = plain._replace(trace=trace)
            try:
                if not is_clause(line.text):
                    self.lines.line(line, inner)
                    continue
                port = clauses.take(line, self.lines.names(inner))
                if port is not None:
                    inner.define(port.name, port.stream)
            except (WrittenError, ExpressionError) as error:
                self._noted(error, line)
        try:
            contract = clauses.contract()
        except WrittenError as error:
            self._noted(error, line)
        return (contract if self.lines.noted == before else None), inner

    def _noted(self, error: WrittenError | ExpressionError, line: Source) -> None:
        inner = error.error if isinstance(error, WrittenError) else error
        column = error.column if isinstance(error, WrittenError) else 1
        self.lines.note(inner.code, inner.message, line, column, inner.hint)

    def _arrives(
        self, at_zero: Contract, links: dict[str, tuple[Port, int]], called: Called
    ) -> int:
        """The cycle to call for in which everything consumed is there. Raises ``WrittenError``."""
        arrivals, found = self._frame().arrivals, []
        for port in at_zero.ins:
            position = port.unit.position
            try:
                if port.name in links:
                    there = links[port.name][0].arrival(position, arrivals)
                else:
                    there = arrivals.stream(port.first(arrivals.machine), port.planes, position)
            except ArrivalError as error:
                inner = ExpressionError(error.message, code=TIME, hint=error.hint)
                raise WrittenError(inner, called.time.column) from None
            found.append(there - port.cycle)
        if not found:
            nothing = ExpressionError(
                f"{at_zero.kernel} has no .in that arrives", code=TIME, hint="give a cycle"
            )
            raise WrittenError(nothing, called.time.column)
        return max(found)

    def _negative(self, contract: Contract, called: Called) -> None:
        if contract.first < 0:
            message = f"{contract} begins in cycle {contract.first}, before the first"
            hint = f"everything {-contract.first} cycles later would do"
            raise WrittenError(ExpressionError(message, code=TIME, hint=hint), called.time.column)

    def _compose(
        self,
        contract: Contract,
        links: dict[str, tuple[Port, int]],
        source: Source,
        called: Called,
    ) -> None:
        """Hold the contract against those of the calls before: what feeds it, and which units both use."""
        frame = self._frame()
        machine = frame.arrivals.machine
        for name in links.keys() - {p.name for p in contract.ins}:
            ins = [p.name for p in contract.ins]
            error = unknown("in", name, ins, f"{contract.kernel} has {', '.join(ins) or 'none'}")
            raise WrittenError(
                ExpressionError(error.message, code=CLAUSE, hint=error.hint), links[name][1]
            )
        for port in contract.ins:
            given, column = links.get(port.name, (None, called.name.column))
            given = given or self._latest(port)
            complaint = feeds(given, port, contract, frame.arrivals) if given else None
            if complaint:
                self.lines.note(complaint.code, complaint.message, source, column, complaint.hint)
        for other in frame.meeting(contract):
            complaint = clash(other, contract, machine)
            if complaint:
                self.lines.note(
                    complaint.code, complaint.message, source, called.name.column, complaint.hint
                )

    def _latest(self, port: Port) -> Port | None:
        """What a kernel produces on the port's stream, if the text has put nothing else there since."""
        arrivals = self._frame().arrivals
        found = arrivals.latest(port.first(arrivals.machine), port.unit.position)
        return found if isinstance(found, Port) else None

    def _frame(self) -> Frame:
        """Where calls are being composed: the text around all kernels, or a kernel's body."""
        dispatcher = self.lines.dispatcher()
        if not self.frames:
            self.frames.append(Frame(dispatcher.arrivals))
        dispatcher.catch_up()
        return self.frames[-1]

    def _enter(self, contract: Contract) -> None:
        """Begin a body: it sees arrive what its contract consumes, and nothing else."""
        dispatcher, outer = self.lines.dispatcher(), self._frame()
        arrivals = Arrivals(outer.arrivals.machine, f", or declare an .in of {contract.kernel}")
        _seed(arrivals, contract.ins)
        self.frames.append(Frame(arrivals, len(self.lines.dispatches()[0])))
        dispatcher.arrivals = arrivals

    def _leave(self, contract: Contract, prove_it: bool) -> None:
        """End a body: those outside see arrive what its contract produces, and nothing else."""
        dispatcher = self.lines.dispatcher()
        rows, _ = self.lines.dispatches()
        frame, outer = self.frames.pop(), self.frames[-1]
        if prove_it:
            self._prove(contract, frame)
        dispatcher.catch_up()
        dispatcher.arrivals = outer.arrivals
        _seed(outer.arrivals, contract.outs)
        outer.add(contract, (frame.first, len(rows)))
        self.lines.calls.append(contract)

    def _prove(self, contract: Contract, frame: Frame) -> None:
        """Hold the dispatches of a body, and the contracts of the kernels that it calls, against its own contract."""
        rows, sources = self.lines.dispatches()
        body = Body(frame.arrivals.machine)
        inner = {i for first, end in frame.inner for i in range(first, end)}
        for i in range(frame.first, len(rows)):
            if i not in inner:
                try:
                    body.dispatch(rows[i], sources[i])
                except ExpressionError as error:
                    self.lines.note(error.code, error.message, sources[i], 0, error.hint)
                    return
        for call in frame.calls:
            body.call(call)
        for found in prove(contract, body):
            self.lines.note(found.code, found.message, found.source, found.column, found.hint)


def _seed(arrivals: Arrivals, ports: Sequence[Port]) -> None:
    """Let values arrive as a contract says."""
    for port in ports:
        first = port.first(arrivals.machine)
        for stream in range(first, first + port.planes):
            arrivals.put(stream, port.unit.position, port.cycle, port)
