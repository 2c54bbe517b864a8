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
from emulator.reference_matrix import Matrix, SavedPlane
from emulator.reference_units import (
    BAD_BURST,
    COLLISION,
    NO_MEANING,
    UNDEFINED_WORD,
    AluOutputs,
    Memory,
    SavedStreams,
    StepError,
    Streams,
)
from emulator.trace import Trace
from isa.errors import InternalError
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


Effect = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The machine in a cycle before its dispatches, all but the memory."""

    cycle: int
    in_flight: int
    due: tuple[tuple[int, int], ...]
    busy: tuple[int, ...]
    agenda: dict[int, tuple[tuple[int, int], ...]]
    landings: dict[int, tuple[tuple[Dispatch, Effect], ...]]
    written: dict[int, tuple[int, ...]]
    streams: SavedStreams
    alus: tuple[int, tuple[dict[int, Bytes], ...]]
    planes: tuple[SavedPlane, ...]


class ReferenceInterpreter:
    """Runs one program, any number of times.

    ``final_memory`` is the image ``[2 * slices, words, lanes]`` after the last run; words never written are as they were.
    A step without meaning (an operand nobody produced, two results in one place) raises ``InternalError`` TSP91x naming
    cycle, queue, instruction and node: the verifier lets no such program through.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.machine = program.machine
        self._rows: list[Any] = program.bursts.tolist()
        self.final_memory: Image = np.zeros((0, 0, 0), np.uint8)
        self.port: Callable[[ReferenceInterpreter, Dispatch, int], ReferencePort] = ReferencePort

    def run(
        self, inputs: Mapping[str, npt.NDArray[Any]]
    ) -> tuple[dict[str, npt.NDArray[Any]], Trace]:
        """Outputs by name, and the trace. Raises ``InputError`` TSP60x as ``emulator.image.write_inputs`` does."""
        self.begin(inputs)
        while not self.finished:
            self.tick()
        return self.result()

    def begin(self, inputs: Mapping[str, npt.NDArray[Any]]) -> None:
        """Stand in cycle 0, before its dispatches. Raises as ``run`` does."""
        image = initial_memory(self.program)
        write_inputs(self.program, inputs, image)
        self._reset(image)
        self._land()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to dispatch and nothing is in flight."""
        return not (self.due or self.agenda or self.in_flight) and self.cycle >= self.last_start

    def tick(self) -> None:
        """The rest of this cycle, and the next one up to its dispatches."""
        while self.dispatched < len(self.due):
            self.dispatch()
        self._shift()
        self._land()

    def dispatch(self) -> Dispatch:
        """The next dispatch of this cycle, of which there must be one; queues take their turns in the program's order."""
        dispatch = self.coming(self.dispatched)
        try:
            self._execute(dispatch)
        except StepError as fault:
            raise self._located(fault, dispatch) from None
        except (ValueError, IndexError, KeyError) as error:
            senseless = StepError(NO_MEANING, f"an operand has no meaning: {error}")
            raise self._located(senseless, dispatch) from None
        count, interval = self._rows[dispatch.burst][4:6]
        if dispatch.step + 1 < count:
            self.agenda[self.cycle + interval].append((dispatch.burst, dispatch.step + 1))
        self.dispatched += 1
        return dispatch

    def coming(self, place: int) -> Dispatch:
        """Which dispatch of this cycle is the one at ``place`` of ``due``."""
        index, step = self.due[place]
        return Dispatch(index, step, self._rows[index][0], self._instance(index, step))

    def result(self) -> tuple[dict[str, npt.NDArray[Any]], Trace]:
        """Outputs and trace of a finished run."""
        self.final_memory = self.memory.image
        self._check_outputs()
        cycles = self.cycle + self.machine.timing("stagger")
        trace = Trace(cycles, sum(self.busy), tuple(self.busy))
        return read_outputs(self.program, self.memory.image), trace

    def save(self, last: Snapshot | None = None) -> Snapshot:
        """The machine before this cycle's dispatches, none of which may have happened; what ``last`` holds too is shared."""
        return Snapshot(
            self.cycle,
            self.in_flight,
            tuple(self.due),
            tuple(self.busy),
            {cycle: tuple(steps) for cycle, steps in self.agenda.items()},
            {cycle: tuple(effects) for cycle, effects in self.landings.items()},
            dict(self.memory.written),
            self.streams.save(),
            self.alus.save(),
            self.matrix.save(last.planes if last else ()),
        )

    def restore(self, saved: Snapshot) -> None:
        """Be again as saved, but for the memory's words: ``Memory.undo`` puts those back."""
        self.cycle, self.in_flight = saved.cycle, saved.in_flight
        self.due[:], self.dispatched, self.busy = saved.due, 0, list(saved.busy)
        self.agenda.clear()
        self.agenda.update({cycle: list(steps) for cycle, steps in saved.agenda.items()})
        self.landings.clear()
        self.landings.update({cycle: list(effects) for cycle, effects in saved.landings.items()})
        self.taken.clear()
        self.memory.banks.clear()
        self.memory.written = dict(saved.written)
        self.streams.restore(saved.streams)
        self.alus.restore(saved.alus)
        self.matrix.restore(saved.planes)

    def _reset(self, image: Image) -> None:
        """The machine before cycle 0: every queue waits for the first dispatch of its bursts."""
        self.cycle = 0
        self.due: list[tuple[int, int]] = []
        self.taken: defaultdict[int, list[str]] = defaultdict(list)
        self.dispatched = 0
        self.in_flight = 0
        self.streams = Streams(self.machine)
        self.alus = AluOutputs(self.machine)
        self.memory = Memory(self.machine, image, initialised_words(self.program))
        self.matrix = Matrix(self.machine)
        self.busy = [0] * self.machine.queues
        self.landings: defaultdict[int, list[tuple[Dispatch, Effect]]]
        self.landings = defaultdict(list)
        self.agenda: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        self.starts = self._starts()
        self.last_start = max(self.starts, default=0)

    def _starts(self) -> dict[int, list[int]]:
        """Which bursts begin in a cycle."""
        starts: defaultdict[int, list[int]] = defaultdict(list)
        for index, burst in enumerate(self.program.bursts):
            whole = burst["count"] >= 1 and burst["interval"] >= 1 and burst["cycle"] >= 0
            if not whole or burst["queue"] >= self.machine.queues:
                message = "count and interval start at 1, cycles at 0, and the queue must exist"
                raise InternalError(BAD_BURST, message, where=f"burst {index}")
            starts[int(burst["cycle"])].append(index)
        return starts

    def _land(self) -> None:
        """What is in flight until this cycle takes effect; then it is known what is dispatched."""
        for origin, effect in self.landings.pop(self.cycle, ()):
            try:
                effect()
            except StepError as fault:
                raise self._located(fault, origin) from None
        self.streams.remember()
        begun = ((index, 0) for index in self.starts.get(self.cycle, ()))
        self.due[:] = sorted([*self.agenda.pop(self.cycle, ()), *begun])
        self.taken.clear()

    def _shift(self) -> None:
        """The clock ticks."""
        self.cycle += 1
        self.due.clear()
        self.dispatched = 0
        self.streams.shift()
        self.alus.shift()
        self.memory.shift()
        self.matrix.shift()

    def _instance(self, index: int, step: int) -> Instruction:
        """Burst ``index``'s instruction with its strided operand advanced ``step`` times."""
        _, opcode, _, _, _, _, stride, given = self._rows[index]
        args = list(given)
        for place, operand in enumerate(BY_OPCODE[opcode].operands):
            if operand.strided:
                args[place] += step * stride
        return decode_args(opcode, args)

    def _execute(self, dispatch: Dispatch) -> None:
        """One dispatch: the rules of its unit, then its meaning."""
        instr, queue = dispatch.instr, dispatch.queue
        kind = self.machine.queue_kinds[queue]
        if instr.unit not in (kind, "ICU") or instr.word_only:
            raise StepError(NO_MEANING, f"{instr.mnemonic} is no instruction of {kind} queues")
        if instr.unit == "C2C":
            raise StepError(NO_MEANING, f"{instr.mnemonic} has no meaning on a single chip")
        self.taken[queue].append(instr.port)
        if len(self.taken[queue]) > 1 and sorted(self.taken[queue]) != ["read", "write"]:
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
        instr.execute(self.port(self, dispatch, latency))
        self.land_in(occupied, dispatch, self._retire)

    def _plane(self, queue: int) -> int:
        return (queue - self.machine.mxm_queue) // 3

    def _retire(self) -> None:
        self.in_flight -= 1

    def land_in(self, cycles: int, origin: Dispatch, effect: Effect) -> None:
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

    def _later(self, effect: Effect) -> None:
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
