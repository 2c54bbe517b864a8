"""Dispatches of one shape, which differ in their numbers, planned once: what each word of them becomes.

A quick way to what ``isa.assembly.dispatching`` makes of a line in an author's words. Where anything is not as planned, the line
is taken apart and read by itself, which also says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from isa.assembly.expressions import Names, Unit
from isa.assembly.lines import Word
from isa.assembly.names import Meaning
from isa.assembly.render import (
    GLUED,
    immediate_of,
    is_canonical,
    is_expression,
    suffix_of,
    suffix_order,
    text_of,
    whole_of,
)
from isa.assembly.shapes import Make, Step, made, shape_of, steps
from isa.assembly.syntax import text_order
from isa.assembly.tensors import Tensor
from isa.assembly.written import Written, code_of, find, split, take_apart
from isa.instruction import REGISTRY

SPREAD: Final = "stream"
"""The operand that advances by a stream from one byte plane of a tensor to the next."""
TELLING: Final = re.compile(r"arrives|reach|\{")
"""In a time that depends on its own dispatch and on those above; ``{name}`` may stand for the text of one."""
_KINDS: Final = "x/+!"
_TYPED: Final = ("i0", "f0")
"""The shapes of ``i8`` and ``f32``, and of names."""
Text = Callable[[Sequence[str], Names], str]
"""A word in canonical form, from the line's rows of digits and from what names mean; raises ``ExpressionError``, ``WrittenError``."""


class Part(NamedTuple):
    """A dispatch: its queue, operands, results, and count, interval, stride and node (empty: absent), as canonical texts."""

    queue: str
    positional: tuple[str, ...]
    results: tuple[str, ...]
    suffixes: Sequence[str]


class UnplannedError(Exception):
    """A line of a shape that can be planned, or a word of it, is not as planned."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the words of a shape become. ``name`` is the queue's or tensor's; None where it is said by ``queue``, with braces."""

    mnemonic: str
    label: Make | None
    time: Step | None
    telling: bool
    name: Make | None
    queue: Text | None
    rows: tuple[Step, Step | None, Step | None] | None
    """First row, end and chunk, as far as they are given."""
    operands: tuple[Text, ...]
    results: tuple[Text, ...]
    suffixes: tuple[Text | None, ...]
    spread: tuple[int, ...]
    """Places of the operands that a tensor's byte planes take a stream each of."""

    def cycle(self, digits: Sequence[str], names: Meaning) -> str:
        """What the time says as a text, empty where there is none."""
        if self.time is None:
            return ""
        cycle = whole_of(self.time(digits, names))
        if cycle < 0:
            raise UnplannedError
        return str(cycle)

    def parts(self, digits: Sequence[str], names: Meaning) -> list[Part]:
        """One part for a queue's name, one a byte plane for a tensor's."""
        positional = tuple([operand(digits, names) for operand in self.operands])
        results = tuple([result(digits, names) for result in self.results])
        suffixes = [suffix(digits, names) if suffix else "" for suffix in self.suffixes]
        found, queue = None, ""
        if self.name is not None:
            queue = self.name(digits)
            found = names.scope.find(queue)
        elif self.queue is not None:
            queue = self.queue(digits, names)
        if isinstance(found, Tensor):
            return self._planes(found, digits, names, positional, suffixes)
        if isinstance(found, Unit):
            queue = found.name
        elif found is not None or queue not in names.machine.queue_numbers:
            raise UnplannedError
        if self.rows is not None:
            raise UnplannedError
        return [Part(queue, positional, results, suffixes)]

    def _planes(
        self,
        tensor: Tensor,
        digits: Sequence[str],
        names: Meaning,
        positional: tuple[str, ...],
        suffixes: list[str],
    ) -> list[Part]:
        """The dispatches for the byte planes of (part of) a tensor."""
        cls = REGISTRY[self.mnemonic]
        chunks, first, count, chunk = tensor.chunks, 0, tensor.rows, 0
        if self.rows is not None:
            low, high, where = self.rows
            first = whole_of(low(digits, names))
            count = 1 if high is None else whole_of(high(digits, names)) - first
            chunk = 0 if where is None else whole_of(where(digits, names))
        if (
            self.results
            or cls.unit != "MEM"
            or (chunks > 1 and (self.rows is None or self.rows[2] is None))
            or not (0 <= first < first + count <= tensor.rows and 0 <= chunk < chunks)
        ):
            raise UnplannedError
        if not suffixes[0] and any(o.strided for o in cls.operands):
            suffixes[0] = str(count)
            if not suffixes[2] and count > 1:
                suffixes[2] = "+1"
        parts = []
        for plane, (slice_, address) in enumerate(tensor.places):
            operands = [str(address + chunk * tensor.rows + first), *positional]
            for place in self.spread:
                stream = positional[place]
                if stream[0] not in "EW" or not stream[1:].isdigit():
                    raise UnplannedError
                operands[place + 1] = f"{stream[0]}{int(stream[1:]) + plane}"
            parts.append(Part(names.machine.queue_names[slice_], tuple(operands), (), suffixes))
        return parts


class _Seen:
    """How often a shape was met, and its plan: one that is met once is not worth it."""

    __slots__ = ("plan", "times")

    def __init__(self) -> None:
        self.times = 0
        self.plan: Plan | None = None


@lru_cache(maxsize=1 << 12)
def _seen(_: str) -> _Seen:
    return _Seen()


def planned(line: str) -> tuple[Plan, Sequence[str]] | None:
    """A line's plan and its rows of digits; None where it has none, be it right or wrong."""
    shape, digits = shape_of(code_of(line))
    seen = _seen(shape)
    seen.times += 1
    if seen.times == 2:
        seen.plan = _plan(shape)
    return None if seen.plan is None else (seen.plan, digits)


def _plan(shape: str) -> Plan | None:
    written = take_apart(shape)
    if (
        written is None
        or "{" in written.time.text
        or (written.time.column and not written.time.text)
    ):
        return None
    mnemonic = written.mnemonic.text
    if mnemonic not in REGISTRY or (REGISTRY[mnemonic].word_only and written.label.text):
        return None

    def first(word: Word) -> int:
        return shape.count("0", 0, word.column - 1)

    try:
        bracket = written.queue.text.find("[")
        name = written.queue.text if bracket < 0 else written.queue.text[:bracket]
        order = [o.name for _, o in text_order(mnemonic)][1 : len(written.positional) + 1]
        return Plan(
            mnemonic,
            made(written.label.text, first(written.label)) if written.label.text else None,
            _step(written.time.text, first(written.time)) if written.time.text else None,
            TELLING.search(written.time.text) is not None,
            None if "{" in name else made(name, first(written.queue)),
            _braces(name, first(written.queue)) if "{" in name else None,
            None if bracket < 0 else _rows(written.queue, bracket, first),
            tuple(_operand(w.text, first(w)) for w in written.positional),
            tuple(_operand(w.text, first(w)) for w in written.results),
            _suffixes(written, first),
            tuple(i for i, operand in enumerate(order) if operand == SPREAD),
        )
    except UnplannedError:
        return None


def _step(shape: str, first: int) -> Step:
    step = steps(shape, first)
    if step is None:
        raise UnplannedError
    return step


def _rows(
    queue: Word, bracket: int, first: Callable[[Word], int]
) -> tuple[Step, Step | None, Step | None]:
    """What stands in the brackets behind a tensor: ``row``, ``row, chunk``, ``first..end`` or ``first..end, chunk``."""
    given = split(queue.text[bracket + 1 :].removesuffix("]"), queue.column + bracket + 1)
    low, dots, high = given[0].text.partition("..")
    end = Word(high, given[0].column + len(low) + 2)
    if len(given) > 2 or "{" in queue.text:
        raise UnplannedError
    return (
        _step(low, first(given[0])),
        _step(high, first(end)) if dots else None,
        _step(given[1].text, first(given[1])) if len(given) > 1 else None,
    )


def _operand(shape: str, first: int) -> Text:
    """What an operand or result of a shape becomes."""
    make = made(shape, first)
    if is_canonical(shape) and "0x" not in shape:
        return lambda digits, _: make(digits)
    if "{" in shape:
        return _canonical(_braces(shape, first))
    if is_canonical(shape):
        return _canonical(lambda digits, _: make(digits))
    if is_expression(shape):
        value = _value(_step(shape, first))
        if shape not in _TYPED:
            return value
        return lambda digits, names: (
            text if is_canonical(text := make(digits)) else value(digits, names)
        )
    if shape[:1] != "#" or shape[1:3] in ("0x", "0X"):
        raise UnplannedError
    step = _step(shape[1:], first)
    return lambda digits, names: f"#{immediate_of(step(digits, names))}"


def _value(step: Step) -> Text:
    """An expression's value as an operand."""

    def text(digits: Sequence[str], names: Names) -> str:
        found = step(digits, names)
        return str(found) if type(found) is int else _checked(text_of(found))

    return text


def _checked(text: str) -> str:
    if not is_canonical(text):
        raise UnplannedError
    return text


def _canonical(text: Text) -> Text:
    """``text``, where it is canonical."""
    return lambda digits, names: _checked(text(digits, names))


def _braces(shape: str, first: int) -> Text:
    """A word with every ``{expression}`` in it replaced by its value."""
    texts, values, at = list[Make](), list[Step](), 0
    while (start := shape.find("{", at)) >= 0:
        end = find(shape, start + 1, "}")
        if end == len(shape):
            raise UnplannedError
        texts.append(made(shape[at:start], first + shape.count("0", 0, at)))
        values.append(_step(shape[start + 1 : end], first + shape.count("0", 0, start)))
        at = end + 1
    last = made(shape[at:], first + shape.count("0", 0, at))
    if len(values) == 1:
        before, value = texts[0], values[0]
        return lambda digits, names: (
            f"{before(digits)}{text_of(value(digits, names), units=True)}{last(digits)}"
        )
    pairs = [*zip(texts, values, strict=True)]

    def joined(digits: Sequence[str], names: Names) -> str:
        parts = [text(digits) + text_of(step(digits, names), units=True) for text, step in pairs]
        return "".join(parts) + last(digits)

    return joined


def _suffixes(written: Written, first: Callable[[Word], int]) -> tuple[Text | None, ...]:
    """Count, interval, stride and node."""
    found: list[Text | None] = [None] * len(_KINDS)
    last = -1
    for word in written.suffixes:
        sign, rest = word.text[:1], word.text[1:]
        kind = suffix_order(sign)
        if not last < kind < len(_KINDS) or not rest:
            raise UnplannedError
        found[kind], last = _suffix(sign, rest, first(word)), kind
    return tuple(found)


def _suffix(sign: str, rest: str, first: int) -> Text:
    """One of them; a stride with its sign, the others without."""
    strides = sign in "+-"
    if rest == "0":
        number = made(sign + rest if strides else rest, first)
        return lambda digits, _: number(digits)
    if GLUED.match(rest):
        raise UnplannedError
    braced = rest[0] == "{" and find(rest, 1, "}") == len(rest) - 1
    step = _step(rest[1:-1] if braced else rest, first)
    if strides:
        return lambda digits, names: suffix_of(sign, whole_of(step(digits, names)))
    return lambda digits, names: str(whole_of(step(digits, names)))
