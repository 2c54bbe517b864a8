"""Making a program ready: order, addresses, kernels, descriptors, constant weights."""

from __future__ import annotations

import gc

import numpy as np

from emulator.jit.accesses import Changing
from emulator.jit.activations import Activations
from emulator.jit.bounds import check_bounds
from emulator.jit.constants import Constants
from emulator.jit.effects import Ints
from emulator.jit.emit_lanes import LaneEmitter
from emulator.jit.emit_matrix import MatrixEmitter, panel_size
from emulator.jit.emit_rows import Emitted, RowEmitter
from emulator.jit.groups import ROWWISE
from emulator.jit.library import Compiled, Library, Shape
from emulator.jit.moves import Moves
from emulator.jit.nodes import Graph, Kind
from emulator.jit.order import Plan
from emulator.jit.places import Places
from emulator.jit.prepared import Prepared
from emulator.jit.storage import Key, Storage
from emulator.jit.table import Kept, Table
from emulator.jit.timing import run_cycles
from emulator.jit.uniform import uniform_passes
from emulator.lowering.text import Target
from isa.ops.mem import Read
from isa.program import Program


def prepare(program: Program, library: Library, plain: bool) -> tuple[Prepared, list[Shape]]:
    """A program for a library's target, and the kernel of each entry of a run.

    With ``plain``, each burst is an entry of its own and nothing that is known of constants is made use of. Raises
    ``InternalError`` TSP97x for a program that no verifier has accepted.
    """
    check_bounds(program)
    collecting = gc.isenabled()
    gc.disable()  # hundreds of thousands of objects that all stay: looking for cycles costs a fifth
    try:
        return _prepare(program, library, plain)
    finally:
        if collecting:
            gc.enable()


def _prepare(program: Program, library: Library, plain: bool) -> tuple[Prepared, list[Shape]]:
    graph, changing, target = Graph(program), Changing(program), library.target
    constants = Constants(program)
    constant = [] if plain else _constant_weights(graph, changing)
    plan = Plan(graph, changing, constant, plain)
    windows = _windows(graph, plan)
    moves = Moves(graph, constants, changing, plain)
    for burst in moves.bursts:
        graph.size[burst] = 1
    activations = Activations(plan, moves, target, plain)
    sizes = _sizes(plan, target, windows) | activations.sizes
    storage = Storage(plan, sizes, activations.lifetimes)
    places, kept = Places(graph, storage), Kept()
    once, table = (Table(graph.machine.lanes, kept, library) for _ in range(2))
    rows = RowEmitter(graph, places, table)
    lanes = LaneEmitter(graph, places, table, None if plain else constants, changing)
    uniform = uniform_passes(graph, constant, constants.read)
    matrix = MatrixEmitter(
        graph, places, rows, target, windows, constants, moves, uniform, activations, plain
    )
    for number in constant:
        if windows[number, 1] > windows[number, 0]:
            matrix.constant(number, once)
    _emit(plan, (rows, lanes, matrix), table, plain)
    kernels: dict[Compiled, int] = {}
    first, entries = once.numbered(kernels), table.numbered(kernels)
    copied, restored = constants.needed(graph, places, changing)
    prepared = Prepared(
        tuple(kernels),
        first,
        np.array(once.words, np.int64),
        entries,
        np.array(table.words, np.int64),
        np.array(kept.words, np.int64),
        copied,
        restored,
        (storage.size, matrix.sums, matrix.panels),
        run_cycles(program),
    )
    return prepared, table.shapes


def _emit(
    plan: Plan, emitters: tuple[RowEmitter, LaneEmitter, MatrixEmitter], table: Table, plain: bool
) -> None:
    """The entries of a run, group by group."""
    rows, lanes, matrix = emitters
    storage = matrix.places.storage
    emitted: Emitted | None = None
    for position, (nodes, divisible) in enumerate(zip(plan.groups, plan.divisible, strict=True)):
        kind = nodes[0].kind
        if kind in ROWWISE:
            rows.group(nodes, divisible, emitted)
            emitted = None
        elif kind is Kind.COPY:
            rows.copy(nodes[0])
        elif kind in (Kind.GATHER, Kind.SCATTER):
            lanes.indexed(nodes[0])
        elif kind is Kind.SXM:
            lanes.exchange(nodes[0])
        elif kind is Kind.PACK:
            matrix.pack(nodes[0].weights, table, storage.address(("panel", nodes[0].weights)))
        else:
            emitted = matrix.accumulate(nodes[0], table)
            following = plan.groups[position + 1] if position + 1 < len(plan.groups) else []
            if emitted and (plain or not rows.takes_whole(following, nodes[0])):
                rows.emission(emitted)
                emitted = None
            elif emitted:
                last = storage.lifetimes["result", nodes[0].burst][1]
                emitted = emitted._replace(kept=last > position + 1)


def _constant_weights(graph: Graph, changing: Changing) -> list[int]:
    """Weights whose every byte is a word of memory that is the same in all runs from the start."""
    variable, bursts = changing.variable, graph.program.bursts
    queue, stride = bursts["queue"].astype(np.int64), bursts["stride"].astype(np.int64)
    base, is_read = bursts["args"][:, 0].astype(np.int64), bursts["opcode"] == Read.opcode
    out = []
    for number, weights in enumerate(graph.weights):
        source = weights.burst
        if is_read[source].all():
            slices, address = queue[source], base[source] + weights.index * stride[source]
            if (variable[slices, address + 1] == variable[slices, address]).all():
                out.append(number)
    return out


def _windows(graph: Graph, plan: Plan) -> Ints:
    """``[weights, 2]``: the lanes of each install that are used; empty where nothing uses it."""
    out = np.zeros((len(graph.weights), 2), np.int64)
    out[:, 0] = graph.machine.lanes
    for nodes in plan.groups:
        node = nodes[0]
        if node.kind is Kind.ACC:
            first, lanes = graph.activation_window(node)
            row = out[node.weights]
            row[:] = min(row[0], first), max(row[1], first + lanes)
    return out


def _sizes(plan: Plan, target: Target, windows: Ints) -> dict[Key, int]:
    """Bytes of each result and panel that a plan's nodes make."""
    graph, lanes = plan.graph, plan.graph.machine.lanes
    out: dict[Key, int] = {}
    for node in (n for nodes in plan.groups for n in nodes):
        if node.kind is Kind.PACK:
            number = node.weights
            out["panel", number] = panel_size(graph.weights[number], windows[number], target)
        else:
            count = graph.columns["count"][node.burst]
            out["result", node.burst] = graph.size[node.burst] * lanes * count
    return out
