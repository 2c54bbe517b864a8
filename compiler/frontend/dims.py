"""Binding symbolic dimensions: `--dim seq=37`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from compiler.graph import Shape
from isa.errors import InputError, LimitError

if TYPE_CHECKING:
    from onnx import ValueInfoProto

LARGEST = 1 << 24
"""No dimension may be larger."""


def bind(inputs: Sequence[ValueInfoProto], dims: Mapping[str, int]) -> dict[str, Shape]:
    """The static shape of every input, by its name.

    A key of `dims` is the model's name of a dimension (`seq`) or `INPUT.AXIS` (`input_ids.1`), which also
    names a dimension that has no name.

    Raises:
        InputError: TSP110 dimensions without a size (all of them), TSP111 a name that the model does not
            have, TSP112 a size other than the model's own or given twice, TSP113 not a positive size.
        LimitError: TSP404 a size larger than `LARGEST`.
    """
    for key, size in dims.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InputError(113, f"dimension '{key}' must be a positive integer, not {size!r}")
    sizes: dict[str, int] = {}
    unbound: dict[str, list[str]] = {}
    used: set[str] = set()
    shapes: dict[str, Shape] = {}
    for value in inputs:
        shape: list[int] = []
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            place = f"{value.name}.{axis}"
            symbol = dim.dim_param or place
            given = {key: dims[key] for key in (symbol, place) if key in dims}
            used |= given.keys()
            if dim.HasField("dim_value"):
                given["the model"] = int(dim.dim_value)
            if symbol in sizes:
                given[f"dimension '{symbol}'"] = sizes[symbol]
            if len(set(given.values())) > 1:
                said = ", ".join(f"{size} ({who})" for who, size in given.items())
                raise InputError(112, f"dimension {axis} of input '{value.name}' cannot be {said}")
            if not given:
                unbound.setdefault(symbol, []).append(f"dimension {axis} of input '{value.name}'")
                continue
            size = next(iter(given.values()))
            if size < 0 or size > LARGEST:
                raise LimitError(
                    404, f"dimension {axis} of input '{value.name}' is {size}; at most {LARGEST}"
                )
            if not dim.HasField("dim_value"):
                sizes[symbol] = size
            shape.append(size)
        shapes[value.name] = tuple(shape)
    _refuse_unknown(inputs, set(dims) - used)
    if unbound:
        listed = "; ".join(f"'{name}' ({', '.join(places)})" for name, places in unbound.items())
        flags = " ".join(f"--dim {name}=N" for name in unbound)
        raise InputError(110, f"dimensions without a size: {listed}", hint=f"add {flags}")
    return shapes


def _refuse_unknown(inputs: Sequence[ValueInfoProto], unknown: set[str]) -> None:
    if not unknown:
        return
    shapes = []
    for value in inputs:
        dims = value.type.tensor_type.shape.dim
        sizes = [str(d.dim_value) if d.HasField("dim_value") else d.dim_param or "?" for d in dims]
        shapes.append(f"{value.name} [{', '.join(sizes)}]")
    names = ", ".join(f"'{name}'" for name in sorted(unknown))
    raise InputError(
        111,
        f"the model has no dimension {names}",
        hint=f"its inputs are {'; '.join(shapes)}; INPUT.AXIS=N names one by place",
    )
