"""Emission: schedule and placement to a `Program`."""

from __future__ import annotations

from compiler.graph import DType as GraphDType
from compiler.graph import Graph, macs
from compiler.scheduling import Placement, Schedule
from compiler.scheduling.constants import pack
from compiler.tiles import Buffer, TileGraph
from isa.instruction import DType
from isa.program import Piece, PortTensor, Program, settle


def emit(
    graph: Graph, tiles: TileGraph, placement: Placement, plan: Schedule, precision: str
) -> Program:
    """The program: bursts, constants, named inputs and outputs, node map."""
    machine = plan.machine
    segments, data = pack(placement.memory.constants, machine.lanes)
    program = Program(
        machine=machine,
        bursts=plan.bursts,
        segments=segments,
        data=data,
        inputs=tuple(_inputs(graph, tiles, placement)),
        outputs=tuple(_outputs(graph, tiles, placement)),
        nodes=plan.nodes,
        meta=(("model", graph.name), ("precision", precision), ("macs", str(macs(graph)))),
    )
    return settle(program)


def _inputs(graph: Graph, tiles: TileGraph, placement: Placement) -> list[PortTensor]:
    found = []
    for given in graph.inputs:
        name = given.tensor.name
        buffers = tiles.inputs.get(name, [])
        pieces = tuple(p for b in buffers for p in _pieces(b, placement, is_input=True))
        dtype = buffers[0].dtype if buffers else DType.I32
        low, high = given.valid_range or (0, 0)
        abi = given.abi_dtype.numpy.name
        found.append(PortTensor(name, given.tensor.shape, abi, dtype, pieces, low, high))
    return found


def _outputs(graph: Graph, tiles: TileGraph, placement: Placement) -> list[PortTensor]:
    abi = {o.name: (o.abi_dtype, o.tensor) for o in graph.outputs}
    found = []
    for name, buffer in tiles.outputs.items():
        kind, tensor = abi.get(name, (GraphDType.F32, name))
        if name not in abi:
            kind = graph.tensors[name].dtype
        pieces = _pieces(buffer, placement, is_input=False)
        shape = graph.tensors[tensor].shape
        found.append(PortTensor(name, shape, kind.numpy.name, buffer.dtype, pieces))
    return found


def _pieces(buffer: Buffer, placement: Placement, *, is_input: bool) -> tuple[Piece, ...]:
    """Where a buffer lies: every copy of an input, the first copy of an output."""
    lanes = placement.machine.lanes
    found = []
    for f in placement.memory.fragments.values():
        if f.buffer is not buffer:
            continue
        copies = f.all_copies()
        first = f.chunk * lanes
        width = min(lanes, buffer.columns - first)
        for copy in copies if is_input else copies[:1]:
            for plane, (s, a) in enumerate(zip(copy.slices, copy.addresses, strict=True)):
                splat = is_input and buffer.columns == 1
                found.append(
                    Piece(s, a, plane, buffer.columns, f.start, f.rows, first, width, 0, splat)
                )
    return tuple(sorted(found, key=lambda p: (p.plane, p.row, p.column)))
