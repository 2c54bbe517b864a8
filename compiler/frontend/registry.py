"""How ONNX operators become graph operations: the registry, and what a converter sees.

A converter is a function of one `Call`, registered by `@onnx_op`. It answers by `call.done(...)` or
`call.alias(...)`, or raises `UnsupportedError` with the reason; reasons are collected, so that one message
lists every node that cannot be compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from compiler.builder import Builder
from compiler.graph import Array, Attr, Constant, Shape
from isa.errors import InputError

VALUE_ELEMENTS = 1 << 22
"""Largest operand that the compiler reads to decide a shape or an order."""


class UnsupportedError(InputError):
    """Why one node cannot be compiled."""

    def __init__(self, reason: str) -> None:
        super().__init__(120, reason)


@dataclass(slots=True)
class Call:
    """One ONNX node, with operands already imported.

    `inputs` are tensor names in `builder` ("" = absent); `attrs` holds int, float, str, tuples of them, or
    a `Constant` for a tensor. `shapes` are the inferred ones of the results, None if they depend on an input;
    `decided` are the operands whose elements the inference knew. Results are put in `results` by output position.
    """

    name: str
    op: str
    opset: int
    inputs: Sequence[str]
    outputs: Sequence[str]
    attrs: Mapping[str, Any]
    builder: Builder
    shapes: Sequence[Shape | None]
    decided: Set[int]
    results: dict[int, str] = field(default_factory=dict)

    def has(self, index: int) -> bool:
        """Whether operand `index` is given."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def shape(self, index: int = 0) -> Shape:
        """The shape of operand `index`."""
        return self.builder.shape(self.inputs[index])

    def decides(self, index: int, what: str) -> None:
        """Require that operand `index`, if it is given, was known when shapes were inferred; `what` it decides."""
        if self.has(index) and index not in self.decided:
            raise UnsupportedError(f"{what} (operand {index}) depends on an input of the model")

    def result(self, operand: int, what: str, index: int = 0) -> Shape:
        """The inferred shape of result `index`; `operand`, if it is given, decides `what` of it."""
        self.decides(operand, what)
        shape = self.shapes[index]
        if shape is None:
            given = list(self.ints(operand, what)) if self.has(operand) else "by default"
            raise UnsupportedError(f"{what} {given} does not fit {list(self.shape())}")
        return shape

    def attr(self, name: str, kind: type, default: Any = None) -> Any:
        """An attribute, checked to be a `kind`; its type varies. Without a default it is required."""
        value = self.attrs.get(name, default)
        if not isinstance(value, kind):
            raise UnsupportedError(f"attribute '{name}' must be {kind.__name__}, not {value!r}")
        return value

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer attribute."""
        return int(self.attr(name, int, default))

    def number(self, name: str, default: float | None = None) -> float:
        """A float attribute."""
        return float(self.attr(name, float, default))

    def is_constant(self, index: int = 0) -> bool:
        """Whether operand `index` is given and does not depend on an input."""
        return self.has(index) and self.inputs[index] in self.builder.constants

    def array(self, index: int, what: str) -> Array:
        """The elements of operand `index`, which the compiler must know; `what` it decides."""
        if not self.is_constant(index):
            raise UnsupportedError(f"{what} (operand {index}) depends on an input of the model")
        constant = self.builder.constants[self.inputs[index]]
        if constant.tensor.size > VALUE_ELEMENTS:
            raise UnsupportedError(f"{what} (operand {index}) has {constant.tensor.size} elements")
        return constant.value()

    def ints(self, index: int, what: str) -> tuple[int, ...]:
        """The elements of operand `index` as integers."""
        array = self.array(index, what)
        if array.dtype.kind not in "iu":
            raise UnsupportedError(f"{what} (operand {index}) must be integers")
        return tuple(int(value) for value in array.ravel())

    def axis(self, axis: int, rank: int) -> int:
        """`axis` counted from the front."""
        if not -rank <= axis < rank:
            raise UnsupportedError(f"axis {axis} is outside a tensor of {rank} dimensions")
        return axis % rank

    def emit(self, op: str, inputs: Sequence[str], **attrs: Attr) -> str:
        """An intermediate result."""
        out = self.builder.fresh(f"{self.outputs[0]}/{op}")
        return self.builder.emit(op, inputs, attrs, out=out, origin=[self.name])

    def done(self, op: str, inputs: Sequence[str], index: int = 0, **attrs: Attr) -> None:
        """Result `index`, under the ONNX name of the tensor."""
        out, title = self.outputs[index], self.name
        self.results[index] = self.builder.emit(
            op, inputs, attrs, out=out, name=title, origin=[self.name]
        )

    def alias(self, name: str, index: int = 0) -> None:
        """Result `index` is the existing tensor `name`."""
        self.results[index] = name

    def constant(self, array: Array, index: int = 0) -> None:
        """Result `index` is known now."""
        self.results[index] = self.builder.add_constant(Constant.of(self.outputs[index], array))

    def reshaped(self, name: str, shape: Shape) -> str:
        """`name` with another shape."""
        return (
            name if self.builder.shape(name) == shape else self.emit("Reshape", [name], shape=shape)
        )


Convert = Callable[[Call], None]


@dataclass(frozen=True, slots=True)
class OnnxOp:
    """One supported ONNX operator: since which opset, what of it is not taken, and whether it is folded or refused."""

    name: str
    since: int
    limits: str
    convert: Convert
    folded: bool = False


REGISTRY: dict[str, OnnxOp] = {}


def onnx_op(*names: str, since: int = 1, limits: str = "") -> Callable[[Convert], Convert]:
    """Register the decorated converter for the operators `names` from opset `since` on."""

    def register(convert: Convert) -> Convert:
        for name in names:
            REGISTRY[name] = OnnxOp(name, since, limits, convert)
        return convert

    return register
