"""The public door: ``compile``, ``load``, ``Session``, ``run``, and ``main``, the command line.

Nothing is imported before it is asked for, so ``import tspc`` and ``tspc --help`` cost little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.api import Session, compile, load, run
    from runtime.cli import main

    __version__: str

__all__ = ["Session", "__version__", "compile", "load", "main", "run"]


def __getattr__(name: str) -> object:
    """A public name from the module that defines it; ``__version__`` from the package."""
    if name == "__version__":
        return import_module("importlib.metadata").version("tspc")
    if name not in __all__:
        raise AttributeError(f"module 'tspc' has no attribute {name!r}")
    return getattr(import_module("runtime.cli" if name == "main" else "runtime.api"), name)


if __name__ == "__main__":
    raise SystemExit(__getattr__("main")())  # type: ignore[operator]
