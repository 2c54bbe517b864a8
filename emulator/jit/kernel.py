"""``Kernel``: a program as native code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emulator.image import Image, image_shape, initial_memory, read_outputs, write_inputs
from emulator.jit.accesses import Changing
from emulator.jit.bounds import check_bounds
from emulator.jit.cache import ObjectCache, default_directory
from emulator.jit.effects import Ints
from emulator.jit.emit_lanes import LaneEmitter
from emulator.jit.emit_matrix import MatrixEmitter, panel_size
from emulator.jit.emit_rows import RowEmitter
from emulator.jit.host import this_host
from emulator.jit.library import Library, Shape
from emulator.jit.moves import Moves
from emulator.jit.nodes import Graph, Kind
from emulator.jit.order import Plan
from emulator.jit.places import Places
from emulator.jit.storage import Key, Storage, aligned_buffer, zeroed_arena
from emulator.jit.table import Table
from emulator.jit.timing import run_cycles
from emulator.jit.uniform import uniform_passes
from emulator.jit.walk import Walker
from emulator.lowering.text import Target
from emulator.trace import Trace
from isa.errors import UsageError
from isa.ops.mem import Read
from isa.program import Program

Array = npt.NDArray[Any]
NO_THREADS: Final = 610
MOST_THREADS: Final = 256


class Kernel:
    """A verified program, compiled for this host. One run at a time; what it computes does not depend on ``threads``.

    Args:
        program: a program the verifier accepts.
        threads: native threads of a run.
        cache_dir: where compiled kernels are kept; None for the user's cache directory.

    Raises ``UsageError`` TSP610 for an impossible number of threads, ``InternalError`` TSP97x for a program that no verifier
    has accepted.
    """

    def __init__(
        self, program: Program, threads: int = 1, cache_dir: str | Path | None = None
    ) -> None:
        self.program, self.threads = program, threads
        if not 1 <= threads <= MOST_THREADS:
            raise UsageError(NO_THREADS, f"{threads} threads: from 1 to {MOST_THREADS} can run")
        check_bounds(program)
        shape = image_shape(program.machine)
        self._arena = zeroed_arena(math.prod(shape)).reshape(shape)
        initial_memory(program, self._arena)
        host = this_host()
        self._target = host.target(program.machine)
        directory = default_directory() if cache_dir is None else Path(cache_dir)
        self._library = Library(host, self._target, ObjectCache(directory))
        self._walker = Walker(self._library, threads)
        self._cycles = run_cycles(program)
        self._changing = Changing(program)
        self._prepare()

    @property
    def final_memory(self) -> Image:
        """The chip's memory ``[2 * slices, words, lanes]`` after the last run: a view, overwritten by the next."""
        return self._arena

    @property
    def shapes(self) -> list[Shape]:
        """The kernel of each entry of a run, in order."""
        return list(self._table.shapes)

    def run(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], Trace]:
        """Outputs by name, and the trace. Raises ``InputError`` TSP60x as ``emulator.image.write_inputs`` does."""
        write_inputs(self.program, inputs, self._arena)
        for place, words in self._restored:
            place[...] = words
        self._walker.walk(self._entries)
        return read_outputs(self.program, self._arena), Trace.of(self.program, self._cycles)

    def _prepare(self) -> None:
        """All that happens once: order, addresses, kernels, descriptors, constant weights."""
        graph = Graph(self.program)
        constant = _constant_weights(graph, self._changing)
        plan = Plan(graph, self._changing, constant)
        windows = _windows(graph, plan)
        moves = Moves(graph, self._arena, self._changing)
        for burst in moves.bursts:
            graph.size[burst] = 1
        storage = Storage(plan, _sizes(plan, self._target, windows))
        places = Places(graph, self._arena, storage)
        once, table = (Table(graph.machine.lanes) for _ in range(2))
        rows = RowEmitter(graph, places, table)
        lanes = LaneEmitter(graph, places, table)
        uniform = uniform_passes(graph, constant, places.contents)
        matrix = MatrixEmitter(graph, places, rows, self._target, windows, moves, uniform)
        scratch = aligned_buffer(matrix.widened * self.threads)
        matrix.scratch = scratch.ctypes.data
        for number in constant:
            if windows[number, 1] > windows[number, 0]:
                matrix.constant(number, once)
        for nodes, divisible in zip(plan.groups, plan.divisible, strict=True):
            kind = nodes[0].kind
            if kind in (Kind.VXM, Kind.WRITE):
                rows.group(nodes, divisible)
            elif kind is Kind.COPY:
                rows.copy(nodes[0])
            elif kind in (Kind.GATHER, Kind.SCATTER):
                lanes.indexed(nodes[0])
            elif kind is Kind.SXM:
                lanes.exchange(nodes[0])
            elif kind is Kind.PACK:
                target = storage.address(("panel", nodes[0].weights))
                matrix.pack(nodes[0].weights, table, target)
            else:
                matrix.accumulate(nodes[0], table)
        self._walker.walk(once.finish(self._library))
        self._entries = table.finish(self._library)
        self._table = table
        self._held = (once, storage, matrix, scratch)
        self._restored = _overwritten_constants(self.program, self._changing, self._arena)


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


def _overwritten_constants(
    program: Program, changing: Changing, arena: Image
) -> list[tuple[Image, Image]]:
    """Constant words that a run changes, with what they held: to be put back before each run."""
    out = []
    for segment in program.segments:
        slice_, address, count, first = (int(v) for v in segment)
        if changing.writes(slice_, address, address + count - 1):
            out.append(
                (arena[slice_, address : address + count], program.data[first : first + count])
            )
    return out
