"""From an ONNX model with bound dimensions to a `Graph`, node by node.

Shapes are static, so one walk infers every shape and folds every constant as it goes: an operand that
decides a shape is known when it is needed or depends on an input. Model-local functions and `If` with a
known condition are expanded in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from compiler.builder import Builder
from compiler.frontend import ops as _converters  # noqa: F401  # registers them
from compiler.frontend.registry import NEWEST_OPSET, REGISTRY, Call, UnsupportedError
from compiler.frontend.source import DataFolder
from compiler.frontend.weights import constant_of
from compiler.graph import Constant, ShapeError
from isa.errors import InputError

if TYPE_CHECKING:
    from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, TensorProto

_STANDARD = ("", "ai.onnx")
_LISTED = 50

Scope = dict[str, str | None]
"""ONNX value name to tensor name; None after a node that could not be imported."""


class Importer:
    """The state of one import. `problems` collects a line a node that cannot be compiled."""

    def __init__(self, model: ModelProto, builder: Builder, folder: DataFolder | None) -> None:
        self.builder, self.folder = builder, folder
        self.functions = {(f.domain, f.name): f for f in model.functions}
        self.problems: list[str] = []
        self._serial = 0

    def add_initializers(self, tensors: Iterable[TensorProto], scope: Scope) -> None:
        """Bring weights into scope."""
        for proto in tensors:
            constant = constant_of(proto, proto.name, self.folder)
            scope[proto.name] = self.builder.add_constant(constant)

    def run(
        self,
        nodes: Iterable[NodeProto],
        scope: Scope,
        opsets: Mapping[str, int],
        prefix: str = "",
        given: Mapping[str, AttributeProto] | None = None,
    ) -> None:
        """Import `nodes` into the builder and their results into `scope`.

        `prefix` begins the names of tensors and nodes inside an expanded function; `given` are the
        attributes of its call.
        """
        for node in nodes:
            self._serial += 1
            title = prefix + (node.name or f"{node.op_type}_{self._serial}")
            for name in node.input:
                if name and name not in scope:
                    raise InputError(
                        108, f"uses '{name}', which nothing before it defines", where=title
                    )
            function = self.functions.get((node.domain, node.op_type))
            attributes = _resolved(node, given or {})
            if function is not None:
                self._expand(function, node, title, scope, attributes)
            elif node.op_type == "If" and node.domain in _STANDARD:
                self._branch(node, title, scope, opsets, prefix, attributes)
            else:
                self._convert(node, title, scope, opsets, prefix, attributes)

    def _convert(
        self,
        node: NodeProto,
        title: str,
        scope: Scope,
        opsets: Mapping[str, int],
        prefix: str,
        attributes: Mapping[str, AttributeProto],
    ) -> None:
        opset = opsets.get("" if node.domain in _STANDARD else node.domain, 0)
        operands = [scope[name] if name else "" for name in node.input]
        for name in node.output:
            scope[name] = None
        entry = REGISTRY.get(node.op_type) if node.domain in _STANDARD else None
        try:
            if entry is None:
                domain = "" if node.domain in _STANDARD else f" of domain '{node.domain}'"
                raise UnsupportedError(f"operator{domain} is not supported")
            if opset < entry.since:
                raise UnsupportedError(f"supported from opset {entry.since} on")
            if None in operands:
                return
            call = Call(
                name=title,
                op=node.op_type,
                opset=opset,
                inputs=[name or "" for name in operands],
                outputs=[prefix + name for name in node.output],
                attrs={key: self._attribute(value) for key, value in attributes.items()},
                builder=self.builder,
            )
            entry.convert(call)
            scope.update((node.output[index], result) for index, result in call.results.items())
        except (UnsupportedError, ShapeError) as error:
            self._problem(node, title, opset, operands, error.message)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            self._problem(node, title, opset, operands, f"malformed: {error}")

    def _problem(
        self, node: NodeProto, title: str, opset: int, operands: list[str | None], reason: str
    ) -> None:
        shapes = []
        for name in operands:
            tensor = self.builder.tensors.get(name or "")
            shapes.append(
                f"{tensor.dtype.value}{list(tensor.shape)}"
                if tensor
                else "?"
                if name is None
                else "-"
            )
        self.problems.append(
            f"{title}: {node.op_type} (opset {opset}) of {', '.join(shapes) or '-'}: {reason}"
        )

    def _attribute(self, proto: AttributeProto) -> Any:
        kind = proto.type
        if kind == 4:
            return constant_of(proto.t, proto.t.name or proto.name, self.folder)
        readers: dict[int, Any] = {
            1: lambda: float(proto.f),
            2: lambda: int(proto.i),
            3: lambda: proto.s.decode("utf-8", "replace"),
            6: lambda: tuple(float(x) for x in proto.floats),
            7: lambda: tuple(int(x) for x in proto.ints),
            8: lambda: tuple(x.decode("utf-8", "replace") for x in proto.strings),
        }
        return readers[kind]() if kind in readers else None

    def _expand(
        self,
        function: FunctionProto,
        node: NodeProto,
        title: str,
        scope: Scope,
        attributes: Mapping[str, AttributeProto],
    ) -> None:
        inner: Scope = dict.fromkeys(function.input, "")
        inner.update(
            (name, scope[value] if value else "")
            for name, value in zip(function.input, node.input, strict=False)
        )
        defaults = {item.name: item for item in function.attribute_proto}
        opsets = opset_versions(function.opset_import)
        self.run(function.node, inner, opsets, f"{title}/", {**defaults, **attributes})
        for name, value in zip(function.output, node.output, strict=False):
            scope[value] = inner.get(name)

    def _branch(
        self,
        node: NodeProto,
        title: str,
        scope: Scope,
        opsets: Mapping[str, int],
        prefix: str,
        attributes: Mapping[str, AttributeProto],
    ) -> None:
        condition = scope[node.input[0]] if node.input else None
        known = self.builder.small(condition) if condition else None
        if known is None or known.size != 1:
            if condition is not None:
                self._problem(
                    node, title, opsets.get("", 0), [condition], "the condition depends on an input"
                )
            scope.update(dict.fromkeys(node.output))
            return
        taken = attributes["then_branch" if known.reshape(())[()] else "else_branch"].g
        inner = dict(scope)
        self.add_initializers(taken.initializer, inner)
        self.run(taken.node, inner, opsets, f"{title}/")
        for value, result in zip(node.output, taken.output, strict=False):
            scope[value] = inner.get(result.name)

    def refuse(self) -> None:
        """Raise TSP120 with every problem, if there is one."""
        refuse_nodes(self.problems)


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


def opset_versions(imports: Iterable[Any]) -> dict[str, int]:
    """Version by domain; the standard domain is "". TSP121 if it is newer than we know."""
    versions = {
        ("" if item.domain in _STANDARD else item.domain): int(item.version) for item in imports
    }
    if versions.get("", 0) > NEWEST_OPSET:
        raise InputError(
            121,
            f"the model uses opset {versions['']}",
            hint=f"export it with opset {NEWEST_OPSET} or older",
        )
    return versions


def _resolved(node: NodeProto, given: Mapping[str, AttributeProto]) -> dict[str, AttributeProto]:
    """The node's attributes, references to those of the function's call replaced."""
    found = {}
    for item in node.attribute:
        if not item.ref_attr_name:
            found[item.name] = item
        elif item.ref_attr_name in given:
            found[item.name] = given[item.ref_attr_name]
    return found


__all__ = ["Constant", "Importer", "Scope", "opset_versions", "refuse_nodes"]
