"""Section ``facts``: whatever stands in it, a number says what is wrong; nothing else is ever raised."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from isa.binary.facts import decode_facts, dump_json, encode_facts
from isa.errors import InputError
from isa.machine import Machine
from isa.program import Program

WRONG: list[Any] = [None, True, -1, 0, 1 << 70, 1.5, "x", [], {}, [[]], {"a": 1}]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value within a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of ``value`` with ``new`` at ``path``."""
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = changed(value[path[0]], path[1:], new)
    return value


def test_round_trip(tiny: Machine, arbitrary: Callable[..., Program]) -> None:
    program = arbitrary(0, tiny)
    facts = decode_facts(encode_facts(program), "")
    for name in ("machine", "meta", "nodes", "inputs", "outputs"):
        assert getattr(facts, name) == getattr(program, name)


def test_every_value_replaced_by_a_wrong_one(
    tiny: Machine, arbitrary: Callable[..., Program]
) -> None:
    """Refused with a number and the file's name, unless it happens to mean something."""
    top = json.loads(encode_facts(arbitrary(0, tiny)))
    refused = []
    for path in places(top):
        if path[:1] == ("machine",) and path[1:2] > ("mem",):
            continue
        for new in WRONG:
            try:
                decode_facts(dump_json(changed(top, path, new)), "p.lpu")
            except InputError as error:
                refused.append((error.number, error.where))
    assert len(refused) > 800
    assert set(refused) == {(510, "p.lpu"), (518, "p.lpu")}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b'{"nodes":[],"nodes":[]}', 505),
        (b"[NaN]", 504),
        (b"[" * 100_000, 504),
        ('["é"]'.encode(), 504),
        (b"[" + b"9" * 10_000 + b"]", 504),
        (b"", 504),
        (b"{}", 518),
    ],
)
def test_json_is_strict(text: bytes, number: int) -> None:
    with pytest.raises(InputError) as caught:
        decode_facts(text, "p.lpu")
    assert caught.value.number == number
