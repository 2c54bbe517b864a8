"""What an editor asks of a text: its program or its errors, which line each dispatch comes from, what names mean where."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from isa.assembly.assembler import Assembler
from isa.assembly.directives import DirectiveError
from isa.assembly.errors import AssemblyError, AssemblyErrors
from isa.assembly.names import Row, Scope
from isa.assembly.sources import Source, StopError
from isa.instruction import BY_OPCODE
from isa.machine import Machine, load_chip
from isa.program import Program


@dataclass(frozen=True)
class Analysis:
    """A text, assembled. ``program`` is None where there are ``errors``.

    ``scopes`` holds what could be seen at a line, by file and number, as it stood in the end; of a line that was taken
    several times (in a loop, in a macro) the last time's.
    """

    machine: Machine
    program: Program | None
    errors: tuple[AssemblyError, ...]
    scopes: Mapping[tuple[str, int], Scope]
    bursts: Mapping[str, list[tuple[Row, Source]]] = field(repr=False)
    """By queue: the bursts taken, each with its line."""

    def line_of(self, queue: str, cycle: int, mnemonic: str) -> Source | None:
        """The line that dispatches an instruction in a cycle of a queue."""
        for row, source in self.bursts.get(queue, ()):
            _, opcode, _, first, count, interval, *_ = row
            repeat, rest = divmod(cycle - first, max(1, interval))
            if rest == 0 and 0 <= repeat < count and BY_OPCODE[opcode].mnemonic == mnemonic:
                return source
        return None

    def scope_at(self, where: str, line: int) -> Scope | None:
        """The names of the nearest line above (or at) ``line`` that was taken."""
        for number in range(line, 0, -1):
            if (where, number) in self.scopes:
                return self.scopes[where, number]
        return None


class _Watching(Assembler):
    """An assembler that remembers the scope of every line, and stops when it is told to."""

    def __init__(self, machine: Machine | None, where: str, cancelled: Callable[[], bool]) -> None:
        super().__init__(machine, where, {})
        self.scopes: dict[tuple[str, int], Scope] = {}
        self._cancelled = cancelled

    def line(self, source: Source, scope: Scope) -> None:
        if self._cancelled():
            raise StopError
        self.scopes[source.where, source.number] = scope
        super().line(source, scope)


def analyse(
    text: str,
    machine: Machine | None = None,
    where: str = "",
    folder: str | os.PathLike[str] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Analysis:
    """``isa.assembly.assemble``, but whatever is wrong with the text is part of the answer.

    As soon as ``cancelled`` says so the rest of the text is left out, and the answer is worth nothing.
    """
    assembler = _Watching(machine, where, cancelled)
    program, errors = None, tuple[AssemblyError, ...]()
    try:
        program = assembler.run(text, folder)
    except AssemblyErrors as found:
        errors = found.errors
    try:
        chip = assembler.around.machine
    except DirectiveError:
        chip = machine or load_chip()
    bursts: dict[str, list[tuple[Row, Source]]] = {}
    queues = assembler.queues
    for row, source in zip(queues.rows, queues.lines, strict=True) if queues else ():
        bursts.setdefault(chip.queue_names[row[0]], []).append((row, source))
    return Analysis(chip, program, errors, assembler.scopes, bursts)
