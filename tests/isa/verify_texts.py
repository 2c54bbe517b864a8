"""Programs that the verifier refuses, as small texts with the whole of what it says: ``verify_cases/NNN.txt``, a file a rule.

A case is ``== heading``, assembly, then changes that no assembler would make, each behind ``!``, then ``--`` and what
``tspc verify`` is to print. The changes:

- ``! burst I FIELD VALUE``: a field of a burst of the sorted program (a queue by name or number);
- ``! arg I OPERAND VALUE``: an operand of a burst;
- ``! order I J ...``: the bursts in another order;
- ``! segment I FIELD VALUE``, ``! data N`` (the first N rows are left), ``! lanes N`` (bytes a row);
- ``! fact NAME VALUE``: a fact of the chip;
- ``! piece input|output T P FIELD VALUE``, ``! tensor input|output T FIELD VALUE``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from isa.assembly import assemble
from isa.instruction import BY_OPCODE
from isa.machine import make_machine
from isa.program import Program
from isa.verify import verify

FOLDER: Final = Path(__file__).parent / "verify_cases"
NAME: Final = "k.asm"
LONGEST: Final = 40


@dataclass(frozen=True)
class Text:
    """One case: its rule, heading, assembly, changes, and the refusals as they are printed."""

    rule: int
    heading: str
    assembly: str
    changes: tuple[str, ...]
    expected: str

    @property
    def lines(self) -> int:
        """Lines of the case in its file."""
        return 2 + len((self.assembly + self.expected).splitlines()) + len(self.changes)

    def program(self) -> Program:
        """The program, changes made."""
        program = assemble(self.assembly, where=NAME)
        for change in self.changes:
            verb, *words = change.split()
            program = CHANGES[verb](program, words)
        return program

    def said(self) -> str:
        """What the verifier says of it now."""
        return refusals(self.program())


def refusals(program: Program) -> str:
    """All refusals of a program, as they are printed."""
    return "".join(f"{refusal}\n" for refusal in verify(program, collect=True))


def texts() -> Iterator[Text]:
    """Every case, by rule."""
    for path in sorted(FOLDER.glob("*.txt")):
        _, *cases = path.read_text().split("\n== ")
        for case in cases:
            head, _, rest = case.partition("\n")
            source, _, expected = f"{rest}\n".partition("\n--\n")
            lines = source.split("\n")
            changes = tuple(line[2:] for line in lines if line.startswith("! "))
            assembly = "\n".join(line for line in lines if not line.startswith("! ")) + "\n"
            yield Text(int(path.stem), head, assembly, changes, expected.strip("\n") + "\n")


def _burst(program: Program, words: list[str]) -> Program:
    index, field, value = words
    bursts = program.bursts.copy()
    names = program.machine.queue_names
    bursts[int(index)][field] = names.index(value) if value in names else int(value, 0)
    return dataclasses.replace(program, bursts=bursts)


def _arg(program: Program, words: list[str]) -> Program:
    index, name, value = words
    bursts = program.bursts.copy()
    operands = BY_OPCODE[int(bursts[int(index)]["opcode"])].operands
    place = [o.name for o in operands].index(name)
    bursts[int(index)]["args"][place] = int(value, 0)
    return dataclasses.replace(program, bursts=bursts)


def _order(program: Program, words: list[str]) -> Program:
    order = [int(w) for w in words]
    lines = tuple(program.lines[i] for i in order)
    return dataclasses.replace(program, bursts=program.bursts[order], lines=lines)


def _fact(program: Program, words: list[str]) -> Program:
    name, value = words
    facts = dict(program.machine.facts)
    facts[name] = dataclasses.replace(facts[name], value=int(value))
    return dataclasses.replace(program, machine=make_machine(facts, NAME))


def _segment(program: Program, words: list[str]) -> Program:
    index, field, value = words
    segments = program.segments.copy()
    segments[int(index)][field] = int(value, 0)
    return dataclasses.replace(program, segments=segments)


def _data(program: Program, words: list[str]) -> Program:
    return dataclasses.replace(program, data=program.data[: int(words[0])])


def _lanes(program: Program, words: list[str]) -> Program:
    return dataclasses.replace(program, data=program.data[:, : int(words[0])])


def _tensor(program: Program, words: list[str]) -> Program:
    kind, index, field, value = words
    number = int(value) if value.isdigit() else value
    given: Any = (number,) if field == "shape" else number
    tensors = list(getattr(program, f"{kind}s"))
    tensors[int(index)] = dataclasses.replace(tensors[int(index)], **{field: given})
    ports: Any = {f"{kind}s": tuple(tensors)}
    return dataclasses.replace(program, **ports)


def _piece(program: Program, words: list[str]) -> Program:
    kind, index, place, field, value = words
    tensors = list(getattr(program, f"{kind}s"))
    tensor = tensors[int(index)]
    pieces = list(tensor.pieces)
    pieces[int(place)] = dataclasses.replace(pieces[int(place)], **{field: int(value, 0)})
    tensors[int(index)] = dataclasses.replace(tensor, pieces=tuple(pieces))
    ports: Any = {f"{kind}s": tuple(tensors)}
    return dataclasses.replace(program, **ports)


CHANGES: Final[dict[str, Callable[[Program, list[str]], Program]]] = {
    "burst": _burst,
    "arg": _arg,
    "order": _order,
    "fact": _fact,
    "segment": _segment,
    "data": _data,
    "lanes": _lanes,
    "tensor": _tensor,
    "piece": _piece,
}
