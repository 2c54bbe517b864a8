"""Commands: their words, what they say, and the parser that makes one of a line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from isa.errors import UsageError
from isa.instruction import REGISTRY
from runtime.debug.breakpoints import (
    AddressBreak,
    Breakpoint,
    CycleBreak,
    DispatchBreak,
    ValueBreak,
)
from runtime.debug.names import Names, refuse
from runtime.debug.places import FlightPlace, Place
from runtime.debug.values import (
    BAD_COMMAND,
    CLASSES,
    COMPARISONS,
    TYPES,
    Lanes,
    Predicate,
    Type,
    parse_lanes,
)


@dataclass(frozen=True)
class Command:
    """``name`` is the command's word, never an abbreviation."""

    name: str


@dataclass(frozen=True)
class Move(Command):
    """``goto``: a cycle; ``step``, ``back``, ``stepi``, ``backi``: how many."""

    amount: int


@dataclass(frozen=True)
class Stop(Command):
    """``break``."""

    breakpoint: Breakpoint


@dataclass(frozen=True)
class Remove(Command):
    """``delete``, ``unwatch``: a number, or None for all."""

    number: int | None


@dataclass(frozen=True)
class Look(Command):
    """``print``, ``watch``, ``who``: a place, the type said (None: the place's own), lanes."""

    text: str
    place: Place
    type: Type | None
    lanes: Lanes


@dataclass(frozen=True)
class Expect(Command):
    """``expect``: a place's lanes all meet a condition (None: nothing stands there)."""

    text: str
    place: Place
    type: Type | None
    lanes: Lanes
    predicate: Predicate | None


@dataclass(frozen=True)
class ExpectState(Command):
    """``expect cycle N``, ``expect finished``, ``expect fault [TSPnnn]``; number 0: any fault."""

    text: str
    what: str
    number: int


@dataclass(frozen=True)
class Help(Command):
    """``help``: of one command, or of all (empty)."""

    topic: str


HELP: Final[dict[str, tuple[str, str]]] = {
    "goto": ("CYCLE", "go to a cycle, forward or back, past all breakpoints"),
    "step": ("[N]", "go N cycles on"),
    "back": ("[N]", "go N cycles back"),
    "stepi": ("[N]", "go N dispatches on"),
    "backi": ("[N]", "go N dispatches back"),
    "continue": ("", "go on to the next breakpoint, or to the end"),
    "reverse": ("", "go back to the last breakpoint, or to cycle 0"),
    "here": ("", "say where the run stands and what is dispatched in this cycle"),
    "break": (
        "cycle N | queue Q | instr NAME [on Q] | label NAME | line N | read WORDS | write WORDS | access WORDS | "
        "PLACE [as TYPE] [lanes L] [if CONDITION]",
        "stop there: before a dispatch, or when a value comes",
    ),
    "breaks": ("", "list breakpoints and watches"),
    "delete": ("N | all", "delete breakpoints"),
    "watch": ("PLACE [as TYPE] [lanes L]", "print a place whenever it changes"),
    "unwatch": ("N | all", "delete watches"),
    "print": (
        "PLACE [as TYPE] [lanes L]",
        "print what stands at a place, or all that is on a stream",
    ),
    "who": ("PLACE [as TYPE] [lanes L]", "say who wrote what stands there, and who reads it"),
    "floor": ("", "draw the chip: which units are busy, where values are"),
    "names": ("", "list tensors and labels"),
    "expect": (
        "PLACE [as TYPE] [lanes L] CONDITION | PLACE nothing | cycle N | finished | fault [TSPnnn]",
        "fail unless it is so, in all chosen lanes",
    ),
    "help": ("[COMMAND]", "say what commands there are"),
    "quit": ("", "leave"),
}
"""Operands and meaning of each command."""
SHORT: Final = {
    "g": "goto",
    "s": "step",
    "b": "back",
    "si": "stepi",
    "bi": "backi",
    "c": "continue",
    "rc": "reverse",
    "p": "print",
    "w": "who",
    "f": "floor",
    "h": "help",
    "q": "quit",
    "x": "expect",
}
PLACES: Final = """\
places      E4@VXM  W0@MEM_E3  E4@17 (a position)  alu3  MEM_E0:0x12  MEM_E0:5+MEM_W3:9 (a byte plane each)
            MXM_E0.acc:3  MXM_E0.weights:3  MXM_E0.buffer:3  y[1, 0..4] (a tensor's elements)
            E4 alone is the stream wherever it has a value (print only)
WORDS       MEM_E0:3  MEM_E0:3..8  or a tensor's elements
TYPE        i8 i16 i32 f16 f32 hex hex16 hex32
lanes L     3  0..8  0,4,8..12  all; the end of a range is not in it
CONDITION   == x  != x  < x  <= x  > x  >= x  nan  inf  finite"""
_BARE: Final = ("continue", "reverse", "here", "breaks", "floor", "names", "quit")
_MOVES: Final = ("step", "back", "stepi", "backi")


def parse(line: str, names: Names) -> Command | None:
    """The command of a line; None where it is empty or a comment (``#`` or ``;``).

    Raises UsageError: TSP820 not a command, or not in this form; TSP821 a place or name that is not there.
    """
    text = re.sub(r"^[#;].*", "", line.strip())
    text = re.sub(r"\[[^]]*\]", lambda m: re.sub(r"\s", "", m[0]), text)
    words = text.split()
    if not words:
        return None
    name = SHORT.get(words[0], words[0])
    if name not in HELP:
        near = difflib.get_close_matches(name, HELP, n=1)
        hint = f"did you mean {near[0]}?" if near else "help lists the commands"
        raise UsageError(BAD_COMMAND, f"no command {words[0]!r}", hint=hint)
    return _Parser(name, words[1:], names).command()


@dataclass
class _Parser:
    """One command's words."""

    name: str
    words: list[str]
    names: Names

    def command(self) -> Command:
        """The command. Raises as ``parse`` does."""
        found = self._command()
        if self.words:
            self._wrong(f"{self.words[0]!r} is one word too many")
        return found

    def _wrong(self, message: str) -> None:
        operands, _ = HELP[self.name]
        form = f"{self.name} {operands}".rstrip()
        raise UsageError(BAD_COMMAND, message, hint=f"the form is: {form}")

    def _command(self) -> Command:
        name = self.name
        if name in _BARE:
            return Command(name)
        if name == "goto":
            return Move(name, self._number("a cycle"))
        if name in _MOVES:
            return Move(name, self._number("a number") if self.words else 1)
        if name == "help":
            return self._help()
        if name in ("delete", "unwatch"):
            return Remove(name, None if self._next_is("all") else self._number("a number, or all"))
        if name == "break":
            return Stop(name, self._breakpoint())
        if name == "expect":
            return self._expect()
        return Look(name, " ".join(self.words), *self._looking(within=name != "print"))

    def _help(self) -> Command:
        topic = self.words.pop(0) if self.words else ""
        topic = SHORT.get(topic, topic)
        if topic and topic not in HELP:
            self._wrong(f"no command {topic!r}")
        return Help(self.name, topic)

    def _word(self, what: str) -> str:
        if not self.words:
            self._wrong(f"{what} is missing")
        return self.words.pop(0)

    def _next_is(self, *words: str) -> bool:
        """Take the next word if it is one of these."""
        if self.words and self.words[0] in words:
            self.words.pop(0)
            return True
        return False

    def _number(self, what: str) -> int:
        word = self._word(what)
        if not (word.isascii() and word.isdigit() and len(word) <= 15):
            self._wrong(f"{word!r} is not {what}")
        return int(word)

    def _looking(self, *, within: bool) -> tuple[Place, Type | None, Lanes]:
        """``PLACE [as TYPE] [lanes L]``; ``within``: the place must be one place."""
        place = self.names.place(self._word("a place"))
        if within and isinstance(place, FlightPlace):
            self._wrong(f"{place.text} where? {place.text}@VXM is at a unit")
        kind = self._type(place)
        lanes = parse_lanes(self._word("lanes")) if self._next_is("lane", "lanes") else Lanes()
        if kind is not None:
            place.check(self.names.machine, kind.planes)
        self._check_lanes(place, lanes)
        return place, kind, lanes

    def _check_lanes(self, place: Place, lanes: Lanes) -> None:
        count = getattr(place, "count", self.names.machine.lanes)
        lanes.of(count)

    def _type(self, place: Place) -> Type | None:
        if self._next_is("as"):
            word = self._word("a type")
            if word in TYPES:
                return Type(TYPES[word], TYPES[word].planes)
            if word in ("hex", "hex16", "hex32"):
                return Type(None, {"hex16": 2, "hex32": 4}.get(word, place.planes))
            known = [*TYPES, "hex", "hex16", "hex32"]
            refuse("type", word, known, f"types are {', '.join(known)}")
        if place.natural is not None:
            return Type(place.natural, place.natural.planes)
        return None if place.typed_later else Type(None, place.planes)

    def _predicate(self, kind: Type | None, *, later: bool = False) -> Predicate | None:
        """The condition, if there is one; ``later``: the type may be one that only the run tells."""
        if not self.words:
            return None
        word = self.words.pop(0)
        glued = re.fullmatch(r"(==|!=|<=|>=|<|>)(.+)", word)
        if glued and word not in COMPARISONS:
            word = glued[1]
            self.words.insert(0, glued[2])
        if word == "is" and self.words:
            word = self.words.pop(0)
        if word not in COMPARISONS and word not in CLASSES:
            self._wrong(f"{word!r} is no condition: {' '.join([*COMPARISONS, *CLASSES])}")
        found = Predicate(word, self._word("a number") if word in COMPARISONS else "")
        if kind is not None:
            found.check(kind)
        elif not later:
            raise UsageError(BAD_COMMAND, f"{found.text} of what type?", hint="say as f32")
        return found

    def _breakpoint(self) -> Breakpoint:
        text = " ".join(self.words)
        forms: dict[str, Callable[[str], Breakpoint]] = {
            "cycle": lambda t: CycleBreak(t, self._number("a cycle")),
            "queue": lambda t: DispatchBreak(t, queue=self.names.queue(self._word("a queue"))),
            "instr": self._instruction,
            "label": lambda t: DispatchBreak(t, bursts=self.names.labelled(self._word("a label"))),
            "line": lambda t: DispatchBreak(t, bursts=self.names.on_line(self._word("a line"))),
            "read": lambda t: self._address(t, True, False),
            "write": lambda t: self._address(t, False, True),
            "access": lambda t: self._address(t, True, True),
        }
        if self.words and self.words[0] in forms:
            return forms[self.words.pop(0)](text)
        place, kind, lanes = self._looking(within=True)
        self._next_is("if")
        return ValueBreak(text, place, kind, lanes, self._predicate(kind))

    def _instruction(self, text: str) -> Breakpoint:
        word = self._word("an instruction")
        if word not in REGISTRY:
            refuse("instruction", word, REGISTRY)
        queue = self.names.queue(self._word("a queue")) if self._next_is("on") else None
        return DispatchBreak(text, queue=queue, opcode=REGISTRY[word].opcode)

    def _address(self, text: str, reads: bool, writes: bool) -> Breakpoint:
        words = tuple(self.names.words(self._word("a word of memory")))
        return AddressBreak(text, words, reads, writes)

    def _expect(self) -> Command:
        text = " ".join(self.words)
        if self._next_is("cycle"):
            self._next_is("==")
            return ExpectState(self.name, text, "cycle", self._number("a cycle"))
        if self._next_is("finished"):
            return ExpectState(self.name, text, "finished", 0)
        if self._next_is("fault"):
            code = self.words.pop(0).removeprefix("TSP") if self.words else "0"
            if not code.isdigit():
                self._wrong(f"{code!r} is no error number")
            return ExpectState(self.name, text, "fault", int(code))
        place, kind, lanes = self._looking(within=True)
        if self._next_is("nothing"):
            return Expect(self.name, text, place, kind, lanes, None)
        condition = self._predicate(kind, later=True)
        if condition is None:
            self._wrong("a condition is missing")
        return Expect(self.name, text, place, kind, lanes, condition)
