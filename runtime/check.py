"""Compile a model, verify it, run it on the JIT emulator and hold the outputs against ``onnx.reference``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isa.errors import ComparisonError, LimitError
from isa.program import Program
from runtime.api import Session
from runtime.feeds import random_feeds
from runtime.metrics import Comparison, compare, tolerance_for

if TYPE_CHECKING:
    from compiler import Compilation
    from isa.verify import Certificate

Array = NDArray[Any]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What to check: a model and how to compile it; ``feeds`` overrides inputs drawn with ``seed``."""

    source: str | os.PathLike[str] | Any
    dims: Mapping[str, int]
    chip: str = "tsp1"
    precision: str = "fp16"
    feeds: Mapping[str, Array] | None = None
    seed: int = 0
    threads: int = 1
    progress: Progress | None = None
    emulator: str = "jit"
    effort: int = 1

    def compile(self, keep: Sequence[str] = ()) -> Compilation:
        """Compile, with the tensors ``keep`` of the graph as further outputs."""
        from compiler import compile_model

        return compile_model(
            self.source,
            dims=self.dims,
            chip=self.chip,
            precision=self.precision,
            progress=self.progress,
            effort=self.effort,
            **({"keep": tuple(keep)} if keep else {}),
        )


@dataclass(frozen=True, slots=True)
class NodeComparison:
    """One intermediate tensor against ``compiler.reference``: ``node`` made it, from the ONNX nodes ``origin``."""

    node: str
    op: str
    origin: tuple[str, ...]
    comparison: Comparison

    def to_dict(self) -> dict[str, object]:
        """Stable keys for ``--json``."""
        place = {"node": self.node, "op": self.op, "origin": list(self.origin)}
        return {**place, **self.comparison.to_dict()}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found. ``seconds`` is by step: compile, verify, run, reference."""

    compilation: Compilation
    certificate: Certificate
    comparisons: tuple[Comparison, ...]
    cycles_predicted: int
    cycles_executed: int
    seconds: dict[str, float]
    feeds: dict[str, Array]
    nodes: tuple[NodeComparison, ...] = ()

    @property
    def first_divergence(self) -> NodeComparison | None:
        """The first node whose tensor leaves its tolerance, if nodes were compared."""
        return next((node for node in self.nodes if not node.comparison.passed), None)

    def error(self) -> ComparisonError | None:
        """Why the check failed: TSP701 an output left its tolerance, TSP702 the cycles differ; None if it passed."""
        failed = [c for c in self.comparisons if not c.passed]
        first = self.first_divergence
        if failed:
            listed = "; ".join(f"output {c.name!r}: {c.problem}" for c in failed)
            hint = "--per-node names the first node whose tensor leaves tolerance"
            if first is not None:
                hint = f"the first node to leave its tolerance is {first.node!r} ({first.op})"
            elif self.nodes:
                hint = "no intermediate tensor leaves its tolerance: the last node is to blame"
            return ComparisonError(701, listed, hint=hint)
        counts = (self.cycles_predicted, self.certificate.cycles, self.cycles_executed)
        if len(set(counts)) > 1:
            message = "cycles predicted {}, verified {}, executed {}".format(*counts)
            return ComparisonError(702, message, hint="please report this: the counts must agree")
        if first is not None:
            message = f"node {first.node!r} ({first.op}): {first.comparison.problem}"
            return ComparisonError(703, message, hint="the outputs themselves are in tolerance")
        return None

    def to_dict(self) -> dict[str, object]:
        """Stable keys for ``--json``."""
        error, first = self.error(), self.first_divergence
        return {
            "passed": error is None,
            "outputs": [c.to_dict() for c in self.comparisons],
            "cycles_predicted": self.cycles_predicted,
            "cycles_verified": self.certificate.cycles,
            "cycles_executed": self.cycles_executed,
            "seconds": round(sum(self.seconds.values()), 4),
            "steps": self.seconds,
            **({"nodes": [node.to_dict() for node in self.nodes]} if self.nodes else {}),
            **({"first_divergence": first.to_dict()} if first else {}),
            **({"error": error.to_dict()} if error else {}),
        }


def check(request: Request, *, per_node: bool = False) -> CheckResult:
    """Carry out a request. Raises what compiling, verifying and running raise; a mismatch is in the result."""
    from runtime.compare import Reference

    seconds: dict[str, float] = {}
    compilation = _timed(seconds, "compile", request.compile)
    program: Program = compilation.program
    feeds = complete_feeds(request, compilation)
    certificate, outputs, cycles = _execute(program, feeds, request, seconds)
    expected = _timed(seconds, "reference", lambda: Reference(request.source).run(feeds))
    comparisons = compare_outputs(outputs, expected, request.precision)
    nodes = compare_nodes(request, compilation, feeds) if per_node else ()
    return CheckResult(
        compilation,
        certificate,
        comparisons,
        compilation.report.cycles,
        cycles,
        seconds,
        feeds,
        nodes,
    )


def _execute(
    program: Program, feeds: Mapping[str, Array], request: Request, seconds: dict[str, float]
) -> tuple[Certificate, dict[str, Array], int]:
    """Certificate, outputs, cycles. The session ends here: its memory image is as large as the chip's."""
    session = _timed(seconds, "verify", lambda: Session(program, request.threads, request.emulator))
    outputs, trace = _timed(seconds, "run", lambda: session.execute(feeds))
    return session.certificate, outputs, trace.cycles


def _timed(seconds: dict[str, float], step: str, work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    result = work()
    seconds[step] = round(time.perf_counter() - start, 4)
    return result


def complete_feeds(request: Request, compilation: Compilation) -> dict[str, Array]:
    """The request's arrays, and seeded ones for the inputs it does not give."""
    bounds = {
        given.tensor.name: given.valid_range
        for given in compilation.graph.inputs
        if given.valid_range is not None
    }
    return {
        **random_feeds(compilation.program.inputs, request.seed, bounds),
        **(request.feeds or {}),
    }


def compare_outputs(
    outputs: Mapping[str, Array], expected: Mapping[str, Array], precision: str
) -> tuple[Comparison, ...]:
    """Every output of the reference against the one of its name. Raises ComparisonError TSP704 if one is missing."""
    if missing := [name for name in expected if name not in outputs]:
        raise ComparisonError(704, f"the program has no output {', '.join(missing)}")
    return tuple(
        compare(name, outputs[name], wanted, tolerance_for(wanted.dtype, precision))
        for name, wanted in expected.items()
    )


def compare_nodes(
    request: Request, compilation: Compilation, feeds: Mapping[str, Array]
) -> tuple[NodeComparison, ...]:
    """Every floating-point tensor that a node makes, in order, up to the first that leaves its tolerance.

    The model is compiled again with these tensors as outputs, in as many rounds as it takes for them to fit the chip.
    """
    graph = compilation.graph
    pending = [node for node in graph.nodes if graph.tensors[node.output].dtype.is_float]
    found: list[NodeComparison] = []
    size = len(pending)
    while pending and not (found and not found[-1].comparison.passed):
        chosen = pending[:size]
        try:
            compared = _compare_kept(request, [node.output for node in chosen], feeds)
        except LimitError:
            if size == 1:
                raise
            size = (size + 1) // 2
            continue
        pending = pending[size:]
        for node, comparison in zip(chosen, compared, strict=True):
            found.append(NodeComparison(node.name, node.op, node.origin, comparison))
            if not comparison.passed:
                break
    return tuple(found)


def _compare_kept(
    request: Request, names: Sequence[str], feeds: Mapping[str, Array]
) -> list[Comparison]:
    """The named tensors of the graph, as the machine makes them, against the numpy evaluator's."""
    from compiler.reference import evaluate

    compilation = request.compile(keep=names)
    outputs, _ = Session(compilation.program, request.threads, request.emulator).execute(feeds)
    values = evaluate(compilation.graph, feeds)
    tolerance = tolerance_for(np.dtype(np.float32), request.precision)
    return [
        compare(name, outputs[name], values[name].astype(outputs[name].dtype), tolerance)
        for name in names
    ]
