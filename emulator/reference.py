"""The reference interpreter: a program cycle by cycle, with the declared meaning of each instruction. Slow and obvious.

In a cycle, first what is in flight lands (results on streams, ALU outputs, writes, weights), then every instruction whose
cycle it is samples its operands, and its effects are in flight for ``d_func`` cycles; last, everything on the streams moves.
A run ends when the queues are empty and nothing is in flight; ``timing.stagger`` is added for the last superlane.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from emulator.image import Image, initial_memory, initialised_words, read_outputs, write_inputs
from emulator.reference_matrix import Matrix
from emulator.reference_units import (
    BAD_BURST,
    COLLISION,
    NO_MEANING,
    UNDEFINED_WORD,
    AluOutputs,
    Memory,
    StepError,
    Streams,
)
from emulator.trace import Trace
from isa.errors import InputError, InternalError
from isa.instruction import BY_OPCODE, Bytes, Instruction
from isa.machine import Machine
from isa.ops.mem import Gather, Read, Scatter, Write
from isa.ops.mxm import Activate, Activation, InstallWeights, LoadWeights
from isa.program import Program, decode_args


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One instance of a burst."""

    burst: int
    step: int
    queue: int
    instr: Instruction


class ReferenceInterpreter:
    """Runs one program, any number of times.

    ``final_memory`` is the image ``[2 * slices, words, lanes]`` after the last run; words never written are as they were.
    A step without meaning (an operand nobody produced, two results in one place) raises ``InternalError`` TSP91x naming
    cycle, queue, instruction and node: the verifier lets no such program through.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.machine = program.machine
        for key, fact in self.machine.facts:
            latency = key.startswith("timing.") and key != "timing.stagger"
            if (latency or key == "streams.hop") and int(fact.value) < 1:
                message = f"{key} is {fact.value}: less than a cycle cannot be stepped"
                raise InputError(150, message, where=self.machine.name)
        self.final_memory: Image = np.zeros((0, 0, 0), np.uint8)

    def run(
        self, inputs: Mapping[str, npt.NDArray[Any]]
    ) -> tuple[dict[str, npt.NDArray[Any]], Trace]:
        """Outputs by name, and the trace. Raises ``InputError`` TSP60x as ``emulator.image.write_inputs`` does."""
        image = initial_memory(self.program)
        write_inputs(self.program, inputs, image)
        self._reset(image)
        while True:
            self._land()
            if not self.agenda and not self.in_flight:
                break
            self._dispatch()
            self._shift()
        self.final_memory = image
        self._check_outputs()
        cycles = self.cycle + self.machine.timing("stagger")
        trace = Trace(cycles, sum(self.busy), tuple(self.busy))
        return read_outputs(self.program, image), trace

    def _reset(self, image: Image) -> None:
        """The machine before cycle 0: every queue waits for the first dispatch of its bursts."""
        self.cycle = 0
        self.in_flight = 0
        self.streams = Streams(self.machine)
        self.alus = AluOutputs(self.machine)
        self.memory = Memory(self.machine, image, initialised_words(self.program))
        self.matrix = Matrix(self.machine)
        self.busy = [0] * self.machine.queues
        self.landings: defaultdict[int, list[tuple[Dispatch, Callable[[], None]]]]
        self.landings = defaultdict(list)
        self.agenda: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for index, burst in enumerate(self.program.bursts):
            whole = burst["count"] >= 1 and burst["interval"] >= 1 and burst["cycle"] >= 0
            if not whole or burst["queue"] >= self.machine.queues:
                message = "count and interval start at 1, cycles at 0, and the queue must exist"
                raise InternalError(BAD_BURST, message, where=f"burst {index}")
            self.agenda[int(burst["cycle"])].append((index, 0))

    def _land(self) -> None:
        """What is in flight until this cycle takes effect."""
        for origin, effect in self.landings.pop(self.cycle, ()):
            try:
                effect()
            except StepError as fault:
                raise self._located(fault, origin) from None
        self.streams.remember()

    def _dispatch(self) -> None:
        """Every instruction whose cycle it is samples its operands; its queue then waits for the next repeat."""
        taken: defaultdict[int, list[str]] = defaultdict(list)
        for index, step in sorted(self.agenda.pop(self.cycle, ())):
            burst = self.program.bursts[index]
            dispatch = Dispatch(index, step, int(burst["queue"]), self._instance(index, step))
            try:
                self._execute(dispatch, taken)
            except StepError as fault:
                raise self._located(fault, dispatch) from None
            if step + 1 < burst["count"]:
                self.agenda[self.cycle + int(burst["interval"])].append((index, step + 1))

    def _shift(self) -> None:
        """The clock ticks."""
        self.cycle += 1
        self.streams.shift()
        self.alus.shift()
        self.memory.shift()
        self.matrix.shift()

    def _instance(self, index: int, step: int) -> Instruction:
        """Burst ``index``'s instruction with its strided operand advanced ``step`` times."""
        burst = self.program.bursts[index]
        opcode, args = int(burst["opcode"]), burst["args"].tolist()
        for place, operand in enumerate(BY_OPCODE[opcode].operands):
            if operand.strided:
                args[place] += step * int(burst["stride"])
        return decode_args(opcode, args)

    def _execute(self, dispatch: Dispatch, taken: defaultdict[int, list[str]]) -> None:
        """One dispatch: the rules of its unit, then its meaning."""
        instr, queue = dispatch.instr, dispatch.queue
        kind = self.machine.queue_kinds[queue]
        if instr.unit not in (kind, "ICU") or instr.word_only:
            raise StepError(NO_MEANING, f"{instr.mnemonic} is no instruction of {kind} queues")
        if instr.unit == "C2C":
            raise StepError(NO_MEANING, f"{instr.mnemonic} has no meaning on a single chip")
        taken[queue].append(instr.port)
        if len(taken[queue]) > 1 and sorted(taken[queue]) != ["read", "write"]:
            raise StepError(COLLISION, "the queue dispatches twice in this cycle")
        latency = self.machine.timing(instr.timing) if instr.timing else 0
        occupied = max(1, latency)
        if isinstance(instr, Read | Write):
            self.memory.claim(queue, instr.port, instr.address, 1, reads=instr.port == "read")
        elif isinstance(instr, Gather | Scatter):
            self.memory.claim(queue, instr.port, instr.base, instr.limit + 1, reads=True)
        elif kind == "MXM" and instr.unit == "MXM":
            self.matrix.check(self._plane(queue), instr, self.cycle)
            if isinstance(instr, Activate):
                occupied = self.matrix.cost(instr)
        self.busy[queue] += 1
        self.in_flight += 1
        instr.execute(ReferencePort(self, dispatch, latency))
        self.land_in(occupied, dispatch, self._retire)

    def _plane(self, queue: int) -> int:
        return (queue - self.machine.mxm_queue) // 3

    def _retire(self) -> None:
        self.in_flight -= 1

    def land_in(self, cycles: int, origin: Dispatch, effect: Callable[[], None]) -> None:
        """Have ``effect`` take place so many cycles from now, on behalf of ``origin``."""
        self.landings[self.cycle + cycles].append((origin, effect))

    def _check_outputs(self) -> None:
        """StepError on output words that nothing wrote."""
        for tensor in self.program.outputs:
            for piece in tensor.pieces:
                words = self.memory.known[piece.slice, piece.address : piece.address + piece.rows]
                if not words.all():
                    word = piece.address + int(np.argmin(words))
                    message = (
                        f"word {word} of {self.machine.queue_names[piece.slice]} was never written"
                    )
                    raise InternalError(UNDEFINED_WORD, message, where=f"output {tensor.name!r}")

    def _located(self, fault: StepError, origin: Dispatch) -> InternalError:
        """``fault`` with the place it happened."""
        instr = origin.instr
        operands = ", ".join(f"{o.name}={getattr(instr, o.name)}" for o in instr.operands)
        name = self.machine.queue_names[origin.queue]
        node = self.program.nodes[int(self.program.bursts["node"][origin.burst])]
        where = f"cycle {self.cycle}, {name}: {instr.mnemonic} {operands} (burst {origin.burst}"
        where += f", repeat {origin.step}" + (f", node {node!r})" if node else ")")
        return InternalError(fault.number, str(fault), where=where)


class ReferencePort:
    """``isa.instruction.Port`` for one dispatch: operands as they are now, effects ``latency`` cycles from now."""

    def __init__(self, owner: ReferenceInterpreter, dispatch: Dispatch, latency: int) -> None:
        self.owner = owner
        self.dispatch = dispatch
        self.latency = latency
        self.machine: Machine = owner.machine
        self.position = owner.machine.queue_positions[dispatch.queue]
        kind = owner.machine.queue_kinds[dispatch.queue]
        if kind == "MEM":
            self.memory = owner.memory.image[dispatch.queue]
        elif kind == "MXM":
            self.number = owner._plane(dispatch.queue)
            self.plane: Any = self._staged(owner.matrix.planes[self.number].state)

    def _staged(self, state: Any) -> Any:
        """The plane as this instruction may change it: loads and installs are collected and take effect later."""
        instr, number, matrix = self.dispatch.instr, self.number, self.owner.matrix
        if isinstance(instr, LoadWeights):
            columns: dict[int, npt.NDArray[np.uint16]] = {}
            self._later(lambda: matrix.load(number, instr, columns))
            return SimpleNamespace(buffer=columns)
        if isinstance(instr, InstallWeights):
            new = SimpleNamespace(buffer=state.buffer)
            self._later(lambda: matrix.install(number, instr, new, self.owner.cycle))
            return new
        return state

    def _later(self, effect: Callable[[], None]) -> None:
        self.owner.land_in(self.latency, self.dispatch, effect)

    def stream(self, stream: int, planes: int, delay: int = 0) -> Bytes:
        return self.owner.streams.get(stream, planes, self.position, delay)

    def alu(self, index: int, planes: int, delay: int = 0) -> Bytes:
        return self.owner.alus.get(index, planes, delay)

    def put(self, stream: int, data: Bytes) -> None:
        held = data.copy()
        self._later(lambda: self.owner.streams.put(stream, self.position, held))

    def produce(self, data: Bytes) -> None:
        alu = self.dispatch.queue - self.machine.vxm_queue
        self._later(lambda: self.owner.alus.put(alu, data))

    def store(self, address: npt.NDArray[np.int64] | int, data: Bytes) -> None:
        self._later(lambda: self.owner.memory.store(self.dispatch.queue, address, data))

    def activate(self, sent: Activation) -> None:
        unit = self.owner.matrix.planes[self.number]

        def emerge() -> None:
            unit.emerging = sent

        self.owner.land_in(self.machine["mxm.array_latency"], self.dispatch, emerge)

    def products(self) -> Activation | None:
        return self.owner.matrix.planes[self.number].emerging
