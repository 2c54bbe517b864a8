"""Python's search for cycles of garbage, off while much is made and nothing thrown away."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_search_for_cycles() -> Iterator[None]:
    """Off within, and on again behind it, also after an error, if it was on before: of nested ones the outermost ends it.

    What assembling makes stays until its end and has no cycles: the search would walk a million tuples again and again, and
    find none. Errors that the grammar finds leave cycles of three objects each until the search goes on. The switch is
    the whole process's: threads that assemble together may turn it on early, which costs time, but never leave it off.
    """
    searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searched:
            gc.enable()
