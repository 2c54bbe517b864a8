"""Text to bytes to text to bytes, over all extremes of all fields; and no way in for a value that a field cannot hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from isa.assembly import AssemblyErrors, assemble, disassemble
from isa.assembly.syntax import instruction_text
from isa.binary import from_bytes, to_bytes
from isa.binary.words import QUEUE_RUN, decode, encode, layout
from isa.errors import InputError
from isa.fields import field_range, out_of_range
from isa.instruction import REGISTRY, Instruction, Kind, Operand, Source, SourceKind
from isa.machine import Fact, Machine, load_chip
from isa.program import BURST, Program, sort_bursts
from tests.isa.conftest import arbitrary_program, queues_of

PROGRAMS, BLOCKS = 10_000, 10
SIZE = 4
LIMIT = 1 << 32
CYCLES = (1, 0xFFFF, 0x10000, 1 << 36)
COUNTS = (1, 2, LIMIT - 1)
STRIDES = (0, -1, LIMIT // 2 - 1, -LIMIT // 2)
CLASSES = [cls for cls in REGISTRY.values() if not cls.word_only]
CHIPS = (load_chip("tiny"), load_chip("tsp1"))
Row = tuple[int, int, int, int, int, int, int, tuple[int, ...]]
Seen = dict[tuple[str, str], set[int]]


def other_chip() -> Machine:
    """A chip on which fields hold more than there is."""
    facts = dict(CHIPS[0].facts)
    for name, value in (("streams.per_direction", 16), ("vxm.alus", 9), ("vxm.large_alus", 8)):
        facts[name] = Fact(value, "assumed")
    facts["chip.name"] = Fact("other", "assumed")
    return Machine(tuple(sorted(facts.items())))


def extremes(field: Operand, machine: Machine) -> list[int]:
    """The values of a field that lie at an end of something."""
    if field.kind is not Kind.SOURCE:
        return list(field_range(field, machine))
    last = {SourceKind.STREAM: 2 * machine.streams - 1, SourceKind.ALU: machine["vxm.alus"] - 1}
    delays = (0, machine["vxm.max_delay"])
    codes = [Source(k, i, d).pack() for k, n in last.items() for i in (0, n) for d in delays]
    return [Source(SourceKind.NONE).pack(), Source(SourceKind.IMMEDIATE).pack(), *codes]


@cache
def ends_of(mnemonic: str, machine: Machine) -> list[list[int]]:
    """The extremes of each operand of an instruction."""
    return [extremes(o, machine) for o in REGISTRY[mnemonic].operands]


def values(
    rng: np.random.RandomState, cls: type[Instruction], machine: Machine, turn: int
) -> list[int]:
    """Operands of an instruction: each goes through its extremes, turn by turn, with anything in between."""
    found = []
    for field, ends in zip(cls.operands, ends_of(cls.mnemonic, machine), strict=True):
        if field.kind is Kind.SOURCE or turn % 3:
            found.append(ends[turn % len(ends)])
        else:
            low, high = ends
            found.append(low + int(rng.randint(0, high - low + 1, dtype=np.int64)))
    return found


def random_program(seed: int, machine: Machine, seen: Seen) -> Program:
    """A few bursts of any instructions, in cycles, counts, intervals and strides up to their ends."""
    rng = np.random.RandomState(seed)
    clock: dict[int, int] = defaultdict(int)
    rows: list[Row] = []
    for i in range(seed * SIZE, (seed + 1) * SIZE):
        cls = CLASSES[i % len(CLASSES)]
        fit = fitting(cls.mnemonic, machine)
        queue = fit[rng.randint(len(fit))]
        clock[queue] += CYCLES[rng.randint(len(CYCLES))]
        args = values(rng, cls, machine, i // len(CLASSES))
        for o, v in zip(cls.operands, args, strict=True):
            seen.setdefault((cls.mnemonic, o.name), set()).add(v)
        count, interval = (COUNTS[rng.randint(len(COUNTS))] for _ in range(2))
        stride = STRIDES[rng.randint(len(STRIDES))]
        padded = tuple(args + [0] * (10 - len(args)))
        rows.append((queue, cls.opcode, 0, clock[queue], count, interval, stride, padded))
    return Program(machine, sort_bursts(np.array(rows, BURST)))


@cache
def fitting(mnemonic: str, machine: Machine) -> list[int]:
    """The queues that an instruction may stand on."""
    return queues_of(REGISTRY[mnemonic], machine)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_text_and_bytes_of_random_programs(block: int) -> None:
    """Text, its bytes, their text and that one's bytes. Every extreme of every field occurs. Some programs have data too."""
    seen: tuple[Seen, Seen] = ({}, {})
    size = PROGRAMS // BLOCKS
    for seed in range(block * size, (block + 1) * size):
        machine = CHIPS[seed % 2]
        program = random_program(seed // 2, machine, seen[seed % 2])
        if seed % 20 == 0:
            program = arbitrary_program(seed, machine, 12)
        text = disassemble(program)
        data = to_bytes(assemble(text))
        again = disassemble(from_bytes(data))
        assert again == text, seed
        if seed % 10 == 0:  # the others' bytes are equal because their texts are
            assert to_bytes(assemble(again)) == data, seed
            assert to_bytes(program) == data, seed
    for machine, found in zip(CHIPS, seen, strict=True):
        for cls in CLASSES:
            for o in cls.operands:
                assert set(extremes(o, machine)) <= found[cls.mnemonic, o.name], (cls, o)


def beyond(field: Operand, machine: Machine) -> list[str]:
    """Texts of values just outside a field."""
    low, high = field_range(field, machine)
    n, alus = machine.streams, machine["vxm.alus"]
    match field.kind:
        case Kind.UINT | Kind.INT:
            return [str(low - 1), str(high + 1), f"{high + 1:#x}", "9" * 30]
        case Kind.STREAM:
            return [f"E{n}", f"W{n}", f"E{2 * n}", "E-1", f"E{1 << 40}"]
        case Kind.STREAM_OR_NONE:
            side, other = field.direction, "EW"[field.direction == "E"]
            return [f"{side}{n}", f"{side}-1", f"{other}{n}"]
        case Kind.DTYPE:
            return ["i64", "f64", "u8", "5"]
        case Kind.SOURCE:
            late = machine["vxm.max_delay"] + 1
            return [f"E{n}", f"W{n}~1", f"alu{alus}", f"E0~{late}", "E0~-1", "#0x100000000"]
        case Kind.BITS32:
            return ["imm=0x100000000", "imm=-0x1"]
    return ["2", f"{field.name}1"]


def marked(cls: type[Instruction], place: int, machine: Machine) -> tuple[str, str]:
    """A line's instruction with one operand's text cut out: before it and behind."""
    args = []
    for i, o in enumerate(cls.operands):
        small = 1 if o.kind in (Kind.SOURCE, Kind.STREAM_OR_NONE) else 0
        args.append(int(i == place) if o.kind in (Kind.FLAG, Kind.BITS32) else small)
    text = instruction_text(cls, args, machine)
    field = cls.operands[place]
    changed = list(args)
    if field.kind in (Kind.FLAG, Kind.BITS32):
        own = field.name if field.kind is Kind.FLAG else "imm=0x1"
        before, _, after = text.partition(own)
        return before, after
    changed[place] = 1 | 1 << 2 if field.kind is Kind.SOURCE else args[place] + 1
    other = instruction_text(cls, changed, machine)
    words, others = text.split(), other.split()
    (at,) = (i for i, (a, b) in enumerate(zip(words, others, strict=True)) if a != b)
    tail = "," if words[at].endswith(",") else ""
    return " ".join(words[:at]) + " ", tail + " " + " ".join(words[at + 1 :])


@pytest.mark.parametrize("machine", [*CHIPS, other_chip()], ids=lambda m: m.name)
@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.mnemonic)
def test_text_out_of_range_is_refused(cls: type[Instruction], machine: Machine) -> None:
    queue = machine.queue_names[queues_of(cls, machine)[0]]
    for place, field in enumerate(cls.operands):
        before, after = marked(cls, place, machine)
        for text in beyond(field, machine):
            line = f"@0 {queue}: {before}{text}{after}"
            with pytest.raises(AssemblyErrors) as caught:
                assemble(line, machine)
            assert all(200 <= e.number < 300 for e in caught.value.errors), line


@pytest.mark.parametrize("machine", [*CHIPS, other_chip()], ids=lambda m: m.name)
@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.mnemonic)
def test_values_out_of_range_are_neither_encoded_nor_printed(
    cls: type[Instruction], machine: Machine
) -> None:
    for place, field in enumerate(cls.operands):
        low, high = field_range(field, machine)
        for v in (low - 1, high + 1, 1 << 62, -(1 << 62)):
            args = tuple(v if i == place else 0 for i in range(10))
            queue = queues_of(cls, machine)[0]
            bursts = np.array([(queue, cls.opcode, 0, 0, 1, 1, 0, args)], BURST)
            for action in (
                lambda b: encode(b, machine),
                lambda b: disassemble(Program(machine, b)),
            ):
                refused(action, bursts, 513)


def refused(action: Callable[..., object], given: object, number: int) -> None:
    """The action raises that numbered error."""
    with pytest.raises(InputError) as caught:
        action(given)
    assert caught.value.number == number


@pytest.mark.parametrize("machine", [*CHIPS, other_chip()], ids=lambda m: m.name)
@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.mnemonic)
def test_words_out_of_range_are_not_decoded(cls: type[Instruction], machine: Machine) -> None:
    """A bit that no field claims; a field that holds more than the chip has, by one and at its end."""
    queue = queues_of(cls, machine)[0]
    runs = np.array([(queue, 1)], QUEUE_RUN)

    def decoded(word: int) -> object:
        halves = np.array([[word & (1 << 64) - 1, word >> 64]], np.uint64)
        return decode(runs, halves, machine)

    assert decoded(cls.opcode) is not None
    fields = layout(cls.opcode)
    for field, offset in fields:
        if field.kind is Kind.INT:
            continue  # any bits are a signed number
        for v in {field_range(field, machine)[1] + 1, (1 << field.bits) - 1}:
            if v < 1 << field.bits and out_of_range(field, np.array([v]), machine)[0]:
                refused(decoded, cls.opcode | v << offset, 513)
    end = max((offset + field.bits for field, offset in fields), default=24)
    for bit in range(end, 128):
        refused(decoded, cls.opcode | 1 << bit, 512)


def test_a_cycle_a_count_and_a_stride_out_of_range_are_refused() -> None:
    for text in ("@0 MEM_W0: read 0, E0 x4294967296", "@0 MEM_W0: read 0, E0 x2 /4294967296"):
        with pytest.raises(AssemblyErrors):
            assemble(text, CHIPS[0])
    program = assemble("@0 MEM_W0: read 0, E0", CHIPS[0])
    for column, v in (("count", LIMIT), ("interval", LIMIT), ("stride", LIMIT // 2), ("cycle", -1)):
        bursts = program.bursts.copy()
        bursts[column] = v
        with pytest.raises(InputError):
            to_bytes(replace(program, bursts=bursts))
