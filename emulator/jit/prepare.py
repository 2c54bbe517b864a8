"""Making a program ready: order, addresses, kernels, descriptors, constant weights."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np

from emulator.jit.accesses import Changing
from emulator.jit.activations import Activations
from emulator.jit.bounds import check_bounds
from emulator.jit.constants import Constants
from emulator.jit.effects import Ints, distinct
from emulator.jit.emit_lanes import LaneEmitter
from emulator.jit.emit_matrix import MatrixEmitter
from emulator.jit.emit_rows import Emitted, RowEmitter
from emulator.jit.groups import ROWWISE
from emulator.jit.library import Compiled, Library, Shape
from emulator.jit.moves import Moves
from emulator.jit.nodes import Bools, Graph, Kind
from emulator.jit.order import Plan
from emulator.jit.panels import Panels
from emulator.jit.places import Places
from emulator.jit.prepared import Prepared
from emulator.jit.storage import Storage
from emulator.jit.table import Kept, Table
from emulator.jit.timing import run_cycles
from emulator.jit.uniform import uniform_passes
from emulator.lowering.matrix import Multiply
from emulator.lowering.packing import Pack
from isa.instruction import DType
from isa.ops.mem import Read
from isa.ops.mxm import InstallWeights
from isa.program import Program

SWITCH: Final = 0.0002
"""Seconds that Python keeps the thread that compiles waiting, which asks for its turn some twenty times a kernel."""


def prepare(program: Program, library: Library, plain: bool) -> tuple[Prepared, list[Shape]]:
    """A program for a library's target, and the kernel of each entry of a run.

    With ``plain``, each burst is an entry of its own and nothing that is known of constants is made use of. Raises
    ``InternalError`` TSP97x for a program that no verifier has accepted.
    """
    check_bounds(program)
    _expect(program, library, plain)
    with _undisturbed():
        return _prepare(program, library, plain)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Without looking for cycles, which costs a fifth: a hundred thousand objects that all stay. Threads take turns sooner."""
    collecting, interval = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(min(SWITCH, interval))
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        if interval > SWITCH:  # else another thread prepares as well, and sets it back
            sys.setswitchinterval(interval)


def _expect(program: Program, library: Library, plain: bool) -> None:
    """Have compiled from now on, while all else is found out, what every fp16 pass needs."""
    installs = program.bursts["opcode"] == InstallWeights.opcode
    if (installs & (program.bursts["args"][:, 0] == DType.F16)).any():
        window = program.machine["mxm.window"]
        fast = Pack.can_be_fast(library.target, window)
        library.want(Pack(DType.F16.planes, fast))
        library.want(Multiply(window, fast and not plain))


def _prepare(program: Program, library: Library, plain: bool) -> tuple[Prepared, list[Shape]]:
    graph, changing, target = Graph(program), Changing(program), library.target
    constants = Constants(program)
    constant = _constant_weights(graph, changing) & (not plain)
    plan = Plan(graph, changing, constant, plain)
    moves = Moves(graph, constants, changing, plain)
    graph.size[list(moves.bursts)] = 1
    activations = Activations(plan, moves, target, plain)
    panels = Panels(graph, target)
    sizes = graph.size * graph.machine.lanes * graph.length, panels.size
    storage = Storage(plan, *sizes, *activations.wanted())
    panels.address[:] = storage.panels
    places, kept = Places(graph, storage), Kept()
    once, table = (Table(graph.machine.lanes, kept, library) for _ in range(2))
    panels.pack_constant(constant, constants, once)
    uniform = uniform_passes(graph, constant, constants.read)
    rows = RowEmitter(plan, places, table)
    lanes = LaneEmitter(graph, places, table, None if plain else constants, changing)
    matrix = MatrixEmitter(graph, places, table, panels, moves, uniform, activations, plain)
    _emit(plan, rows, lanes, matrix)
    kernels: dict[Compiled, int] = {}
    first, entries = once.numbered(kernels), table.numbered(kernels)
    used = _used(plan, moves, activations)
    copied, restored = constants.needed(graph, used, lanes.ranges, changing)
    prepared = Prepared(
        tuple(kernels),
        first,
        np.array(once.words, np.int64),
        entries,
        np.array(table.words, np.int64),
        np.array(kept.words, np.int64),
        copied,
        restored,
        (storage.size, matrix.sums, panels.used),
        run_cycles(program),
    )
    return prepared, table.shapes


def _emit(plan: Plan, rows: RowEmitter, lanes: LaneEmitter, matrix: MatrixEmitter) -> None:
    """The entries of a run, group by group."""
    emitted: Emitted | None = None
    kinds, groups = plan.graph.kind.tolist(), plan.nodes()
    for position, (nodes, divisible) in enumerate(zip(groups, plan.divisible, strict=True)):
        node = nodes[0]
        kind = kinds[node]
        if kind in ROWWISE:
            rows.group(nodes, divisible, emitted)
            emitted = None
        elif kind == Kind.COPY:
            rows.copy(node)
        elif kind in (Kind.GATHER, Kind.SCATTER):
            lanes.indexed(node)
        elif kind == Kind.SXM:
            lanes.exchange(node)
        elif kind == Kind.PACK:
            matrix.pack(node)
        else:
            emitted = matrix.accumulate(node)
            following = groups[position + 1] if position + 1 < len(groups) else []
            if emitted and (plan.plain or not rows.takes_whole(following, node)):
                rows.emission(emitted)
                emitted = None
            elif emitted:
                emitted = emitted._replace(kept=matrix.outlives(node, position + 1))


def _constant_weights(graph: Graph, changing: Changing) -> Bools:
    """``[installs]``: whether every byte is a word of memory that is the same in all runs from the start."""
    installs, variable = graph.installs, changing.variable
    fixed = (variable[:, 1:] == variable[:, :-1]).reshape(-1)
    is_read = (graph.opcode == Read.opcode)[installs.burst]
    first = graph.queue * graph.machine.words + graph.args[:, 0]
    word = first[installs.burst] + installs.index * graph.stride[installs.burst]
    return installs.all_of(is_read & fixed[np.where(is_read, word, 0)])


def _used(plan: Plan, moves: Moves, activations: Activations) -> Ints:
    """MEM read bursts whose words kernels read in the chip's memory."""
    graph, refs = plan.graph, plan.graph.refs
    reads = plan.position >= 0
    reads[np.isin(graph.burst, list(moves.bursts))] = False
    reads[[node for node in activations.number if node not in activations.first]] = False
    copy = graph.kind == Kind.COPY
    pack, packed, _ = graph.packed
    burst = np.concatenate([refs.burst[reads[refs.node]], packed[reads[pack]]])
    found = np.append(burst[graph.in_place[burst]], graph.burst[copy & reads])
    return distinct(found)
