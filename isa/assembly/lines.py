"""One line of assembly: canonical dispatches by one regular expression, every other line by the grammar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from isa.assembly.errors import AssemblyError
from isa.assembly.spelling import nearest
from isa.assembly.syntax import GRAMMAR
from isa.instruction import REGISTRY, DType

if TYPE_CHECKING:
    from lark import Lark, Token, Tree
    from lark.exceptions import UnexpectedInput

CANONICAL: Final = re.compile(
    r"@([0-9]+) ([A-Z0-9]+_[A-Za-z0-9.]+): ([a-z0-9]+)(?: ([^ ;\"](?:[^;\"]*?[^ ,;\"])?))?"
    r"(?: x([0-9]+))?(?: /([0-9]+))?(?: ([+-][0-9]+))?(?: !([0-9]+))?"
)
CONSTANT: Final = re.compile(r"[A-Za-z0-9+/]+=*")
_MNEMONIC: Final = re.compile(
    r"\s*(?:@\S*\s+)?[A-Z0-9]+_[A-Za-z0-9.]+\s*:\s*([A-Za-z_][A-Za-z_0-9]*)"
)
_DOTTED: Final = re.compile(r"\s*(\.\w*)")
DIRECTIVES: Final = re.findall(r"^\w+: \"(\.\w+)\"", GRAMMAR.read_text(), re.MULTILINE)
AUTHORED: Final = [
    f".{name}"
    for name in (
        *("let", "set", "param", "for", "if", "else", "macro", "end", "include", "tensor", "npy"),
        *("kernel", "in", "out", "uses"),
        *(t.name.lower() for t in DType),
    )
]
"""Directives that are no rule of the grammar: they say what canonical lines there are."""
_MEANINGS: Final = {
    "$END": "the end of the line",
    "UINT": "a number",
    "INT": "a signed number",
    "STREAM": "a stream (E3)",
    "SOURCE": "a source (E3, W4~2, alu5, #1.5)",
    "DTYPE": "a type (f32)",
    "QUEUE": "a queue (MEM_E17)",
    "CYCLE": "a cycle (@120)",
    "COUNT": "a count (x128)",
    "INTERVAL": "an interval (/2)",
    "STRIDE": "a stride (+1)",
    "NODE": "a node (!4)",
    "STRING": 'a "text"',
    "EAST": "an eastward stream (E3)",
    "WEST": "a westward stream (W3)",
    "BITS32": "imm=0x...",
    "NAME": "a name",
    "SHAPE": "a shape ([1,128])",
    "RANGE": "a range (0..9)",
    "SPAN": "first+number (0+16)",
    "BASE64": "base64 text",
}
SYNTAX: Final = 201
NO_INSTRUCTION: Final = 202


class Word(NamedTuple):
    """A piece of a line and its column (from 1)."""

    text: str
    column: int


class Dispatch(NamedTuple):
    """An instruction as it stands in text; what is absent is empty."""

    cycle: str
    queue: str
    mnemonic: str
    positional: tuple[str, ...]
    results: tuple[str, ...]
    times: str
    interval: str
    stride: str
    node: str
    columns: Sequence[int] = ()
    """Of cycle, queue, times, interval, stride and node, of every operand, of every result; none where they are not known."""

    def column(self, field: str, place: int = 0) -> int:
        """The column of a text, among operands and results (``positional``) of the one at ``place``; 0: not known."""
        at = _COLUMNS.index(field) + place
        return self.columns[at] if at < len(self.columns) else 0


_COLUMNS: Final = ("cycle", "queue", "times", "interval", "stride", "node", "positional")


class Directive(NamedTuple):
    """A directive: its name without the dot, and its words with their terminals."""

    name: str
    words: Sequence[tuple[str, Word]]


NOTHING: Final = Word("", 0)


@cache
def parser() -> Lark:
    """The grammar's parser, made when first needed: importing lark takes a while."""
    from lark import Lark

    return Lark(
        GRAMMAR.read_text(),
        start="line",
        parser="lalr",
        lexer="contextual",
        maybe_placeholders=False,
    )


def parse_fast(line: str) -> Dispatch | Directive | None:
    """A dispatch or constant in canonical form; None for every other line, right or wrong."""
    if line.startswith(".data ") and CONSTANT.fullmatch(line, 6):
        return Directive("data", [("BASE64", Word(line[6:], 7))])
    if line[:1] == "@" and not line[1:2].isdigit():
        return None
    match = CANONICAL.fullmatch(line)
    if not match:
        return None
    cycle, queue, mnemonic, operands, *suffixes = match.groups(default="")
    positional, _, results = operands.partition(" -> ")
    if not positional.isprintable() or "->" in results or mnemonic not in REGISTRY:
        return None
    times, interval, stride, node = suffixes
    words = tuple(positional.split(", ")) if positional else ()
    ends = tuple(results.split(", ")) if results else ()
    return Dispatch(cycle, queue, mnemonic, words, ends, times, interval, stride, node)


def _check_words(line: str, number: int, where: str) -> None:
    """Known instruction or directive; raises TSP202 with the nearest known one."""
    for pattern, known, what in (
        (_MNEMONIC, list(REGISTRY), "instruction"),
        (_DOTTED, DIRECTIVES + AUTHORED, "directive"),
    ):
        named = pattern.match(line)
        if named and named[1] not in known:
            hint = nearest(named[1], known, f"{what}s: {', '.join(known)}")
            message, column = f"no {what} {named[1]!r}", named.start(1) + 1
            raise AssemblyError(
                NO_INSTRUCTION,
                message,
                line=number,
                column=column,
                text=line,
                where=where,
                hint=hint,
            )


def parse_line(line: str, number: int, where: str) -> Dispatch | Directive | None:
    """A line by the grammar; None for a blank one. Raises ``AssemblyError`` TSP201, TSP202."""
    from lark.exceptions import UnexpectedInput

    _check_words(line, number, where)
    try:
        tree = parser().parse(line)
    except UnexpectedInput as error:
        column, found, wanted = _unexpected(error, line)
        message = f"unexpected {found}; expected {_expected(wanted)}"
        raise AssemblyError(
            SYNTAX, message, line=number, column=column, text=line, where=where
        ) from None
    if not tree.children:
        return None
    child = tree.children[0]
    return _dispatch(child) if child.data == "dispatch" else _directive(child)  # type: ignore[union-attr,arg-type]


def _unexpected(error: UnexpectedInput, line: str) -> tuple[int, str, set[str]]:
    """Column, what stands there, and the terminals that could."""
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    column = error.column
    if isinstance(error, UnexpectedToken):
        wanted = set(error.accepts or error.expected)
        if error.token.type == "$END":
            return len(line.rstrip()) + 1, "the end of the line", wanted
        return column, repr(str(error.token)), wanted
    wanted = set(error.allowed or ()) if isinstance(error, UnexpectedCharacters) else set()
    return column, repr(line[column - 1 : column]), wanted


def _expected(terminals: set[str]) -> str:
    """The terminals in the reader's words; keywords as they are written."""
    known = {t.name: t.pattern.value for t in parser().terminals}
    written = {t: f"{known.get(t, t)!r}" for t in terminals - {"COMMENT"}}
    shown = {
        "a directive (.let)" if s.startswith("'.") else _MEANINGS.get(t, s)
        for t, s in written.items()
    }
    words = sorted(shown)
    return ", ".join(words) if len(words) < 2 else f"{', '.join(words[:-1])} or {words[-1]}"


def _word(token: Token, skip: int = 0) -> Word:
    return Word(str(token)[skip:], token.column or 0)


def _dispatch(tree: Tree[Token]) -> Dispatch:
    parts = {
        "CYCLE": NOTHING,
        "COUNT": NOTHING,
        "INTERVAL": NOTHING,
        "NODE": NOTHING,
        "STRIDE": NOTHING,
    }
    mnemonic, positional, results = "", [], []
    for child in tree.children:
        if isinstance(child, str):
            parts[child.type] = _word(child, child.type not in ("QUEUE", "STRIDE"))
        else:
            mnemonic = child.data
            tokens = [t for t in child.children if isinstance(t, str)]
            positional = [_word(t) for t in tokens if t.type not in ("EAST", "WEST")]
            results = [_word(t) for t in tokens if t.type in ("EAST", "WEST")]
    single = [parts[n] for n in ("CYCLE", "QUEUE", "COUNT", "INTERVAL", "STRIDE", "NODE")]
    cycle, queue, times, interval, stride, node = (word.text for word in single)
    return Dispatch(
        cycle,
        queue,
        mnemonic,
        tuple(word.text for word in positional),
        tuple(word.text for word in results),
        times,
        interval,
        stride,
        node,
        [word.column for word in (*single, *positional, *results)],
    )


def _directive(tree: Tree[Token]) -> Directive:
    return Directive(tree.data, [(t.type, _word(t)) for t in tree.children if isinstance(t, str)])
