"""Declarations that cannot be told apart, or do not fit a word, fail when they are made, by name."""

from __future__ import annotations

import pytest

from isa.instruction import (
    BY_OPCODE,
    REGISTRY,
    Instruction,
    Kind,
    Source,
    SourceKind,
    instruction,
    operand,
)


def test_a_name_or_opcode_taken_twice() -> None:
    before = dict(REGISTRY), dict(BY_OPCODE)
    for mnemonic, opcode in (("read", 0xF0), ("other", 0x10)):
        with pytest.raises(TypeError, match="Mine and Read both claim"):

            @instruction(mnemonic, opcode, "MEM")
            class Mine(Instruction):
                pass

    assert before == (REGISTRY, BY_OPCODE)


def test_more_bits_than_a_word_has() -> None:
    with pytest.raises(
        TypeError, match="Wide does not fit an instruction word: 144 bits, 2 operands"
    ):

        @instruction("wide", 0xF0, "MEM")
        class Wide(Instruction):
            a: int = operand(Kind.UINT, 60)
            b: int = operand(Kind.UINT, 60)


def test_every_instruction_says_what_it_is() -> None:
    for cls in REGISTRY.values():
        assert (cls.__doc__ or "").strip()
        assert cls.unit in ("MEM", "VXM", "MXM", "SXM", "C2C", "ICU")
        assert sum(o.strided for o in cls.operands) <= 1
        assert cls.operands == tuple(dict.fromkeys(cls.operands))


def test_sources_pack_and_unpack() -> None:
    for kind in SourceKind:
        for index in (0, 1, 63):
            for delay in (0, 1, 63):
                source = Source(kind, index, delay)
                assert Source.unpack(source.pack()) == source
