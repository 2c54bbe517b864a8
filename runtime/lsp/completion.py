"""What may be written at a place: by its position in the line, the grammar's own word on what comes next, and the names
that can be seen there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from lsprotocol.types import CompletionItemKind

from isa.assembly.analysis import Analysis
from isa.assembly.expecting import acceptable
from isa.assembly.expressions import Stream, Unit, Value
from isa.assembly.names import Alu
from isa.assembly.render import is_canonical
from isa.assembly.syntax import text_order
from isa.assembly.tensors import USES, Tensor
from isa.assembly.written import code_of, find, take_apart
from isa.instruction import REGISTRY, DType, Kind
from isa.machine import CHIPS, SOURCES, Machine
from runtime.lsp.hover import belongs, describe, summary
from runtime.lsp.outline import CALLED, Definition, Outline
from runtime.lsp.text import Text
from runtime.lsp.words import DIRECTIVES, FUNCTIONS, UNITS

_SPACE: Final = " \t\r\f"
_PARTIAL: Final = re.compile(r"(?<![\w.])\.?[A-Za-z_][\w.]*$|(?<![\w.])\.$")
_LABEL: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*:\s*")
_DIRECTIVE: Final = re.compile(r"\s*(\.[a-z]\w*)\s+")
_CALL: Final = re.compile(r"\s*[A-Za-z_]\w*\s*\(")
_MNEMONIC: Final = re.compile(r"\s*[a-z]\w*\s")
_OPEN: Final = re.compile(r"[-+*%(&|<>=]\s*$|(?<!/)/\s*$")
"""An expression that wants another value."""
_SAMPLES: Final = {Kind.UINT: "0", Kind.INT: "0", Kind.STREAM: "E0", Kind.DTYPE: "f32", Kind.SOURCE: "E0"}  # fmt: skip
_TYPES: Final = tuple(t.name.lower() for t in DType)


class Proposal(NamedTuple):
    """Something that may be written: what is shown, what is inserted (a snippet), and what it is."""

    label: str
    kind: CompletionItemKind
    detail: str = ""
    snippet: str = ""
    documentation: str = ""


@dataclass(frozen=True)
class Place:
    """Where something is about to be written: what stands before it in its line, and what is known about the text."""

    head: str
    text: Text
    line: int
    outline: Outline
    analysis: Analysis | None
    machine: Machine

    def value(self, name: str) -> Value | None:
        """A name's value, as far as it is known."""
        scope = self.analysis.scope_at(self.text.where, self.line + 1) if self.analysis else None
        return scope.find(name) if scope else None

    def is_queue(self, name: str) -> bool:
        """Whether a dispatch may stand behind a name and a colon; else it is a label."""
        known = isinstance(self.value(name), Tensor | Unit)
        return known or name in self.machine.queue_names

    def names(self, *kinds: type) -> Iterator[Proposal]:
        """The names seen here whose value is of one of ``kinds`` or not known; of any, if none is given."""
        for d in self.outline.seen(self.line).values():
            if d.kind in (*CALLED, "input", "output"):
                continue
            value = self.value(d.name)
            if value is None or not kinds or isinstance(value, kinds):
                detail = summary(d) if value is None else f"{summary(d)}: {describe(value)}"
                yield Proposal(d.name, CompletionItemKind.Variable, detail)


def partial(line: str, column: int) -> int:
    """Where the word that ends at a column begins."""
    match = _PARTIAL.search(line[:column])
    return match.start() if match else column


def proposals(place: Place) -> list[Proposal]:
    """What may follow ``place.head``: nothing in comments and quoted texts."""
    head = place.head
    if code_of(head) != head or head.count('"') % 2:
        return []
    directive = _DIRECTIVE.match(head)
    if directive:
        return list(_directive(place, directive[1], head[directive.end() :]))
    if not head.strip():
        return [*_statements(place), *_queues(place)]
    if _CALL.match(head):
        return list(_expression(place))
    label, rest = _LABEL.match(head), head.lstrip()
    if label and not place.is_queue(label[1]):
        rest = head[label.end() :]
    if rest.startswith("@"):
        end = find(rest, 0, _SPACE)
        if end == len(rest):
            return list(_times(place))
        rest = rest[end:].lstrip()
    elif not rest:
        return [*_queues(place), *_times(place, "@")]
    colon = find(rest, 0, ":")
    if colon == len(rest):
        return [*_calls(place, "kernel"), *_queues(place)] if not rest else list(_expression(place))
    queue, operation = rest[:colon].strip(), rest[colon + 1 :]
    if not _MNEMONIC.match(operation):
        return list(_mnemonics(place, queue))
    return list(_operands(place))


def _statements(place: Place) -> Iterator[Proposal]:
    """Directives and macros."""
    for name, (snippet, about) in DIRECTIVES.items():
        yield Proposal(name, CompletionItemKind.Keyword, "", snippet, about)
    yield from _calls(place, "macro")
    yield from _times(place, "@")


def _calls(place: Place, kind: str) -> Iterator[Proposal]:
    for d in place.outline.seen(place.line).values():
        if d.kind == kind:
            yield Proposal(d.name, CompletionItemKind.Function, summary(d), call(d))


def call(macro: Definition) -> str:
    """A macro's or kernel's call as a snippet."""
    arguments = (f"${{{n}:{name}}}" for n, name in enumerate(macro.arguments, 1))
    return f"{macro.name}({', '.join(arguments)})"


def _times(place: Place, sign: str = "") -> Iterator[Proposal]:
    for name in ("arrives", "reach", "earliest", "start", "end", "next", "done"):
        snippet, about = FUNCTIONS[name]
        yield Proposal(sign + name, CompletionItemKind.Function, "", sign + snippet, about)
    if not sign:
        yield from _expression(place)


def _queues(place: Place) -> Iterator[Proposal]:
    """The chip's queues, tensors, and names for either."""
    yield from place.names(Tensor, Unit)
    for queue, kind in zip(place.machine.queue_names, place.machine.queue_kinds, strict=True):
        yield Proposal(queue, CompletionItemKind.Module, kind)


def _mnemonics(place: Place, queue: str) -> Iterator[Proposal]:
    """The instructions of a queue; of memory, for a tensor; all, where the queue is not known."""
    machine = place.machine
    found = place.value(queue.partition("[")[0])
    queue = found.name if isinstance(found, Unit) else queue
    for cls in sorted(REGISTRY.values(), key=lambda c: c.unit == "ICU"):
        fits = cls.unit == "MEM" if isinstance(found, Tensor) else True
        if queue in machine.queue_names:
            fits = belongs(cls.mnemonic, queue, machine)
        elif not isinstance(found, Tensor) and queue[:4] in ("VXM_", "MEM_", "MXM_", "SXM_"):
            fits = cls.unit in (queue[:3], "ICU")
        if fits:
            about = (cls.__doc__ or "").strip()
            yield Proposal(cls.mnemonic, CompletionItemKind.Method, cls.unit, "", about)


def _operands(place: Place) -> Iterator[Proposal]:
    """Operands, results and suffixes: what the grammar accepts behind the line's canonical beginning."""
    head = place.head
    written = take_apart(head)
    if written is None or written.mnemonic.text not in REGISTRY:
        return
    tail = head.rstrip(_SPACE)
    if head.endswith(("#", "~", "{", "=", "(")) or (_OPEN.search(tail) and tail[-2:] != "->"):
        yield from _expression(place)
        return
    if not head.endswith((*_SPACE, ",", "->")):
        return  # Within a number.
    mnemonic = written.mnemonic.text
    order = [o for _, o in text_order(mnemonic)]
    given = [w.text for w in written.positional if w.text]
    if isinstance(place.value(written.queue.text.partition("[")[0]), Tensor):
        given.insert(0, "0")  # Its address is the tensor's to say.
    done = [
        text if is_canonical(text) or n >= len(order) else _SAMPLES.get(order[n].kind, text)
        for n, text in enumerate(given)
    ]
    line = f"VXM_0: {mnemonic} " + ", ".join(done)
    if "->" in head:
        arrived = [w.text for w in written.results if w.text]
        line += " -> " + ", ".join(arrived) + (", " if tail.endswith(",") else "")
    elif tail.endswith(",") or not written.positional:
        line += ", " if done else ""
    line += "".join(f" {w.text[:1]}0" for w in written.suffixes)
    name = order[len(done)].name if len(done) < len(order) else ""
    types = getattr(REGISTRY[mnemonic], "types", DType)
    yield from _accepted(place, acceptable(line), name, types)


def _accepted(
    place: Place, accepts: dict[str, str], name: str = "", types: Iterable[DType] = DType
) -> Iterator[Proposal]:
    """What stands for each terminal."""
    for terminal, pattern in accepts.items():
        match terminal:
            case "DTYPE":
                for dtype in types:
                    yield Proposal(dtype.name.lower(), CompletionItemKind.TypeParameter, name)
            case "STREAM" | "EAST" | "WEST" | "SOURCE":
                yield from _streams(place, terminal, name)
            case "UINT" | "INT":
                yield from _expression(place)
            case "QUEUE":
                yield from _queues(place)
            case "COUNT" | "INTERVAL" | "STRIDE" | "NODE":
                sign = {"COUNT": "x", "INTERVAL": "/", "STRIDE": "+", "NODE": "!"}[terminal]
                yield Proposal(sign, CompletionItemKind.Operator, terminal.lower(), sign + "$0")
            case "BITS32":
                yield Proposal("imm=", CompletionItemKind.Keyword, "raw bits", "imm=0x$0")
            case "__ANON_0":
                yield Proposal("->", CompletionItemKind.Operator, "results", "-> $0")
            case _ if pattern.isalnum() and pattern.islower():
                yield Proposal(pattern, CompletionItemKind.Keyword, name)


def _streams(place: Place, terminal: str, name: str) -> Iterator[Proposal]:
    """Streams of a direction or both; for a source also ALUs and immediates."""
    m = place.machine
    kinds = (Stream, Alu) if terminal == "SOURCE" else (Stream,)
    yield from place.names(*kinds)
    for direction in {"EAST": "E", "WEST": "W"}.get(terminal, "EW"):
        for n in range(m.streams):
            yield Proposal(f"{direction}{n}", CompletionItemKind.Value, name or "stream")
    if terminal == "SOURCE":
        for n in range(m["vxm.alus"]):
            yield Proposal(f"alu{n}", CompletionItemKind.Value, name)
        yield Proposal("#", CompletionItemKind.Value, "an immediate", "#$0")
        yield Proposal("none", CompletionItemKind.Keyword, name)


def _expression(place: Place) -> Iterator[Proposal]:
    """Names, functions, places, and the chip's fields."""
    yield from place.names()
    for d in place.outline.seen(place.line).values():
        if isinstance(place.value(d.name), Tensor):
            for attribute in ("rows", "cols", "planes", "chunks", "words"):
                yield Proposal(f"{d.name}.{attribute}", CompletionItemKind.Property, "tensor")
    for name, (snippet, about) in FUNCTIONS.items():
        yield Proposal(name, CompletionItemKind.Function, "", snippet, about)
    yield from (Proposal(u, CompletionItemKind.Module, about) for u, about in UNITS.items())
    yield Proposal("lanes", CompletionItemKind.Constant, str(place.machine.lanes))
    for fact, is_ in place.machine.facts:
        if fact != "chip.name":
            yield Proposal(fact, CompletionItemKind.Constant, str(is_.value), "", is_.note)


def _directive(place: Place, name: str, rest: str) -> Iterator[Proposal]:
    """Behind a directive: presets, fields, types, places, expressions, or what the grammar accepts."""
    words = rest.split()
    if name == ".chip" and not words:
        for path in sorted(CHIPS.glob("*.toml")):
            yield Proposal(path.stem, CompletionItemKind.EnumMember, "chip")
    elif name == ".fact":
        if not words:
            for fact, is_ in place.machine.facts:
                yield Proposal(fact, CompletionItemKind.Constant, str(is_.value), "", is_.note)
        elif len(words) == 2:
            yield from (Proposal(s, CompletionItemKind.EnumMember) for s in SOURCES)
    elif name == ".tensor":
        yield from _tensor(place, words)
    elif name in (".let", ".set", ".param"):
        if "=" in rest:
            yield from _expression(place)
            yield from _queues(place)
        elif name == ".set":
            yield from place.names()
    elif name in (".if", ".for") or name[1:] in _TYPES:
        yield from _expression(place)
    elif name in DIRECTIVES:
        yield from _accepted(place, acceptable(place.head))


def _tensor(place: Place, words: list[str]) -> Iterator[Proposal]:
    """``.tensor x f32 4 32 at MEM_E0:0 input``, by the number of the word."""
    if len(words) == 1:
        yield from (Proposal(t, CompletionItemKind.TypeParameter) for t in _TYPES)
    elif len(words) in (2, 3):
        yield from _expression(place)
    elif len(words) == 4:
        yield Proposal("at", CompletionItemKind.Keyword)
    elif len(words) > 4:
        memory = 2 * place.machine.slices
        for queue in place.machine.queue_names[:memory]:
            yield Proposal(queue, CompletionItemKind.Module, "slice", f"{queue}:$0")
        yield from (Proposal(use, CompletionItemKind.Keyword) for use in USES)
