"""Making a `Graph` node by node: names, shapes and constant folding in one place.

The importer and every pass build with this. A pass is a function `visit(builder, node)` given to `rewrite`:
it sees the nodes in order, with operands already replaced, and answers None to keep a node or the name of
the tensor that stands for its result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from compiler.graph import (
    Array,
    Attr,
    Constant,
    DType,
    Graph,
    GraphInput,
    GraphOutput,
    Node,
    Shape,
    Tensor,
    infer,
)
from compiler.reference import execute
from isa.errors import LimitError

EAGER_BYTES = 1 << 16
"""A folded result up to this size is computed at once, a larger one when it is asked for."""

LIMIT_BYTES = 1 << 33
"""No tensor of a model may be larger."""

FOLDED_BYTES = 1 << 29
"""A constant that is computed may grow to this size. It is more than the memory of any preset chip."""

_DEPTH = 64
_DEEP_BYTES = 1 << 28


@dataclass(slots=True)
class Builder:
    """A graph under construction. `aliases` maps a replaced tensor to what stands for it."""

    name: str
    inputs: list[GraphInput] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    uses: Mapping[str, int] = field(default_factory=dict)
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()
    _numbers: dict[str, int] = field(default_factory=dict)
    _depths: dict[str, int] = field(default_factory=dict)
    _literals: dict[tuple[bytes, Shape, str], str] = field(default_factory=dict)

    def fresh(self, name: str) -> str:
        """`name`, or `name` with a number if a tensor has it or is to have it."""
        found = name
        while found in self.tensors or found in self.reserved:
            self._numbers[name] = self._numbers.get(name, 1) + 1
            found = f"{name}.{self._numbers[name]}"
        return found

    def _own(self, name: str) -> str:
        return self.fresh(name) if name in self.tensors else name

    def add_input(self, given: GraphInput) -> None:
        """Add what the user feeds."""
        self._check_size(given.tensor)
        self.inputs.append(given)
        self.tensors[given.tensor.name] = given.tensor

    def add_constant(self, constant: Constant) -> str:
        """Add a constant, under a fresh name if its own is taken."""
        self._check_size(constant.tensor)
        name = self._own(constant.tensor.name)
        held = constant if name == constant.tensor.name else constant.renamed(name)
        self.constants[name], self.tensors[name] = held, held.tensor
        return name

    def literal(self, array: Array, name: str = "const") -> str:
        """A small constant; equal ones are shared."""
        key = (array.tobytes(), array.shape, array.dtype.str)
        if key not in self._literals:
            self._literals[key] = self.add_constant(Constant.of(self.fresh(name), array))
        return self._literals[key]

    def scalar(self, value: float, dtype: DType) -> str:
        """A constant of shape ()."""
        return self.literal(np.array(value, dtype=dtype.numpy))

    def emit(
        self,
        op: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Attr] | None = None,
        *,
        out: str = "",
        name: str = "",
        origin: Iterable[str] = (),
    ) -> str:
        """Add a node, or the constant it folds to, and give the name of its result.

        Raises:
            ShapeError: the operation does not take these operands.
            LimitError: TSP403, the result is larger than `LIMIT_BYTES`, or folds to more than `FOLDED_BYTES`.
        """
        attrs = dict(attrs or {})
        operands = [self.tensors[item] if item else None for item in inputs]
        shape, dtype = infer(op, attrs, operands)
        result = Tensor(self._own(out) if out else self.fresh(op), shape, dtype)
        self._check_size(result)
        present = [item for item in inputs if item]
        if present and all(item in self.constants for item in present):
            return self._fold(op, attrs, present, result)
        self.tensors[result.name] = result
        title = name or result.name
        node = Node(title, op, tuple(inputs), (result.name,), attrs, tuple(dict.fromkeys(origin)))
        self.nodes[result.name] = node
        return result.name

    def keep(self, node: Node) -> str:
        """Add an existing node under its own names."""
        return self.emit(
            node.op, node.inputs, node.attrs, out=node.output, name=node.name, origin=node.origin
        )

    def _fold(self, op: str, attrs: Mapping[str, Attr], inputs: list[str], result: Tensor) -> str:
        sources = [self.constants[name] for name in inputs]
        depth = 1 + max(self._depths.get(name, 0) for name in inputs)
        given = max(source.tensor.nbytes for source in sources)
        largest = max(result.nbytes, given)
        if result.nbytes > max(FOLDED_BYTES, given):
            raise LimitError(
                403,
                f"constant '{result.name}' of shape {list(result.shape)} takes {result.nbytes} bytes,"
                f" computed from at most {given}",
                hint=f"a computed constant may grow to {FOLDED_BYTES} bytes; no chip holds more",
            )

        def load() -> Array:
            return execute(op, attrs, [source.value() for source in sources])

        if largest <= EAGER_BYTES:
            return self.add_constant(Constant.of(result.name, load()))
        if depth > _DEPTH:
            if largest > _DEEP_BYTES:
                raise LimitError(403, f"constant '{result.name}' takes too many steps to compute")
            return self.add_constant(Constant.of(result.name, load()))
        self._depths[result.name] = depth
        return self.add_constant(Constant(result, load))

    def _check_size(self, tensor: Tensor) -> None:
        if tensor.nbytes > LIMIT_BYTES:
            raise LimitError(
                403,
                f"tensor '{tensor.name}' of shape {list(tensor.shape)} takes {tensor.nbytes} bytes",
                hint=f"no tensor may take more than {LIMIT_BYTES}",
            )

    def shape(self, name: str) -> Shape:
        """The shape of a tensor."""
        return self.tensors[name].shape

    def dtype(self, name: str) -> DType:
        """The dtype of a tensor."""
        return self.tensors[name].dtype

    def producer(self, name: str, op: str = "") -> Node | None:
        """The node that makes `name`, if it is an `op` (any if empty)."""
        node = self.nodes.get(name)
        return node if node is not None and op in ("", node.op) else None

    def small(self, name: str) -> Array | None:
        """The elements of a constant of at most `EAGER_BYTES`, else None."""
        constant = self.constants.get(name)
        if constant is None or constant.tensor.nbytes > EAGER_BYTES:
            return None
        return constant.value()

    def uniform(self, name: str) -> float | None:
        """The one value that all elements of a small constant have, else None; NaN gives None."""
        array = self.small(name)
        if array is None or array.size == 0 or not (array == array.flat[0]).all():
            return None
        return float(array.flat[0])

    def resolve(self, name: str) -> str:
        """What stands for `name`."""
        while name in self.aliases:
            name = self.aliases[name]
        return name

    def finish(self, outputs: Iterable[GraphOutput]) -> Graph:
        """The graph of what the outputs need; an output that no node makes gets an Identity."""
        results: list[GraphOutput] = []
        for output in outputs:
            tensor = self.resolve(output.tensor)
            if tensor not in self.nodes:
                tensor = self._identity(tensor, output)
            results.append(GraphOutput(output.name, tensor, output.abi_dtype))
        needed = {output.tensor for output in results}
        kept: list[Node] = []
        for node in reversed(self.nodes.values()):
            if node.output in needed:
                kept.append(node)
                needed.update(name for name in node.inputs if name)
        kept = _named_apart(reversed(kept))
        constants = {name: value for name, value in self.constants.items() if name in needed}
        fed = {given.tensor.name for given in self.inputs}
        tensors = {name: t for name, t in self.tensors.items() if name in needed or name in fed}
        return Graph(self.name, tuple(self.inputs), tuple(results), tuple(kept), tensors, constants)

    def _identity(self, source: str, output: GraphOutput) -> str:
        name = self._own(output.name)
        tensor = self.tensors[source]
        self.tensors[name] = Tensor(name, tensor.shape, tensor.dtype)
        self.nodes[name] = Node(
            name, "Identity", (source,), (name,), {}, self.origins.get(output.tensor, ())
        )
        return name


def _named_apart(nodes: Iterable[Node]) -> list[Node]:
    """The nodes, with a number at the names that another has."""
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    result: list[Node] = []
    for node in nodes:
        name = node.name
        while name in taken:
            numbers[node.name] = numbers.get(node.name, 1) + 1
            name = f"{node.name}.{numbers[node.name]}"
        taken.add(name)
        result.append(node if name == node.name else replace(node, name=name))
    return result


Visit = Callable[[Builder, Node], str | None]


def rewrite(graph: Graph, visit: Visit) -> Graph:
    """The graph with every node visited once, in order; what nobody needs any more is gone."""
    consumers = graph.consumers()
    uses = {name: len(nodes) for name, nodes in consumers.items()}
    for output in graph.outputs:
        uses[output.tensor] += 1
    origins = {node.output: node.origin for node in graph.nodes}
    reserved = frozenset(graph.tensors)
    builder = Builder(graph.name, uses=uses, origins=origins, reserved=reserved)
    for given in graph.inputs:
        builder.add_input(given)
    for constant in graph.constants.values():
        builder.add_constant(constant)
    for node in graph.nodes:
        inputs = tuple(builder.resolve(name) for name in node.inputs)
        seen = Node(node.name, node.op, inputs, node.outputs, node.attrs, node.origin)
        found = visit(builder, seen)
        found = builder.keep(seen) if found is None else found
        if found != node.output:
            builder.aliases[node.output] = found
    return builder.finish(graph.outputs)
