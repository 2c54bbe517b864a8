"""What an editor asks about a place: completion, hover, definition, symbols, formatting, corrections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isa.assembly.format import format_text
from isa.assembly.lines import AUTHORED, DIRECTIVES
from isa.assembly.names import FUNCTIONS
from isa.instruction import REGISTRY
from isa.machine import load_chip
from isa.manual import page
from runtime.lsp import words
from tests.runtime.lsp.client import ROOT, Editor

HEAD = """.chip tiny
.param n = 4
.let base = 0x10
.let s = W4
.tensor x f32 n 32 at MEM_E0:0 input
.macro put(slice, row)
  @row MEM_E{slice}: write row, E0
.end
load: @0 MEM_E8: read base, W8
"""
LINES = HEAD.count("\n")


def labels(editor: Editor, line: str) -> list[str]:
    """What is proposed at ``|`` in the last line."""
    editor.open(HEAD + line.replace("|", ""))
    answer = editor.at("completion", LINES, line.index("|"))
    return [item["label"] for item in answer["items"]]


VXM = {"add", "cvt", "select", "relu"}
MEM = {"read", "write", "gather", "scatter"}


@pytest.mark.parametrize(
    ("line", "some", "none"),
    [
        ("|", {".let", ".for", "put", "MEM_E0", "VXM_0", "x", "@arrives"}, {"add", "E0", "n"}),
        (".|", {".let", ".tensor"}, {"add"}),
        ("V|", {"VXM_0", "VXM_15"}, {"add"}),
        ("VXM_0: |", VXM | {"nop", "tanh"}, MEM | {"lw", "E0"}),
        ("VXM_0: a|", VXM, MEM),
        ("VXM_15: |", VXM - {"cvt"}, {"tanh", "exp", "cvt"}),
        ("@3 VXM_0: |", VXM, MEM),
        ("lab: @arrives VXM_0:|", VXM, MEM),
        ("@0 MEM_E3: |", MEM, VXM),
        ("@0 x: |", MEM, VXM),
        ("@0 MXM_E0.weights: |", {"lw", "iw"}, {"abc", "acc"} | VXM),
        ("@0 MXM_E0.accumulate: |", {"acc"}, {"lw", "abc"}),
        ("@|", {"arrives", "reach", "done", "load", "n"}, {"add", "MEM_E0"}),
        ("@done(|", {"load", "n"}, {"add"}),
        ("@3 |", {"MEM_E0", "VXM_0", "x"}, {"add", "n"}),
        ("VXM_0: add |", {"f32", "f16", "i8"}, {"E0", "n"}),
        ("VXM_0: exp |", {"f32"}, {"E0", "i8"}),
        ("VXM_0: add f32, |", {"E0", "W31", "alu15", "#", "none", "s"}, {"f32", "base", "saturate"}),
        ("VXM_0: add f32, s, 0x1|", set(), {"E0", "n"}),
        ("VXM_0: add f32, s, al|", {"alu0"}, {"f32"}),
        ("VXM_0: add f32, s, E0, |", {"saturate", "imm="}, {"E0"}),
        ("VXM_0: add f32, s, E0 |", {"->", "x", "/", "+", "!"}, {"E0", "saturate"}),
        ("VXM_0: add f32, s, E0 -> |", {"E0", "W0"}, {"alu0", "#"}),
        ("VXM_0: add f32, s, E0 -> E4, |", {"W0"}, {"E0"}),
        ("VXM_0: add f32, s, #|", {"base", "n", "sqrt", "lanes"}, {"E0"}),
        ("VXM_0: add f32, s~|", {"n"}, {"E0"}),
        ("VXM_0: cvt i32, s, |", {"f32", "i8"}, {"E0"}),
        ("@0 MEM_E3: read |", {"base", "n", "x.rows", "address", "mem.words"}, {"E0", "add"}),
        ("@0 MEM_E3: read base + |", {"n", "cdiv"}, {"E0"}),
        ("@0 MEM_E3: read base, |", {"E0", "s"}, {"base", "alu0"}),
        ("@0 MEM_E{|", {"n", "base"}, {"add"}),
        ("@0 MEM_E3: read base, E{|", {"n"}, {"W0"}),
        ("@0 x: read |", {"E0", "W0", "s"}, {"base", "alu0"}),
        ("@0 MEM_E3: read base, E0 x4 |", {"/", "+", "!"}, {"x"}),
        ("@0 MXM_E0.accumulate: acc f16, 0, |", {"start", "emit", "E0"}, {"alu0"}),
        (".chip |", {"tsp1", "tiny"}, {"n"}),
        (".let q = |", {"n", "base", "MEM_E0", "sqrt"}, {"add"}),
        (".tensor y |", {"f32", "i8"}, {"n"}),
        (".tensor y f32 |", {"n", "base"}, {"f32"}),
        (".tensor y f32 n 32 |", {"at"}, {"f32"}),
        (".tensor y f32 n 32 at |", {"MEM_E0", "input", "splat"}, {"VXM_0"}),
        (".piece MEM_E0, 0, |", {"plane"}, {"view"}),
        (".piece |", {"MEM_E0"}, {"plane"}),
        (".if |", {"n"}, {"add"}),
        ("put(|", {"n", "base"}, {"add"}),
        ("; VXM_0: |", set(), {"add"}),
        ('.include "|', set(), {"n"}),
    ],
)  # fmt: skip
def test_what_may_be_written(editor: Editor, line: str, some: set[str], none: set[str]) -> None:
    found = labels(editor, line)
    assert some <= set(found)
    assert not none & set(found)
    assert len(found) == len(set(found))


KERNEL = """.chip tiny
.kernel scale(n, by)
  .in x: W0 i8 @t at VXM x{n}
  .out y: E4 i8 @t+3 at VXM x{n}
  .uses VXM_0
  @arrives VXM_0: mul i8, x, #by x{n} -> y
.end
.tensor a i8 4 32 at MEM_E0:0 input
@0 a: read W0
first: @arrives scale(4, 2)
@arrives MEM_E1: write 0, first.y x4 +1
@99 """


def test_kernels(editor: Editor) -> None:
    """Their calls are proposed, their names explained and found, their ports listed below them."""
    editor.open(KERNEL)
    found = {i["label"]: i for i in editor.at("completion", 11, 4)["items"]}
    assert found["scale"]["textEdit"]["newText"] == "scale(${1:n}, ${2:by})"
    assert "MEM_E0" in found
    assert "called for cycle" in editor.at("hover", 9, 2)["contents"]["value"]
    (place,) = editor.at("definition", 9, 18)
    assert (place["range"]["start"]["line"], place["range"]["start"]["character"]) == (1, 8)
    (port,) = editor.at("definition", 5, 26)
    assert (port["range"]["start"]["line"], port["range"]["start"]["character"]) == (2, 6)
    symbols = editor.ask("textDocument/documentSymbol", {"textDocument": {"uri": "untitled:k"}})
    assert [c["name"] for s in symbols if s["name"] == "scale" for c in s["children"]] == ["x", "y"]
    assert "port" not in {i["label"] for i in editor.at("completion", 11, 4)["items"]}


def test_types_are_those_that_an_instruction_takes(editor: Editor) -> None:
    types = [t for t in ("i8", "i16", "i32", "f16", "f32") if t in labels(editor, "VXM_0: exp |")]
    assert types == [t.name.lower() for t in REGISTRY["exp"].types]


def test_names_of_a_block_are_proposed_in_it_alone(editor: Editor) -> None:
    editor.open(
        ".chip tiny\n.for i in 0..2\n  .let inner = i\n  @i MEM_E0: read \n.end\n@9 MEM_E0: read "
    )
    inside = {i["label"]: i for i in editor.at("completion", 3, 18)["items"]}
    outside = {i["label"] for i in editor.at("completion", 5, 16)["items"]}
    assert {"i", "inner"} <= inside.keys()
    assert not {"i", "inner"} & outside


def test_macros_are_snippets_where_the_editor_takes_them(editor: Editor) -> None:
    editor.open(HEAD + "pu")
    (item,) = [i for i in editor.at("completion", LINES, 2)["items"] if i["label"] == "put"]
    assert item["insertTextFormat"] == 2
    assert item["textEdit"]["newText"] == "put(${1:slice}, ${2:row})"
    assert item["textEdit"]["range"]["start"]["character"] == 0
    plain = Editor(capabilities={})
    plain.open(HEAD + "pu")
    (item,) = [i for i in plain.at("completion", LINES, 2)["items"] if i["label"] == "put"]
    assert item["textEdit"]["newText"] == "put"
    assert plain.end() == 0


def hovered(editor: Editor, line: str) -> str:
    """What is said about the word at ``|`` in the last line."""
    editor.open(HEAD + line.replace("|", ""))
    answer = editor.at("hover", LINES, line.index("|"))
    return str(answer["contents"]["value"]) if answer else ""


def test_the_manual_is_at_hand(editor: Editor) -> None:
    shown = hovered(editor, "@0 VXM_0: ta|nh f32, E0")
    assert page(REGISTRY["tanh"], load_chip("tiny")) in shown


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("@0 MEM_E3: read ba|se, E0", "**base**: 16 = 0x10"),
        ("@0 MEM_E3: read 0, s|", "**s**: stream W4"),
        ("@0 |x: read W0", "**x**: f32 [4, 32] input; planes: slice"),
        ("@lo|ad+9 MEM_E3: read 0, E0", "**load**: dispatched in cycle 0; done in"),
        ("pu|t(1, 2)", ".macro put(slice, row)"),
        ("@0 VX|M_0: add f32, E0, E0", "**VXM_0**: a large VXM queue of tiny at position"),
        ("@0 VXM_0: mov f32, #timing.vxm_al|u", "**timing.vxm_alu** = 3 on tiny"),
        (".le|t a = 1", "Names a number, stream, queue or ALU."),
        ("@arr|ives MEM_E3: write 0, E0", "the cycle in which all its operands are there"),
        ("; add| it", ""),
        ("|", ""),
    ],
)
def test_what_a_word_means(editor: Editor, line: str, expected: str) -> None:
    shown = hovered(editor, line)
    assert expected in shown
    assert bool(shown) is bool(expected)


def test_an_error_is_explained_where_it_stands(editor: Editor) -> None:
    shown = hovered(editor, "@0 VXM_0: relu f32, W1|2")
    assert "**TSP341**: a stream that is read carries a value." in shown


def test_definitions(editor: Editor, tmp_path: Path) -> None:
    def at(line: str, uri: str = "untitled:k", head: str = HEAD) -> Any:
        editor.open(head + line.replace("|", ""), uri)
        found = editor.at("definition", head.count("\n"), line.index("|"), uri)
        return [(d["uri"], d["range"]["start"]["line"], d["range"]["start"]["character"]) for d in found]  # fmt: skip

    assert at("@0 MEM_E3: read ba|se, E0") == [("untitled:k", 2, 5)]
    assert at("@done(lo|ad) MEM_E3: read 0, E0") == [("untitled:k", 8, 0)]
    assert at("p|ut(1, 2)") == [("untitled:k", 5, 7)]
    assert at("@0 MEM_E3: read x|.rows, E0") == [("untitled:k", 4, 8)]
    assert at("@0 MEM_E3: read n|o, E0") == []
    library = tmp_path / "lib.asm"
    library.write_text("; library\n.macro twice(a)\n.end\n")
    uri = (tmp_path / "k.asm").as_uri()
    assert at("twi|ce(1)", uri, '.include "lib.asm"\n') == [(library.as_uri(), 1, 7)]


def test_the_argument_of_a_macro_is_its_own(editor: Editor) -> None:
    editor.open(HEAD + ".let row = 5\n")
    (found,) = editor.at("definition", 6, 4)
    assert (found["range"]["start"]["line"], found["range"]["start"]["character"]) == (5, 18)


def test_times_are_shown_as_cycles(editor: Editor) -> None:
    """Behind what is no number; of several dispatches of a line the first and the last."""
    text = """.chip tiny
.tensor x i16 4 32 at MEM_W0:0 input
.let n = 3
@reach(VXM, 9) x: read E0
@12 VXM_8: mov i8, #1
@n+4 MEM_E0: read 0, W0
.for i in 0..3
  @100*i+7 VXM_1: mov i8, #1
.end
"""
    editor.open(text)
    document = {"textDocument": {"uri": "untitled:k"}}

    def hints(first: int, last: int) -> list[tuple[int, int, str]]:
        place = {"start": {"line": first, "character": 0}, "end": {"line": last, "character": 0}}
        found = editor.ask("textDocument/inlayHint", document | {"range": place})
        return [(h["position"]["line"], h["position"]["character"], h["label"]) for h in found]

    assert hints(0, 9) == [(3, 14, "= 2 .. 3"), (5, 4, "= 7"), (7, 10, "= 7 .. 207")]
    assert hints(4, 5) == [(5, 4, "= 7")]


def test_symbols(editor: Editor) -> None:
    editor.open(HEAD)
    document = {"textDocument": {"uri": "untitled:k"}}
    found = editor.ask("textDocument/documentSymbol", document)
    assert [s["name"] for s in found] == ["n", "base", "s", "x", "put", "load"]
    assert found[4]["range"]["end"]["line"] == 7


UGLY = [
    "\n\n.chip   tiny\n@0   MEM_E0:read 1 ,E0   x128 /1\n.end\n",
    "a\n" * 3 + "  b\n" + "a\n" * 3,
    "@0 MEM_E0:read 0,E0",
    ".chip tiny\n@0 MEM_E0: read 0, E0",
    ".chip tiny\n\n\n\n",
    ".chip  tiny\r\n@0 MEM_E0: read 0, E0\r\n",
    "",
    "\n",
]


@pytest.mark.parametrize("text", UGLY)
def test_formatting_does_what_fmt_does(editor: Editor, text: str) -> None:
    """The edits, applied as an editor applies them."""
    editor.open(text)
    options = {"tabSize": 2, "insertSpaces": True}
    edits = editor.ask(
        "textDocument/formatting", {"textDocument": {"uri": "untitled:k"}, "options": options}
    )
    assert len(edits) <= 1
    lines = text.split("\n")

    def offset(position: dict[str, int]) -> int:
        return sum(len(x) + 1 for x in lines[: position["line"]]) + position["character"]

    for edit in edits:
        start, end = (offset(edit["range"][key]) for key in ("start", "end"))
        text = text[:start] + edit["newText"] + text[end:]
    assert text.replace("\r\n", "\n") == format_text("\n".join(lines).replace("\r\n", "\n"))
    assert text.count("\r") in (0, text.count("\n"))


def test_a_misspelled_word_is_corrected(editor: Editor) -> None:
    (error,) = editor.open(HEAD + "@0 VXM_0: mov f32, s~bse")
    where = {"textDocument": {"uri": "untitled:k"}, "range": error["range"]}
    (action,) = editor.ask("textDocument/codeAction", where | {"context": {"diagnostics": [error]}})
    assert action["title"] == "Change to base"
    assert action["kind"] == "quickfix"
    (edit,) = action["edit"]["changes"]["untitled:k"]
    assert edit["newText"] == "base"
    assert edit["range"]["start"] == {"line": LINES, "character": 21}
    assert edit["range"]["end"] == {"line": LINES, "character": 24}


def test_no_word_of_the_language_is_without_its_sentence() -> None:
    assert words.DIRECTIVES.keys() == {*DIRECTIVES, *AUTHORED}
    assert words.FUNCTIONS.keys() == {*FUNCTIONS}


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "kernels").glob("*.asm")), ids=lambda p: p.stem)  # fmt: skip
def test_the_shipped_kernels_have_no_errors(editor: Editor, path: Path) -> None:
    assert editor.open(path.read_text(encoding="utf-8"), path.as_uri()) == []
