"""Every instruction gets its page without anyone writing one."""

from __future__ import annotations

import inspect

import pytest

from isa.assembly import assemble
from isa.instruction import REGISTRY
from isa.machine import Machine
from isa.manual import example, manual, meaning


@pytest.mark.parametrize("mnemonic", REGISTRY)
def test_a_page_an_instruction(mnemonic: str, tsp1: Machine) -> None:
    """Syntax, encoding, docstring and source stand on it, and its example is a program."""
    cls = REGISTRY[mnemonic]
    page = manual(tsp1).split(f"### `{mnemonic}`\n")[1].split("\n### `")[0]
    assert inspect.cleandoc(cls.__doc__ or "") in page
    assert f"{cls.opcode:#04x}" in page
    assert all(f"| `{o.name}` |" in page for o in cls.operands)
    assert meaning(cls).startswith("def ")
    assert meaning(cls) in page
    line = example(cls, tsp1)
    assert line in page
    if mnemonic != "repeat":
        assert len(assemble(line).bursts) == (not cls.word_only)


def test_latencies_say_where_they_come_from(tsp1: Machine, tiny: Machine) -> None:
    text = manual(tsp1)
    assert "`timing.vxm_alu` = 3 cycles on tsp1 [published: from published user code]" in text
    assert "`timing.mem_read` = 5 cycles on tsp1 [assumed]" in text
    assert "*Extension*, on chips with `vxm.compare`: eq, lt, le, select: comparisons" in text
    assert manual(tiny) != text
