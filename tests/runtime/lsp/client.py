"""An editor's side of the protocol: JSON-RPC with a real ``tspc lsp`` over its pipes."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, Final

ROOT: Final = Path(__file__).parents[3]
PATIENCE: Final = 60.0
"""Seconds until a missing answer is a failure; a loaded machine takes a while."""

Json = Any


class Editor:
    """A session with one server. Answers come back by their id, diagnostics by document and version."""

    def __init__(self, *arguments: str, capabilities: Json = None) -> None:
        command = [sys.executable, "-m", "tspc", "lsp", *arguments]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.messages: queue.Queue[Json] = queue.Queue()
        self.said: list[Json] = []
        self.versions: dict[str, int] = {}
        self._number = 0
        threading.Thread(target=self._read, daemon=True).start()
        known = {"textDocument": {"completion": {"completionItem": {"snippetSupport": True}}}}
        self.initialized = self.ask(
            "initialize",
            {
                "processId": None,
                "rootUri": None,
                "capabilities": known if capabilities is None else capabilities,
            },
        )
        self.tell("initialized", {})

    def _read(self) -> None:
        out = self._pipe(self.process.stdout)
        while True:
            length = 0
            while (line := out.readline()).strip():
                name, _, value = line.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
            if not line:
                self.messages.put(None)
                return
            self.messages.put(json.loads(out.read(length)))

    def _pipe(self, pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe

    def send(self, message: Json) -> None:
        """A message, as bytes if it is none."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        pipe = self._pipe(self.process.stdin)
        pipe.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        pipe.flush()

    def tell(self, method: str, params: Json) -> None:
        """A notification."""
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, method: str, params: Json) -> Json:
        """A request's result."""
        self._number += 1
        number = self._number
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        answer = self._wait(lambda m: m.get("id") == number and "method" not in m)
        assert "error" not in answer, answer
        return answer["result"]

    def _wait(self, wanted: Any) -> Json:
        for i, message in enumerate(self.said):
            if wanted(message):
                return self.said.pop(i)
        end = time.monotonic() + PATIENCE
        while True:
            message = self.messages.get(timeout=max(0.01, end - time.monotonic()))
            assert message is not None, f"the server ended: {self.errors()}"
            if wanted(message):
                return message
            self.said.append(message)

    def errors(self) -> str:
        """What a server that has ended said on stderr."""
        return self._pipe(self.process.stderr).read().decode()

    def open(self, text: str, uri: str = "untitled:k") -> list[Json]:
        """Open a document, closed before if need be; gives its diagnostics. No two versions have one number."""
        if uri in self.versions:
            self.tell("textDocument/didClose", {"textDocument": {"uri": uri}})
        self.versions[uri] = self.versions.get(uri, 0) + 1
        item = {"uri": uri, "languageId": "tsp", "version": self.versions[uri], "text": text}
        self.tell("textDocument/didOpen", {"textDocument": item})
        return self.diagnostics(uri)

    def change(self, text: str, uri: str = "untitled:k") -> None:
        """Another version of a document, which holds ``text``."""
        self.versions[uri] += 1
        document = {"uri": uri, "version": self.versions[uri]}
        change = {"textDocument": document, "contentChanges": [{"text": text}]}
        self.tell("textDocument/didChange", change)

    def diagnostics(self, uri: str = "untitled:k") -> list[Json]:
        """Those of the newest version of a document, which are waited for."""
        method = "textDocument/publishDiagnostics"

        def newest(m: Json) -> bool:
            if m.get("method") != method or m["params"]["uri"] != uri:
                return False
            return bool(m["params"].get("version") == self.versions[uri])

        found: list[Json] = self._wait(newest)["params"]["diagnostics"]
        return found

    def at(self, method: str, line: int, character: int, uri: str = "untitled:k") -> Json:
        """A request about a place of a document."""
        place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        return self.ask(f"textDocument/{method}", place)

    def end(self) -> int:
        """Shut down; gives the exit code."""
        self.ask("shutdown", None)
        self.tell("exit", None)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End the process whatever it is doing."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            self._pipe(pipe).close()
