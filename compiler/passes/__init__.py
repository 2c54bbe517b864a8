"""Graph to graph: from what exporters write to what lowering takes.

Every pass leaves a graph that verifies and computes the same outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from compiler.graph import Graph
from compiler.passes.centre import centre
from compiler.passes.cse import share
from compiler.passes.fuse_attention import fuse_attention
from compiler.passes.fuse_gelu import fuse_gelu
from compiler.passes.fuse_layernorm import fuse_layernorm
from compiler.passes.fuse_linear import fuse_linear
from compiler.passes.legal import check_legal
from compiler.passes.movement import movement
from compiler.passes.narrow import narrow_int64
from compiler.passes.ranges import find_ranges
from compiler.passes.simplify import simplify, tidy


@dataclass(frozen=True, slots=True)
class Pass:
    """A named step."""

    name: str
    function: Callable[[Graph], Graph]


PIPELINE: tuple[Pass, ...] = (
    Pass("narrow-int64", narrow_int64),
    Pass("share", share),
    Pass("tidy", tidy),
    Pass("fuse-linear", fuse_linear),
    Pass("fuse-layernorm", fuse_layernorm),
    Pass("simplify", simplify),
    Pass("fuse-gelu", fuse_gelu),
    Pass("fuse-attention", fuse_attention),
    Pass("movement", movement),
    Pass("simplify-moved", simplify),
    Pass("share-moved", share),
    Pass("centre", centre),
    Pass("find-ranges", find_ranges),
    Pass("check-legal", check_legal),
)


def run(graph: Graph) -> Graph:
    """The graph after every pass of `PIPELINE`, verified after each."""
    graph.verify()
    for step in PIPELINE:
        graph = step.function(graph)
        graph.verify()
    return graph
