"""Expressions of one shape, which differ in their numbers, read once.

A quick way to what ``isa.assembly.expressions.evaluate`` gives, with the same reader; whatever goes wrong, that says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from isa.assembly.expressions import ExpressionError, Names, Reader, Token, Value, apply, bounded
from isa.assembly.expressions import evaluate as evaluate_slowly

Step = Callable[[Sequence[int], Names], Value]
"""What a part of a shape becomes: a function of the expression's numbers and of what names mean."""
_NUMBER: Final = re.compile(r"(?<![\w.])[0-9]{1,18}(?![\w.])")
_LONGEST: Final = 200
"""Characters of an expression worth it; steps within each other stay few."""


class _Steps(Reader):
    """Reads a shape, in which every number is a ``0``."""

    numbers = 0

    def constant(self, token: Token) -> Step:
        if token.text == "0":
            place = self.numbers
            self.numbers += 1
            return lambda numbers, _: numbers[place]
        value = super().constant(token)
        return lambda _, __: value

    def named(self, token: Token) -> Step:
        name = token.text
        return lambda _, names: names.value(name)

    def called(self, token: Token) -> Step:
        name, steps = token.text, self.arguments()
        return lambda numbers, names: bounded(
            names.call(name, [step(numbers, names) for step in steps])
        )

    def joined(self, op: Token, a: Step, b: Step) -> Step:
        sign = op.text
        return lambda numbers, names: apply(sign, a(numbers, names), b(numbers, names))

    def negated(self, sign: Token, value: Step) -> Step:
        return lambda numbers, names: apply("*", -1, value(numbers, names))


class _Nobody:
    """Names while a shape is read: nothing is looked up."""

    def value(self, name: str) -> Value:
        raise NotImplementedError

    def call(self, name: str, args: Sequence[Value]) -> Value:
        raise NotImplementedError


@lru_cache(maxsize=1 << 12)
def _steps(shape: str) -> Step | None:
    """What evaluates a shape; None where it is wrong, or where a ``0`` in it is part of something else (``1e+0``)."""
    try:
        reader = _Steps(shape, _Nobody())
        step: Step = reader.whole()
    except ExpressionError:
        return None
    return step if reader.numbers == len(_NUMBER.findall(shape)) else None


def evaluate(text: str, names: Names) -> Value:
    """The value of an expression; raises ``ExpressionError`` with the offset of what is wrong."""
    if len(text) < _LONGEST and '"' not in text and not text.isalnum():
        step = _steps(_NUMBER.sub("0", text))
        if step is not None:
            try:
                return step([int(digits) for digits in _NUMBER.findall(text)], names)
            except ExpressionError:
                pass
    return evaluate_slowly(text, names)
