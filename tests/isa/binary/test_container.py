"""The file: round trips, and every damage refused with a number."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isa.binary import from_bytes, read, to_bytes, write
from isa.binary.container import Raw, Told, dump, load
from isa.errors import InputError
from isa.instruction import DType
from isa.machine import Machine
from isa.program import BURST, SEGMENT, Piece, PortTensor, Program

Arbitrary = Callable[..., Program]
Same = Callable[[Program, Program], bool]


def refused(data: bytes) -> int:
    """The number of the error that reading ``data`` gives."""
    with pytest.raises(InputError) as caught:
        from_bytes(data, where="p.lpu")
    assert caught.value.where.startswith("p.lpu")
    return caught.value.number


@pytest.fixture(scope="module")
def small(tiny: Machine) -> bytes:
    data = np.arange(3 * tiny.lanes, dtype=np.uint8).reshape(3, -1)
    bursts = np.array([(0, 0x10, 0, 5, 3, 1, 1, (2, 4) + (0,) * 8)], BURST)
    return to_bytes(Program(tiny, bursts, np.array([(0, 2, 3, 0)], SEGMENT), data))


@pytest.mark.parametrize("chip", ["tiny", "tsp1"])
@pytest.mark.parametrize("seed", range(4))
def test_reads_what_was_written(
    seed: int, chip: str, request: pytest.FixtureRequest, arbitrary: Arbitrary, same: Same
) -> None:
    """Any program survives the trip, and gives the same bytes again."""
    program = arbitrary(seed, request.getfixturevalue(chip))
    data = to_bytes(program)
    again = from_bytes(data)
    assert same(program, again)
    assert to_bytes(again) == data


def test_file_and_bytes_agree(
    tmp_path: Path, tiny: Machine, arbitrary: Arbitrary, same: Same
) -> None:
    program, path = arbitrary(9, tiny), tmp_path / "a.lpu"
    write(program, path)
    assert path.read_bytes() == to_bytes(program)
    assert same(read(path, tiny), program)


def test_empty_program(tiny: Machine, same: Same) -> None:
    program = Program(tiny, np.zeros(0, BURST))
    data = np.zeros((0, tiny.lanes), np.uint8)
    assert same(from_bytes(to_bytes(replace(program, data=data))), replace(program, data=data))


def test_official_layout(small: bytes) -> None:
    """Sections lie on pages and leave no byte out, as the safetensors format wants it."""
    (length,) = struct.unpack("<Q", small[:8])
    header = json.loads(small[8 : 8 + length])
    header.pop("__metadata__")
    spans = sorted(entry["data_offsets"] for entry in header.values())
    assert [a for a, _ in spans] == [0] + [b for _, b in spans[:-1]]
    assert 8 + length + spans[-1][1] == len(small)
    starts = [e["data_offsets"][0] for n, e in header.items() if not n.startswith("pad.")]
    assert all((8 + length + start) % 4096 == 0 for start in starts)


def test_a_flipped_bit_anywhere_is_refused(small: bytes) -> None:
    """Every bit of the header, and of every 37th byte behind it."""
    (length,) = struct.unpack("<Q", small[:8])
    used = len(small[8 : 8 + length].rstrip())
    places = [*range(0, 8 + used + 4, 3), *range(8 + used, len(small), 37), len(small) - 1]
    for place in places:
        bit = place % 8
        damaged = bytearray(small)
        damaged[place] ^= 1 << bit
        assert 500 < refused(bytes(damaged)) < 520, (place, bit)


def test_damage_is_told_before_what_it_may_have_caused(small: bytes) -> None:
    """Constants are still hashed while the sections before them are looked at; what is found there counts only after."""
    view = np.frombuffer(small, np.uint8)

    def fetch(offset: int, size: int, told: Told) -> Raw:
        told(view[offset : offset + size])
        return view[offset : offset + size]

    (sections, abi), _ = load(fetch, len(small), "", lambda *found: found)
    segments = sections["segments"].raw.copy()
    segments.view(SEGMENT)["count"] = 4
    wrong = sections | {"segments": replace(sections["segments"], raw=segments)}
    data = b"".join(dump(wrong, abi))
    assert refused(data) == 517
    assert refused(data[:-1] + bytes([data[-1] ^ 1])) == 509


def test_truncated_anywhere_is_refused(small: bytes) -> None:
    for size in [0, 7, 8, 100, *range(4096, len(small), 1000), len(small) - 1]:
        assert refused(small[:size]) in (502, 503)


def test_bytes_behind_the_end(small: bytes) -> None:
    assert refused(small + b"\0") == 508


@pytest.mark.parametrize(
    ("old", "new", "number"),
    [
        (b'{"__metadata__"', b'{"facts":0,"__metadata__"', 505),
        (b'{"__metadata__"', b'["__metadata__"', 504),
        (b'"version":"1"', b'"version":"2"', 506),
        (b'"isa":"', b'"isa":"f', 506),
        (b"tspc program", b"pt", 503),
        (b'"code":{', b'"more":{}, "code":{', 507),
        (b'"code":{', b'"kode":{', 507),
        (b'"U64"', b'"U32"', 507),
        (b'"chip":"', b'"chip": "', 519),
        (b'"sha256.code":"', b'"sha256.code":"0', 509),
    ],
)
def test_header_is_taken_literally(small: bytes, old: bytes, new: bytes, number: int) -> None:
    """Each kind of damage to the header has its own number."""
    (length,) = struct.unpack("<Q", small[:8])
    header = small[8 : 8 + length].rstrip().replace(old, new)
    header += b" " * (-(8 + len(header)) % 4096)
    assert refused(struct.pack("<Q", len(header)) + header + small[8 + length :]) == number


@pytest.mark.parametrize("length", [0, 1, 1 << 17, 1 << 63])
def test_header_length_is_capped(small: bytes, length: int) -> None:
    assert refused(struct.pack("<Q", length) + small[8:]) == 503


@pytest.mark.parametrize("text", [b"[" * 5000, b"NaN", b"1" * 5000, b"\xff{}", b"null"])
def test_hostile_json(text: bytes) -> None:
    assert refused(struct.pack("<Q", len(text)) + text) in (503, 504)


def test_another_chip(tmp_path: Path, small: bytes, tsp1: Machine) -> None:
    path = tmp_path / "a.lpu"
    path.write_bytes(small)
    with pytest.raises(InputError, match="tiny, which is not tsp1") as caught:
        read(path, tsp1)
    assert caught.value.number == 521


@pytest.mark.parametrize("make", ["missing", "folder", "fifo"])
def test_no_file(tmp_path: Path, make: str) -> None:
    """Also what would block or is no file."""
    path = tmp_path / make
    if make == "folder":
        path.mkdir()
    if make == "fifo":
        os.mkfifo(path)
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.number == 501


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, tiny: Machine) -> None:
    path = tmp_path / "a.lpu"
    path.write_text("old")
    bad = Program(tiny, np.array([(0, 0x10, 7, 5, 1, 1, 0, (2, 4) + (0,) * 8)], BURST))
    with pytest.raises(InputError) as caught:
        write(bad, path)
    assert caught.value.number == 516
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_stale_temporaries_are_swept(tmp_path: Path, tiny: Machine) -> None:
    """A killed writer's file goes; one just made may be in use and stays."""
    stale, fresh = tmp_path / ".a.lpu.tspc-dead", tmp_path / ".a.lpu.tspc-live"
    for path in (stale, fresh):
        path.write_text("part")
    os.utime(stale, (1, 1))
    write(Program(tiny, np.zeros(0, BURST)), tmp_path / "a.lpu")
    assert sorted(p.name for p in tmp_path.iterdir()) == [fresh.name, "a.lpu"]


def test_no_regular_target(tiny: Machine) -> None:
    with pytest.raises(InputError) as caught:
        write(Program(tiny, np.zeros(0, BURST)), "/dev/null")
    assert caught.value.number == 520


PIECE = Piece(1, 4, 0, 6, 0, 2, 0, 6)


@pytest.mark.parametrize(
    "piece",
    [
        replace(PIECE, slice=10**6),
        replace(PIECE, address=511),
        replace(PIECE, plane=4),
        replace(PIECE, rows=3),
        replace(PIECE, column=1),
        replace(PIECE, lane=27),
        replace(PIECE, lane=-1),
        replace(PIECE, view_columns=5),
        replace(PIECE, view_columns=0),
        replace(PIECE, splat=True),
    ],
)
def test_pieces_lie_on_the_chip(tiny: Machine, piece: Piece) -> None:
    """An input that would be written outside the memory has no encoding."""
    tensor = PortTensor("x", (3, 4), "int64", DType.I32, (piece,))
    with pytest.raises(InputError, match="piece 0") as caught:
        to_bytes(Program(tiny, np.zeros(0, BURST), inputs=(tensor,)))
    assert caught.value.number == 518


@pytest.mark.parametrize("segment", [(24, 0, 1, 0), (0, 511, 2, 0), (0, 0, 2, 2)])
def test_segments_lie_on_the_chip(tiny: Machine, segment: tuple[int, ...]) -> None:
    data = np.zeros((3, tiny.lanes), np.uint8)
    program = Program(tiny, np.zeros(0, BURST), np.array([segment], SEGMENT), data)
    with pytest.raises(InputError) as caught:
        to_bytes(program)
    assert caught.value.number == 517
