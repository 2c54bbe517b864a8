"""The server: requests of an editor in, answers out. A failure of our own is logged there, and the request has no answer."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from isa.machine import Machine
from runtime.cli.failures import as_numbered
from runtime.explain import explain
from runtime.lsp.completion import Place, Proposal, partial, proposals
from runtime.lsp.documents import Document, Documents
from runtime.lsp.edits import formatting, spelling
from runtime.lsp.hints import hints
from runtime.lsp.hover import hover
from runtime.lsp.symbols import definition, symbols
from runtime.lsp.text import Text

TRIGGERS: Final = (".", "@", ":", ",", " ", "#", "{", "(")
Handler = TypeVar("Handler", bound=Callable[..., Any])


class Server(LanguageServer):
    """The protocol's side: whole texts come with every change, so that lines are counted as the assembler counts them."""

    def __init__(self, chip: Machine | None = None) -> None:
        super().__init__("tspc", "1", types.TextDocumentSyncKind.Full)
        self.documents = Documents(chip, self.publish, self.log)
        self.ended = False

    def publish(self, text: Text, found: list[types.Diagnostic]) -> None:
        """Show what is wrong with a version of a document."""
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(text.uri, found, text.version)
        )

    def log(self, error: BaseException) -> None:
        """A line in the editor's log; it names the file with the traceback."""
        message = types.LogMessageParams(types.MessageType.Error, str(as_numbered(error)))
        self.window_log_message(message)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """What the protocol itself could not make sense of: never more than a line of the log."""
        message = f"{type(error).__name__}: {error}"[:300]
        self.window_log_message(types.LogMessageParams(types.MessageType.Warning, message))

    def document(self, uri: str) -> Document | None:
        """An open document."""
        return self.documents.open.get(uri)

    def read(self, uri: str, delay: float | None = None) -> None:
        """Take a document's new text."""
        known = self.workspace.get_text_document(uri)
        text = Text(uri, known.source, known.version or 0, self.workspace.position_codec)
        self.documents.put(text, *([] if delay is None else [delay]))

    def snippets(self) -> bool:
        """Whether the editor takes snippets."""
        asked = self.client_capabilities.text_document
        item = asked.completion.completion_item if asked and asked.completion else None
        return bool(item and item.snippet_support)


def make(chip: Machine | None = None) -> Server:
    """A server for texts that are for ``chip`` where they do not name one."""
    server = Server(chip)

    def feature(name: str, options: Any = None) -> Callable[[Handler], Handler]:
        """Register a handler; what it raises is logged."""

        def register(handler: Handler) -> Handler:
            @functools.wraps(handler)
            def guarded(ls: Server, params: Any) -> Any:
                try:
                    return handler(ls, params)
                except Exception as error:
                    ls.log(error)
                    return None

            server.feature(name, options)(guarded)
            return handler

        return register

    _lifecycle(feature)
    _questions(feature)
    return server


Feature = Callable[..., Callable[[Handler], Handler]]


def _lifecycle(feature: Feature[Any]) -> None:
    """Documents come, change and go."""

    @feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(ls: Server, params: types.DidOpenTextDocumentParams) -> None:
        ls.read(params.text_document.uri, 0)

    @feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(ls: Server, params: types.DidChangeTextDocumentParams) -> None:
        ls.read(params.text_document.uri)

    @feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(ls: Server, _: types.DidSaveTextDocumentParams) -> None:
        ls.documents.again()

    @feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
        ls.documents.drop(params.text_document.uri)
        ls.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(params.text_document.uri, [])
        )

    @feature(types.SHUTDOWN)
    def ended(ls: Server, _: None) -> None:
        ls.documents.close()
        ls.ended = True


def _questions(feature: Feature[Any]) -> None:
    """What an editor asks about a document."""

    @feature(
        types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=list(TRIGGERS))
    )
    def completion(ls: Server, params: types.CompletionParams) -> types.CompletionList | None:
        document = ls.document(params.text_document.uri)
        return complete(document, params.position, ls.snippets()) if document else None

    @feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(ls: Server, params: types.HoverParams) -> types.Hover | None:
        document = ls.document(params.text_document.uri)
        return about(document, params.position) if document else None

    @feature(types.TEXT_DOCUMENT_DEFINITION)
    def defined(ls: Server, params: types.DefinitionParams) -> list[types.Location]:
        d = ls.document(params.text_document.uri)
        return definition(d.text, *d.text.at(params.position), d.outline) if d else []

    @feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def listed(ls: Server, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        d = ls.document(params.text_document.uri)
        return symbols(d.text, d.outline) if d else []

    @feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatted(ls: Server, params: types.DocumentFormattingParams) -> list[types.TextEdit]:
        document = ls.document(params.text_document.uri)
        return formatting(document.text) if document else []

    @feature(types.TEXT_DOCUMENT_INLAY_HINT)
    def hinted(ls: Server, params: types.InlayHintParams) -> list[types.InlayHint]:
        d = ls.document(params.text_document.uri)
        return hints(d.text, d.analysis, params.range) if d and d.analysis else []

    @feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix]),
    )
    def actions(ls: Server, params: types.CodeActionParams) -> list[types.CodeAction]:
        document = ls.document(params.text_document.uri)
        return spelling(document.text, list(params.context.diagnostics)) if document else []


def complete(document: Document, position: types.Position, snippets: bool) -> types.CompletionList:
    """What may be written at a position."""
    text = document.text
    line, column = text.at(position)
    start = partial(text.lines[line], column)
    head = text.lines[line][:start]
    place = Place(head, text, line, document.outline, document.analysis, document.machine)
    there = text.span(line, start, column)
    found: dict[str, Proposal] = {}
    for proposal in proposals(place):
        found.setdefault(proposal.label, proposal)
    items = [_item(p, there, snippets, n) for n, p in enumerate(found.values())]
    return types.CompletionList(is_incomplete=False, items=items)


def _item(p: Proposal, there: types.Range, snippets: bool, rank: int) -> types.CompletionItem:
    """A proposal in the protocol's form; a snippet only for an editor that takes it."""
    snippet = snippets and p.snippet
    return types.CompletionItem(
        p.label,
        kind=p.kind,
        detail=p.detail or None,
        documentation=p.documentation or None,
        sort_text=f"{rank:05}",
        filter_text=p.label,
        insert_text_format=types.InsertTextFormat.Snippet if snippet else None,
        text_edit=types.TextEdit(there, p.snippet if snippet else p.label),
    )


def about(document: Document, position: types.Position) -> types.Hover | None:
    """What stands at a position, and the pages of the errors there."""
    text = document.text
    line, column = text.at(position)
    found = hover(text, line, column, document.outline, document.analysis, document.machine)
    parts, where = ([found[0]], text.span(line, *found[1:])) if found else ([], None)
    for code in dict.fromkeys(d.code for d in document.diagnostics if _covers(d.range, position)):
        parts.append(f"**{code}**: {explain(int(str(code)[3:]))}")
    markdown = types.MarkupContent(types.MarkupKind.Markdown, "\n\n---\n\n".join(parts))
    return types.Hover(markdown, where) if parts else None


def _covers(there: types.Range, position: types.Position) -> bool:
    return (
        (there.start.line, there.start.character)
        <= (position.line, position.character)
        <= (there.end.line, there.end.character)
    )


def serve(chip: Machine | None = None, port: int | None = None) -> int:
    """Serve one editor on stdin and stdout, or at a port of this host; gives the exit code that the protocol asks for."""
    logging.disable(logging.CRITICAL)
    server = make(chip)
    if port is not None:
        server.start_tcp("127.0.0.1", port)
        return 0
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # Whatever else prints is no message.
        server.start_io(None, answers)
    return 0 if server.ended else 1
