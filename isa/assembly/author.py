"""Statements of authored assembly: definitions, tensors, data, and dispatches with names, expressions and times."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from isa.assembly.expressions import ExpressionError, Unit, as_number, describe
from isa.assembly.lines import Word
from isa.assembly.names import Meaning, Scope
from isa.assembly.render import WrittenError, interpolated, suffix, value_of, whole
from isa.assembly.sources import Source
from isa.assembly.tensors import (
    FILE,
    USES,
    WRONG,
    Contents,
    Tensor,
    check,
    elements,
    inside,
    read_array,
    spread,
)
from isa.assembly.written import code_of, find, split, words
from isa.instruction import DType
from isa.machine import Machine

_STATEMENT: Final = re.compile(r"\s*\.([a-z]\w*)\b\s*")
_LET: Final = re.compile(r"([A-Za-z_]\w*)\s*=\s*")
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_TIMES: Final = re.compile(r"(.*?)\s+x(?=[0-9({])(.*)", re.DOTALL)
DATA: Final = {t.name.lower(): t for t in DType}
STATEMENTS: Final = ("let", "set", "param", "tensor", "npy", *DATA)


@dataclass
class Author:
    """What a text has defined so far. ``given`` replaces the values of ``.param``; ``machine`` gives the chip."""

    machine: Callable[[], Machine]
    given: Mapping[str, int | float]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    contents: list[tuple[Contents, Source]] = field(default_factory=list)
    parameters: set[str] = field(default_factory=set)
    _open: Contents | None = None

    def names(self, scope: Scope) -> Meaning:
        """What names mean in a scope."""
        return Meaning(self.machine, scope, None)

    def statement(self, source: Source, scope: Scope) -> bool:
        """Take one of ``STATEMENTS``; False for any other line. Raises ``WrittenError``."""
        head = _STATEMENT.match(source.text)
        if not head or head[1] not in STATEMENTS:
            return False
        rest = Word(code_of(source.text)[head.end() :].rstrip(), head.end() + 1)
        try:
            if head[1] in DATA:
                self._data(DATA[head[1]], rest, scope)
            elif head[1] == "tensor":
                self._tensor(rest, scope, source)
            elif head[1] == "npy":
                self._npy(rest, scope, source)
            else:
                self._define(head[1], rest, scope)
        except ExpressionError as error:
            raise WrittenError(error, rest.column + error.offset) from None
        return True

    def _define(self, kind: str, rest: Word, scope: Scope) -> None:
        head = _LET.match(rest.text)
        if not head:
            raise ExpressionError("unexpected form", hint=f".{kind} name = expression")
        name, column = head[1], rest.column + head.end()
        value = value_of(rest.text[head.end() :], column, self.names(scope))
        if kind == "set":
            scope.assign(name, value)
            return
        if kind == "param":
            self.parameters.add(name)
            value = self.given.get(name, value)
        scope.define(name, value)

    def _tensor(self, rest: Word, scope: Scope, source: Source) -> None:
        form = ".tensor x f32 128 320 at MEM_E0:0x10 input"
        parts = words(rest.text, rest.column)
        if len(parts) < 6 or parts[4].text != "at" or not _NAME.fullmatch(parts[0].text):
            raise ExpressionError("unexpected form", hint=form, code=WRONG)
        name, dtype = parts[0].text, DATA.get(parts[1].text)
        if dtype is None:
            raise WrittenError(
                ExpressionError(
                    f"no type {parts[1].text!r}", code=WRONG, hint=f"types: {', '.join(DATA)}"
                ),
                parts[1].column,
            )
        names = self.names(scope)
        machine = self.machine()
        rows, cols = (whole(interpolated(w, names), w.column, names) for w in parts[2:4])
        uses = [w for w in parts[5:] if w.text in USES]
        places = [p for w in parts[5:] if w.text not in USES for p in self._places(w, names)]
        use = "".join(w.text for w in uses if w.text != "splat")
        if use not in ("", "input", "output"):
            raise WrittenError(
                ExpressionError("an input or an output, not both", code=WRONG), uses[-1].column
            )
        splat = any(w.text == "splat" for w in uses)
        at = tuple(spread(places, dtype.planes, machine))
        tensor = Tensor(name, dtype, rows, cols, at, machine.lanes, splat, use)
        check(tensor, machine)
        if name in self.tensors:
            raise ExpressionError(f"tensor {name} is defined already", code=WRONG)
        scope.define(name, tensor)
        self.tensors[name] = tensor
        self._open = None if use else Contents(tensor)
        if self._open:
            self.contents.append((self._open, source))

    def _places(self, word: Word, names: Meaning) -> list[tuple[int, int]]:
        """``MEM_E3:0x10`` or ``MEM_E0..MEM_E3:0x10`` as slices and addresses."""
        machine = self.machine()
        colon = find(word.text, 0, ":")
        ends, column = [], word.column
        for text in word.text[:colon].split(".."):
            found = value_of(interpolated(Word(text, column), names), column, names)
            column += len(text) + 2
            number = (
                machine.queue_names.index(found.name)
                if isinstance(found, Unit) and found.name in machine.queue_names
                else -1
            )
            if not 0 <= number < 2 * machine.slices:
                message = f"{describe(found)} is no memory slice"
                raise WrittenError(
                    ExpressionError(message, code=WRONG, hint="MEM_E3:0x10"), word.column
                )
            ends.append(number)
        if colon == len(word.text) or len(ends) > 2:
            raise WrittenError(
                ExpressionError("a place has a word address", code=WRONG, hint="MEM_E3:0x10"),
                word.column,
            )
        address = whole(
            interpolated(Word(word.text[colon + 1 :], word.column + colon + 1), names),
            word.column + colon + 1,
            names,
        )
        return [(s, address) for s in range(ends[0], ends[-1] + 1)]

    def _opened(self) -> Contents:
        if self._open is None:
            hint = "it stands below the .tensor that it fills, which is neither input nor output"
            raise ExpressionError("data without a tensor", code=WRONG, hint=hint)
        return self._open

    def _data(self, dtype: DType, rest: Word, scope: Scope) -> None:
        contents, names = self._opened(), self.names(scope)
        if contents.tensor.dtype is not dtype:
            wanted = contents.tensor.dtype.name.lower()
            raise ExpressionError(
                f"{contents.tensor} is {wanted}", code=WRONG, hint=f"write .{wanted}"
            )
        most = contents.tensor.rows * contents.tensor.cols
        for word in split(rest.text, rest.column):
            times = _TIMES.fullmatch(word.text)
            text, count = (
                (
                    times[1],
                    suffix(Word("x" + times[2], word.column + times.start(2) - 1), names)[1:],
                )
                if times
                else (word.text, "1")
            )
            value = as_number(value_of(text, word.column, names))
            if value is None or not 0 <= int(count) <= most:
                raise WrittenError(
                    ExpressionError(f"{word.text} is no element", code=WRONG), word.column
                )
            try:
                contents.add(np.repeat(elements([value], dtype), int(count)))
            except ExpressionError as error:
                raise WrittenError(error, word.column) from None

    def _npy(self, rest: Word, scope: Scope, source: Source) -> None:
        contents = self._opened()
        name = value_of(rest.text, rest.column, self.names(scope))
        if not isinstance(name, str):
            raise ExpressionError("unexpected form", code=FILE, hint='.npy "weights.npy"')
        contents.add(read_array(inside(source.folder, name), contents.tensor))
