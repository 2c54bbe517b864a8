"""A script of commands, run from top to bottom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from isa.errors import ComparisonError, TspcError, UsageError
from runtime.debug.commands import Command, parse
from runtime.debug.looking import Result
from runtime.debug.names import Names
from runtime.debug.session import Session

FAILED = 720


class Line(NamedTuple):
    """A command with the line it stands in."""

    number: int
    text: str
    command: Command


class ScriptError(UsageError):
    """All that is wrong with a script; ``errors`` has one a line."""

    def __init__(self, errors: list[TspcError]) -> None:
        first = errors[0]
        super().__init__(first.number, first.message, where=first.where, hint=first.hint)
        self.errors = errors


def read_script(text: str, where: str, names: Names) -> list[Line]:
    """The commands of a script. Raises ``ScriptError``, each naming ``where:line``: nothing has run then."""
    found: list[Line] = []
    errors: list[TspcError] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            command = parse(line, names)
        except UsageError as error:
            place = f"{where}:{number}"
            errors.append(UsageError(error.number, error.message, where=place, hint=error.hint))
            continue
        if command is not None:
            found.append(Line(number, line.strip(), command))
    if errors:
        raise ScriptError(errors)
    return found


def run_script(session: Session, lines: list[Line], where: str) -> Iterator[tuple[Line, Result]]:
    """Each command with its result. Raises UsageError TSP820 naming the line where a command cannot be done; at the end
    ComparisonError TSP720 naming the first expectation that failed."""
    failed: list[tuple[Line, Result]] = []
    expected = 0
    for line in lines:
        try:
            result = session.execute(line.command)
        except UsageError as error:
            place = f"{where}:{line.number}"
            raise UsageError(error.number, error.message, where=place, hint=error.hint) from None
        if result["kind"] == "expect":
            expected += 1
            failed += [] if result["passed"] else [(line, result)]
        yield line, result
        if result["kind"] == "quit":
            break
    if failed:
        line, result = failed[0]
        message = f"{len(failed)} of {expected} expectations failed, the first: {result['text']}: {result['found']}"
        raise ComparisonError(FAILED, message, where=f"{where}:{line.number}")
