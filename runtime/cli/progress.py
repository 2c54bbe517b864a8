"""Progress of long work: a line on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(title: str) -> Iterator[Callable[[str, int, int], None] | None]:
    """What to call with a stage's name and how many of its parts are done; None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status(title) as status:

        def report(stage: str, done: int, total: int) -> None:
            share = f" {done / total:.0%}" if total > 1 else ""
            status.update(f"{title}: {stage}{share}")

        yield report
