"""One rule an instruction, one instruction a rule: forgetting either fails at import, by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from isa.assembly.syntax import GRAMMAR, compare_grammar, rule_of
from isa.instruction import REGISTRY

TEXT = GRAMMAR.read_text()


def test_every_rule_is_its_class() -> None:
    compare_grammar(TEXT, REGISTRY.values())
    for cls in REGISTRY.values():
        assert f"\n{cls.mnemonic}: {rule_of(cls)}\n" in TEXT


@pytest.mark.parametrize("mnemonic", REGISTRY)
def test_a_missing_rule_is_named(mnemonic: str) -> None:
    cls = REGISTRY[mnemonic]
    without = TEXT.replace(f"\n{mnemonic}: {rule_of(cls)}\n", "\n")
    with pytest.raises(
        TypeError, match=f"class {cls.__name__} .* has no rule .* add `{mnemonic}: "
    ):
        compare_grammar(without, REGISTRY.values())
    others = [c for c in REGISTRY.values() if c is not cls]
    with pytest.raises(TypeError, match=f"rule {mnemonic} of assembly.lark has no class"):
        compare_grammar(TEXT, others)


def test_an_unlisted_rule_is_named() -> None:
    with pytest.raises(TypeError, match=r"class Read .* has no rule"):
        compare_grammar(TEXT.replace("| read |", "|"), REGISTRY.values())


def test_a_rule_with_other_operands_is_named() -> None:
    other = TEXT.replace('read: "read" UINT "," STREAM', 'read: "read" STREAM "," UINT')
    with pytest.raises(TypeError, match=r"rule read .*STREAM .*, but class Read \(isa.ops.mem\)"):
        compare_grammar(other, REGISTRY.values())


def test_lark_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, isa.assembly as a; a.assemble('@0 MEM_E0: read 0x0000, E0'); print('lark' in sys.modules)"
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "False\n"
