"""Instruction words: the encoding is a bijection between programs and the words that the decoder accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from isa.binary.words import QUEUE_RUN, decode, encode
from isa.errors import InputError
from isa.fields import field_range
from isa.instruction import BY_OPCODE, REGISTRY, Kind
from isa.machine import Machine
from isa.program import BURST, Program

NOP, REPEAT, READ, WRITE = (REGISTRY[n].opcode for n in ("nop", "repeat", "read", "write"))


def burst(
    queue: int = 0, opcode: int = READ, cycle: int = 0, args: tuple[int, ...] = (), **kw: int
) -> Any:
    row = (queue, opcode, 0, cycle, kw.get("count", 1), kw.get("interval", 1), kw.get("stride", 0))
    return (*row, args + (0,) * (10 - len(args)))


def encoding_error(machine: Machine, *rows: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        encode(np.array(list(rows), BURST), machine)
    return caught.value


def decoding_error(machine: Machine, words: list[int], runs: list[tuple[int, int]]) -> InputError:
    halves = np.array([[w & (1 << 64) - 1, w >> 64] for w in words], np.uint64).reshape(-1, 2)
    with pytest.raises(InputError) as caught:
        decode(np.array(runs, QUEUE_RUN), halves, machine)
    return caught.value


def test_a_known_word(tiny: Machine) -> None:
    """Opcode in bits 0..7, wait in 8..23, then operands; a long wait and a repeat are words of their own."""
    rows = [burst(cycle=0x12345, args=(0x1FF, 4), count=3, stride=-1)]
    runs, words = encode(np.array(rows, BURST), tiny)
    assert runs.tolist() == [(0, 3)]
    assert words[0].tolist() == [NOP | 0x12345 << 24, 0]
    assert words[1].tolist() == [READ | 0x1FF << 24 | 4 << 40, 0]
    assert words[2].tolist() == [REPEAT | 3 << 24 | 1 << 56, 0xFFFFFFFF << 24]


def test_every_field_reaches_its_extremes(tsp1: Machine) -> None:
    """Each operand of each instruction, alone at its smallest and largest value, comes back."""
    for cls in REGISTRY.values():
        if cls.word_only:
            continue
        for i, field in enumerate(cls.operands):
            if field.kind is Kind.SOURCE:
                continue
            for value in field_range(field, tsp1):
                args = tuple(value if k == i else 0 for k in range(len(cls.operands)))
                bursts = np.array([burst(opcode=cls.opcode, args=args)], BURST)
                assert (decode(*encode(bursts, tsp1), tsp1) == bursts).all(), (cls, field)


def test_no_field_is_masked(tiny: Machine) -> None:
    """One past either end of every operand of every instruction is refused by name."""
    for cls in REGISTRY.values():
        if cls.word_only:
            continue
        for i, field in enumerate(cls.operands):
            low, high = field_range(field, tiny)
            for value in (low - 1, high + 1, 1 << 62):
                args = tuple(value if k == i else 0 for k in range(len(cls.operands)))
                error = encoding_error(tiny, burst(opcode=cls.opcode, args=args))
                assert error.number == 513
                assert f"{cls.mnemonic}: {field.name} = {value}" in error.message


def test_sources_without_meaning(tiny: Machine) -> None:
    """A stream or ALU that is not there; bits of an immediate that say nothing."""
    mov = REGISTRY["mov"].opcode
    for source in (2 | 16 << 2, 3 | 1 << 2, 0 | 1 << 8):
        error = encoding_error(tiny, burst(2 * tiny.slices, mov, args=(0, source)))
        assert error.number == 513


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"count": 0}, "count = 0"),
        ({"count": 1 << 32}, "count"),
        ({"interval": 1 << 32}, "interval"),
        ({"interval": -1}, "interval = -1"),
        ({"stride": 1 << 31}, "stride"),
        ({"args": (0,) * 9 + (1,)}, "beyond its 2 operands"),
    ],
)
def test_repeats_and_spare_values(tiny: Machine, row: dict[str, Any], text: str) -> None:
    error = encoding_error(tiny, burst(**row))
    assert error.number == 513
    assert text in error.message
    assert error.where == "MEM_W0, cycle 0"


@pytest.mark.parametrize(
    ("rows", "number"),
    [
        ([{"cycle": -1}], 514),
        ([{"cycle": 1 << 40}], 514),
        ([{"queue": 999}], 514),
        ([{"queue": 1}, {"queue": 0}], 514),
        ([{"cycle": 2}, {"cycle": 1}], 514),
        ([{}, {}], 514),
        ([{"opcode": WRITE}, {"opcode": READ}], 514),
        ([{"queue": 24, "opcode": READ}, {"queue": 24, "opcode": WRITE}], 514),
        ([{"opcode": 0xEE}], 511),
        ([{"opcode": NOP}], 511),
        ([{"opcode": 300}], 511),
    ],
)
def test_programs_without_encoding(tiny: Machine, rows: list[dict[str, Any]], number: int) -> None:
    """Queue 24 of ``tiny`` is a VXM ALU: only a MEM queue dispatches two at once."""
    assert encoding_error(tiny, *(burst(**r) for r in rows)).number == number


def test_read_and_write_may_share_a_cycle(tiny: Machine) -> None:
    bursts = np.array([burst(cycle=7), burst(opcode=WRITE, cycle=7)], BURST)
    assert (decode(*encode(bursts, tiny), tiny) == bursts).all()


R1 = READ | 1 << 8
"""A read one cycle after its predecessor."""


@pytest.mark.parametrize(
    ("words", "runs", "number"),
    [
        ([0], [(0, 1)], 511),
        ([0xEE], [(0, 1)], 511),
        ([R1 | 1 << 127], [(0, 1)], 512),
        ([R1 | 1 << 46], [(0, 1)], 512),
        ([NOP | 1 << 8 | 0x10000 << 24, READ], [(0, 2)], 512),
        ([NOP | 0x10000 << 24], [(0, 1)], 515),
        ([NOP | 0x10000 << 24, READ], [(0, 1), (1, 1)], 515),
        ([NOP | 0x10000 << 24, NOP | 0x10000 << 24, READ], [(0, 3)], 515),
        ([NOP | 0xFFFF << 24, READ], [(0, 2)], 515),
        ([NOP | 0x10000 << 24, R1], [(0, 2)], 515),
        ([REPEAT | 2 << 24 | 1 << 56], [(0, 1)], 515),
        ([R1, REPEAT | 2 << 24 | 1 << 56, REPEAT | 2 << 24 | 1 << 56], [(0, 3)], 515),
        ([R1, REPEAT | 1 << 24 | 1 << 56], [(0, 2)], 515),
        ([R1, REPEAT | 0 << 24 | 1 << 56], [(0, 2)], 513),
        ([R1, READ], [(0, 2)], 514),
        ([R1, R1], [(1, 1), (0, 1)], 514),
        ([R1, R1], [(0, 1), (0, 1)], 514),
        ([R1], [(999, 1)], 514),
        ([R1], [(0, 1), (1, 0)], 514),
        ([R1], [(0, 2)], 514),
        ([REGISTRY["mov"].opcode | 1 << 8 | 15 << 24], [(24, 1)], 513),
    ],
)
def test_words_that_no_encoder_makes(
    tiny: Machine, words: list[int], runs: list[tuple[int, int]], number: int
) -> None:
    assert decoding_error(tiny, words, runs).number == number


def test_waits_cannot_overflow(tiny: Machine) -> None:
    longest = [NOP | (1 << 40) - 1 << 24, READ]
    assert decoding_error(tiny, longest * 2, [(0, 4)]).number == 514


def test_random_words_are_refused_or_canonical(tiny: Machine) -> None:
    """Whatever the decoder accepts, the encoder gives back: no second spelling exists."""
    rng = np.random.RandomState(0)
    codes = np.array(sorted(BY_OPCODE))
    accepted = 0
    for _ in range(3000):
        size = rng.randint(1, 4)
        words = np.zeros((size, 2), np.uint64)
        words[:, 0] = rng.choice(codes, size) | (rng.choice([0, 1, 5], size) << 8)
        words[:, 0] |= (rng.choice([0, 1, 2, 3, 0x10000], size) << 24).astype(np.uint64)
        runs = np.array([(0, size)], QUEUE_RUN)
        try:
            bursts = decode(runs, words, tiny)
        except InputError:
            continue
        accepted += 1
        again_runs, again = encode(bursts, tiny)
        assert (again == words).all()
        assert again_runs.tolist() == runs.tolist()
    assert accepted > 300


def test_bursts_of_every_kind(tsp1: Machine, arbitrary: Callable[..., Program]) -> None:
    for seed in range(5):
        bursts = arbitrary(seed, tsp1, size=300).bursts.copy()
        bursts["node"] = 0
        assert (decode(*encode(bursts, tsp1), tsp1) == bursts).all()
