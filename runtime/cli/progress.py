"""Progress of long work: a line on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(title: str) -> Iterator[Callable[..., None] | None]:
    """What to call with a stage's name, and optionally how much of it is done (0 to 1); None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status(title) as status:

        def report(stage: str, done: float | None = None, *_: object) -> None:
            share = f" {done:.0%}" if done is not None else ""
            status.update(f"{title}: {stage}{share}")

        yield report
