"""Section ``facts``: chip, node names, inputs, outputs and free text, as canonical JSON (sorted keys, ASCII, no spaces)."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from typing import Any, NoReturn

from isa.errors import InputError
from isa.instruction import DType
from isa.machine import SOURCES, Fact, Machine, make_machine
from isa.program import Piece, PortTensor, Program, tensor_problem

_PIECE_FIELDS = tuple(f.name for f in dataclasses.fields(Piece))


def dump_json(value: object) -> bytes:
    """``value`` as canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def strict_json(raw: bytes, what: str, where: str) -> Any:
    """Parse JSON; raises ``InputError`` TSP504 unless valid, TSP505 when an object has a key twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            key = Counter(k for k, _ in pairs).most_common(1)[0][0]
            raise InputError(505, f"{what}: key {key[:80]!r} stands twice", where=where)
        return table

    def refuse(text: str) -> NoReturn:
        raise ValueError(f"{text} is not JSON")

    try:
        return json.loads(raw.decode("ascii"), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(504, f"{what} is not valid JSON: {error}", where=where) from None


def _tensor(tensor: PortTensor) -> dict[str, object]:
    pieces = [[int(getattr(p, f)) for f in _PIECE_FIELDS] for p in tensor.pieces]
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "abi_dtype": tensor.abi_dtype,
        "dtype": tensor.dtype.name,
        "range": [tensor.minimum, tensor.maximum],
        "pieces": pieces,
    }


def encode_facts(program: Program) -> bytes:
    """The section's bytes; raises ``InputError`` TSP518 for a tensor that does not lie on the chip."""
    for kind, tensors in (("input", program.inputs), ("output", program.outputs)):
        _check_tensors(kind, tensors, program.machine, "")
    return dump_json(
        {
            "machine": {k: [f.value, f.source, f.note] for k, f in program.machine.facts},
            "meta": [list(pair) for pair in program.meta],
            "nodes": list(program.nodes),
            "inputs": [_tensor(t) for t in program.inputs],
            "outputs": [_tensor(t) for t in program.outputs],
        }
    )


def _check_tensors(kind: str, tensors: tuple[PortTensor, ...], machine: Machine, at: str) -> None:
    names = Counter(t.name for t in tensors)
    for tensor in tensors:
        problem = tensor_problem(tensor, machine)
        if names[tensor.name] > 1:
            problem = "stands twice"
        if problem:
            raise InputError(518, f"{kind} {tensor.name[:80]!r}: {problem}", where=at)


class _Reader:
    """Takes typed values out of parsed JSON; anything unexpected is TSP518 naming its place."""

    def __init__(self, where: str) -> None:
        self.where = where

    def fail(self, path: str, wanted: str) -> NoReturn:
        raise InputError(518, f"facts: {path} is not {wanted}", where=self.where)

    def integer(self, value: Any, path: str) -> int:
        if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
            self.fail(path, "a 64-bit integer")
        return value

    def text(self, value: Any, path: str) -> str:
        if type(value) is not str:
            self.fail(path, "a text")
        return value

    def items(self, value: Any, path: str, size: int | None = None) -> list[Any]:
        if type(value) is not list or (size is not None and len(value) != size):
            self.fail(path, "a list" if size is None else f"a list of {size}")
        return value

    def table(self, value: Any, path: str, keys: set[str] | None = None) -> dict[str, Any]:
        if type(value) is not dict or (keys is not None and value.keys() != keys):
            self.fail(path, "an object" if keys is None else f"an object of {sorted(keys)}")
        return value

    def all(self, value: Any, path: str, one: Callable[[Any, str], Any]) -> tuple[Any, ...]:
        return tuple(one(v, f"{path}[{i}]") for i, v in enumerate(self.items(value, path)))

    def piece(self, value: Any, path: str) -> Piece:
        items = self.items(value, path, size=len(_PIECE_FIELDS))
        *numbers, splat = (self.integer(v, path) for v in items)
        if splat not in (0, 1):
            self.fail(path, "a piece")
        named = dict(zip(_PIECE_FIELDS, numbers, strict=False))
        return Piece(**named, splat=bool(splat))

    def tensor(self, value: Any, path: str) -> PortTensor:
        keys = {"name", "shape", "abi_dtype", "dtype", "range", "pieces"}
        entry = self.table(value, path, keys)
        dtype = self.text(entry["dtype"], f"{path}.dtype")
        if dtype not in DType.__members__:
            self.fail(f"{path}.dtype", "a type")
        low, high = (
            self.integer(v, f"{path}.range") for v in self.items(entry["range"], path, size=2)
        )
        return PortTensor(
            self.text(entry["name"], f"{path}.name"),
            self.all(entry["shape"], f"{path}.shape", self.integer),
            self.text(entry["abi_dtype"], f"{path}.abi_dtype"),
            DType[dtype],
            self.all(entry["pieces"], f"{path}.pieces", self.piece),
            low,
            high,
        )

    def fact(self, value: Any, path: str) -> Fact:
        number, source, note = self.items(value, path, size=3)
        if type(number) not in (int, bool, str) or source not in SOURCES:
            self.fail(path, "a chip fact")
        return Fact(number, source, self.text(note, path))


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What the section says."""

    machine: Machine
    meta: tuple[tuple[str, str], ...]
    nodes: tuple[str, ...]
    inputs: tuple[PortTensor, ...]
    outputs: tuple[PortTensor, ...]


def decode_facts(raw: bytes, where: str) -> Facts:
    """Inverse of ``encode_facts``; raises ``InputError`` TSP504/505 (JSON), TSP510 (chip), TSP518 (all else)."""
    reader = _Reader(where)
    top = strict_json(raw, "section facts", where)
    top = reader.table(top, "the section", {"machine", "meta", "nodes", "inputs", "outputs"})
    chip = reader.table(top["machine"], "machine")
    chip = {k: reader.fact(v, f"machine.{k}") for k, v in chip.items()}
    try:
        machine = make_machine(chip, where)
    except InputError as error:
        raise InputError(510, error.message, where=where) from None

    def pair(value: Any, path: str) -> tuple[str, str]:
        key, text = reader.items(value, path, size=2)
        return reader.text(key, path), reader.text(text, path)

    facts = Facts(
        machine,
        reader.all(top["meta"], "meta", pair),
        reader.all(top["nodes"], "nodes", reader.text),
        reader.all(top["inputs"], "inputs", reader.tensor),
        reader.all(top["outputs"], "outputs", reader.tensor),
    )
    _check_tensors("input", facts.inputs, machine, where)
    _check_tensors("output", facts.outputs, machine, where)
    return facts
