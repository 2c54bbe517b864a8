"""A session from beginning to end, and what it survives."""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from isa.machine import load_chip
from runtime.lsp import documents
from runtime.lsp.documents import Documents
from runtime.lsp.text import Text
from tests.runtime.lsp.client import PATIENCE, ROOT, Editor
from tests.runtime.lsp.test_diagnostics import GOOD

LONG = 10_000


def test_it_ends_as_it_is_asked_to(fresh: Editor) -> None:
    """The protocol: 0 after shutdown, 1 without."""
    assert fresh.open(GOOD) == []
    assert fresh.end() == 0
    assert fresh.errors() == ""


def test_exit_without_shutdown_is_a_failure(fresh: Editor) -> None:
    fresh.tell("exit", None)
    assert fresh.process.wait(PATIENCE) == 1


def test_an_editor_that_dies_ends_the_server(fresh: Editor) -> None:
    assert fresh.process.stdin is not None
    fresh.process.stdin.close()
    assert fresh.process.wait(PATIENCE) == 1


def test_what_is_no_message_is_survived(fresh: Editor) -> None:
    for body in (b"{", b"[]", b"null", b'"x"', b'{"jsonrpc":"2.0"}', b"\xff\xfe"):
        fresh.send(body)
    fresh.tell("textDocument/didChange", {"nonsense": 1})
    fresh.tell("textDocument/noSuch", {})
    fresh.tell("$/cancelRequest", {"id": 99})
    assert fresh.open(GOOD) == []
    for method in ("hover", "completion", "definition"):
        fresh.at(method, 999, 999)
        fresh.at(method, 0, 0, "untitled:never-opened")
    assert fresh.end() == 0


def long_text() -> str:
    """Lines by number, a name in every tenth."""
    lines = [".chip tsp1", ".let n = 4", ".tensor x i8 4 320 at MEM_W0:0 input"]
    for i in range(LONG):
        start = f"@n+{i}" if i % 10 == 0 else f"@{i}"
        lines.append(f"{start} VXM_{i % 16}: mov i8, #1")
    return "\n".join(lines) + "\n"


def test_a_long_text_is_answered_soon(fresh: Editor) -> None:
    """Ten thousand lines, and requests that come while they are being judged."""
    text = long_text()
    start = time.monotonic()
    assert fresh.open(text) == []
    judged = time.monotonic() - start
    fresh.change(text.replace("mov i8", "mvo i8", 1))
    time.sleep(2 * documents.QUIET)
    start = time.monotonic()
    labels = [i["label"] for i in fresh.at("completion", LONG, 14)["items"]]
    answered = time.monotonic() - start
    assert "mov" in labels
    (error,) = fresh.diagnostics()
    assert error["code"] == "TSP202"
    assert judged < 30
    assert answered < 5


def test_only_the_last_of_many_changes_counts(fresh: Editor) -> None:
    """They come faster than a text is judged; what is published belongs to the last version."""
    fresh.open(GOOD)
    for n in range(200):
        fresh.change(GOOD.replace("@7", f"@{8 + n}"))
    fresh.change(GOOD)
    assert fresh.diagnostics() == []
    published = [m for m in fresh.said if m.get("method") == "textDocument/publishDiagnostics"]
    assert len(published) < 100


FRAGMENTS = (
    "@0 MEM_E0: read 0, E0", "@arrives ", "x: ", "VXM_1: add f32, ", "(", ")", "{", "}", "E4", "alu1", "~", "#", "1", "n",
    " + ", ",", "->", " x", "/", "!", ".let n = ", ".for i in 0..3\n", "\n.end\n", ".macro f(a)\n", "f(2)\n", "\n", ":",
    "lab: ", ".tensor x f32 4 32 at MEM_E0:0", ".i8 ", '"', "[", "]", "..", ".if ", ".else\n", "done(lab)", ";", "\\", "\t",
    "é", "\U0001f600", "\r\n", "\r", "\u2028", "\0", ".set n = n*n", '.include "k"', ".chip tiny\n", "\ud800",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_no_edit_kills_it(fresh: Editor, seed: int) -> None:
    """Random damage, and random questions about it; afterwards a good text is good."""
    rng = random.Random(seed)
    text = GOOD
    fresh.open(text)
    for _ in range(120):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(FRAGMENTS) + text[at + rng.choice((0, 0, 1, 9)) :]
        fresh.change(text)
        line, column = rng.randrange(text.count("\n") + 2), rng.randrange(60)
        for method in rng.sample(("completion", "hover", "definition"), 2):
            fresh.at(method, line, column)
        document = {"textDocument": {"uri": "untitled:k"}}
        fresh.ask("textDocument/documentSymbol", document)
        fresh.ask("textDocument/formatting", document | {"options": {"tabSize": 2, "insertSpaces": True}})  # fmt: skip
        if rng.random() < 0.1:
            fresh.diagnostics()
    fresh.change(GOOD)
    assert fresh.diagnostics() == []
    logged = [m for m in fresh.said if m.get("method") == "window/logMessage"]
    assert logged == []
    assert fresh.end() == 0


def test_a_failure_of_its_own_is_logged_and_the_next_text_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published: list[Any] = []
    failures: list[BaseException] = []

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    async def session() -> None:
        known = Documents(load_chip("tiny"), lambda _, found: published.append(found), failures.append)  # fmt: skip
        text = Text("untitled:k", GOOD, 1, None)  # type: ignore[arg-type]
        with monkeypatch.context() as m:
            m.setattr(documents, "diagnostics", broken)
            known.put(text, 0)
            while not failures:
                await asyncio.sleep(0.01)
        known.again()
        while not published:
            await asyncio.sleep(0.01)
        known.close()

    asyncio.run(asyncio.wait_for(session(), PATIENCE))
    assert [str(f) for f in failures] == ["broken"]
    assert published == [[]]


def test_at_a_port() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tspc", "lsp", "--tcp", str(port)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            assert "capabilities" in _asked_at(port)
        finally:
            process.kill()


def _asked_at(port: int) -> str:
    body = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"processId":null,"rootUri":null,"capabilities":{}}}'
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as line:
                line.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)
                line.settimeout(PATIENCE)
                return line.recv(4096).decode()
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_without_pygls(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One numbered error with the command that helps; the grammar needs none."""
    monkeypatch.setitem(sys.modules, "pygls", None)
    done = cli("lsp")
    assert done.code == 2
    assert done.err.startswith("error: TSP830: ")
    assert "pip install 'tspc[lsp]'" in done.err
    assert cli("lsp", "--textmate").out.startswith('{\n  "name": "TSP assembly"')


def test_the_command_line_does_not_load_it() -> None:
    code = (
        "import sys; from runtime.cli import main; main(['--help']); print('pygls' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert shown.stdout.endswith("False\n")
