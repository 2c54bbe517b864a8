"""Errors as one types, through the protocol: where they are, what they say, when they go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.runtime.lsp.client import Editor

GOOD = """; y = x, by hand
.chip tiny
.tensor x i8 4 32 at MEM_W0:0 input
.tensor y i8 4 32 at MEM_E0:0 output
@0 MEM_W0: read 0, E0 x4 +1
@7 MEM_E0: write 0, E0 x4 +1
"""


def span(line: int, start: int, end: int) -> dict[str, Any]:
    return {"start": {"line": line, "character": start}, "end": {"line": line, "character": end}}


def test_every_error_with_its_range_and_what_to_do(editor: Editor) -> None:
    found = editor.open(".chip tiny\n@0 MEM_E0: reed 0, E0\n  @1 MEM_E1: read nn, E3 ; c\n")
    assert [(d["code"], d["range"]) for d in found] == [
        ("TSP202", span(1, 11, 15)),
        ("TSP209", span(2, 18, 20)),
    ]
    assert found[0]["message"] == "no instruction 'reed'"
    assert found[0]["source"] == "tspc"
    assert found[0]["severity"] == 1
    (help_,) = found[0]["relatedInformation"]
    assert help_["message"] == "help: did you mean read?"
    assert help_["location"] == {"uri": "untitled:k", "range": span(1, 11, 15)}


def test_errors_go_when_they_are_corrected(editor: Editor) -> None:
    assert editor.open(GOOD) == []
    editor.change(GOOD.replace("read 0, E0", "read 0, E99"))
    (error,) = editor.diagnostics()
    assert (error["code"], error["range"]) == ("TSP203", span(4, 19, 22))
    editor.change(GOOD)
    assert editor.diagnostics() == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("@0 MEM_E0: read 0, E{1", (208, 20, 21)),
        ("@0 VXM_0: add i8, W0~n, E0", (209, 21, 22)),
        ("@0 MEM_E99: read 0, E0", (204, 3, 10)),
        (".lett a = 5", (202, 0, 5)),
        ("twise(3)", (209, 0, 5)),
        ('.npy "no.npy"', (213, 5, 13)),
        ("@0 VXM_0: add i8, E0", (201, 19, 20)),
        (".for i in 0..4", (210, 5, 6)),
        ('.meta "\U0001f600" x', (201, 11, 12)),
    ],
)
def test_ranges(editor: Editor, line: str, expected: tuple[int, int, int]) -> None:
    """Of the word that is wrong, in UTF-16 units, as the editor counts."""
    (found, *_) = editor.open(f".chip tiny\n{line}")
    number, start, end = expected
    assert (found["code"], found["range"]) == (f"TSP{number}", span(1, start, end))


def test_a_refusal_is_at_its_line_and_names_the_other_party(editor: Editor) -> None:
    """The write samples two cycles after the value has passed."""
    (refusal, *_) = editor.open(GOOD.replace("@7", "@9"))
    assert refusal["code"] == "TSP341"
    assert refusal["range"] == span(5, 20, 22)
    assert refusal["codeDescription"]["href"].endswith("/isa/explain/TSP341.md")
    at = {r["message"].split(":")[0]: r["location"]["range"] for r in refusal["relatedInformation"]}
    assert at["read 0x0000, E0 of MEM_W0 @0"] == span(4, 0, 27)
    assert at["help"] == span(5, 20, 22)


def test_refusals_in_macros_loops_and_tensors(editor: Editor) -> None:
    """At the line in the macro; an output that is never written, at its tensor."""
    text = """.chip tiny
.tensor x i8 4 32 at MEM_W0:0 input
.tensor y i8 4 32 at MEM_E0:0 output
.macro copy(t)
  @t x: read E0
  @t+9 MEM_E0: write 0, E0 x4 +1  ; two cycles late
.end
.for i in 0..2
  copy(20 * i)
.end
"""
    found = editor.open(text)
    late = [d for d in found if d["code"] == "TSP341"]
    assert {d["range"]["start"]["line"] for d in late} == {5}
    assert late[0]["range"] == span(5, 24, 26)
    (missing,) = editor.open(text.replace("  @t+9", "  ; @t+9"), "untitled:m")
    assert (missing["code"], missing["range"]["start"]["line"]) == ("TSP336", 2)


def test_files_that_are_included(editor: Editor, tmp_path: Path) -> None:
    """An error of theirs stands where they are included, and leads to its place; saving them is noticed."""
    library = tmp_path / "lib.asm"
    library.write_text("; one\n@0 MEM_W0: reed 0, E0 x4 +1\n")
    uri = (tmp_path / "k.asm").as_uri()
    include = GOOD.replace("@0 MEM_W0: read 0, E0 x4 +1", '.include "lib.asm"')
    (error,) = editor.open(include, uri)
    assert (error["code"], error["range"]) == ("TSP202", span(4, 0, 18))
    places = [r["location"] for r in error["relatedInformation"]]
    assert {"uri": library.as_uri(), "range": span(1, 11, 15)} in places
    library.write_text("; one\n@0 MEM_W0: read 0, E0 x4 +1\n")
    editor.tell("textDocument/didSave", {"textDocument": {"uri": uri}})
    assert editor.diagnostics(uri) == []
    library.write_text("; one\n@0 MEM_W0: read 0, E0 x4 /2 +1\n")
    editor.tell("textDocument/didSave", {"textDocument": {"uri": uri}})
    (refusal, *_) = editor.diagnostics(uri)
    assert (refusal["code"], refusal["range"]["start"]["line"]) == ("TSP341", 5)
    places = [r["location"]["uri"] for r in refusal["relatedInformation"]]
    assert library.as_uri() in places


def test_files_outside_the_folder_are_refused(editor: Editor, tmp_path: Path) -> None:
    (tmp_path / "secret.asm").write_text(".let secret = 1\n")
    (tmp_path / "in").mkdir()
    uri = (tmp_path / "in" / "k.asm").as_uri()
    (error,) = editor.open('.include "../secret.asm"\n', uri)
    assert error["code"] == "TSP212"
    completed = editor.at("completion", 1, 0, uri)
    assert "secret" not in {i["label"] for i in completed["items"]}


def test_closing_a_document_takes_its_errors_away(fresh: Editor) -> None:
    assert fresh.open(".chip none\n")
    fresh.tell("textDocument/didClose", {"textDocument": {"uri": "untitled:k"}})
    fresh.versions["untitled:k"] = None  # type: ignore[assignment]
    assert fresh.diagnostics() == []
    assert fresh.end() == 0
