"""What stands beside the instructions: chip, node names, free text, constants, inputs and outputs."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from isa.assembly.advice import FORMS
from isa.assembly.lines import Directive, Word
from isa.assembly.spelling import nearest
from isa.assembly.syntax import number
from isa.errors import InputError
from isa.instruction import DType
from isa.machine import CHIPS, SOURCES, Fact, Machine, load_chip, make_machine
from isa.program import SEGMENT, Array, Piece, PortTensor, tensor_problem

MISUSE: Final = 205
PLACE: Final = 206
CHIP: Final = 207
_FIRST: Final = ("chip", "fact")


class DirectiveError(Exception):
    """Word ``word`` of a directive (None: the whole) is wrong."""

    def __init__(self, code: int, message: str, word: Word | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.word, self.hint = code, message, word, hint


def unquote(word: Word) -> str:
    """The text of a quoted word."""
    try:
        return str(json.loads(word.text))
    except ValueError as error:
        raise DirectiveError(MISUSE, f"not a text: {error}", word) from None


def integer(word: Word, low: int = 0, high: int = (1 << 32) - 1) -> int:
    """A number within bounds."""
    try:
        value = number(word.text.lstrip("x"))
    except ValueError as error:
        raise DirectiveError(PLACE, str(error), word) from None
    if not low <= value <= high:
        raise DirectiveError(PLACE, f"{value} is outside {low} .. {high}", word)
    return value


@dataclass
class Surroundings:
    """What the directives read so far have said; ``given`` is the chip that the caller wants."""

    given: Machine | None
    chip: Machine | None = None
    facts: dict[str, Fact] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)
    meta: list[tuple[str, str]] = field(default_factory=list)
    segments: list[tuple[int, int, int, int]] = field(default_factory=list)
    rows: list[Array] = field(default_factory=list)
    row_count: int = 0
    inputs: list[PortTensor] = field(default_factory=list)
    outputs: list[PortTensor] = field(default_factory=list)
    _machine: Machine | None = None
    _last: list[PortTensor] | None = None

    @property
    def machine(self) -> Machine:
        """The chip, fixed from the first time that anybody asks; what is wrong with it is said that once."""
        if self._machine is None:
            self._machine = base = self.chip or self.given or load_chip()
            if self.facts:
                try:
                    self._machine = make_machine(dict(base.facts) | self.facts, "")
                except InputError as error:
                    field_ = error.message.removeprefix("unknown field ")
                    hint = nearest(field_, dict(base.facts), FORMS["fact"])
                    raise DirectiveError(CHIP, error.message, hint=hint) from None
            if self.given is not None and self._machine.abi_hash != self.given.abi_hash:
                message = f"the text is for {self._machine.name}, not for {self.given.name}"
                raise DirectiveError(
                    CHIP, message, hint="leave --chip out, or change .chip and .fact"
                )
        return self._machine

    def take(self, directive: Directive) -> None:
        """Apply one directive; raises ``DirectiveError``."""
        if directive.name in _FIRST and self._machine is not None:
            message = f".{directive.name} must stand before everything else"
            raise DirectiveError(CHIP, message, hint="move it to the first lines")
        getattr(self, f"_take_{directive.name}")([w for _, w in directive.words], directive)

    def _take_chip(self, words: Sequence[Word], _: Directive) -> None:
        names = sorted(p.stem for p in CHIPS.glob("*.toml"))
        if words[0].text not in names:
            message = f"no preset {words[0].text!r}: {', '.join(names)}"
            raise DirectiveError(CHIP, message, words[0], nearest(words[0].text, names))
        self.chip = load_chip(words[0].text)

    def _take_fact(self, words: Sequence[Word], directive: Directive) -> None:
        name, value, source, note = words
        if source.text not in SOURCES:
            raise DirectiveError(CHIP, f"the source is one of {', '.join(SOURCES)}", source)
        kind = directive.words[1][0]
        content: int | str = (
            unquote(value)
            if kind == "STRING"
            else value.text == "true"
            if kind == "BOOL"
            else integer(value, 0, 10**15)
        )
        self.facts[name.text] = Fact(content, source.text, unquote(note))

    def _take_meta(self, words: Sequence[Word], _: Directive) -> None:
        self.meta.append((unquote(words[0]), unquote(words[1])))

    def _take_node(self, words: Sequence[Word], _: Directive) -> None:
        if integer(words[0]) != len(self.nodes):
            hint = "nodes are numbered from 0 in order"
            raise DirectiveError(MISUSE, f"the next node is {len(self.nodes)}", words[0], hint)
        self.nodes.append(unquote(words[1]))

    def slice_of(self, word: Word) -> int:
        """The number of a MEM slice."""
        names = self.machine.queue_names[: 2 * self.machine.slices]
        if word.text not in names:
            message = f"{self.machine.name} has no slice {word.text}: {names[0]} .. {names[-1]}"
            raise DirectiveError(PLACE, message, word, nearest(word.text, names))
        return names.index(word.text)

    def _take_segment(self, words: Sequence[Word], _: Directive) -> None:
        slice_ = self.slice_of(words[0])
        address, count = integer(words[1]), integer(words[2])
        if address + count > self.machine.words:
            message = f"a slice of {self.machine.name} has {self.machine.words} words"
            raise DirectiveError(PLACE, message, words[1])
        follows = self.segments[-1][3] + self.segments[-1][2] if self.segments else 0
        first = integer(words[3]) if len(words) > 3 else follows
        self.segments.append((slice_, address, count, first))

    def _take_data(self, words: Sequence[Word], _: Directive) -> None:
        try:
            raw = base64.b64decode(words[0].text, validate=True)
        except binascii.Error as error:
            raise DirectiveError(MISUSE, f"not base64: {error}", words[0]) from None
        if len(raw) != self.machine.lanes:
            message = f"{len(raw)} bytes; a word of {self.machine.name} has {self.machine.lanes}"
            raise DirectiveError(PLACE, message, words[0])
        self.rows.append(np.frombuffer(raw, np.uint8)[None])
        self.row_count += 1

    def _take_fill(self, words: Sequence[Word], _: Directive) -> None:
        count = integer(words[1]) if len(words) > 1 else 1
        most = 2 * self.machine.slices * self.machine.words
        if self.row_count + count > most:
            raise DirectiveError(PLACE, f"{self.machine.name} holds {most} words in all", words[-1])
        row = np.full((1, self.machine.lanes), integer(words[0], 0, 255), np.uint8)
        self.rows.append(np.repeat(row, count, 0))
        self.row_count += count

    def _tensor(self, into: list[PortTensor], words: Sequence[Word], directive: Directive) -> None:
        name, abi, dtype, shape = words[:4]
        sizes = [n.strip() for n in shape.text[1:-1].split(",")] if shape.text[1:-1].strip() else []
        dims = tuple(integer(Word(n, shape.column), 0, 1 << 40) for n in sizes)
        low = high = 0
        if len(words) > 4:
            limits = words[4].text.split("..")
            low, high = (
                integer(Word(n, words[4].column), -(1 << 63), (1 << 63) - 1) for n in limits
            )
        if unquote(name) in [t.name for t in into]:
            raise DirectiveError(MISUSE, f"{directive.name} {name.text} stands twice", name)
        element = DType[dtype.text.upper()]
        tensor = PortTensor(unquote(name), dims, abi.text, element, (), low, high)
        problem = tensor_problem(tensor, self.machine)
        if problem:
            raise DirectiveError(PLACE, problem, abi)
        into.append(tensor)
        self._last = into

    def _take_input(self, words: Sequence[Word], directive: Directive) -> None:
        self._tensor(self.inputs, words, directive)

    def _take_output(self, words: Sequence[Word], directive: Directive) -> None:
        self._tensor(self.outputs, words, directive)

    def _take_piece(self, words: Sequence[Word], _: Directive) -> None:
        if self._last is None:
            hint = "put it below the tensor that it is a piece of"
            raise DirectiveError(MISUSE, ".piece must follow .input or .output", hint=hint)
        place, address, plane, view, rows, columns, lane, *splat = words
        row, row_count = (integer(Word(n, rows.column), 0, 1 << 40) for n in rows.text.split("+"))
        column, width = (
            integer(Word(n, columns.column), 0, 1 << 40) for n in columns.text.split("+")
        )
        piece = Piece(
            self.slice_of(place),
            integer(address),
            integer(plane),
            integer(view, 0, 1 << 40),
            row,
            row_count,
            column,
            width,
            integer(lane),
            bool(splat),
        )
        tensor = self._last[-1]
        problem = tensor_problem(replace(tensor, pieces=(piece,)), self.machine)
        if problem:
            raise DirectiveError(PLACE, problem.removeprefix("piece 0: "), place)
        self._last[-1] = replace(tensor, pieces=(*tensor.pieces, piece))

    def constants(self) -> tuple[Array, Array]:
        """Segments and data; raises ``DirectiveError`` where a segment has no data."""
        lanes = self.machine.lanes
        data = np.concatenate(self.rows) if self.rows else np.zeros((0, lanes), np.uint8)
        for slice_, address, count, first in self.segments:
            if first + count > len(data):
                name = self.machine.queue_names[slice_]
                message = f"segment {name}, {address:#06x} takes rows {first} .. {first + count - 1} of {len(data)} rows"
                raise DirectiveError(
                    PLACE, message, hint="add .data or .fill for the rows that are missing"
                )
        return np.array(self.segments, SEGMENT), data
