"""The canonical operations: what each takes, and the shape and dtype it gives.

`OPS` is the one list of what a `Graph` may contain. Every operation has exactly one output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.graph.types import DType, Shape, Tensor
from isa.errors import InternalError

Attr = int | float | str | bool | tuple[int, ...]
Attrs = Mapping[str, Attr]
Result = tuple[Shape, DType]
Infer = Callable[[Attrs, Sequence[Tensor | None]], Result]


class ShapeError(InternalError):
    """Operands that an operation does not take. Importers turn it into an error about the user's node."""

    def __init__(self, message: str) -> None:
        super().__init__(901, message)


@dataclass(frozen=True, slots=True)
class OpSpec:
    """One operation.

    Args:
        name: its name in the text form.
        signature: operands and attributes as a reader writes them; `?` marks what may be absent.
        low, high: number of operands.
        infer: attributes and operands (`None` = absent) to result, or `ShapeError`.
        elementwise: operands broadcast as in numpy and the result depends on one element of each.
        final: may be in the graph that is handed to lowering.
        doc: what it computes.
    """

    name: str
    signature: str
    low: int
    high: int
    infer: Infer
    elementwise: bool
    final: bool
    doc: str


OPS: dict[str, OpSpec] = {}


def define(
    signature: str, low: int, high: int, doc: str, *, elementwise: bool = False, final: bool = True
) -> Callable[[Infer], Infer]:
    """Register the decorated rule as the operation that `signature` begins with."""

    def register(infer: Infer) -> Infer:
        name = signature.partition("(")[0]
        OPS[name] = OpSpec(name, signature, low, high, infer, elementwise, final, doc)
        return infer

    return register


def infer(op: str, attrs: Attrs, inputs: Sequence[Tensor | None]) -> Result:
    """Shape and dtype of `op`'s result. `ShapeError` if it does not take these operands."""
    spec = OPS.get(op)
    if spec is None:
        raise ShapeError(f"there is no operation '{op}'")
    if not spec.low <= len(inputs) <= spec.high:
        raise ShapeError(f"{op} takes {spec.low}..{spec.high} operands, not {len(inputs)}")
    if any(tensor is None for tensor in inputs[: spec.low]):
        raise ShapeError(f"{op} needs its first {spec.low} operands")
    try:
        return spec.infer(attrs, inputs)
    except KeyError as missing:
        raise ShapeError(f"{op} needs attribute {missing}") from None


def need(tensor: Tensor | None) -> Tensor:
    """`tensor`, which `infer` has proved present."""
    if tensor is None:
        raise ShapeError("an operand is absent")
    return tensor


def require(condition: bool, message: str) -> None:
    """Raise `ShapeError` with `message` unless `condition` holds."""
    if not condition:
        raise ShapeError(message)


def ints(attrs: Attrs, name: str) -> tuple[int, ...]:
    """The attribute `name`, a tuple of integers."""
    value = attrs[name]
    if not isinstance(value, tuple):
        raise ShapeError(f"attribute '{name}' must be a list of integers, not {value!r}")
    return value


def integer(attrs: Attrs, name: str) -> int:
    """The attribute `name`, an integer."""
    value = attrs[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ShapeError(f"attribute '{name}' must be an integer, not {value!r}")
    return value


def number(attrs: Attrs, name: str) -> float:
    """The attribute `name`, a float."""
    value = attrs[name]
    if not isinstance(value, float):
        raise ShapeError(f"attribute '{name}' must be a float, not {value!r}")
    return value


def axis_of(attrs: Attrs, tensor: Tensor) -> int:
    """The attribute `axis`, an axis of `tensor`."""
    axis = integer(attrs, "axis")
    require(0 <= axis < len(tensor.shape), f"axis {axis} is outside shape {tensor.shape}")
    return axis


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape that numpy broadcasting gives, or `ShapeError`."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(f"shapes {' and '.join(map(str, shapes))} do not broadcast") from None


def _pointwise(inputs: Sequence[Tensor | None]) -> Result:
    tensors = [need(tensor) for tensor in inputs]
    kinds = {tensor.dtype for tensor in tensors}
    require(len(kinds) == 1, f"operand dtypes differ: {sorted(kind.value for kind in kinds)}")
    return broadcast([tensor.shape for tensor in tensors]), tensors[0].dtype


def _define_pointwise() -> None:
    def arithmetic(_attrs: Attrs, inputs: Sequence[Tensor | None]) -> Result:
        shape, dtype = _pointwise(inputs)
        require(dtype is not DType.BOOL, "operands must be numbers, not bool")
        return shape, dtype

    def real(_attrs: Attrs, inputs: Sequence[Tensor | None]) -> Result:
        shape, dtype = _pointwise(inputs)
        require(dtype.is_float, f"operand must be floating point, not {dtype.value}")
        return shape, dtype

    def logical(_attrs: Attrs, inputs: Sequence[Tensor | None]) -> Result:
        shape, dtype = _pointwise(inputs)
        require(dtype is DType.BOOL, f"operands must be bool, not {dtype.value}")
        return shape, dtype

    def test(_attrs: Attrs, inputs: Sequence[Tensor | None]) -> Result:
        return _pointwise(inputs)[0], DType.BOOL

    def classify(_attrs: Attrs, inputs: Sequence[Tensor | None]) -> Result:
        return real(_attrs, inputs)[0], DType.BOOL

    def same(_attrs: Attrs, inputs: Sequence[Tensor | None]) -> Result:
        return _pointwise(inputs)

    groups: list[tuple[Infer, int, str]] = [
        (arithmetic, 2, "Add Sub Mul Div Min Max Pow"),
        (arithmetic, 1, "Neg Abs"),
        (real, 1, "Sqrt Reciprocal Exp Erf Tanh Sigmoid"),
        (arithmetic, 1, "Relu"),
        (logical, 2, "And Or Xor"),
        (logical, 1, "Not"),
        (test, 2, "Equal Less LessOrEqual Greater GreaterOrEqual"),
        (classify, 1, "IsNaN IsInf"),
        (same, 1, "Identity"),
    ]
    for rule, arity, names in groups:
        for name in names.split():
            signature = f"{name}({', '.join('ab'[:arity])})"
            doc = "element by element, operands broadcast" if arity == 2 else "element by element"
            define(signature, arity, arity, doc, elementwise=True)(rule)


_define_pointwise()


@define(
    "Gelu(x) {approximate}",
    1,
    1,
    "x * 0.5 * (1 + erf(x / sqrt(2))), or its tanh form",
    elementwise=True,
)
def _gelu(attrs: Attrs, inputs: Sequence[Tensor | None]) -> Result:
    require(attrs["approximate"] in ("none", "tanh"), "approximate must be 'none' or 'tanh'")
    return OPS["Tanh"].infer(attrs, inputs)


@define("Where(condition, a, b)", 3, 3, "a where the condition holds, else b", elementwise=True)
def _where(_attrs: Attrs, inputs: Sequence[Tensor | None]) -> Result:
    condition = need(inputs[0])
    require(condition.dtype is DType.BOOL, "the condition must be bool")
    shape, dtype = _pointwise(inputs[1:])
    return broadcast([condition.shape, shape]), dtype


@define(
    "Cast(x) {to}",
    1,
    1,
    "to another dtype; float to int truncates, to bool is x != 0",
    elementwise=True,
)
def _cast(attrs: Attrs, inputs: Sequence[Tensor | None]) -> Result:
    return need(inputs[0]).shape, DType(attrs["to"])
