"""The chip files say the published machine, and a wrong one is refused by field."""

from __future__ import annotations

from pathlib import Path

import pytest

from isa.errors import InputError
from isa.instruction import WORD_BITS
from isa.machine import CHIPS, LIMITS, Machine, load_chip, parse_chip

TINY = (CHIPS / "tiny.toml").read_text()


def test_published_budgets_a_cycle(tsp1: Machine) -> None:
    """Bytes on streams, bytes of SRAM, bytes of instructions and int8 multiply-accumulates: MACHINE's own numbers."""
    assert tsp1.lanes == 320
    assert 2 * tsp1.streams * tsp1.lanes == 20_480
    assert 2 * tsp1.slices * 2 * tsp1.lanes == 56_320
    assert tsp1.queues * WORD_BITS // 8 == 2_304
    assert 2 * tsp1["mxm.planes"] * tsp1.lanes**2 == 409_600
    assert 2 * tsp1.slices * tsp1.words * tsp1.lanes == 220 * 2**20


def test_published_queues(tsp1: Machine) -> None:
    """144: 88 MEM, 16 VXM, 12 MXM, 28 SXM and C2C."""
    kinds = tsp1.queue_kinds
    assert tsp1.queues == len(tsp1.queue_names) == len(set(tsp1.queue_names)) == 144
    assert [kinds.count(k) for k in ("MEM", "VXM", "MXM")] == [88, 16, 12]
    assert kinds.count("SXM") + kinds.count("C2C") == 28
    firsts = [kinds.index(k) for k in ("MEM", "VXM", "MXM", "SXM", "C2C")]
    assert firsts == [0, tsp1.vxm_queue, tsp1.mxm_queue, tsp1.sxm_queue, tsp1.c2c_queue]


def test_order_from_west_to_east(tsp1: Machine) -> None:
    place = dict(zip(tsp1.queue_names, tsp1.queue_positions, strict=True))
    row = [
        "MXM_W1.weights",
        "SXM_W.0",
        "MEM_W43",
        "MEM_W0",
        "VXM_3",
        "MEM_E0",
        "MEM_E43",
        "SXM_E.7",
        "MXM_E0.weights",
    ]
    assert [place[name] for name in row] == [0, 1, 2, 45, 46, 47, 90, 91, 92]
    assert place["C2C_E.0"] == place["SXM_E.0"]
    assert tsp1.positions == 93
    for side in ("W", "E"):
        for i in (0, 43):
            queue = tsp1.mem_queue(side, i)
            assert tsp1.queue_names[queue] == f"MEM_{side}{i}"
            assert tsp1.mem_position(side, i) == tsp1.queue_positions[queue]


@pytest.mark.parametrize("name", sorted(p.stem for p in CHIPS.glob("*.toml")))
def test_presets(name: str) -> None:
    machine = load_chip(name)
    assert machine.name == name
    assert {n for n, _ in machine.facts} >= LIMITS.keys()


def test_abi_hash_is_of_what_a_schedule_depends_on() -> None:
    renamed = TINY.replace('value = "tiny"', 'value = "other"').replace(
        "900_000_000", "1_000_000_000"
    )
    slower = TINY.replace("mem_read = { value = 5", "mem_read = { value = 6")
    assert parse_chip(renamed, "").abi_hash == load_chip("tiny").abi_hash
    assert parse_chip(slower, "").abi_hash != load_chip("tiny").abi_hash


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("[chip]", "[chip", "not a chip file"),
        ("hop =", "hops =", "missing field streams.hop"),
        (
            "[timing]",
            "[timing]\nmore = { value = 1, source = 'assumed' }",
            "unknown field timing.more",
        ),
        ('hop = { value = 1, source = "assumed"', "hop = { value = 1", "streams.hop has no source"),
        (
            'hop = { value = 1, source = "assumed"',
            'hop = { value = 1, source = "guess"',
            "no source",
        ),
        ("hop = { value = 1", "hop = { values = 1", "streams.hop has no value"),
        ("hop = { value = 1", "hop = { value = 1.5", "streams.hop is not a count"),
        ("mem_write = { value = 1", "mem_write = { value = 0", "timing.mem_write = 0 is outside 1"),
        (
            "c2c_hop = { value = 650",
            "c2c_hop = { value = 0",
            "timing.c2c_hop = 0 is outside 1 .. 65536",
        ),
        ("hop = { value = 1", "hop = { value = -1", "streams.hop = -1 is outside 1 .. 64"),
        ("words = { value = 256", "words = { value = 65_536", "a word address has 16 bits"),
        ('name = { value = "tiny"', "name = { value = 3", "chip.name is not a text"),
    ],
)
def test_wrong_chip_files(old: str, new: str, text: str) -> None:
    assert old in TINY
    with pytest.raises(InputError, match=text) as caught:
        parse_chip(TINY.replace(old, new, 1), "mine.toml")
    assert caught.value.number == 150
    assert caught.value.where == "mine.toml"


def test_no_such_chip(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no chip") as caught:
        load_chip(str(tmp_path / "none.toml"))
    assert caught.value.number == 151
    assert "tsp1-deep" in caught.value.hint


def test_a_chip_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TINY.replace("slices = { value = 12", "slices = { value = 3"))
    assert load_chip(str(path)).positions == 11


def test_a_chip_without_stagger_is_one() -> None:
    assert parse_chip(TINY.replace("stagger = { value = 4", "stagger = { value = 0"), "")
