"""The grammar for highlighting: what is committed is what is made, and every word of the language has its scope."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from isa.assembly.lines import AUTHORED, DIRECTIVES
from isa.assembly.names import FUNCTIONS
from isa.assembly.syntax import instruction_text
from isa.instruction import REGISTRY, Instruction, Kind
from isa.machine import load_chip
from isa.textmate import SCOPE, grammar

ROOT: Final = Path(__file__).parents[2]
COMMITTED: Final = ROOT / "examples" / "editors" / "tsp.tmLanguage.json"
GRAMMAR: Final[dict[str, Any]] = json.loads(grammar())
RULES: Final = [(re.compile(rule["match"]), rule) for rule in GRAMMAR["patterns"]]


def tokens(line: str) -> dict[str, str]:
    """Words of a line by TextMate's rule: at each place the pattern that matches first, the earliest listed of several."""
    found: dict[str, str] = {}
    at = 0
    while at < len(line):
        matches = [(m.start(), n, m, rule) for n, (pattern, rule) in enumerate(RULES)
                   if (m := pattern.search(line, at)) and m.end() > at]  # fmt: skip
        if not matches:
            break
        _, _, match, rule = min(matches, key=lambda found: found[:2])
        if "name" in rule:
            found[match[0].strip()] = rule["name"].removesuffix(".tsp")
        for group, scope in rule.get("captures", {}).items():
            found[match[int(group)]] = scope["name"].removesuffix(".tsp")
        at = match.end()
    return found


def test_what_is_committed_is_what_is_made() -> None:
    """After a change: tspc lsp --textmate > examples/editors/tsp.tmLanguage.json."""
    assert COMMITTED.read_text(encoding="utf-8") == grammar()


def test_the_form_of_a_textmate_grammar() -> None:
    assert GRAMMAR["scopeName"] == SCOPE
    for rule in GRAMMAR["patterns"]:
        assert rule.keys() <= {"name", "match", "captures"}
        assert "match" in rule
        assert ("name" in rule) is not ("captures" in rule)
        assert not re.fullmatch(rule["match"], "")


def canonical(cls: type[Instruction]) -> str:
    """A dispatch of an instruction, every operand at its smallest."""
    machine = load_chip("tsp1")
    args = [1 if o.kind in (Kind.SOURCE, Kind.STREAM_OR_NONE) else 0 for o in cls.operands]
    unit = "MEM" if cls.unit == "ICU" else cls.unit
    queue = machine.queue_names[machine.queue_kinds.index(unit) + max(cls.role, 0)]
    return f"@0 {queue}: {instruction_text(cls, args, machine)}"


@pytest.mark.parametrize("mnemonic", REGISTRY)
def test_every_instruction(mnemonic: str) -> None:
    """Spaced as one likes; the same word as a name is no instruction."""
    line = canonical(REGISTRY[mnemonic])
    scope = f"keyword.mnemonic.{REGISTRY[mnemonic].unit.lower()}"
    queue = line.split(":")[0].split()[-1]
    for shown in (line, line.replace(": ", ":"), f"  q: @arrives {queue} :  {mnemonic}"):
        assert tokens(shown)[mnemonic] == scope
        assert tokens(shown)[queue] == "entity.name.type.queue"
    assert not tokens(f".let {mnemonic}_ = 1")[f"{mnemonic}_"].startswith("keyword")


@pytest.mark.parametrize("directive", [*DIRECTIVES, *AUTHORED])
def test_every_directive(directive: str) -> None:
    assert re.fullmatch(r"keyword\.\w+\.directive", tokens(f"  {directive} x")[directive])
    assert directive not in tokens(f"{directive}x y")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function(function: str) -> None:
    assert tokens(f"@{function}(a) MEM_E0: read 0, E0")[function] == "support.function"


@pytest.mark.parametrize(
    ("line", "word", "scope"),
    [
        ("@120 MEM_E17: read 0x0123, E3", "@120", "constant.numeric.cycle"),
        ("@120 MEM_E17: read 0x0123, E3", "0x0123", "constant.numeric"),
        ("@120 MEM_E17: read 17, W31", "17", "constant.numeric"),
        ("@120 MEM_E17: read 17, W31", "W31", "variable.language.stream"),
        (".let a = 1.5e-3", "1.5e-3", "constant.numeric"),
        (".f16 1, -0.5 x3", "0.5", "constant.numeric"),
        (".f16 1, -0.5 x3", "x3", "constant.numeric.repeat"),
        ("@0 VXM_0: add f32, alu5~2, #1.5", "#1.5", "constant.numeric.immediate"),
        ("@0 VXM_0: add f32, alu5~2, #0x3fc00000", "#0x3fc00000", "constant.numeric.immediate"),
        ("@0 VXM_0: add f32, alu5~2, #-inf", "#-inf", "constant.numeric.immediate"),
        ("@0 VXM_0: add f32, alu5~2, #-127-zero", "#-127", "constant.numeric.immediate"),
        ("@0 VXM_0: add f32, alu5~2, #zero", "#", "keyword.operator.immediate"),
        ("@0 VXM_0: add f32, alu5~2, #1", "alu5", "variable.language.alu"),
        ("@0 VXM_0: add f32, E0, E1, saturate", "f32", "storage.type"),
        ("@0 VXM_0: add f32, E0, E1, saturate", "saturate", "keyword.other.flag"),
        ("@0 VXM_0: add f32, E0, E1, imm=0x3f", "imm=0x3f", "constant.numeric.bits"),
        ("@0 VXM_0: add f32, E0, E1 -> E4, W8", "->", "keyword.operator.results"),
        ("@0 MEM_E1: read 0, E0 x128 /1 +1 !4", "x128", "constant.numeric.repeat"),
        ("@0 MEM_E1: read 0, E0 x128 /1 +1 !4", "!4", "constant.numeric.repeat"),
        ("@0 MEM_E1: read 0, E0 x{n}", "x", "keyword.operator.repeat"),
        ("@0 MXM_E0.accumulate: acc f16, 0, start, W0", "start", "keyword.other.flag"),
        ("@start(load) MEM_E0: read 0, E0", "start", "support.function"),
        ("@arrives MEM_E0: write 0, E0", "arrives", "support.function"),
        ("load: @arrives x: read E0", "load", "entity.name.label"),
        ("here:  ; a label alone", "here", "entity.name.label"),
        ("x: read E0  ; of a tensor: all", "x", "variable.other"),
        ("put(1, 2)", "put", "entity.name.function"),
        (".kernel scale(n)", "scale", "entity.name.function"),
        ("first: @20 scale(4)", "scale", "entity.name.function"),
        (".uses VXM_8..VXM_11, MXM_E0.weights", "VXM_11", "entity.name.type.queue"),
        (".uses VXM_8..VXM_11, MXM_E0.weights", "MXM_E0.weights", "entity.name.type.queue"),
        (".in x: W0 f32 @t at VXM x{n}", "x", "keyword.operator.repeat"),
        (".out y: E4 f32 @t at VXM x4", "y", "entity.name.constant"),
        (".macro put(a, b)", "put", "entity.name.function"),
        (".let base = 0x10 + n", "base", "entity.name.constant"),
        (".let base = 0x10 + n", "n", "variable.other"),
        (".for i in 0..n step 2", "in", "keyword.other.flag"),
        (".for i in 0..n step 2", "..", "keyword.operator"),
        (".tensor x f32 4 32 at MEM_E0:0 input", "input", "keyword.other.flag"),
        ('.meta "a ; b" "c"  ; d "e"', '"a ; b"', "string.quoted.double"),
        ('.meta "a ; b" "c"  ; d "e"', '; d "e"', "comment.line.semicolon"),
        (".data AAAA/+1=", "AAAA/+1=", "string.unquoted.base64"),
        (".fact vxm.immediates true assumed \"\"", "true", "constant.language"),
    ],
)  # fmt: skip
def test_words(line: str, word: str, scope: str) -> None:
    assert tokens(line)[word] == scope


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples" / "kernels").glob("*.asm")), ids=lambda p: p.stem
)
def test_nothing_of_the_shipped_kernels_is_left_without_a_scope(path: Path) -> None:
    """But punctuation."""
    for line in path.read_text(encoding="utf-8").split("\n"):
        rest = line
        for word in sorted(tokens(line), key=len, reverse=True):
            rest = rest.replace(word, " ")
        assert not re.sub(r"[\s,:(){}\[\].]", "", rest), line
