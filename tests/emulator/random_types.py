"""What type every value of a program has, found the slow way: dispatch by dispatch in order of time, word by word.

The rule that types keep, written down a second time: random programs are made to keep it, and the verifier is held to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from isa.instruction import BY_OPCODE, DType, Instruction, Source, SourceKind
from isa.ops import mem, mxm, sxm, vxm
from isa.program import PortTensor, Program

Word = tuple[int, int]
EXCHANGES = sxm.Shift | sxm.Permute | sxm.Distribute | sxm.Rotate | sxm.Transpose
Byte = tuple[DType, int] | None
"""Type and byte plane of a value; None where nothing says."""


@dataclass(frozen=True)
class Want:
    """One byte plane that an instruction reads: from a stream, or whole from an ALU; and as what, if it minds."""

    operand: str
    stream: int
    delay: int
    byte: Byte
    alu: bool = False


def wants(instr: Instruction) -> Iterator[Want]:
    """What an instruction reads, but for what it only moves."""
    if isinstance(instr, vxm.VxmInstruction):
        for i, (name, source) in enumerate(zip("abc", instr.sources, strict=False)):
            dtype = instr.source_dtype(i)
            if isinstance(instr, vxm.Mov) or source.kind is SourceKind.IMMEDIATE:
                continue
            if source.kind is SourceKind.ALU:
                yield Want(name, source.index, source.delay, (dtype, 0), alu=True)
                continue
            for p in range(dtype.planes):
                yield Want(name, source.index + p, source.delay, (dtype, p))
    elif isinstance(instr, mxm.Activate | mxm.LoadWeights):
        dtype = DType(instr.dtype)
        groups = instr.groups if isinstance(instr, mxm.LoadWeights) else 1
        for s in range(groups * dtype.planes):
            yield Want("stream", instr.stream + s, 0, (dtype, s % dtype.planes))
    elif isinstance(instr, mem.Gather | mem.Scatter | sxm.Permute):
        name = "map" if isinstance(instr, sxm.Permute) else "indices"
        for p in range(2):
            yield Want(name, getattr(instr, name) + p, 0, (DType.I16, p))


def moves(instr: Instruction, superlane: int) -> range:
    """The streams that an instruction moves without looking at the values."""
    if isinstance(instr, mem.Write | mem.Scatter):
        return range(instr.stream, instr.stream + 1)
    if isinstance(instr, EXCHANGES):
        wide = superlane if isinstance(instr, sxm.Transpose) else 1
        return range(instr.src, instr.src + wide)
    return range(0)


def fits(made: Byte, read: Byte, *, moved: bool, matrix: bool = False) -> bool:
    """Whether a byte may be read so. ``moved``: memory or the exchange unit had it. ``matrix``: by the matrix unit."""
    if made is None or read is None or made == read:
        return True
    (of, plane), (wanted, place) = made, read
    integers = not of.is_float and not wanted.is_float
    if integers and plane == place and wanted.planes <= of.planes:
        return True
    lowest = plane == 0 and not of.is_float
    return moved and (lowest or (matrix and wanted is DType.I8))


def common(found: list[Byte]) -> Byte:
    """What all of these are, if it is one thing."""
    return found[0] if len(set(found)) == 1 else None


def pieces(tensor: PortTensor) -> Iterator[tuple[Word, Byte]]:
    """The words of an input or output, and which byte they hold."""
    for p in tensor.pieces:
        for row in range(p.rows):
            yield (p.slice, p.address + row), (tensor.dtype, p.plane)


class Walk:
    """A program's values as they come and go. ``offences``: the operands that are read as what they are not, by burst."""

    def __init__(self, program: Program) -> None:
        self.program, self.machine = program, program.machine
        self.offences: set[tuple[int, str]] = set()
        self.streams: dict[tuple[int, int], dict[int, tuple[Byte, bool]]] = defaultdict(dict)
        self.alus: dict[tuple[int, int], DType] = {}
        self.words: dict[Word, Byte] = {}
        self.later: list[tuple[int, int, Word, Byte, bool]] = []
        for tensor in program.inputs:
            for word, byte in pieces(tensor):
                self.words[word] = byte if self.words.get(word, byte) == byte else None
        turns = [
            (int(b["cycle"]) + k * int(b["interval"]), i, k)
            for i, b in enumerate(program.bursts)
            for k in range(int(b["count"]))
        ]
        decoded = [program.instruction(i) for i in range(len(program.bursts))]
        for cycle, i, k in sorted(turns):
            self.settle(cycle)
            self.dispatch(i, decoded[i], k * int(program.bursts["stride"][i]), cycle)
        self.settle(None)

    def settle(self, cycle: int | None) -> None:
        """Writes that are effective by a cycle."""
        while self.later and (cycle is None or self.later[0][0] <= cycle):
            _, _, word, byte, whole = heappop(self.later)
            self.words[word] = byte if whole else common([byte, self.words.get(word)])

    def write(self, cycle: int, word: Word, byte: Byte, *, whole: bool) -> None:
        """A byte for a word, all of it or perhaps some of its superlanes, from a cycle on."""
        heappush(self.later, (cycle, len(self.later), word, byte, whole))

    def read(self, queue: int, stream: int, cycle: int) -> tuple[Byte, bool]:
        """What is on a stream at a unit, and whether it was moved."""
        values, place = self.diagonal(queue, stream, cycle)
        return values[max(p for p in values if p <= place)]

    def diagonal(
        self, queue: int, stream: int, cycle: int
    ) -> tuple[dict[int, tuple[Byte, bool]], int]:
        """All that is put where a stream at a unit is now, by place; and the unit's."""
        place = self.machine.queue_positions[queue]
        place = place if stream < self.machine.streams else -place
        return self.streams[stream, cycle - self.machine["streams.hop"] * place], place

    def dispatch(self, burst: int, instr: Instruction, by: int, cycle: int) -> None:
        """One dispatch: what it reads is judged, what it makes entered."""
        queue, latency = int(self.program.bursts["queue"][burst]), 0
        if instr.timing:
            latency = self.machine.timing(instr.timing)
        for want in wants(instr):
            if want.alu:
                made: Byte = (self.alus[want.stream, cycle - want.delay], 0)
                good = fits(made, want.byte, moved=False)
            else:
                made, moved = self.read(queue, want.stream, cycle - want.delay)
                good = fits(made, want.byte, moved=moved, matrix=instr.unit == "MXM")
            if not good:
                self.offences.add((burst, want.operand))
        taken = moves(instr, self.machine["lanes.per_superlane"])
        carried = [self.read(queue, s, cycle)[0] for s in taken]
        if isinstance(instr, mem.Write):
            self.write(cycle + latency, (queue, instr.address + by), carried[0], whole=True)
        elif isinstance(instr, mem.Scatter):
            for word in range(instr.base + by, instr.base + by + instr.limit + 1):
                self.write(cycle + latency, (queue, word), carried[0], whole=False)
        for stream, byte, moved in self.puts(instr, queue, by, carried):
            values, place = self.diagonal(queue, stream, cycle + latency)
            values[place] = byte, moved
        if isinstance(instr, vxm.VxmInstruction):
            self.alus[queue - self.machine.vxm_queue, cycle + latency] = instr.result_dtype

    def puts(
        self, instr: Instruction, queue: int, by: int, carried: list[Byte]
    ) -> Iterator[tuple[int, Byte, bool]]:
        """What an instruction drives: stream, byte, and whether it is moved."""
        if isinstance(instr, vxm.VxmInstruction):
            sides = ((instr.east, -1), (instr.west, self.machine.streams - 1))
            for side, base in sides:
                for p in range(instr.result_dtype.planes if side else 0):
                    yield base + side + p, (instr.result_dtype, p), False
        elif isinstance(instr, mxm.Accumulate) and instr.emit:
            total = DType.F32 if instr.dtype == DType.F16 else DType.I32
            yield from ((instr.stream + p, (total, p), False) for p in range(4))
        elif isinstance(instr, mem.Read):
            yield instr.stream, self.words.get((queue, instr.address + by)), True
        elif isinstance(instr, mem.Gather):
            reach = range(instr.base + by, instr.base + by + instr.limit + 1)
            yield instr.stream, common([self.words.get((queue, w)) for w in reach]), True
        elif isinstance(instr, EXCHANGES):
            first = instr.dst
            yield from ((first + s, common(carried), True) for s in range(len(carried)))


def kept(program: Program) -> Program | None:
    """The program, each vector operand that is of another type made an immediate; None if others are."""
    while offences := Walk(program).offences:
        bursts = program.bursts.copy()
        for burst, name in offences:
            names = [o.name for o in BY_OPCODE[int(bursts["opcode"][burst])].operands]
            if name not in ("a", "b", "c"):
                return None
            bursts["args"][burst, names.index(name)] = Source(SourceKind.IMMEDIATE).pack()
        program = replace(program, bursts=bursts)
    return program
