"""The public door: ``compile``, ``load``, ``Session``, ``run``, and ``main``, the command line.

Nothing is imported before it is asked for, so ``import tspc`` and ``tspc --help`` cost little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from isa.program import Program
    from runtime.api import Session, compile, load
    from runtime.cli import main

    __version__: str

__all__ = ["Session", "__version__", "compile", "load", "main", "run"]


def run(
    program: Program, inputs: Mapping[str, NDArray[Any]], threads: int = 1
) -> list[NDArray[Any]]:
    """Run a program once: all its outputs, in order. Whoever runs it again keeps a ``Session``."""
    session: Session = __getattr__("Session")(program, threads=threads)
    return session.run(None, inputs)


def __getattr__(name: str) -> Any:
    """A public name from the module that defines it; ``__version__`` from the package."""
    if name == "__version__":
        return import_module("importlib.metadata").version("tspc")
    if name not in __all__:
        raise AttributeError(f"module 'tspc' has no attribute {name!r}")
    return getattr(import_module("runtime.cli" if name == "main" else "runtime.api"), name)


if __name__ == "__main__":
    raise SystemExit(__getattr__("main")())
