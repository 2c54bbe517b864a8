"""What is wrong with an assembly text: every error of it at once, each with line, column and a caret."""

from __future__ import annotations

from collections.abc import Sequence

from isa.errors import InputError

_WIDTH = 160
_SHOWN = 50


class AssemblyError(InputError):
    """One error. ``line`` and ``column`` count from 1; column 0: the line as a whole.

    ``trace`` says through which calls and files the line was reached, innermost first; ``place`` is its file.
    """

    def __init__(
        self,
        number: int,
        message: str,
        *,
        line: int,
        column: int = 0,
        text: str = "",
        where: str = "",
        hint: str = "",
        trace: Sequence[str] = (),
    ) -> None:
        place = f"{where or 'line'}:{line}" + (f":{column}" if column else "")
        super().__init__(number, message, where=place, hint=hint)
        self.line, self.column, self.text = line, column, text
        self.place, self.trace = where, tuple(trace)

    def __str__(self) -> str:
        shown = self.text.expandtabs(1).rstrip()
        first = max(0, self.column - _WIDTH)
        source = f"\n  | {shown[first : first + _WIDTH + 40]}" if shown else ""
        caret = f"\n  | {' ' * (self.column - 1 - first)}^" if shown and self.column else ""
        help_ = f"\n  help: {self.hint}" if self.hint else ""
        trace = "".join(f"\n  {step}" for step in self.trace)
        return f"{self.code}: {self.where}: {self.message}{source}{caret}{trace}{help_}"

    def to_dict(self) -> dict[str, object]:
        return super().to_dict() | {
            "line": self.line,
            "column": self.column,
            "trace": list(self.trace),
        }


class AssemblyErrors(InputError):  # noqa: N818  # The plural is the point.
    """All errors of one text, in line order; ``number`` is the first one's."""

    def __init__(self, errors: Sequence[AssemblyError]) -> None:
        first = errors[0]
        message = first.message if len(errors) == 1 else f"{len(errors)} errors"
        super().__init__(first.number, message, where=first.where, hint=first.hint)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        shown = "\n".join(str(e) for e in self.errors[:_SHOWN])
        rest = len(self.errors) - _SHOWN
        return shown + (f"\nand {rest} more errors" if rest > 0 else "")

    def to_dict(self) -> dict[str, object]:
        return super().to_dict() | {"errors": [e.to_dict() for e in self.errors]}
