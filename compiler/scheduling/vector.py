"""The stencil of a `VectorOp`: reads, a chain of ALU bursts with delays, writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from compiler.scheduling.alus import Chain, Want
from compiler.scheduling.chain import emit_chain
from compiler.scheduling.core import Core, Stream
from compiler.scheduling.inputs import Arrival, Inputs, Reading
from compiler.scheduling.memory import Fragment
from compiler.scheduling.ways import Way, writing
from compiler.tiles import Output, Rows, VectorOp
from isa.instruction import REGISTRY


@dataclass(slots=True)
class Shape:
    """Relative times of a chain, independent of where it is placed."""

    offsets: list[int]
    arrivals: list[Arrival]
    lookup: dict[tuple[int, int], int]  # (input, step offset) -> arrival
    step: int
    landings: list[int]  # an output's first vector stands on the streams at the VXM


@dataclass(slots=True)
class Trial:
    """What one trial placement has chosen."""

    start: int
    alus: list[int] = field(default_factory=list)
    streams: dict[tuple[int, int], Stream] = field(default_factory=dict)  # (output, hemisphere)
    places: dict[tuple[int, int], list[tuple[int, int, int]]] = field(default_factory=dict)
    tail: list[tuple[int, int]] = field(
        default_factory=list
    )  # (alu, cycle) of the reduction's tail
    reducer: int = -1


class VectorPlacer:
    """Places `VectorOp`s one at a time, each at the first cycle where everything is free."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.m, self.t = core.machine, core.tables
        self.large = self.m["vxm.large_alus"]
        bits = [1 << i for i in range(self.m["vxm.alus"])]
        self.large_bits = bits[: self.large]
        self.small_bits = bits[self.large :] + self.large_bits
        self.max_delay = self.m["vxm.max_delay"]
        self.latency = core.t_alu
        self.inputs = Inputs(core)

    def place(self, op: VectorOp) -> int:
        """Place an op; the cycle in which its first operand reaches the VXM."""
        shape = self._shape(op)
        self.inputs.choose_sides(shape.arrivals)
        readings = [self.inputs.reading(a, op.count, shape.step) for a in shape.arrivals]
        targets = self._targets(op, shape)
        wants = self._wants(op, shape)
        chain = Chain(self.t, wants, self.large)
        start = max([0, *(r.bound for r in readings)])
        for _ in self.core.trials(start):
            start = self._free(readings, targets, chain, start)
            trial, move = self._try(op, shape, readings, chain, start)
            if trial is not None:
                self._commit(op, shape, trial)
                return start
            start += move
        raise self.core.full("the vector op writing", op.outputs[0].rows.buffer)

    def _targets(self, op: VectorOp, shape: Shape) -> list[tuple[Way, int, int]]:
        """Writing to copies of outputs that exist already, with number of rows and cycles a row."""
        found = []
        for output, landing in zip(op.outputs, shape.landings, strict=True):
            rows = self._rows(op, shape, output)
            fragment = self._fragment(output.rows)
            found += [(w, *rows) for w in writing(self.t, fragment, landing + self.core.to_vxm)]
        return found

    def _free(
        self, readings: list[Reading], targets: list[tuple[Way, int, int]], chain: Chain, start: int
    ) -> int:
        """The first start from ``start`` on at which all steps find ALUs, and each input and target, for itself, its ports."""
        fixed = [r for r in readings if not self.inputs.grows(r)]
        while True:
            at = start
            for r in fixed:
                at = max(at, min(w.free(self.t, at, r.count, r.step) for w in r.ways))
            for w, count, step in targets:
                at = w.free(self.t, at, count, step)
            at = chain.first(at)
            if at == start:
                return start
            start = at

    def _shape(self, op: VectorOp) -> Shape:
        offsets: list[int] = []
        for step in op.steps:
            ready = [offsets[o.index] + self.latency for o in step.operands if o.kind == "step"]
            offsets.append(max(ready, default=0))
        wanted: dict[int, list[int]] = {}
        for step, offset in zip(op.steps, offsets, strict=True):
            for o in step.operands:
                if o.kind == "in":
                    wanted.setdefault(o.index, []).append(offset)
        arrivals: list[Arrival] = []
        lookup: dict[tuple[int, int], int] = {}
        for index, times in sorted(wanted.items()):
            rows = op.inputs[index]
            for time in sorted(set(times)):
                last = arrivals[-1] if arrivals and arrivals[-1].rows is rows else None
                if last is None or time - last.offset > self.max_delay:
                    arrivals.append(Arrival(rows, time, rows.buffer.dtype.planes))
                lookup[index, time] = len(arrivals) - 1
        interval = self._interval(op)
        landings = [self._landing(op, offsets, interval, output) for output in op.outputs]
        return Shape(offsets, arrivals, lookup, interval, landings)

    def _interval(self, op: VectorOp) -> int:
        """Cycles a row: what the ALUs of either class allow, with room left for another chain."""
        large = sum(REGISTRY[s.op].large for s in op.steps)
        by_all = -(-len(op.steps) // (self.m["vxm.alus"] - 2))
        by_large = -(-large // max(1, self.large - 1))
        return max(1, by_all, by_large) if op.count > 1 else 1

    def _try(
        self, op: VectorOp, shape: Shape, readings: Sequence[Reading], chain: Chain, start: int
    ) -> tuple[Trial | None, int]:
        """A trial at one start: what it chose, or None and how far to move on."""
        trial = Trial(start)
        for reading in readings:
            move = self.inputs.take(reading, start)
            if move:
                self.core.undo()
                return None, move
        self._take_alus(op, chain, trial)
        if self._take_outputs(op, shape, trial):
            return trial, 0
        self.core.undo()
        return None, 1

    def _wants(self, op: VectorOp, shape: Shape) -> list[Want]:
        """An ALU a step, then the running ALU of a reduction, and its tail: joins of the last partials, post steps."""
        rows = (op.count, shape.step)
        found = [
            Want(REGISTRY[s.op].large, offset, *rows)
            for s, offset in zip(op.steps, shape.offsets, strict=True)
        ]
        if op.reduce is not None:
            first = shape.offsets[op.reduce.step.index] + self.latency
            found.append(Want(REGISTRY[op.reduce.op].large, first, *rows))
            cycle = first + (op.count - 1) * shape.step + self.latency
            for name in self.tail(op, shape.step):
                found.append(Want(REGISTRY[name].large, cycle, 1, 1))
                cycle += self.latency
        return found

    def _take_alus(self, op: VectorOp, chain: Chain, trial: Trial) -> None:
        """Reserve the ALUs that `Chain.first` found."""
        alus = chain.at(trial.start)
        for want, alu in zip(chain.wants, alus, strict=True):
            cycle = trial.start + want.offset
            self.t.take_bits(self.t.alu, 1 << alu, cycle, want.count, want.step)
        steps = len(op.steps)
        trial.alus = alus[:steps]
        if op.reduce is not None:
            trial.reducer = alus[steps]
            tail = zip(alus[steps + 1 :], chain.wants[steps + 1 :], strict=True)
            trial.tail = [(alu, trial.start + want.offset) for alu, want in tail]

    def take_alu(self, name: str, cycle: int, count: int, step: int) -> int | None:
        """Reserve an ALU that can run an operation; None if none is free."""
        groups = self.large_bits if REGISTRY[name].large else self.small_bits
        bit = self.t.pick((self.t.alu,), groups, cycle, count, step)
        if not bit:
            return None
        self.t.take_bits(self.t.alu, bit, cycle, count, step)
        return bit.bit_length() - 1

    def tail(self, op: VectorOp, step: int) -> list[str]:
        """Mnemonics after the last row: joins of the partials, post steps, or a move if there is neither."""
        assert op.reduce is not None
        partials = self.partials(op.count, step)
        names = [op.reduce.op] * (partials - 1) + [s.op for s in op.reduce.post]
        return names or (["mov"] if op.count > partials else [])

    def partials(self, count: int, step: int) -> int:
        """Interleaved running results: as many instances as fit the ALU's latency."""
        return min(count, -(-self.latency // step))

    def _take_outputs(self, op: VectorOp, shape: Shape, trial: Trial) -> bool:
        for i, output in enumerate(op.outputs):
            landing = trial.start + shape.landings[i]
            count, step = self._rows(op, shape, output)
            fragment = self._fragment(output.rows)
            if output.rows.buffer.both:
                choices: list[tuple[int, ...]] = [(0, 1)]
            else:
                held = tuple(fragment.copies)
                first = self._preferred(shape)
                choices = [held] if held else [(first,), (1 - first,)]
            if not any(
                self._take_output(trial, i, fragment, c, landing, count, step) for c in choices
            ):
                return False
        return True

    def _preferred(self, shape: Shape) -> int:
        """The hemisphere that does not hold the first operand: reads and writes then never meet in a bank."""
        for a in shape.arrivals:
            if a.copy is not None and not a.rows.buffer.preloaded:
                return 1 - a.copy.hemisphere
        return self.core.rotation % 2

    def _take_output(
        self, trial: Trial, i: int, fragment: Fragment, hemispheres: tuple[int, ...], landing: int, count: int, step: int,
    ) -> bool:  # fmt: skip
        core, mark, planes = self.core, self.core.mark(), fragment.buffer.dtype.planes
        for h in hemispheres:
            direction = core.outward(h)
            diagonal = self.t.diagonal(direction, landing, core.vxm)
            index = self.t.pick_stream(direction, (0, 1), diagonal, count, step, planes)
            cycles = landing + core.to_vxm
            places = None if index is None else core.take_writes(fragment, h, cycles, count, step)
            if index is None or places is None:
                core.undo(mark)
                return False
            self.t.take_stream(direction, (0, 1), index, planes, diagonal, count, step)
            trial.streams[i, h] = Stream(direction, index)
            trial.places[i, h] = places
        return True

    def _landing(self, op: VectorOp, offsets: Sequence[int], step: int, output: Output) -> int:
        if not output.reduced:
            return offsets[output.source.index] + self.latency
        assert op.reduce is not None
        first = offsets[op.reduce.step.index] + 2 * self.latency
        tail = len(self.tail(op, step))
        return first + ((op.count - 1) * step + tail * self.latency if tail else 0)

    def _rows(self, op: VectorOp, shape: Shape, output: Output) -> tuple[int, int]:
        """Rows of an output, and cycles a row."""
        return (1, 1) if output.reduced else (op.count, shape.step)

    def _fragment(self, rows: Rows) -> Fragment:
        return self.core.memory.fragment(rows.buffer, rows.chunk, rows.row)

    def _commit(self, op: VectorOp, shape: Shape, trial: Trial) -> None:
        self.core.commit()
        core = self.core
        for a in shape.arrivals:
            assert a.copy is not None
            assert a.stream is not None
            fragment = self._fragment(a.rows)
            for p, s in enumerate(a.copy.slices):
                issue = trial.start + a.offset - self.inputs.travel(a, s)
                number = (a.crossing.streams if a.crossing else a.stream).number(self.m) + p
                core.emit_read(
                    a.copy, p, a.rows, fragment.start, number, issue, op.count, shape.step, op.node
                )
            if a.crossing:
                self.inputs.exchange.emit(
                    a.crossing, a.stream, a.rows.shift, op.count, shape.step, op.node
                )
            fragment.last_read = max(
                fragment.last_read, trial.start + a.offset + op.count * shape.step
            )
        emit_chain(self, op, shape, trial)
        for i, output in enumerate(op.outputs):
            self._commit_output(op, shape, trial, i, output)
        for rows in op.inputs:
            core.used(self._fragment(rows), trial.start)

    def _commit_output(
        self, op: VectorOp, shape: Shape, trial: Trial, i: int, output: Output
    ) -> None:
        core, fragment = self.core, self._fragment(output.rows)
        landing = trial.start + shape.landings[i]
        count, step = self._rows(op, shape, output)
        for (index, h), places in trial.places.items():
            if index == i:
                held = fragment.copies.get(h)
                copy = held[0] if held else core.new_copy(fragment, h, places)
                stream = trial.streams[i, h]
                core.emit_writes(
                    fragment, copy, output.rows, landing + core.to_vxm, count, step, stream, op.node
                )
