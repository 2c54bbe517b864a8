"""What the claims are tested on: models small enough for every run of the tests, compiled once a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from compiler import Compilation, compile_model
from isa.machine import Fact, Machine
from isa.program import Program
from runtime import models
from runtime.feeds import random_feeds

Arrays = dict[str, NDArray[Any]]

DEMO: Final = Path(models.__file__).parent / "data" / "demo.onnx"


@dataclass(frozen=True, slots=True)
class Subject:
    """A model with its dimensions bound; an empty ``graph`` is the shipped transformer, else one layer of a carried one."""

    graph: str
    dims: tuple[tuple[str, int], ...] = ()
    chip: str = "tsp1"
    precision: str = "fp16"

    def __str__(self) -> str:
        dims = [f"{k}{v}" for k, v in self.dims]
        return "-".join([self.graph or "demo", *dims, *["strict"] * (self.precision == "strict")])

    def model(self, filled_model: Callable[[str], Path]) -> Path:
        """The file."""
        return filled_model(self.graph) if self.graph else DEMO


def demo(batch: int, seq: int, precision: str = "fp16") -> Subject:
    """The shipped transformer."""
    return Subject("", (("batch", batch), ("seq", seq)), precision=precision)


SMALL: Final = demo(2, 7)
LAYER: Final = Subject("minilm.dynamo.static")
LEGACY_LAYER: Final = Subject("minilm.legacy.dynamic", (("batch", 2), ("seq", 5)))


@cache
def compiled(path: Path, subject: Subject) -> Compilation:
    """The compilation of a subject whose model is at ``path``."""
    return compile_model(path, dict(subject.dims), subject.chip, subject.precision)


def feeds(program: Program, seed: int = 0) -> Arrays:
    """Seeded inputs, with padding in the masks."""
    return random_feeds(program.inputs, seed)


def changed(machine: Machine, **facts: int) -> Machine:
    """A chip with other facts; ``timing__mem_read=6`` is the fact ``timing.mem_read``."""
    new = {name.replace("__", "."): Fact(value, "assumed") for name, value in facts.items()}
    return Machine(tuple(sorted((dict(machine.facts) | new).items())))
