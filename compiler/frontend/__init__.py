"""ONNX in, `Graph` out.

The road: read and check the file, bind dimensions, copy the model without its elements for the libraries, which infer
shapes and fold constants, import node by node, then run the passes. Nothing of ONNX is imported before a model is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.builder import Builder
from compiler.frontend.dims import bind
from compiler.frontend.dtypes import dtype_of
from compiler.frontend.source import DataFolder, read_model
from compiler.graph import Graph, GraphInput, GraphOutput, Tensor
from compiler.passes import run
from isa.errors import InputError

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


def import_model(
    source: str | os.PathLike[str] | ModelProto, dims: Mapping[str, int] | None = None
) -> Graph:
    """The graph of a model: canonical operations, static shapes, weights by reference.

    Args:
        source: the path of an .onnx file, or a model in memory without external data.
        dims: sizes of symbolic dimensions, by their name in the model or by `INPUT.AXIS`.

    Raises:
        InputError: TSP100..TSP129, the file, a dimension or a node is refused.
        LimitError: TSP401..TSP404.
    """
    graph = import_raw(source, dims)
    return run(graph)


def data_files(path: str | os.PathLike[str]) -> list[str]:
    """The files with weights of a model that compiles, relative to its folder."""
    from compiler.frontend.validate import external_files

    return external_files(read_model(Path(path)))


def import_raw(
    source: str | os.PathLike[str] | ModelProto, dims: Mapping[str, int] | None = None
) -> Graph:
    """As `import_model`, before the passes: 64-bit integers, nothing fused."""
    from compiler.frontend.isolate import Isolated
    from compiler.frontend.validate import validate

    folder: DataFolder | None = None
    if isinstance(source, str | os.PathLike):
        path = Path(os.path.abspath(source))
        model, folder, name = read_model(path), DataFolder(path.parent), path.stem
    else:
        model, name = source, source.graph.name or "model"
    validate(model)
    builder = Builder(name)
    inputs = _inputs(model, dims or {})
    for tensor in inputs:
        builder.add_input(GraphInput(tensor, tensor.dtype))

    isolated = Isolated(model, {t.name: t.shape for t in inputs}, folder)

    # From here on with the libraries, which take a second to import.
    from compiler.frontend.chain import run_chain
    from compiler.frontend.importer import Importer

    chained = run_chain(isolated)
    results = Importer(builder, chained.opset_imports).run(chained.graph)
    names = [value.name for value in model.graph.output]
    return builder.finish(
        GraphOutput(name, tensor, builder.dtype(tensor))
        for name, tensor in zip(names, results, strict=True)
    )


def _inputs(model: ModelProto, dims: Mapping[str, int]) -> list[Tensor]:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    dtypes = {value.name: _element_type(value) for value in inputs}
    return [
        Tensor(name, shape, dtype_of(dtypes[name], f"input '{name}'"))
        for name, shape in bind(inputs, dims).items()
    ]


def _element_type(value: ValueInfoProto) -> int:
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        raise InputError(
            114, f"input '{value.name}' is not a tensor with a known number of dimensions"
        )
    return int(value.type.tensor_type.elem_type)
