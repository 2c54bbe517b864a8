"""Lines of a text, wherever they came from, and who takes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from isa.assembly.dispatching import Dispatcher
    from isa.assembly.names import Meaning, Row, Scope
    from isa.assembly.ports import Contract


class Source(NamedTuple):
    """A line of some file, and the calls and files through which it was reached, innermost first."""

    text: str
    number: int
    where: str
    folder: Path | None = None
    trace: tuple[str, ...] = ()


class StopError(Exception):
    """A limit was reached: nothing more is read."""


class Lines(Protocol):
    """Who takes single lines."""

    noted: int
    """Errors noted so far, each time that one was met."""
    calls: list[Contract]
    """Of kernels, as the text goes."""

    def line(self, source: Source, scope: Scope) -> None:
        """Take one line, or note what is wrong with it."""

    def names(self, scope: Scope) -> Meaning:
        """What names mean in a scope."""

    def note(
        self, code: int, message: str, source: Source, column: int = 0, hint: str = ""
    ) -> None:
        """Note an error."""

    def dispatcher(self) -> Dispatcher:
        """Who turns authors' dispatches into canonical ones, and knows what arrives."""

    def dispatches(self) -> tuple[list[Row], list[Source]]:
        """Every dispatch so far, as the text goes, and its line. No line behind changes one of these."""


def place(source: Source) -> str:
    """``file:line`` of a line."""
    return f"{source.where or 'line'}:{source.number}"
