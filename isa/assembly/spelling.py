"""The nearest known spelling of a wrong name, sought for as long as the text that it stands in may cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from difflib import get_close_matches
from string import ascii_letters, digits
from typing import Final

MOST: Final = 100_000
"""Names that are compared for one text: a second's worth."""
FEW: Final = 500
"""Names that are compared with one wrong name."""
_LETTERS: Final = f"{ascii_letters}{digits}_"
_LONGEST: Final = 40
Known = Callable[[], Iterable[str]] | Iterable[str]
Hint = str | Callable[[], str]
"""What to do about an error, or what says so once somebody asks."""


class HintedError(Exception):
    """An error that says what to do about it; a spelling is sought once somebody asks."""

    def __init__(self, message: str, hint: Hint) -> None:
        super().__init__(message)
        self.message, self._hint = message, hint

    @property
    def hint(self) -> str:
        """What to do."""
        if not isinstance(self._hint, str):
            self._hint = self._hint()
        return self._hint


@dataclass
class _Effort:
    left: int = MOST
    found: dict[tuple[str, str], str] = field(default_factory=dict)


_effort: ContextVar[_Effort | None] = ContextVar("effort", default=None)


@contextmanager
def limited() -> Iterator[None]:
    """Within, some ``MOST`` names are compared in all; behind that, wrong names get the answers of those before them, if any."""
    before = _effort.set(_Effort())
    try:
        yield
    finally:
        _effort.reset(before)


def nearest(name: str, known: Known, otherwise: str = "") -> str:
    """``did you mean ...?`` for the nearest known spelling; ``otherwise`` where there is none."""
    effort, key = _effort.get() or _Effort(), (name, otherwise)
    if effort.left > 0:
        names = list(known() if callable(known) else known)
        effort.left -= min(len(names), FEW) + len(names) // 100
        effort.found[key] = _search(name, names)
    close = effort.found.get(key)
    return f"did you mean {close}?" if close else otherwise


def _search(name: str, known: Sequence[str]) -> str:
    """The nearest of all names; of more than ``FEW`` one that is a slip of the pen away, else the nearest of the last."""
    if len(known) > FEW:
        slips = _slips(name).intersection(known) if len(name) <= _LONGEST else ()
        known = sorted(slips)[:FEW] or known[-FEW:]
    same = [other for other in known if other.casefold() == name.casefold()]
    close = same or get_close_matches(name, known, 1)
    return close[0] if close else ""


def _slips(name: str) -> set[str]:
    """What becomes ``name`` by a character left out, put in, replaced, or exchanged with its neighbour."""
    cuts = [(name[:i], name[i:]) for i in range(len(name) + 1)]
    found = {a + b[1:] for a, b in cuts if b}
    found |= {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
    found |= {a + c + b[1:] for a, b in cuts if b for c in _LETTERS}
    return found | {a + c + b for a, b in cuts for c in _LETTERS}
