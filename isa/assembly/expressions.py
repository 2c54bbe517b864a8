"""Expressions of authored assembly: numbers, names and functions, evaluated as they are read.

    or  := and ('|' and)*            and := cmp ('&' cmp)*
    cmp := sh (('==' | '!=' | '<' | '<=' | '>' | '>=') sh)?
    sh  := sum (('<<' | '>>') sum)*  sum := term (('+' | '-') term)*
    term := unary (('*' | '/' | '//' | '%') unary)*
    unary := ('-' | '+')* atom       atom := number | "text" | name | name '(' or, ... ')' | '(' or ')'

Integers stay within 64 bits; ``/`` gives a float, ``//`` an integer. A stream plus a number is a stream.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

from isa.assembly.spelling import Hint, HintedError

WRONG: Final = 208
MOST: Final = 1 << 63
DEEPEST: Final = 40
FEW_DIGITS: Final = 19
"""So many digits may leave 64 bits."""
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.(?!\.)[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z]\w*)*)"
    r'|(?P<string>"(?:[^"\\]|\\.)*")'
    r"|(?P<op>//|<<|>>|==|!=|<=|>=|[-+*/%|&<>(),]))"
)
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class ExpressionError(HintedError):
    """What is wrong, at ``offset`` of the expression's text."""

    def __init__(self, message: str, offset: int = 0, hint: Hint = "", code: int = WRONG) -> None:
        super().__init__(message, hint)
        self.offset, self.code = offset, code


class Stream(NamedTuple):
    """A stream of the text: direction ``E`` or ``W``, and its number there."""

    direction: str
    index: int  # type: ignore[assignment]  # tuple.index is not used

    def __str__(self) -> str:
        return f"{self.direction}{self.index}"


class Unit(NamedTuple):
    """A queue, or a place where queues are (``VXM``, ``MXM_E``), by name and position."""

    name: str
    position: int

    def __str__(self) -> str:
        return self.name


Value = Any
"""int, float, str, ``Stream``, ``Unit``, or what the names that a text defines stand for."""


class Names(Protocol):
    """What names and functions mean to whoever evaluates."""

    def value(self, name: str) -> Value:
        """A name's value; raises ``ExpressionError``."""

    def call(self, name: str, args: Sequence[Value]) -> Value:
        """A function's value; raises ``ExpressionError``."""


def describe(value: Value) -> str:
    """A value's kind, for messages."""
    if isinstance(value, bool | int):
        return f"the number {int(value)}"
    if isinstance(value, float):
        return f"the number {value}"
    kinds = {Stream: "stream", Unit: "unit", str: "text"}
    return f"the {kinds.get(type(value)) or type(value).__name__.lower()} {value}"


def as_number(value: Value) -> Any:
    """A value as a number, a label's being its cycle; None where it has none."""
    if type(value) is int or isinstance(value, int | float):
        return value
    return getattr(value, "cycle", None)


_BINARY: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "|": operator.or_,
    "&": operator.and_,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LEVELS: Final = (
    ("|",),
    ("&",),
    ("==", "!=", "<", "<=", ">", ">="),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "//", "%"),
)
_BINDS: Final = {op: level for level, ops in enumerate(_LEVELS) for op in ops}


def apply(op: str, a: Value, b: Value, offset: int = 0) -> Value:
    """``a op b``; raises ``ExpressionError``."""
    if type(a) is int and type(b) is int and op in ("+", "-", "*"):
        return bounded(_BINARY[op](a, b), offset)
    if op in ("==", "!=") and type(a) is type(b):
        return int(_BINARY[op](a, b))
    if isinstance(a, Stream) and op in ("+", "-") and isinstance(b, int):
        return Stream(a.direction, a.index + (b if op == "+" else -b))
    x, y = as_number(a), as_number(b)
    if x is None or y is None:
        raise ExpressionError(f"{describe(a)} {op} {describe(b)} means nothing", offset)
    if op in ("<<", ">>") and not (isinstance(y, int) and 0 <= y < 64):
        raise ExpressionError(f"a shift by {y}", offset, "shift by 0 .. 63")
    try:
        result = _BINARY[op](x, y)
    except ZeroDivisionError:
        raise ExpressionError("division by zero", offset) from None
    except (TypeError, OverflowError):
        raise ExpressionError(f"{x} {op} {y} means nothing", offset) from None
    return bounded(int(result) if isinstance(result, bool) else result, offset)


def bounded(value: Value, offset: int = 0) -> Value:
    """``value``, if it is no integer beyond 64 bits."""
    if isinstance(value, int) and not -MOST <= value < MOST:
        raise ExpressionError("the number leaves 64 bits", offset)
    return value


class Token(NamedTuple):
    """``kind``: number, name, string, op or end."""

    kind: str
    text: str
    offset: int


@lru_cache(maxsize=1 << 14)
def _tokens(text: str) -> tuple[Token, ...]:
    """The tokens of an expression and its end; raises ``ExpressionError``. Texts repeat in loops."""
    tokens: list[Token] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if not match:
            start = place + len(text[place:]) - len(text[place:].lstrip())
            raise ExpressionError(f"unexpected {text[start : start + 1]!r}", start)
        kind = str(match.lastgroup)
        tokens.append(Token(kind, match[kind], match.start(kind)))
        place = match.end()
    return (*tokens, Token("end", "the end", end))


class Reader:
    """Recursive descent over the tokens of one expression; its parts become values as they are read."""

    def __init__(self, text: str, names: Names) -> None:
        self.text, self.names = text, names
        self.tokens = _tokens(text)
        self.at = self.depth = 0

    @property
    def here(self) -> Token:
        return self.tokens[self.at]

    def whole(self) -> Value:
        value = self.level(0) if len(self.tokens) > 2 else self.atom()
        if self.here.kind != "end":
            raise ExpressionError(f"unexpected {self.here.text!r}", self.here.offset)
        return value

    def level(self, n: int) -> Value:
        value = self.unary()
        token = self.tokens[self.at]
        while token.kind == "op" and (binds := _BINDS.get(token.text, -1)) >= n:
            self.at += 1
            value = self.joined(token, value, self.level(binds + 1))
            token = self.tokens[self.at]
        return value

    def unary(self) -> Value:
        token, negative = self.tokens[self.at], False
        if token.kind != "op":
            return self.atom()
        while self.here.kind == "op" and self.here.text in "+-":
            negative ^= self.here.text == "-"
            self.at += 1
        value = self.atom()
        return self.negated(token, value) if negative else value

    def atom(self) -> Value:
        token = self.tokens[self.at]
        self.at += 1
        if token.kind in ("number", "string"):
            return self.constant(token)
        if token.kind == "name":
            return self.called(token) if self.tokens[self.at].text == "(" else self.named(token)
        if token.text == "(":
            self.depth += 1
            if self.depth > DEEPEST:
                raise ExpressionError("parentheses nest too deep", token.offset)
            value = self.level(0)
            self.expect(")", token)
            self.depth -= 1
            return value
        found = "the end" if token.kind == "end" else repr(token.text)
        raise ExpressionError(f"expected a value, found {found}", token.offset)

    def expect(self, text: str, opened: Token) -> None:
        if self.here.text != text or self.here.kind != "op":
            found = "the end" if self.here.kind == "end" else repr(self.here.text)
            raise ExpressionError(f"expected {text!r}, found {found}", self.here.offset)
        self.at += 1

    def constant(self, token: Token) -> Value:
        if token.kind == "number":
            return _number(token)
        try:
            return str(json.loads(token.text))
        except ValueError as error:
            raise ExpressionError(f"not a text: {error}", token.offset) from None

    def named(self, token: Token) -> Value:
        try:
            return self.names.value(token.text)
        except ExpressionError as error:
            raise _at(token, error) from None

    def called(self, token: Token) -> Value:
        try:
            return bounded(self.names.call(token.text, self.arguments()), token.offset)
        except ExpressionError as error:
            raise _at(token, error) from None

    def joined(self, op: Token, a: Value, b: Value) -> Value:
        return apply(op.text, a, b, op.offset)

    def negated(self, sign: Token, value: Value) -> Value:
        return apply("*", -1, value, sign.offset)

    def arguments(self) -> list[Value]:
        opened = self.here
        self.at += 1
        args: list[Value] = []
        self.depth += 1
        if self.depth > DEEPEST:
            raise ExpressionError("parentheses nest too deep", opened.offset)
        while not (self.here.kind == "op" and self.here.text == ")"):
            args.append(self.level(0))
            if self.here.text != ")":
                self.expect(",", opened)
        self.at += 1
        self.depth -= 1
        return args


def _at(token: Token, error: ExpressionError) -> ExpressionError:
    """The error, its place that of a token if it has none."""
    error.offset = error.offset or token.offset
    return error


def _number(token: Token) -> int | float:
    text = token.text
    if len(text) < FEW_DIGITS and text.isdigit():
        return int(text)
    if len(text) > 40:
        raise ExpressionError("too long a number", token.offset)
    if text[:2] in ("0x", "0X"):
        return int(bounded(int(text, 16), token.offset))
    return int(bounded(int(text), token.offset)) if text.isdigit() else float(text)


def evaluate(text: str, names: Names) -> Value:
    """The value of an expression; raises ``ExpressionError`` with the offset of what is wrong."""
    if text.isascii() and text.isdigit() and len(text) < FEW_DIGITS:
        return int(text)
    if _NAME.fullmatch(text):
        return names.value(text)
    return Reader(text, names).whole()
