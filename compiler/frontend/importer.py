"""From a model that went through the chain to a `Graph`, node by node.

The chain has inferred every static shape; the `Graph` has rules of its own, written separately. Where both know a
result they must agree, or the node is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from compiler.builder import Builder
from compiler.frontend import ops as _converters  # noqa: F401  # registers them
from compiler.frontend.chain import Held, static, title_of
from compiler.frontend.registry import REGISTRY, Call, UnsupportedError
from compiler.graph import Constant, ShapeError, Tensor
from isa.errors import InputError

_LISTED = 50


class Importer:
    """The state of one import. `problems` collects a line a node that cannot be compiled."""

    def __init__(self, builder: Builder, opsets: Mapping[str, int]) -> None:
        self.builder, self.opsets = builder, opsets
        self.problems: list[str] = []
        self.scope: dict[ir.Value, str | None] = {}  # None after a node that could not be imported.

    def run(self, graph: ir.Graph) -> list[str]:
        """Import `graph`, whose inputs the builder has; the tensors of its outputs.

        Raises:
            InputError: TSP120, the nodes that cannot be compiled; TSP108, an output that no node makes.
        """
        for value in graph.inputs:
            self.scope[value] = value.name
        for value in graph.initializers.values():
            self._constant(value)
        for node in graph:
            if len(node.outputs) == 1 and node.outputs[0].const_value is not None:
                self._constant(node.outputs[0])
            else:
                self._convert(node)
        refuse_nodes(self.problems)
        outputs = []
        for value in graph.outputs:
            tensor = self.scope.get(value)
            if not tensor:
                raise InputError(108, f"output '{value.name}' is made by no node")
            outputs.append(tensor)
        return outputs

    def _constant(self, value: ir.Value) -> None:
        assert value.const_value is not None
        constant = _known(value.const_value, value.name or "")
        self.scope[value] = self.builder.add_constant(constant)

    def _convert(self, node: ir.Node) -> None:
        opset = self.opsets.get(node.domain, 0)
        operands = [self.scope[value] if value is not None else "" for value in node.inputs]
        self.scope.update(dict.fromkeys(node.outputs))
        entry = None if node.domain else REGISTRY.get(node.op_type)
        try:
            if entry is None:
                domain = f" of domain '{node.domain}'" if node.domain else ""
                raise UnsupportedError(f"operator{domain} is not supported")
            if opset < entry.since:
                raise UnsupportedError(f"supported from opset {entry.since} on")
            if None in operands:
                return
            call = Call(
                name=title_of(node),
                op=node.op_type,
                opset=opset,
                inputs=[name or "" for name in operands],
                outputs=[value.name or "" for value in node.outputs],
                attrs={key: _attribute(value) for key, value in node.attributes.items()},
                builder=self.builder,
                shapes=[t.shape if (t := static(value)) else None for value in node.outputs],
                decided={i for i, v in enumerate(node.inputs) if v is not None and v.const_value},
            )
            entry.convert(call)
            for index, result in call.results.items():
                self._agree(node.outputs[index], self.builder.tensors[result])
                self.scope[node.outputs[index]] = result
        except (UnsupportedError, ShapeError) as error:
            self._problem(node, opset, operands, error.message)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            self._problem(node, opset, operands, f"malformed: {error}")

    def _agree(self, value: ir.Value, tensor: Tensor) -> None:
        inferred = static(value)
        if inferred and (inferred.shape, inferred.dtype) != (tensor.shape, tensor.dtype):
            raise UnsupportedError(
                f"its result is {tensor.dtype.value}{list(tensor.shape)} by its operation here and "
                f"{inferred.dtype.value}{list(inferred.shape)} by shape inference"
            )

    def _problem(
        self, node: ir.Node, opset: int, operands: Sequence[str | None], reason: str
    ) -> None:
        shapes = []
        for name in operands:
            tensor = self.builder.tensors.get(name or "")
            known = f"{tensor.dtype.value}{list(tensor.shape)}" if tensor else "-"
            shapes.append("?" if name is None else known)
        self.problems.append(
            f"{title_of(node)}: {node.op_type} (opset {opset}) of {', '.join(shapes) or '-'}: {reason}"
        )


def _known(tensor: ir.TensorProtocol, name: str) -> Constant:
    if isinstance(tensor, Held):
        return tensor.constant.renamed(name)
    return Constant.of(name, tensor.numpy())


def _attribute(attribute: ir.Attr) -> Any:
    if attribute.type == ir.AttributeType.TENSOR:
        return _known(attribute.as_tensor(), attribute.name)
    value = attribute.value
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def refuse_nodes(problems: list[str]) -> None:
    """Raise TSP120 listing the nodes that cannot be compiled, if there are any."""
    if problems:
        shown = "\n".join(f"  {line}" for line in problems[:_LISTED])
        more = f"\n  and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
        raise InputError(
            120,
            f"{len(problems)} node(s) cannot be compiled:\n{shown}{more}",
            hint="`tspc ops` lists what is supported",
        )
