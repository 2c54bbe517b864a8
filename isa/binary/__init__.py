"""``.lpu`` files: a ``Program`` as bytes and back, the same bytes for the same program.

``words`` encodes bursts, ``facts`` what is text, ``container`` is the file around them. Reading checks form, not meaning: what
is read is a program that can be printed, written again to the same bytes and given to the verifier.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from isa.binary.container import Fetch, Raw, Section, Told, dump, load
from isa.binary.facts import decode_facts, encode_facts
from isa.binary.words import QUEUE_RUN, decode, encode
from isa.errors import InputError
from isa.files import write_atomic
from isa.machine import Machine
from isa.program import SEGMENT, Program, settle

Bursts = npt.NDArray[np.void]

PIECE = 4 << 20
"""Bytes read at once."""

__all__ = ["from_bytes", "read", "to_bytes", "write"]


def _chunks(program: Program) -> Iterator[bytes | memoryview]:
    """The file in pieces; the constants are not copied."""
    _check_indices(program, "")
    runs, words = encode(program.bursts, program.machine)
    data = program.data if len(program.data) else program.data.reshape(0, program.machine.lanes)
    arrays = {
        "facts": np.frombuffer(encode_facts(program), np.uint8),
        "queues": runs.view("<u4").reshape(-1, 2),
        "code": words.astype("<u8", copy=False),
        "nodes": np.ascontiguousarray(program.bursts["node"], "<u4"),
        "segments": np.ascontiguousarray(program.segments, SEGMENT).view("<u4").reshape(-1, 4),
        "data": np.ascontiguousarray(data, np.uint8),
    }
    known = {"data": program.data_digest}
    sections = {
        name: Section(array.shape, array.reshape(-1).view(np.uint8), known.get(name, ""))
        for name, array in arrays.items()
    }
    return dump(sections, program.machine.abi_hash)


def to_bytes(program: Program) -> bytes:
    """The program as one ``.lpu`` file. Raises ``InputError`` TSP511..TSP518 for what has no encoding."""
    return b"".join(_chunks(program))


def write(program: Program, path: str | os.PathLike[str]) -> None:
    """Write ``to_bytes(program)`` to ``path`` atomically; TSP520 when the place cannot be written."""
    write_atomic(path, _chunks(program))


def from_bytes(data: bytes, machine: Machine | None = None, where: str = "") -> Program:
    """Inverse of ``to_bytes``; raises ``InputError`` TSP502..TSP519, and TSP521 for a chip other than ``machine``."""
    view = np.frombuffer(data, np.uint8)

    def fetch(offset: int, size: int, told: Told) -> Raw:
        out = view[offset : offset + size].copy()
        told(out)
        return out

    return _program(fetch, len(data), machine, where)


def read(path: str | os.PathLike[str], machine: Machine | None = None) -> Program:
    """The program in a file, copied: a file changed later changes nothing. Raises as ``from_bytes``, and TSP501."""
    where = os.fspath(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(501, f"cannot be read: {reason}", where=where) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise InputError(501, "not a regular file", where=where)
    with open(descriptor, "rb", buffering=0) as file:

        def fetch(offset: int, size: int, told: Told) -> Raw:
            out = np.empty(size, np.uint8)
            done = 0
            file.seek(offset)
            while done < size:
                got = file.readinto(out[done : done + PIECE].data)
                if not got:
                    raise InputError(502, "the file became shorter while it was read", where=where)
                told(out[done : done + got])
                done += got
            return out

        try:
            return _program(fetch, status.st_size, machine, where)
        except OSError as error:
            raise InputError(501, f"cannot be read: {error.strerror}", where=where) from None


def _program(fetch: Fetch, size: int, machine: Machine | None, where: str) -> Program:
    program, digest = load(fetch, size, where, lambda s, abi: _parsed(s, abi, machine, where))
    settle(program, digest)
    return program


def _parsed(sections: dict[str, Section], abi: str, machine: Machine | None, where: str) -> Program:
    """The program of sections, of whose constants only the shape is looked at."""
    raw = sections["facts"].raw.tobytes()
    facts = decode_facts(raw, where)
    if facts.machine.abi_hash != abi:
        raise InputError(510, "the chip's ABI hash is not the one of its facts", where=where)
    if machine is not None and machine.abi_hash != abi:
        message = f"made for chip {facts.machine.name}, which is not {machine.name}"
        raise InputError(521, message, where=where, hint=f"compile it with --chip {machine.name}")
    bursts = _decode_code(sections, facts.machine, where)
    segments, constants = sections["segments"], sections["data"]
    constants.raw.flags.writeable = False
    program = Program(
        facts.machine,
        bursts,
        segments.raw.view(SEGMENT),
        constants.raw.reshape(constants.shape),
        facts.inputs,
        facts.outputs,
        facts.nodes,
        facts.meta,
    )
    _check_indices(program, where)
    if encode_facts(program) != raw:
        raise InputError(519, "section facts is not in its canonical form", where=where)
    return program


def _decode_code(sections: dict[str, Section], machine: Machine, where: str) -> Bursts:
    """Bursts with their nodes; what is wrong with a word is told with the file's name."""
    for name, columns in (("queues", 2), ("code", 2), ("segments", 4)):
        if sections[name].shape[1] != columns:
            raise InputError(507, f"section {name} has not {columns} columns", where=where)
    words = sections["code"].raw.view("<u8").reshape(-1, 2)
    try:
        bursts = decode(sections["queues"].raw.view(QUEUE_RUN), words, machine)
    except InputError as error:
        place = f"{where}: {error.where}" if where and error.where else where or error.where
        raise InputError(error.number, error.message, where=place) from None
    nodes = sections["nodes"].raw.view("<u4")
    if len(nodes) != len(bursts):
        message = f"{len(bursts)} instructions, but nodes for {len(nodes)}"
        raise InputError(516, message, where=where)
    bursts["node"] = nodes
    return bursts


def _check_indices(program: Program, where: str) -> None:
    """Nodes, words and rows that exist; raises TSP516, TSP517."""
    machine, segments, data = program.machine, program.segments, program.data
    nodes = program.bursts["node"]
    if len(nodes) and nodes.max() >= len(program.nodes):
        message = f"node {nodes.max()} of {len(program.nodes)}"
        raise InputError(516, message, where=where)
    if data.ndim != 2 or (len(data) and data.shape[1] != machine.lanes):
        message = f"constants of shape {data.shape}, not rows of {machine.lanes} bytes"
        raise InputError(517, message, where=where)
    slice_, address, count, first = (segments[n].astype(np.int64) for n in SEGMENT.names or ())
    bad = (slice_ >= 2 * machine.slices) | (address + count > machine.words)
    bad |= first + count > len(data)
    if bad.any():
        i = int(bad.argmax())
        message = f"segment {i}: {segments[i]} is outside the memory or the constants"
        raise InputError(517, message, where=where)
