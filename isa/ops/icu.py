"""ICU: what a queue does for itself. Legal on every queue; one dispatch cycle each; no effect on data.

``nop`` and ``repeat`` shape the sequence of dispatches and exist as instruction words only: in a ``Program`` they have become
a burst's ``cycle`` and its ``count``, ``interval`` and ``stride``.
"""

from __future__ import annotations

from isa.instruction import Instruction, Kind, Port, instruction, operand


class QueueInstruction(Instruction):
    """Has no effect on streams, memory or units."""

    def execute(self, port: Port) -> None:
        del port


@instruction("nop", 0x01, "ICU", word_only=True)
class Nop(QueueInstruction):
    """The queue's next instruction is dispatched ``cycles`` later than it would be."""

    cycles: int = operand(Kind.UINT, 40)


@instruction("repeat", 0x02, "ICU", word_only=True)
class Repeat(QueueInstruction):
    """The preceding instruction is dispatched ``count`` times in all, ``interval`` cycles apart.

    Its strided operand advances by ``stride`` each time [a stride is assumed]. The queue's other instructions may be
    dispatched in the cycles between [assumed].
    """

    count: int = operand(Kind.UINT, 32)
    interval: int = operand(Kind.UINT, 32)
    stride: int = operand(Kind.INT, 32)


@instruction("sync", 0x03, "ICU")
class Sync(QueueInstruction):
    """Wait for ``notify``. All queues of one chip start in cycle 0 together, so that nothing is left to wait for."""


@instruction("notify", 0x04, "ICU")
class Notify(QueueInstruction):
    """Release the queues that wait in ``sync``; see there."""


@instruction("ifetch", 0x05, "ICU")
class Ifetch(QueueInstruction):
    """Fetch the queue's next ``words`` instruction words. Queues are full before cycle 0 [assumed]: no effect."""

    words: int = operand(Kind.UINT, 16)


@instruction("config", 0x06, "ICU")
class Config(QueueInstruction):
    """Power ``superlanes`` superlanes, the vector's length. Only the full number is legal [assumed]: no effect."""

    superlanes: int = operand(Kind.UINT, 8)
