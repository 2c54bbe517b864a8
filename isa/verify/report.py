"""What the verifier says: a refusal names both parties, the cycles between them, and what to change to what."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isa.errors import VerifyError
from isa.program import Line
from isa.verify import words
from isa.verify.rules import RULES
from isa.verify.words import cycle, cycles, mnemonic, step, text, unit

if TYPE_CHECKING:
    from isa.verify.context import Context

CAP: Final = 20
"""Refusals reported at most."""


class Refusal(VerifyError):  # noqa: N818  # The manual's word.
    """One refusal. ``queue`` and ``cycle`` name the dispatch, if it is about one.

    ``line`` is what an author wrote of it, and ``column`` (from 1; 0: the line as a whole) where in it the matter stands.
    """

    def __init__(
        self,
        number: int,
        message: str,
        *,
        where: str,
        hint: str = "",
        queue: str = "",
        cycle: int | None = None,
        line: Line | None = None,
        column: int = 0,
    ) -> None:
        super().__init__(number, message, where=where, hint=hint)
        self.queue, self.cycle, self.line, self.column = queue, cycle, line, column

    def __str__(self) -> str:
        source = ""
        if self.line is not None:
            source = f"\n  | {self.line.text.expandtabs(1).rstrip()}"
            source += f"\n  | {' ' * (self.column - 1)}^" if self.column else ""
            source += "".join(f"\n  {step}" for step in self.line.trace)
        hint = f"\n  help: {self.hint}" if self.hint else ""
        return f"{self.code}: {self.where}: {self.message}{source}{hint}"

    def to_dict(self) -> dict[str, object]:
        line = {"file": self.line.file, "line": self.line.number} if self.line else {}
        return super().to_dict() | {"queue": self.queue, "cycle": self.cycle, **line}


class EnoughError(Exception):
    """Enough refusals: stop looking."""


def _line(ctx: Context, burst: int) -> Line | None:
    """What an author wrote of a burst, if it is known."""
    lines = ctx.program.lines
    return lines[burst] if len(lines) == len(ctx) else None


def _column(line: Line, pattern: str, nth: int, mnemonic: str) -> int:
    """Where the ``nth`` word of a form stands in a line, or else the mnemonic, or 0."""
    for form, place in ((pattern, nth), (mnemonic, 0)):
        found = [m.start() + 1 for m in re.finditer(rf"(?<!\w)(?:{form})(?![\w~])", line.text)]
        if form and len(found) > place:
            return found[place]
    return 0


def place(ctx: Context, burst: int, instance: int = 0) -> str:
    """Where a refusal is: cycle, queue, instruction, which repeat, and the node it works for."""
    count, node = int(ctx.count[burst]), int(ctx.node[burst])
    repeat = f" (dispatch {instance + 1} of {count})" if count > 1 else ""
    names = ctx.program.nodes
    owner = f" for node {names[node]!r}" if node < len(names) and names[node] else ""
    when = f"@{cycle(ctx, burst, instance)} {unit(ctx, burst)}"
    return f"{when}: {text(ctx, burst, instance)}{repeat}{owner}"


def other(ctx: Context, burst: int, instance: int = 0, beside: int | None = None) -> str:
    """A second party within a sentence about ``beside``: `` `read 0x0010, E3` of MEM_E17 @1010 (line 88)``."""
    line, first = _line(ctx, burst), None if beside is None else _line(ctx, beside)
    source = ""
    if line:
        elsewhere = first is None or first.file != line.file
        source = f" ({line.file}:{line.number})" if elsewhere and line.file else ""
        source = source or f" (line {line.number})"
    when = cycle(ctx, burst, instance)
    return f"`{text(ctx, burst, instance)}` of {unit(ctx, burst)} @{when}{source}"


def moves(ctx: Context, *parties: tuple[int, int]) -> str:
    """What to do, as the first cycles of bursts: each of ``parties`` would be right so many cycles later."""
    targets: dict[int, list[str]] = {}
    for burst, delta in parties:
        if cycle(ctx, burst) + delta >= 0:
            targets.setdefault(burst, []).append(f"@{cycle(ctx, burst) + delta}")
    names = [mnemonic(ctx, burst) for burst, _ in parties]
    alike = len({b for b, _ in parties}) > len(set(names))
    told = []
    for burst, to in targets.items():
        article = ("this", "the other")[burst != parties[0][0]] if alike else "the"
        name = f"{article} {mnemonic(ctx, burst)}"
        told.append(f"{name} from @{cycle(ctx, burst)} to {' or '.join(to)}")
    return f"move {', or '.join(told)}" if told else ""


def ramp_of(ctx: Context, burst: int, offset: int = 0) -> range:
    """The cycles of a burst's dispatches, plus ``offset``."""
    start, by = cycle(ctx, burst) + offset, step(ctx, burst)
    return range(start, start + by * int(ctx.count[burst]), by)


def meet(a: range, b: range) -> bool:
    """Whether two progressions (steps >= 1, not empty) have a value in common."""
    common = math.gcd(a.step, b.step)
    if (b.start - a.start) % common:
        return False
    turns = (b.start - a.start) // common * pow(a.step // common, -1, b.step // common)
    both = a.step // common * b.step
    value = a.start + turns % (b.step // common) * a.step
    low = max(a.start, b.start)
    value += max(0, -(-(low - value) // both)) * both
    return value <= min(a[-1], b[-1])


def apart(a: range, b: range) -> int:
    """By how many cycles ``b`` has to come later so that it shares none with ``a``: the least number that does."""
    for later in range(1, 257):
        if not meet(a, range(b.start + later, b.stop + later, b.step)):
            return later
    return max(1, a[-1] + 1 - b.start)


def separate(ctx: Context, this: int, that: int, late_this: int = 0, late_that: int = 0) -> str:
    """How two bursts get out of each other's way, their dispatches told apart that much later than they are issued."""
    a, b = ramp_of(ctx, this, late_this), ramp_of(ctx, that, late_that)
    if this == that:
        return "widen its interval"
    return moves(ctx, (this, apart(b, a)), (that, apart(a, b)))


@dataclass(frozen=True)
class Meeting:
    """How a reader misses what a maker makes: ``why`` and ``hint`` if their numbers or intervals do not go together.

    Else the reader should come ``delta`` cycles later (earlier, if negative); ``whole``: one burst after the other, from the
    first of each on.
    """

    delta: int
    whole: bool = False
    why: str = ""
    hint: str = ""


def meeting(ctx: Context, reader: int, k: int, maker: int, gap: int, off: int) -> Meeting:
    """Dispatch ``k`` of ``reader`` misses, and of the values of ``maker`` the nearest is there ``off`` cycles later.

    ``gap``: cycles from the maker's first value to the reader's first look, both where they meet.
    """
    every, each = step(ctx, maker), step(ctx, reader)
    made, read = int(ctx.count[maker]), int(ctx.count[reader])
    if made == read > 1 and every == each and gap:
        return Meeting(-gap, whole=True)
    first, rest = divmod(gap, every)
    if not k or rest or not 0 <= first < made or maker == reader:
        return Meeting(off)
    names = mnemonic(ctx, maker), mnemonic(ctx, reader)
    if made > 1 and each % every:
        why = f"gives one {pace(every)}, and one is read {pace(each)}"
        return Meeting(off, False, why, f"give both the same interval, /{each} or /{every}")
    wide = each // every if made > 1 else 1
    met = -(-(made - first) // wide)
    longer = f"x{first + (read - 1) * wide + 1}" + (f" /{each}" if made == 1 and each > 1 else "")
    why = f"gives only {met} of the {read} values that are read"
    hint = f"give the {names[0]} {longer}, or the {names[1]} x{met}"
    return Meeting(off, False, why, hint)


def pace(interval: int) -> str:
    """``every cycle``, ``every 3 cycles``."""
    return "every cycle" if interval == 1 else f"every {interval} cycles"


def miss(delta: int) -> str:
    """``2 cycles too late``: how a reader misses that should come ``delta`` cycles later."""
    return f"{cycles(abs(delta))} too {'early' if delta > 0 else 'late'}"


def refuse(ctx: Context, rule: int, message: str, *, where: str, hint: str = "") -> None:
    """Record a refusal of what is no burst; raises ``EnoughError`` when there are ``CAP``."""
    _record(ctx, rule, Refusal(rule, message, where=where, hint=hint))


def refuse_burst(
    ctx: Context,
    rule: int,
    burst: int,
    message: str,
    *,
    instance: int = 0,
    hint: str = "",
    at: str = "",
    nth: int = 0,
) -> None:
    """Record a refusal of a dispatch. Raises as ``refuse``.

    ``at`` is the form (a regular expression) of the word of its line that is the matter; the ``nth``, from 0.
    """
    line, name = _line(ctx, burst), text(ctx, burst).split()[0]
    column = _column(line, at, nth, name) if line else 0
    source = f"{line.file or 'line'}:{line.number}:" if line else ""
    source += f"{column}: " if column else " " if line else ""
    refusal = Refusal(
        rule,
        message,
        where=source + place(ctx, burst, instance),
        hint=hint,
        queue=unit(ctx, burst),
        cycle=cycle(ctx, burst, instance),
        line=line,
        column=column,
    )
    _record(ctx, rule, refusal)


def _record(ctx: Context, rule: int, refusal: Refusal) -> None:
    if rule not in RULES:
        return
    ctx.refusals.append(refusal)
    if len(ctx.refusals) >= CAP:
        raise EnoughError


__all__ = ["RULES", "Refusal", "words"]
