"""The debugger: a run that is stepped forward and back, looked at, stopped, and asked who made what.

``Session`` executes commands and gives results as data; ``parse`` makes commands of text; ``render`` makes text of results.
"""

from __future__ import annotations

from runtime.debug.commands import parse
from runtime.debug.session import Session
from runtime.debug.text import render

__all__ = ["Session", "parse", "render"]
