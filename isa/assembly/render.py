"""From an author's operands to canonical ones."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from isa.assembly.expressions import (
    ExpressionError,
    Names,
    Stream,
    Unit,
    Value,
    as_number,
    describe,
)
from isa.assembly.lines import Dispatch, Word
from isa.assembly.names import Alu
from isa.assembly.ports import Port
from isa.assembly.shapes import evaluate
from isa.assembly.written import find

_CANONICAL: Final = re.compile(
    r"0x[0-9a-fA-F]+|[+-]?[0-9]+|i8|i16|i32|f16|f32|none|start|emit|saturate|imm=0x[0-9a-fA-F]+"
    r"|(?:[EW]|alu)[0-9]+(?:~[0-9]+)?|#0x[0-9a-fA-F]+"
    r"|#[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|inf|nan)"
)
_LITERAL: Final = re.compile(r"#0[xX]\w*|imm=[+-]?[0-9]\w*")
"""Raw bits: never an expression, so that ``imm=05`` and ``#0X5`` are left for the grammar to refuse."""
_EXPRESSION: Final = re.compile(
    r"[({]|^[A-Za-z_][\w.]*$|^[-+]\s*[A-Za-z_]"
    r"|[\w.)}]\s*(?://|<<|>>|<=|>=|==|!=|[-+*/%&|<>])\s*(?:[\w.({-]|$)"
)

GLUED: Final = re.compile(r"([0-9]+|\{[^{}]*\})[-+/!]")
"""Behind the sign of a suffix: another one that touches it. It would count as arithmetic (``x4/2``), and is hardly meant so."""


class WrittenError(Exception):
    """``error`` happened while ``word`` was evaluated."""

    def __init__(self, error: ExpressionError, column: int) -> None:
        super().__init__(error.message)
        self.error, self.column = error, column
        self.hint = error.hint  # Sought now: by the time that it is said, more may be known.


@lru_cache(maxsize=1 << 14)
def is_canonical(text: str) -> bool:
    """Whether an operand's text means itself."""
    return _CANONICAL.fullmatch(text) is not None


def all_canonical(d: Dispatch) -> bool:
    """Whether every operand of a dispatch means itself."""
    return all(map(is_canonical, d.positional)) and all(map(is_canonical, d.results))


def value_of(text: str, column: int, names: Names) -> Value:
    """An expression's value; raises ``WrittenError``."""
    try:
        return evaluate(text, names)
    except ExpressionError as error:
        raise WrittenError(error, column + error.offset) from None


def whole(text: str, column: int, names: Names) -> int:
    """An expression's value, which must be an integer or a label; raises ``WrittenError``."""
    return whole_of(value_of(text, column, names), column)


def whole_of(found: Value, column: int = 0) -> int:
    """A value that must be an integer or a label as that; raises ``WrittenError``."""
    value = as_number(found)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int):
        error = ExpressionError(f"{describe(found)} is not a whole number")
        raise WrittenError(error, column)
    return value


def interpolated(word: Word, names: Names) -> str:
    """A word with every ``{expression}`` in it replaced by its value."""
    text, out, at = word.text, "", 0
    if "{" not in text:
        return text
    while (start := text.find("{", at)) >= 0:
        end = find(text, start + 1, "}")
        if end == len(text):
            raise WrittenError(ExpressionError("'{' without '}'"), word.column + start)
        value = value_of(text[start + 1 : end], word.column + start + 1, names)
        out += text[at:start] + text_of(value, word.column + start, units=True)
        at = end + 1
    return out + text[at:]


def text_of(value: Value, column: int = 0, units: bool = False) -> str:
    """A value as an operand; raises ``WrittenError`` where it cannot be one."""
    if type(value) is int:
        return str(value)
    if isinstance(value, str | Stream | Alu) or (units and isinstance(value, Unit)):
        return str(value)
    if isinstance(value, Port):
        return str(value.stream)
    number = as_number(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, int):
        return str(int(number))
    hint = f"address({value}) is where it lies" if hasattr(value, "places") else ""
    hint = f"#{number} is an immediate, for the vector unit" if number is not None else hint
    raise WrittenError(ExpressionError(f"{describe(value)} cannot stand here", hint=hint), column)


@lru_cache(maxsize=1 << 14)
def is_expression(text: str) -> bool:
    """Whether an operand that is not canonical is an expression as a whole: what ``operand`` would find in the end."""
    return (
        "{" not in text
        and "~" not in text
        and not text.startswith(("#", "imm="))
        and not _LITERAL.fullmatch(text)
        and _EXPRESSION.search(text) is not None
    )


def operand(word: Word, names: Names) -> str:
    """An operand or result in canonical form; one that is no expression stays as it is."""
    if is_canonical(word.text):
        return word.text
    if is_expression(word.text):
        return text_of(value_of(word.text, word.column, names), word.column)
    text = interpolated(word, names)
    if text != word.text and is_canonical(text):
        return text
    if text == word.text and _LITERAL.fullmatch(text):
        return text
    column = word.column
    if text.startswith("#"):
        value = text[1:] and immediate_of(value_of(text[1:], column + 1, names), column + 1)
        return f"#{value}"
    if text.startswith("imm=") and len(text) > 4:
        return f"imm={whole(text[4:], column + 4, names):#x}"
    late = find(text, 0, "~")
    if 0 < late < len(text) - 1:
        delay = whole(text[late + 1 :], column + late + 1, names)
        return f"{operand(Word(text[:late], column), names)}~{delay}"
    if not _EXPRESSION.search(text):
        return text
    return text_of(value_of(text, column, names), column)


def immediate_of(found: Value, column: int = 0) -> str:
    """A value as what stands behind the ``#`` of an immediate; raises ``WrittenError`` where it has no number."""
    value = as_number(found)
    if value is None:
        raise WrittenError(ExpressionError(f"{describe(found)} is no immediate"), column)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{value:.1f}"
    return repr(value)


def suffix(word: Word, names: Names) -> str:
    """A count, interval, stride or node in canonical form."""
    if word.text.startswith("->"):
        hint = "mul f32, E0, #2 -> E4 x128 +1"
        error = ExpressionError("results stand before the count", hint=hint)
        raise WrittenError(error, word.column)
    sign, rest = word.text[:1], word.text[1:]
    if rest.isdigit() or sign not in ("x", "/", "+", "-", "!") or not rest:
        return word.text
    if glued := GLUED.match(rest):
        hint = f"write {sign}{glued[1]} {rest[glued.end(1) :]}, or put all of it in parentheses"
        error = ExpressionError(f"{word.text!r} is one word", hint=hint)
        raise WrittenError(error, word.column)
    inner = rest[1:-1] if rest[0] == "{" and find(rest, 1, "}") == len(rest) - 1 else rest
    value = whole(
        interpolated(Word(inner, word.column + 1 + (inner != rest)), names), word.column + 1, names
    )
    return suffix_of(sign, value)


def suffix_of(sign: str, value: int) -> str:
    """A suffix's sign and value in canonical form."""
    return f"{-value if sign == '-' else value:+d}" if sign in ("+", "-") else f"{sign}{value}"


def suffix_order(text: str) -> int:
    """Where a suffix stands among count, interval, stride and node."""
    return {"x": 0, "/": 1, "+": 2, "-": 2, "!": 3}.get(text[:1], 4)
