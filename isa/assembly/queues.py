"""``Queues``: canonical dispatches to bursts, each checked alone and against those of its queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from isa.assembly.advice import queues_for, queues_of
from isa.assembly.bind import bound
from isa.assembly.lines import Dispatch
from isa.assembly.names import Row
from isa.assembly.sources import Source
from isa.assembly.spelling import Hint, HintedError, nearest
from isa.assembly.syntax import BindError, number
from isa.instruction import REGISTRY
from isa.machine import Machine

RANGE: Final = 203
QUEUE: Final = 204
MISUSE: Final = 205
LAST_CYCLE: Final = REGISTRY["nop"].operands[0].limits[1]
_REPEAT: Final = {o.name: o.limits for o in REGISTRY["repeat"].operands}
_LIMITS: Final = {
    "cycle": (0, LAST_CYCLE),
    "times": (1, _REPEAT["count"][1]),
    "interval": _REPEAT["interval"],
    "stride": _REPEAT["stride"],
    "node": (0, (1 << 32) - 1),
}


class WordError(HintedError):
    """A word of a line is wrong."""

    def __init__(self, code: int, message: str, column: int = 0, hint: Hint = "") -> None:
        super().__init__(message, hint)
        self.code, self.column = code, column


def _number(text: str, field: str, d: Dispatch) -> int:
    """The number of a cycle or suffix."""
    low, high = _LIMITS[field]
    try:
        value = number(text)
    except ValueError as error:
        raise WordError(RANGE, str(error), d.column(field)) from None
    if not low <= value <= high:
        what = "count" if field == "times" else field
        message = f"{what} {value} is outside {low} .. {high}"
        hint = f"the nearest is {min(max(value, low), high)}"
        raise WordError(RANGE, message, d.column(field), hint)
    return value


@dataclass
class Queues:
    """Bursts so far, and for each queue the cycle after its last line."""

    machine: Machine
    rows: list[Row] = field(default_factory=list)
    lines: list[Source] = field(default_factory=list)
    free: dict[int, int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    taken: dict[tuple[int, int], tuple[str, Source]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.numbers = {name: i for i, name in enumerate(self.machine.queue_names)}

    def take(self, d: Dispatch, line: Source, args: tuple[int, ...] | None = None) -> Row | None:
        """Add one dispatch line; gives its burst, or None for ``nop`` and ``repeat``. Raises ``WordError``.

        ``args`` is what its operands are bound to, where that is known.
        """
        queue = self.numbers.get(d.queue)
        if queue is None:
            message = f"{self.machine.name} has no queue {d.queue}"
            raise WordError(QUEUE, message, d.column("queue"), lambda: self._spelling(d))
        cls = REGISTRY[d.mnemonic]
        kind = self.machine.queue_kinds[queue]
        role = (queue - self.machine.mxm_queue) % 3 if kind == "MXM" else -1
        if cls.unit not in ("ICU", kind) or (cls.role >= 0 and cls.role != role):
            wanted = f"{cls.unit} queue" + (f" of role {cls.role}" if cls.role >= 0 else "")
            hint = queues_for(d.mnemonic, self.machine)
            message = f"{d.mnemonic} belongs on a {wanted}"
            raise WordError(QUEUE, message, d.column("queue"), hint)
        if args is None:
            args = self._bind(d)
        if cls.word_only:
            self._control(d, queue, args)
            return None
        cycle = _number(d.cycle, "cycle", d) if d.cycle else self.free.get(queue, 0)
        count = _number(d.times, "times", d) if d.times else 1
        interval = _number(d.interval, "interval", d) if d.interval else 1
        stride = _number(d.stride, "stride", d) if d.stride else 0
        node = _number(d.node, "node", d) if d.node else 0
        self._claim(queue, cycle, cls.port, line, d)
        self.free[queue] = cycle + (count - 1) * interval + 1
        self.last[queue] = len(self.rows)
        self.lines.append(line)
        row = (queue, cls.opcode, node, cycle, count, interval, stride, args)
        self.rows.append(row)
        return row

    def _spelling(self, d: Dispatch) -> str:
        fit = queues_of(d.mnemonic, self.machine) or self.machine.queue_names
        return nearest(d.queue, fit, queues_for(d.mnemonic, self.machine))

    def _claim(self, queue: int, cycle: int, port: str, line: Source, d: Dispatch) -> None:
        """One line a queue and cycle, or one read and one write."""
        if cycle > LAST_CYCLE:
            message = f"cycle {cycle} is above {LAST_CYCLE}"
            raise WordError(RANGE, message, d.column("queue"))
        other, first = self.taken.setdefault((queue, cycle), (port, line))
        if first is not line and {other, port} != {"read", "write"}:
            message = f"{d.queue} already dispatches in cycle {cycle}: line {first.number}"
            hint = "dispatch it in another cycle"
            raise WordError(MISUSE, message, d.column("cycle"), hint)

    def _bind(self, d: Dispatch) -> tuple[int, ...]:
        try:
            return bound(d.mnemonic, d.positional, d.results, self.machine)
        except BindError as error:
            given = len(d.positional) + len(d.results)
            column = d.column("positional", error.index) if error.index < given else 0
            raise WordError(RANGE, error.message, column) from None

    def _control(self, d: Dispatch, queue: int, args: tuple[int, ...]) -> None:
        """``nop`` and ``repeat``, which shape the queue's other lines."""
        if any((d.cycle, d.times, d.interval, d.stride, d.node)):
            message = f"{d.mnemonic} stands for itself: no cycle, no repetition, no node"
            raise WordError(MISUSE, message, hint=f"{d.queue}: {d.mnemonic} ... alone")
        if d.mnemonic == "nop":
            self.free[queue] = self.free.get(queue, 0) + args[0]
            return
        if queue not in self.last:
            hint = (
                "it repeats the line of its queue above it; or write x4 /1 +1 behind an instruction"
            )
            message = "nothing in this queue to repeat"
            raise WordError(MISUSE, message, d.column("queue"), hint)
        index = self.last.pop(queue)
        count, interval, stride = args[:3]
        if count < 1:
            raise WordError(RANGE, "count 0", d.column("positional"))
        row = self.rows[index]
        self.rows[index] = (*row[:4], count, interval, stride, row[7])
        self.free[queue] = row[3] + (count - 1) * interval + 1
