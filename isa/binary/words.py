"""Section ``code``: bursts as 128-bit instruction words, encoded and decoded an opcode at a time.

A word is two little-endian 64-bit halves. Bits 0..7 hold the opcode, bits 8..23 the wait, then the operands in declaration
order, least significant bit first; what remains is zero. The wait is the number of cycles since the queue's previous
instruction was first dispatched (since cycle 0 for the first). A longer one stands in a ``nop`` word before the
instruction, whose own wait is then 0. A ``repeat`` word follows an instruction dispatched more than once. Any program has
exactly one encoding; the decoder refuses every other.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from isa.errors import InputError
from isa.fields import Ints, complaint, out_of_range
from isa.instruction import BY_OPCODE, HEADER_BITS, MAX_OPERANDS, REGISTRY, Instruction, Operand
from isa.machine import Machine
from isa.program import BURST

Words = npt.NDArray[np.uint64]
"""``[n, 2]``: low and high half of each word."""

QUEUE_RUN: Final = np.dtype([("queue", "<u4"), ("words", "<u4")])
"""Section ``queues``: the queues that have instructions, ascending, and the number of words of each."""

NOP: Final = REGISTRY["nop"]
REPEAT: Final = REGISTRY["repeat"]
LONGEST_WAIT: Final = 0xFFFF
LONGEST_NOP: Final = NOP.operands[0].limits[1]
_REPEAT_FIELDS: Final = tuple(o.name for o in REPEAT.operands)
_ONCE: Final = (1, 1, 0)
_PORTS: Final = {"": 0, "read": 1, "write": 2}


class Field(NamedTuple):
    """An operand and its first bit in the word."""

    operand: Operand
    offset: int


@cache
def layout(opcode: int) -> tuple[Field, ...]:
    """Where each operand of an instruction lies in its word."""
    fields, offset = [], HEADER_BITS
    for operand in BY_OPCODE[opcode].operands:
        fields.append(Field(operand, offset))
        offset += operand.bits
    return tuple(fields)


def _place(words: Words, field: Field, values: Ints) -> None:
    """Or ``values``, already known to fit, into their field of ``words``."""
    bits, offset = field.operand.bits, field.offset
    raw = values.astype(np.uint64) & np.uint64((1 << bits) - 1)
    if offset < 64:
        words[:, 0] |= raw << np.uint64(offset)
    if offset >= 64:
        words[:, 1] |= raw << np.uint64(offset - 64)
    elif offset + bits > 64:
        words[:, 1] |= raw >> np.uint64(64 - offset)


def _take(words: Words, field: Field) -> Ints:
    """Inverse of ``_place``."""
    bits, offset = field.operand.bits, field.offset
    if offset >= 64:
        raw = words[:, 1] >> np.uint64(offset - 64)
    else:
        raw = words[:, 0] >> np.uint64(offset)
        if offset + bits > 64:
            raw = raw | words[:, 1] << np.uint64(64 - offset)
    values = (raw & np.uint64((1 << bits) - 1)).astype(np.int64)
    if field.operand.limits[0] < 0:
        values -= (values >> (bits - 1)) << bits
    return values


def _by_opcode(opcodes: Ints) -> list[tuple[int, Ints]]:
    """Each opcode that occurs and the indices where it does."""
    order = np.argsort(opcodes, kind="stable")
    found, firsts = np.unique(opcodes[order], return_index=True)
    return list(zip(found.tolist(), np.split(order, firsts[1:]), strict=True)) if len(found) else []


def _refuse(number: int, message: str, queue: int, machine: Machine, at: str) -> InputError:
    name = machine.queue_names[queue] if queue < machine.queues else f"queue {queue}"
    return InputError(number, message, where=f"{name}, {at}")


def _check_fields(bursts: npt.NDArray[np.void], machine: Machine) -> None:
    """Every value fits its field; raises TSP511 and TSP513 naming the burst."""
    for opcode, where in _by_opcode(bursts["opcode"].astype(np.int64)):
        cls = BY_OPCODE.get(opcode)
        if cls is None or cls.word_only:
            what = f"opcode {opcode:#04x} is no instruction of a program"
            raise _at(511, what, bursts, int(where[0]), machine)
        for i, operand in enumerate(cls.operands):
            values = bursts["args"][where, i]
            bad = np.flatnonzero(out_of_range(operand, values, machine))
            if len(bad):
                what = f"{cls.mnemonic}: {complaint(operand, int(values[bad[0]]), machine)}"
                raise _at(513, what, bursts, int(where[bad[0]]), machine)
        spare = np.flatnonzero(bursts["args"][where, len(cls.operands) :].any(axis=1))
        if len(spare):
            what = f"{cls.mnemonic}: has a value beyond its {len(cls.operands)} operands"
            raise _at(513, what, bursts, int(where[spare[0]]), machine)
    for operand in REPEAT.operands:
        low, high = operand.limits
        low = 1 if operand.name == "count" else low
        values = bursts[operand.name]
        bad = np.flatnonzero((values < low) | (values > high))
        if len(bad):
            what = f"{operand.name} = {values[bad[0]]} is outside {low} .. {high}"
            raise _at(513, what, bursts, int(bad[0]), machine)


def _at(
    number: int, message: str, bursts: npt.NDArray[np.void], index: int, machine: Machine
) -> InputError:
    burst = bursts[index]
    return _refuse(number, message, int(burst["queue"]), machine, f"cycle {burst['cycle']}")


def _check_order(bursts: npt.NDArray[np.void], machine: Machine) -> Ints:
    """The wait before each burst; raises TSP514 where a queue's order is not the canonical one."""
    queue, cycle, opcode = (bursts[n].astype(np.int64) for n in ("queue", "cycle", "opcode"))
    if len(queue) and queue.max() >= machine.queues:
        i = int(queue.argmax())
        raise _at(514, f"{machine.name} has {machine.queues} queues", bursts, i, machine)
    first = np.diff(queue, prepend=-1) != 0
    wait = np.where(first, cycle, np.diff(cycle, prepend=0))
    is_mem = np.array([k == "MEM" for k in machine.queue_kinds])[queue]
    table = np.zeros(256, np.int64)
    for code, cls in BY_OPCODE.items():
        table[code] = _PORTS[cls.port]
    port = table[opcode & 255]
    pair = is_mem & (port + np.roll(port, 1) == 3) & (np.diff(opcode, prepend=0) > 0)
    late = (wait > LONGEST_NOP) | (cycle > LONGEST_NOP)
    bad = (np.diff(queue, prepend=0) < 0) | (wait < 0) | late | (~first & (wait == 0) & ~pair)
    if bad.any():
        i = int(bad.argmax())
        what = "dispatched before its predecessor in the queue, or together with it"
        raise _at(514, "cycle too large" if late[i] else what, bursts, i, machine)
    return wait


def check_bursts(bursts: npt.NDArray[np.void], machine: Machine) -> None:
    """Raise ``InputError`` TSP511, TSP513 or TSP514 unless the bursts have an encoding."""
    _check_order(bursts, machine)
    _check_fields(bursts, machine)


def encode(
    bursts: npt.NDArray[np.void], machine: Machine
) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint64]]:
    """Sections ``queues`` (``QUEUE_RUN``) and ``code`` (``[n, 2]`` uint64) of bursts in canonical order.

    Raises ``InputError`` TSP511 (opcode), TSP513 (a value does not fit its field), TSP514 (order).
    """
    wait = _check_order(bursts, machine)
    _check_fields(bursts, machine)
    long = wait > LONGEST_WAIT
    again = np.zeros(len(bursts), np.bool_)
    for name, once in zip(_REPEAT_FIELDS, _ONCE, strict=True):
        again |= bursts[name] != once
    sizes = 1 + long.astype(np.int64) + again
    place = np.cumsum(sizes) - sizes + long
    words = np.zeros((int(sizes.sum()), 2), np.uint64)
    header = bursts["opcode"].astype(np.uint64) | np.where(long, 0, wait).astype(
        np.uint64
    ) << np.uint64(8)
    words[place, 0] = header
    for opcode, where in _by_opcode(bursts["opcode"].astype(np.int64)):
        part = words[place[where]]
        for i, field in enumerate(layout(opcode)):
            _place(part, field, bursts["args"][where, i])
        words[place[where]] = part
    words[place[long] - 1] = _words_of(NOP, wait[long])
    repeats = [bursts[name][again] for name in _REPEAT_FIELDS]
    words[place[again] + 1] = _words_of(REPEAT, *repeats)
    queues, firsts = np.unique(bursts["queue"], return_index=True)
    runs = np.zeros(len(queues), QUEUE_RUN)
    runs["queue"] = queues
    runs["words"] = np.add.reduceat(sizes, firsts) if len(queues) else 0
    return runs, words


def _words_of(cls: type[Instruction], *values: Ints) -> Words:
    words = np.zeros((len(values[0]), 2), np.uint64)
    words[:, 0] = cls.opcode
    for field, column in zip(layout(cls.opcode), values, strict=True):
        _place(words, field, column)
    return words


def _check_words(words: Words, opcodes: Ints, complain: Any) -> None:
    """Known opcodes, and zero in every bit that no field covers."""
    for opcode, where in _by_opcode(opcodes):
        cls = BY_OPCODE.get(opcode)
        if cls is None:
            raise complain(511, f"unknown opcode {opcode:#04x}", int(where[0]))
        used = HEADER_BITS + sum(o.bits for o in cls.operands)
        spare = ((1 << 128) - 1) ^ ((1 << used) - 1)
        if cls.word_only:
            spare |= (1 << HEADER_BITS) - (1 << 8)
        halves = np.array([spare & (1 << 64) - 1, spare >> 64], np.uint64)
        bad = np.flatnonzero((words[where] & halves).any(axis=1))
        if len(bad):
            raise complain(512, f"{cls.mnemonic}: reserved bits are set", int(where[bad[0]]))


def _check_sequence(opcodes: Ints, queue: Ints, nop: Ints, complain: Any) -> None:
    """``nop`` right before an instruction of its queue and needed; ``repeat`` right after one."""
    is_nop, is_repeat = opcodes == NOP.opcode, opcodes == REPEAT.opcode
    plain = ~is_nop & ~is_repeat
    last = np.append(np.diff(queue) != 0, True)[: len(queue)]
    stray = is_nop & (last | ~np.append(plain[1:], False)[: len(queue)])
    first = np.diff(queue, prepend=-1) != 0
    stray |= is_repeat & (first | ~np.insert(plain, 0, False)[:-1])
    stray |= is_nop & (nop <= LONGEST_WAIT)
    if stray.any():
        i = int(stray.argmax())
        raise complain(515, f"{BY_OPCODE[int(opcodes[i])].mnemonic} is out of place", i)


def decode(
    runs: npt.NDArray[np.void], words: npt.NDArray[np.uint64], machine: Machine
) -> npt.NDArray[np.void]:
    """Inverse of ``encode``: a ``BURST`` array, every ``node`` 0. Raises ``InputError`` TSP511..TSP515."""
    ids, sizes = runs["queue"].astype(np.int64), runs["words"].astype(np.int64)
    if (np.diff(ids) <= 0).any() or (len(ids) and ids[-1] >= machine.queues) or (sizes == 0).any():
        raise InputError(514, "the table of queues is not ascending, or names a queue too many")
    if sizes.sum() != len(words):
        raise InputError(514, f"{sizes.sum()} words are in queues, {len(words)} in the file")
    queue = np.repeat(ids, sizes)

    def complain(number: int, message: str, index: int) -> InputError:
        word = index - int(np.searchsorted(queue, queue[index]))
        return _refuse(number, message, int(queue[index]), machine, f"word {word}")

    opcodes = (words[:, 0] & np.uint64(255)).astype(np.int64)
    _check_words(words, opcodes, complain)
    is_nop = opcodes == NOP.opcode
    nop = np.where(is_nop, _take(words, layout(NOP.opcode)[0]), 0)
    _check_sequence(opcodes, queue, nop, complain)
    place = np.flatnonzero(~is_nop & (opcodes != REPEAT.opcode))
    wait = (words[place, 0] >> np.uint64(8) & np.uint64(0xFFFF)).astype(np.int64)
    before = np.where(place > 0, nop[place - 1], 0) if len(place) else wait
    if ((before > 0) & (wait > 0)).any():
        raise complain(515, "both nop and wait", int(place[((before > 0) & (wait > 0)).argmax()]))
    bursts = np.zeros(len(place), BURST)
    bursts["queue"], bursts["opcode"] = queue[place], opcodes[place]
    bursts["cycle"] = _cycles(queue[place], wait + before)
    for opcode, where in _by_opcode(opcodes[place]):
        part = words[place[where]]
        columns = [_take(part, field) for field in layout(opcode)]
        padding = [np.zeros(len(where), np.int64)] * (MAX_OPERANDS - len(columns))
        bursts["args"][where] = np.stack(columns + padding, axis=1)
    repeats = np.flatnonzero(opcodes == REPEAT.opcode)
    values = [_take(words[repeats], field) for field in layout(REPEAT.opcode)]
    useless = np.logical_and.reduce([v == o for v, o in zip(values, _ONCE, strict=True)])
    if useless.any():
        raise complain(515, "repeat repeats nothing", int(repeats[useless.argmax()]))
    owners = np.searchsorted(place, repeats) - 1
    for name, value, once in zip(_REPEAT_FIELDS, values, _ONCE, strict=True):
        bursts[name] = once
        bursts[name][owners] = value
    check_bursts(bursts, machine)
    return bursts


def _cycles(queue: Ints, waits: Ints) -> Ints:
    """Running sum of ``waits`` within each queue; raises TSP514 where it could overflow."""
    if len(waits) and float(waits.sum(dtype=np.float64)) >= 2.0**62:
        raise InputError(514, "the waits add up to more cycles than there can be")
    total = np.cumsum(waits)
    firsts = np.flatnonzero(np.diff(queue, prepend=-1))
    lengths = np.diff(np.append(firsts, len(queue)))
    base = np.where(firsts > 0, total[firsts - 1], 0) if len(firsts) else firsts
    cycles: Ints = total - np.repeat(base, lengths)
    return cycles
