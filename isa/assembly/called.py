"""The call of a kernel, taken apart."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from isa.assembly.lines import Word
from isa.assembly.sources import Source
from isa.assembly.written import code_of, find

_CALL: Final = re.compile(r"\s+([A-Za-z_]\w*)\s*\(")
_LABEL: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*:\s*(?=@)")


class Called(NamedTuple):
    """``label: @time name(arguments)`` taken apart; ``column`` is the arguments'. ``how`` tells of the call in a trace."""

    label: Word
    time: Word
    name: Word
    arguments: str
    column: int
    how: str = ""

    def trace(self, source: Source) -> tuple[str, ...]:
        """The trace of what it stands for."""
        return f"in kernel {self.name.text}, {self.how}", *source.trace


def kernel_call(text: str) -> Called | None:
    """A line's parts, if it has the form of a kernel's call."""
    if ")" not in text or "@" not in text:
        return None
    code = code_of(text).rstrip()
    named = _LABEL.match(code)
    at = named.end() if named else len(code) - len(code.lstrip())
    if not code.endswith(")") or code[at : at + 1] != "@":
        return None
    end = find(code, at, " \t")
    call = _CALL.match(code, end)
    if not call or find(code, call.end(), ")") != len(code) - 1:
        return None
    label = Word(named[1], named.start(1) + 1) if named else Word("", 0)
    name = Word(call[1], call.start(1) + 1)
    return Called(
        label, Word(code[at + 1 : end], at + 2), name, code[call.end() : -1], call.end() + 1
    )
