"""Numbered errors: one exception type an exit code, one number a cause.

Numbers are grouped by stage: ``TSP1xx`` model import, ``TSP2xx`` assembly, ``TSP3xx`` verifier, ``TSP4xx`` limits and
memory, ``TSP5xx`` binary format, ``TSP6xx`` inputs of a run, ``TSP7xx`` comparison, ``TSP8xx`` command line,
``TSP9xx`` internal.
"""

from __future__ import annotations

from typing import ClassVar


class TspcError(Exception):
    """A diagnostic a user can act on.

    Args:
        number: the ``nnn`` of ``TSPnnn``, unique to its cause.
        message: what is wrong, naming the node, tensor, line, instruction or unit.
        where: the place (``model.onnx: node 'Add_3'``, ``kernel.asm:12:5``), empty if the message says it.
        hint: what to do about it.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, number: int, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.number = number
        self.message = message
        self.where = where
        self.hint = hint

    @property
    def code(self) -> str:
        """``TSP`` and the number, three digits."""
        return f"TSP{self.number:03d}"

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f"\n  help: {self.hint}" if self.hint else ""
        return f"{self.code}: {place}{self.message}{hint}"

    def to_dict(self) -> dict[str, object]:
        """The diagnostic as data, for ``--json``."""
        return {
            "code": self.code,
            "message": self.message,
            "where": self.where,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class ComparisonError(TspcError):
    """Outputs left their tolerance."""

    exit_code = 1


class UsageError(TspcError):
    """The command line asks for something that does not exist."""

    exit_code = 2


class InputError(TspcError):
    """A file or tensor is unreadable, invalid, unsupported or unsafe."""

    exit_code = 3


class LimitError(TspcError):
    """The program does not fit the chip, or a limit was exceeded."""

    exit_code = 4


class VerifyError(TspcError):
    """The verifier refused a program."""

    exit_code = 5


class InternalError(TspcError):
    """A promise between two stages was broken: a bug in this project."""

    exit_code = 70
