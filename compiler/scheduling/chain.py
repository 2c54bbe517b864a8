"""From a placed chain to ALU bursts: sources, delays, output streams, running reductions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.scheduling.tables import EAST
from compiler.tiles import Operand, Step, VectorOp
from isa.errors import InternalError, LimitError
from isa.instruction import REGISTRY, Instruction, Source, SourceKind

if TYPE_CHECKING:
    from compiler.scheduling.vector import Shape, Trial, VectorPlacer

IMMEDIATE = Source(SourceKind.IMMEDIATE)


def make(step: Step, sources: list[Source], east: int, west: int) -> Instruction:
    """The VXM instruction of a step; ``east``/``west`` are output streams plus one, 0 for none."""
    cls = REGISTRY[step.op]
    bits = next((o.index for o in step.operands if o.kind == "imm"), 0)
    fields: dict[str, int] = {"dtype": int(step.dtype), "imm": bits, "east": east, "west": west}
    fields |= {n: s.pack() for n, s in zip("abc", sources, strict=False)}
    if step.to is not None:
        fields["to"] = int(step.to)
    if any(o.name == "saturate" for o in cls.operands):
        fields["saturate"] = int(step.saturate)
    return cls(**fields)


def emit_chain(placer: VectorPlacer, op: VectorOp, shape: Shape, trial: Trial) -> None:
    """Emit the bursts of a chain and of its reduction."""
    ports = _ports(op, trial)
    for i, step in enumerate(op.steps):
        time = shape.offsets[i]
        sources = [_source(placer, shape, trial, o, time) for o in step.operands]
        instr = make(step, sources, *ports.get(("row", i), (0, 0)))
        queue = placer.m.vxm_queue + trial.alus[i]
        placer.core.emit(
            queue, trial.start + time, instr, placer.latency, op.count, shape.step, 0, op.node
        )
    if op.reduce is not None:
        _emit_reduction(placer, op, shape, trial, ports.get(("reduced", 0), (0, 0)))


def _ports(op: VectorOp, trial: Trial) -> dict[tuple[str, int], tuple[int, int]]:
    """Output streams (plus one) by the step that drives them."""
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for i, output in enumerate(op.outputs):
        key = ("reduced", 0) if output.reduced else ("row", output.source.index)
        if key in found:
            raise InternalError(921, f"step {output.source} of '{op}' has two destinations")
        east = west = 0
        for (index, _), stream in trial.streams.items():
            if index == i:
                if stream.direction == EAST:
                    east = stream.index + 1
                else:
                    west = stream.index + 1
        found[key] = (east, west)
    return found


def _source(placer: VectorPlacer, shape: Shape, trial: Trial, o: Operand, time: int) -> Source:
    """Where a step at offset ``time`` finds an operand."""
    if o.kind == "imm":
        return IMMEDIATE
    if o.kind == "in":
        arrival = shape.arrivals[shape.lookup[o.index, time]]
        assert arrival.stream is not None
        return Source(SourceKind.STREAM, arrival.stream.number(placer.m), time - arrival.offset)
    delay = time - shape.offsets[o.index] - placer.latency
    return _alu(placer, trial.alus[o.index], delay)


def _alu(placer: VectorPlacer, alu: int, delay: int) -> Source:
    if delay < 0:
        raise InternalError(922, f"an operand would be read {-delay} cycles before it is made")
    if delay > placer.max_delay:
        raise LimitError(
            414,
            f"an operand would wait {delay} cycles in the vector unit of chip {placer.m.name}; "
            f"vxm.max_delay = {placer.max_delay}",
            hint=f"give --chip a chip with a larger vxm.max_delay, or timing.vxm_alu below {placer.latency}",
        )
    return Source(SourceKind.ALU, alu, delay)


def _emit_reduction(
    placer: VectorPlacer, op: VectorOp, shape: Shape, trial: Trial, ports: tuple[int, int]
) -> None:
    """``mov`` for the first partials, then the ALU reads its own earlier results; joins and post steps follow."""
    assert op.reduce is not None
    r, core, latency = op.reduce, placer.core, placer.latency
    first = trial.start + shape.offsets[r.step.index] + latency
    queue, k = placer.m.vxm_queue + trial.reducer, placer.partials(op.count, shape.step)
    value = Operand("step", r.step.index)
    source = _alu(placer, trial.alus[r.step.index], 0)
    mov = make(Step("mov", r.dtype, (value,)), [source], *((0, 0) if trial.tail else ports))
    core.emit(queue, first, mov, latency, k, shape.step, 0, op.node)
    if op.count > k:
        own = _alu(placer, trial.reducer, k * shape.step - latency)
        run = make(Step(r.op, r.dtype, (value, value)), [own, source], 0, 0)
        start = first + k * shape.step
        core.emit(queue, start, run, latency, op.count - k, shape.step, 0, op.node)
    done = [first + (op.count - k + i) * shape.step + latency for i in range(k)]
    _emit_tail(placer, op, trial, done, ports)


def _emit_tail(
    placer: VectorPlacer, op: VectorOp, trial: Trial, done: list[int], ports: tuple[int, int]
) -> None:
    """Join the partials (finished in cycles ``done``), then run the post steps."""
    assert op.reduce is not None
    r, latency = op.reduce, placer.latency
    value = Operand("reduced")
    joins = len(done) - 1
    post = r.post or (Step("mov", r.dtype, (value,)),)
    current = (trial.reducer, done[0])
    finished: list[tuple[int, int]] = []
    for i, (alu, cycle) in enumerate(trial.tail):
        if i < joins:
            step = Step(r.op, r.dtype, (value, value))
            pairs = [current, (trial.reducer, done[i + 1])]
        else:
            step = post[i - joins]
            pairs = [current if o.kind == "reduced" else finished[o.index] for o in step.operands]
        sources = [_alu(placer, a, cycle - at) for a, at in pairs]
        instr = make(step, sources, *(ports if i == len(trial.tail) - 1 else (0, 0)))
        placer.core.emit(placer.m.vxm_queue + alu, cycle, instr, latency, 1, 1, 0, op.node)
        if i < joins:
            current = (alu, cycle + latency)
        else:
            finished.append((alu, cycle + latency))
