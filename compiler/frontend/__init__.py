"""ONNX in, `Graph` out.

The road: read and check the file, bind dimensions, import node by node with every shape static and every
constant folded, then run the passes. Nothing of ONNX is imported before a model is.
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

    from compiler.frontend.importer import Scope


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
    from compiler.frontend.importer import Importer, opset_versions
    from compiler.frontend.validate import validate

    folder: DataFolder | None = None
    if isinstance(source, str | os.PathLike):
        path = Path(os.path.abspath(source))
        model, folder, name = read_model(path), DataFolder(path.parent), path.stem
    else:
        model, name = source, source.graph.name or "model"
    validate(model)
    opsets = opset_versions(model.opset_import)
    builder = Builder(name)
    scope: Scope = {}
    _add_inputs(model, dims or {}, builder, scope)
    importer = Importer(model, builder, folder)
    importer.add_initializers(model.graph.initializer, scope)
    importer.run(model.graph.node, scope, opsets)
    importer.refuse()
    return builder.finish(_outputs(model, builder, scope))


def _add_inputs(model: ModelProto, dims: Mapping[str, int], builder: Builder, scope: Scope) -> None:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    dtypes = {value.name: _element_type(value) for value in inputs}
    for name, shape in bind(inputs, dims).items():
        tensor = Tensor(name, shape, dtype_of(dtypes[name], f"input '{name}'"))
        builder.add_input(GraphInput(tensor, tensor.dtype))
        scope[name] = name


def _element_type(value: ValueInfoProto) -> int:
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        raise InputError(
            114, f"input '{value.name}' is not a tensor with a known number of dimensions"
        )
    return int(value.type.tensor_type.elem_type)


def _outputs(model: ModelProto, builder: Builder, scope: Scope) -> list[GraphOutput]:
    outputs = []
    for value in model.graph.output:
        tensor = scope.get(value.name)
        if not tensor:
            raise InputError(108, f"output '{value.name}' is made by no node")
        outputs.append(GraphOutput(value.name, tensor, builder.dtype(tensor)))
    return outputs
