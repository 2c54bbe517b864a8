"""The documents that are open: each version is judged a while after it came, in a thread, unless a newer one comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from lsprotocol.types import Diagnostic

from isa.assembly.analysis import Analysis, analyse
from isa.machine import Machine, load_chip
from runtime.lsp.diagnostics import diagnostics
from runtime.lsp.outline import Outline, outline
from runtime.lsp.text import Text

QUIET: Final = 0.25
"""Seconds without a change before a text is judged."""


@dataclass
class Document:
    """An open document: its text, and what is known of this version or, if that is still being judged, the one before."""

    text: Text
    outline: Outline
    analysis: Analysis | None = None
    diagnostics: list[Diagnostic] = field(default_factory=list)
    judging: asyncio.Task[None] | None = None
    stale: Event = field(default_factory=Event)

    @property
    def machine(self) -> Machine:
        """The chip that the text is for."""
        return self.analysis.machine if self.analysis else load_chip()


@dataclass
class Documents:
    """All of them by URI. ``publish`` is told what is wrong with a version, ``fail`` about a failure of our own."""

    chip: Machine | None
    publish: Callable[[Text, list[Diagnostic]], None]
    fail: Callable[[BaseException], None]
    open: dict[str, Document] = field(default_factory=dict)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def put(self, text: Text, delay: float = QUIET) -> None:
        """A new version of a document, to be judged after ``delay`` seconds."""
        old = self.open.get(text.uri)
        new = Document(text, outline(text.lines, text.folder))
        if old is not None:
            self._stop(old)
            new.analysis, new.diagnostics = old.analysis, old.diagnostics
        self.open[text.uri] = new
        new.judging = asyncio.get_running_loop().create_task(self._later(new, delay))

    def again(self) -> None:
        """Judge every document again: a file that they include may have changed."""
        for document in list(self.open.values()):
            self.put(document.text, 0)

    def drop(self, uri: str) -> None:
        """A document was closed."""
        document = self.open.pop(uri, None)
        if document is not None:
            self._stop(document)

    def close(self) -> None:
        """All were closed."""
        for uri in list(self.open):
            self.drop(uri)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _stop(self, document: Document) -> None:
        document.stale.set()
        if document.judging is not None:
            document.judging.cancel()

    async def _later(self, document: Document, delay: float) -> None:
        await asyncio.sleep(delay)
        loop = asyncio.get_running_loop()
        try:
            analysis, found = await loop.run_in_executor(self._pool, self._judge, document)
        except Exception as error:
            self.fail(error)
            return
        if not document.stale.is_set():
            document.analysis, document.diagnostics = analysis, found
            self.publish(document.text, found)

    def _judge(self, document: Document) -> tuple[Analysis, list[Diagnostic]]:
        text, stale = document.text, document.stale.is_set
        source = "\n".join(text.lines)
        analysis = analyse(source, self.chip, text.where, text.folder, stale)
        return analysis, [] if stale() else diagnostics(text, analysis, document.outline)
