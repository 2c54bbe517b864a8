"""The pipeline: one function, one line a stage."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from compiler.capacity import within_capacity
from compiler.emission import emit
from compiler.frontend import import_model
from compiler.graph import Graph, macs, print_graph
from compiler.scheduling import EFFORTS, Placement, Schedule, search
from compiler.tiles import TileGraph
from compiler.tiling import tile
from isa.errors import UsageError
from isa.machine import Machine, load_chip
from isa.program import Program

STAGES = ("graph", "tiles", "placement", "schedule", "asm")
PRECISIONS = ("fp16", "strict")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Report:
    """Figures of a compilation. ``mxm_bound_cycles`` comes from the graph's shapes alone."""

    cycles: int
    mxm_bound_cycles: int
    instructions: int
    sram_weight_bytes: int
    sram_peak_bytes: int
    nodes: int
    seconds: dict[str, float]
    peak_bytes: dict[str, int]
    matrix_busy: tuple[int, int]


@dataclass(frozen=True)
class Compilation:
    """Every stage's result, kept."""

    graph: Graph
    tiles: TileGraph
    placement: Placement
    schedule: Schedule
    program: Program
    report: Report

    def dump(self, stage: str) -> str:
        """The text form of a stage: one of ``STAGES``."""
        if stage == "graph":
            return print_graph(self.graph)
        if stage == "tiles":
            return self.tiles.text()
        if stage == "placement":
            return self.placement.text()
        if stage == "schedule":
            return self.schedule.text()
        if stage == "asm":
            from isa.assembly import disassemble

            return disassemble(self.program)
        raise UsageError(808, f"no stage {stage!r}", hint=f"stages: {', '.join(STAGES)}")


@dataclass
class _Clock:
    """Seconds and peak resident memory by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, progress: Progress | None) -> Iterator[None]:
        if progress is not None:
            progress(name, 0, 1)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        self.peak[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def mxm_bound(graph: Graph, machine: Machine) -> int:
    """Multiply-accumulates of the graph over what all fp16 plane pairs take a cycle."""
    rate = 2 * machine["mxm.fp16_k"] * machine.lanes
    return -(-macs(graph) // rate)


def compile_model(
    source: str | os.PathLike[str] | Any,
    dims: Mapping[str, int] | None = None,
    chip: str | Machine = "tsp1",
    precision: str = "fp16",
    progress: Progress | None = None,
    keep: tuple[str, ...] = (),
    effort: int = 1,
) -> Compilation:
    """Compile an ONNX model (a path or a ``ModelProto``) for a chip.

    ``dims`` binds symbolic dimensions; ``precision`` is "fp16" (fp16 operands, fp32 sums) or "strict" (hi and lo fp16 parts, three
    products). ``keep`` names graph tensors that become extra outputs. ``effort`` (0 to 3) is how many schedules are tried for a
    short one. Raises ``InputError``, ``LimitError``, ``UsageError``.
    """
    if precision not in PRECISIONS:
        raise UsageError(
            809, f"no precision {precision!r}", hint=f"one of: {', '.join(PRECISIONS)}"
        )
    if effort not in range(len(EFFORTS)):
        raise UsageError(809, f"no effort {effort}", hint=f"0 to {len(EFFORTS) - 1}")
    machine = chip if isinstance(chip, Machine) else load_chip(chip)
    clock = _Clock()
    with clock.stage("import", progress):
        graph = import_model(source, dict(dims or {}))
    with clock.stage("tile", progress):
        tiles = tile(graph, machine, precision, keep)
    with clock.stage("schedule", progress), within_capacity(tiles, machine):
        each = None if progress is None else lambda i, n: progress("schedule", i, n)
        placement, plan = search(tiles, machine, effort, each)
    with clock.stage("emit", progress):
        program = emit(graph, tiles, placement, plan, precision)
    lanes = machine.lanes
    report = Report(
        cycles=plan.cycles,
        mxm_bound_cycles=mxm_bound(graph, machine),
        instructions=program.instructions,
        sram_weight_bytes=placement.memory.constant_words * lanes,
        sram_peak_bytes=placement.memory.peak_words * lanes,
        nodes=len(graph.nodes),
        seconds=clock.seconds,
        peak_bytes=clock.peak,
        matrix_busy=plan.matrix_busy,
    )
    return Compilation(graph, tiles, placement, plan, program, report)
