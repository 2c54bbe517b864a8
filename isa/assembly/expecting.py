"""What the grammar accepts next."""

from __future__ import annotations

from functools import cache

from isa.assembly.lines import parser


@cache
def _written() -> dict[str, str]:
    """Terminals and how they are written: keywords as they stand, others as their pattern."""
    return {str(t.name): str(t.pattern.value) for t in parser().terminals}


def acceptable(prefix: str) -> dict[str, str]:
    """The terminals that may follow the beginning of a canonical line, each with its keyword or pattern.

    Nothing, where the line is wrong already; the end of the line is not listed.
    """
    from lark.exceptions import LarkError

    state = parser().parse_interactive(prefix)
    try:
        state.exhaust_lexer()
        found: set[str] = state.accepts()  # type: ignore[no-untyped-call]
    except LarkError:
        return {}
    return {name: _written()[name] for name in sorted(found) if name != "$END"}
