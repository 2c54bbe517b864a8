"""Texts of one shape, which differ in their numbers, read once; names may have numbers in them (``row12``).

A shape has a ``0`` in place of every row of digits. What is made of one is quick and says nothing about what is wrong: whatever
goes wrong, ``isa.assembly.expressions.evaluate`` says, with the same reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Final

from isa.assembly.expressions import ExpressionError, Names, Reader, Token, Value, apply, bounded
from isa.assembly.expressions import evaluate as evaluate_slowly

Make = Callable[[Sequence[str]], str]
"""A part of a text, from the text's rows of digits."""
Step = Callable[[Sequence[str], Names], Value]
"""What a part of an expression becomes: its value, from the text's rows of digits and from what names mean."""
DIGITS: Final = re.compile(r"([0-9]+)")
_LONGEST: Final = 200
"""Characters of an expression worth it; steps within each other stay few."""
_SURELY: Final = 18
"""So many digits stay within 64 bits."""


def shape_of(text: str) -> tuple[str, Sequence[str]]:
    """A text's shape, and its rows of digits."""
    between = DIGITS.split(text)  # texts and digits in turn
    return "0".join(between[::2]), between[1::2]


def made(shape: str, first: int) -> Make:
    """What puts rows of digits, from the ``first`` on, back into a shape."""
    parts = shape.split("0")
    if len(parts) == 1:
        return lambda _: shape
    if shape == "0":
        return itemgetter(first)
    if len(parts) == 2:
        before, behind = parts
        return lambda digits: f"{before}{digits[first]}{behind}"
    form, end = "%s".join(part.replace("%", "%%") for part in parts), first + len(parts) - 1
    return lambda digits: form % tuple(digits[first:end])


class _Steps(Reader):
    """Reads a shape whose first number is the ``first`` of its text."""

    def __init__(self, shape: str, first: int) -> None:
        super().__init__(shape, _Nobody())
        self.first = first

    def _made(self, token: Token) -> Make:
        return made(token.text, self.first + self.text.count("0", 0, token.offset))

    def constant(self, token: Token) -> Step:
        if token.kind == "string":
            raise ExpressionError("its digits are no numbers")
        make, constant = self._made(token), super().constant
        if token.text != "0":
            return lambda digits, _: constant(Token("number", _as_read(make(digits), token), 0))

        def whole(digits: Sequence[str], _: Names) -> int:
            text = make(digits)
            if len(text) > _SURELY:
                raise ExpressionError("many digits")
            return int(text)

        return whole

    def named(self, token: Token) -> Step:
        if "0" not in token.text:
            name = token.text
            return lambda _, names: names.value(name)
        make = self._made(token)
        return lambda digits, names: names.value(make(digits))

    def called(self, token: Token) -> Step:
        make, steps = self._made(token), self.arguments()
        return lambda digits, names: bounded(
            names.call(make(digits), [step(digits, names) for step in steps])
        )

    def joined(self, op: Token, a: Step, b: Step) -> Step:
        sign = op.text
        return lambda digits, names: apply(sign, a(digits, names), b(digits, names))

    def negated(self, sign: Token, value: Step) -> Step:
        return lambda digits, names: apply("*", -1, value(digits, names))


class _Nobody:
    """Names while a shape is read: nothing is looked up."""

    def value(self, name: str) -> Value:
        raise NotImplementedError

    def call(self, name: str, args: Sequence[Value]) -> Value:
        raise NotImplementedError


def _as_read(text: str, token: Token) -> str:
    """``text``, if it is one number as the token is: ``0xff`` is, ``1xff`` is none."""
    if token.text[:2] in ("0x", "0X") and text[:2] != token.text[:2]:
        raise ExpressionError("no number")
    return text


def steps(shape: str, first: int) -> Step | None:
    """What evaluates an expression of a shape; None where it is wrong, or not worth it."""
    if len(shape) > _LONGEST:
        return None
    try:
        step: Step = _Steps(shape, first).whole()
    except ExpressionError:
        return None
    return step


_steps = lru_cache(maxsize=1 << 12)(steps)


def evaluate(text: str, names: Names) -> Value:
    """The value of an expression; raises ``ExpressionError`` with the offset of what is wrong."""
    if len(text) <= _LONGEST and not text.isalnum():
        shape, digits = shape_of(text)
        step = _steps(shape, 0)
        if step is not None:
            try:
                return step(digits, names)
            except ExpressionError:
                pass
    return evaluate_slowly(text, names)
