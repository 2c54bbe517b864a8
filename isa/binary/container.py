"""The file: the safetensors layout with page-aligned sections, read by a reader that accepts one form only.

``u64`` header length, JSON header, sections. The header names each section's type, shape and bytes; ``__metadata__`` holds
format version, chip ABI hash, instruction set hash and each section's SHA-256. Gaps are sections ``pad.<name>`` of zeros,
so that any safetensors reader opens the file. What is in the header follows from the sections, and the reader holds it
against that byte by byte: a bit flipped anywhere is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from isa.binary.facts import strict_json
from isa.errors import InputError
from isa.instruction import REGISTRY

VERSION: Final = "1"
FORMAT: Final = "tspc program"
PAGE: Final = 4096
HEADER_CAP: Final = 1 << 16
SECTIONS: Final = {
    "facts": ("U8", 1, 1),
    "queues": ("U32", 4, 2),
    "code": ("U64", 8, 2),
    "nodes": ("U32", 4, 1),
    "segments": ("U32", 4, 2),
    "data": ("U8", 1, 2),
}
"""Sections in file order: element type, its bytes, number of dimensions."""

Raw = npt.NDArray[np.uint8]
Told = Callable[[Raw], object]
Fetch = Callable[[int, int, Told], Raw]
"""``fetch(offset, size, told)`` gives exactly so many bytes of the file, and tells them piece by piece as they come."""


@cache
def isa_hash() -> str:
    """SHA-256 (hex) of all that decides what an instruction word says."""
    declared = {
        name: [cls.opcode, cls.unit, [[o.name, o.kind, o.bits, o.strided] for o in cls.operands]]
        for name, cls in REGISTRY.items()
    }
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Section:
    """Shape (in elements of the type that ``SECTIONS`` gives), bytes, and their SHA-256 (hex) where it is known."""

    shape: tuple[int, ...]
    raw: Raw
    digest: str = ""


T = TypeVar("T")
Parse = Callable[[dict[str, Section], str], T]


def _header(shapes: dict[str, tuple[int, ...]], digests: dict[str, str], abi: str) -> bytes:
    """The header that belongs to such sections, padded so that the first section begins on a page."""
    metadata = {"format": FORMAT, "version": VERSION, "chip": abi, "isa": isa_hash()}
    entries: dict[str, object] = {
        "__metadata__": metadata | {f"sha256.{name}": d for name, d in digests.items()}
    }
    offset = 0
    for name, (dtype, size, _) in SECTIONS.items():
        end = offset + size * math.prod(shapes[name])
        entries[name] = _entry(dtype, shapes[name], offset, end)
        offset = end
        if end % PAGE and name != list(SECTIONS)[-1]:
            offset = end - end % PAGE + PAGE
            entries[f"pad.{name}"] = _entry("U8", (offset - end,), end, offset)
    text = json.dumps(entries, separators=(",", ":")).encode()
    return text + b" " * (-(8 + len(text)) % PAGE)


def _entry(dtype: str, shape: tuple[int, ...], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def dump(sections: dict[str, Section], abi: str) -> Iterator[bytes | memoryview]:
    """The file of such sections, in pieces."""
    digests = {n: _digest(sections[n]) for n in SECTIONS}
    header = _header({n: sections[n].shape for n in SECTIONS}, digests, abi)
    yield struct.pack("<Q", len(header)) + header
    for name in SECTIONS:
        raw = sections[name].raw
        yield raw.data
        if name != list(SECTIONS)[-1]:
            yield bytes(-len(raw) % PAGE)


def _digest(section: Section) -> str:
    return section.digest or hashlib.sha256(section.raw.data).hexdigest()


def load(fetch: Fetch, size: int, where: str, parse: Parse[T]) -> tuple[T, str]:
    """What ``parse`` makes of the sections and the chip ABI hash of a file of ``size`` bytes; the last section's SHA-256 (hex).

    It is called while the last section is hashed, when all before it were found intact. Nothing is given back, and nothing
    that it raises counts, before the whole file was.

    Raises ``InputError``: TSP502 cut short, TSP503 no program, TSP504/505 header, TSP506 version, TSP507 sections, TSP508
    bytes behind the end, TSP509 checksum, TSP519 any other deviation.
    """
    if size < 8:
        raise InputError(503, f"{size} bytes are no program", where=where)
    (length,) = struct.unpack("<Q", fetch(0, 8, _nobody).tobytes())
    if not 2 <= length <= HEADER_CAP:
        message = f"not a program: its header would have {length} bytes"
        raise InputError(503, message, where=where)
    if 8 + length > size:
        raise InputError(502, "the file ends within its header", where=where)
    written = fetch(8, length, _nobody).tobytes()
    header = strict_json(written, "the header", where)
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise InputError(503, "not a program of this toolkit", where=where)
    if metadata.get("version") != VERSION:
        message = f"format version {str(metadata.get('version'))[:20]!r}, not {VERSION!r}"
        raise InputError(506, message, where=where, hint="compile the model again")
    if metadata.get("isa") != isa_hash():
        message = "made for another version of the instruction set"
        raise InputError(506, message, where=where, hint="compile the model again")
    shapes = {name: _shape(header, name, where) for name in SECTIONS}
    begin = 8 + length
    _check_size(header, begin, size, where)
    abi, sections, digests = str(metadata.get("chip")), dict[str, Section](), dict[str, str]()

    def check(name: str, known: Future[str]) -> None:
        digests[name] = known.result()
        if metadata.get(f"sha256.{name}") != digests[name]:
            message = f"section {name} is damaged: its SHA-256 is another"
            raise InputError(509, message, where=where)

    with ThreadPoolExecutor(1, "tspc-hash") as worker:
        for name in SECTIONS:
            start, end = header[name]["data_offsets"]
            raw, known = _hashed(fetch, begin + start, end - start, worker)
            sections[name] = Section(shapes[name], raw)
            if name == list(SECTIONS)[-1]:
                break
            check(name, known)
            pad = header.get(f"pad.{name}")
            if pad is not None and fetch(begin + end, -end % PAGE, _nobody).any():
                raise InputError(512, f"the gap behind section {name} is not zero", where=where)
        try:
            made = parse(sections, abi)
        finally:
            check(name, known)
            if _header(shapes, digests, abi) != written:
                raise InputError(519, "the header is not the one of its sections", where=where)
    return made, digests[name]


def _nobody(_piece: Raw) -> None:
    pass


def _hashed(fetch: Fetch, offset: int, size: int, worker: Executor) -> tuple[Raw, Future[str]]:
    """Bytes of a file, and their SHA-256 (hex), on which the one ``worker`` has been at work since the first piece was read."""
    found = hashlib.sha256()
    raw = fetch(offset, size, lambda piece: worker.submit(found.update, piece.data))
    return raw, worker.submit(found.hexdigest)


def _shape(header: dict[str, Any], name: str, where: str) -> tuple[int, ...]:
    """A section's shape, once its entry is of the right form; raises TSP507."""
    dtype, size, dimensions = SECTIONS[name]
    entry = header.get(name)
    if isinstance(entry, dict) and entry.keys() == {"dtype", "shape", "data_offsets"}:
        shape, offsets = entry["shape"], entry["data_offsets"]
        lists = isinstance(shape, list) and isinstance(offsets, list)
        counts = [*shape, *offsets] if lists else []
        good = entry["dtype"] == dtype and len(counts) == dimensions + 2 and len(offsets) == 2
        good = good and all(type(n) is int and 0 <= n < 1 << 48 for n in counts)
        if good and offsets[1] - offsets[0] == size * math.prod(shape):
            return tuple(shape)
    raise InputError(507, f"section {name} is missing or misdescribed", where=where)


def _check_size(header: dict[str, Any], begin: int, size: int, where: str) -> None:
    """Sections and gaps follow each other from 0 to the end of the file; raises TSP502, TSP507, TSP508."""
    position = 0
    last = list(SECTIONS)[-1]
    known = {"__metadata__"}
    for name in SECTIONS:
        start, end = header[name]["data_offsets"]
        if start != position or (begin + start) % PAGE:
            raise InputError(
                507, f"section {name} overlaps, leaves a gap or is off its page", where=where
            )
        position = end if name == last else end + -end % PAGE
        known |= {name, f"pad.{name}"}
    for name in header.keys() - known:
        raise InputError(507, f"section {name[:80]!r} is unknown", where=where)
    if begin + position > size:
        missing = begin + position - size
        raise InputError(502, f"the file is cut short by {missing} bytes", where=where)
    if begin + position < size:
        extra = size - begin - position
        raise InputError(508, f"{extra} bytes follow the end of the program", where=where)
