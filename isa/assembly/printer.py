"""``disassemble``: a program as canonical text."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from isa.assembly.symbols import Symbols
from isa.assembly.syntax import instruction_text
from isa.binary.words import check_bursts
from isa.instruction import BY_OPCODE
from isa.machine import CHIPS, Fact, Machine, load_chip
from isa.program import Array, PortTensor, Program

_ONCE: Final = (1, 1, 0)


def quoted(text: str) -> str:
    """A text as a quoted word: a JSON string in ASCII."""
    return json.dumps(text)


def _chip(machine: Machine) -> Iterator[str]:
    """The preset and what differs from it."""
    presets = sorted(p.stem for p in CHIPS.glob("*.toml"))
    base = load_chip(machine.name if machine.name in presets else "tsp1")
    yield f".chip {base.name}"
    known = dict(base.facts)
    for name, fact in machine.facts:
        if known.get(name) != fact or type(known[name].value) is not type(fact.value):
            yield f".fact {name} {_value(fact)} {fact.source} {quoted(fact.note)}"


def _value(fact: Fact) -> str:
    if isinstance(fact.value, bool):
        return "true" if fact.value else "false"
    return quoted(fact.value) if isinstance(fact.value, str) else str(fact.value)


def _tensor(kind: str, tensor: PortTensor, machine: Machine) -> Iterator[str]:
    bounds = f" {tensor.minimum}..{tensor.maximum}" if tensor.minimum or tensor.maximum else ""
    shape = ",".join(map(str, tensor.shape))
    yield f".{kind} {quoted(tensor.name)} {tensor.abi_dtype} {tensor.dtype.name.lower()} [{shape}]{bounds}"
    for p in tensor.pieces:
        splat = ", splat" if p.splat else ""
        yield (
            f".piece {machine.queue_names[p.slice]}, {p.address:#06x}, plane {p.plane}, view {p.view_columns}, "
            f"rows {p.row}+{p.rows}, columns {p.column}+{p.columns}, lane {p.lane}{splat}"
        )


def _constants(program: Program) -> Iterator[str]:
    names = program.machine.queue_names
    for slice_, address, count, first in program.segments.tolist():
        yield f".segment {names[slice_]}, {address:#06x}, x{count}, {first}"
    data: Array = program.data
    i, uniform = 0, (data == data[:, :1]).all(axis=1) if len(data) else data
    while i < len(data):
        if not uniform[i]:
            yield f".data {base64.b64encode(data[i].tobytes()).decode()}"
            i += 1
            continue
        end = i + 1
        while end < len(data) and uniform[end] and data[end, 0] == data[i, 0]:
            end += 1
        yield f".fill {data[i, 0]:#04x}" + (f" x{end - i}" if end - i > 1 else "")
        i = end


def instruction_line(program: Program, index: int) -> str:
    """Burst ``index`` as a line."""
    return line_writer(program.machine)(program.bursts[index].item())


def line_writer(machine: Machine) -> Callable[[Any], str]:
    """Turns a burst's tuple, a row of ``Program.bursts``, into its line."""
    names = machine.queue_names

    @lru_cache(maxsize=1 << 14)
    def text(opcode: int, args: tuple[int, ...]) -> str:
        return instruction_text(BY_OPCODE[opcode], args, machine)

    def line(burst: Any) -> str:
        queue, opcode, node, cycle, count, interval, stride, args = burst
        out = f"@{cycle} {names[queue]}: {text(opcode, tuple(args))}"
        if (count, interval, stride) != _ONCE:
            out += f" x{count}"
            if interval != 1:
                out += f" /{interval}"
            if stride:
                out += f" {stride:+d}"
        return f"{out} !{node}" if node else out

    return line


def _lines(program: Program) -> Iterator[str]:
    machine = program.machine
    yield from _chip(machine)
    yield from (f".meta {quoted(key)} {quoted(text)}" for key, text in program.meta)
    if program.nodes != ("",):
        yield from (f".node {i} {quoted(name)}" for i, name in enumerate(program.nodes))
    for tensor in program.inputs:
        yield from _tensor("input", tensor, machine)
    for tensor in program.outputs:
        yield from _tensor("output", tensor, machine)
    yield from _constants(program)
    yield from map(line_writer(machine), program.bursts.tolist())


def disassemble(program: Program) -> str:
    """The program as text that ``assemble`` turns into the same program, byte for byte.

    Raises ``InputError`` TSP511..TSP514 for bursts that have no encoding.
    """
    check_bursts(program.bursts, program.machine)
    return "\n".join(_lines(program)) + "\n"


def listing(program: Program) -> str:
    """``disassemble``, with the names that the program carries as comments: it assembles to the same bytes."""
    symbols = Symbols.of(program)
    text = disassemble(program)
    first = len(program.bursts)
    lines = text.split("\n")[:-1]
    head, bursts = lines[: len(lines) - first], lines[len(lines) - first :]
    noted = []
    for line, burst in zip(bursts, program.bursts.tolist(), strict=True):
        comment = symbols.comment(program.machine, burst)
        noted.append(f"{line}  ; {comment}" if comment else line)
    return "\n".join([*head, *(f"; {line}" for line in symbols.head), *noted]) + "\n"
