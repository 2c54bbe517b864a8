"""A copy of a checked model for the libraries of the chain: no elements, no files, no declared shapes, no functions.

What a library cannot reach it cannot misread, copy or map into memory. Every tensor of the copy is a placeholder of
the right shape and element type, whose elements stay in a `Constant` of ours. Functions are expanded here: the inliner
of onnx_ir takes a time that grows with the square of the number of calls, and gives up the names of the calls.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from compiler.frontend.validate import domain_of, key_of
from compiler.frontend.weights import constant_of
from isa.errors import InputError

if TYPE_CHECKING:
    from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

    from compiler.frontend.source import DataFolder
    from compiler.graph import Constant, Shape

TITLE = "tspc.title"
"""The key in a node's metadata under which its name stands, behind the names of the calls that lead to it."""

_NUMBERS = {1: "f", 2: "i", 6: "floats", 7: "ints"}
_STRING, _TENSOR, _GRAPH, _STRINGS = 3, 4, 5, 8

_SETTLED = 13
"""From this opset on no operator here has changed its meaning; converters take operands as well as attributes."""

_Scope = MutableMapping[str, str]
"""Names of values in the model to those in the copy; "" is an absent operand."""

_Given = Mapping[str, "AttributeProto"]
"""The attributes of the call that is being expanded."""


class Isolated:
    """The copy, `model`; the elements of the placeholder with doc_string "3" are `constants[3]`."""

    def __init__(
        self, source: ModelProto, shapes: Mapping[str, Shape], folder: DataFolder | None
    ) -> None:
        """Copy `source`, which `validate` has accepted.

        Args:
            source: not changed; its tensors are kept alive by `constants`.
            shapes: the static shape of every input.
            folder: where external data is, None if the model did not come from a file.

        Raises:
            InputError: TSP107 a value defined twice, TSP108 one that nothing before its use defines, TSP109 a
                function for another opset; what `constant_of` raises.
        """
        self.model = type(source)(ir_version=source.ir_version)
        self.constants: list[Constant] = []
        self._folder = folder
        self._functions = {key_of(item, item.name): item for item in source.functions}
        self._opset = 0
        for item in source.opset_import:
            self._import(domain_of(item), item.version)
        tops = (*source.graph.input, *source.graph.initializer)
        self._taken = {name for node in source.graph.node for name in node.output}
        self._taken |= {item.name for item in tops}
        graph = self.model.graph
        for value in source.graph.input:
            if value.name in shapes:
                kind = graph.input.add(name=value.name).type.tensor_type
                kind.elem_type = value.type.tensor_type.elem_type
                for size in shapes[value.name]:
                    kind.shape.dim.add(dim_value=size)
        self._graph(source.graph, graph, {name: name for name in shapes}, "", {})

    def _import(self, domain: str, version: int) -> None:
        self.model.opset_import.add(domain=domain, version=version)
        self._opset = self._opset if domain else version

    def _graph(
        self, source: GraphProto, copy: GraphProto, scope: _Scope, prefix: str, given: _Given
    ) -> None:
        copy.name = source.name
        for tensor in source.initializer:
            name = scope[tensor.name] = self._named(tensor.name, prefix)
            copy.initializer.append(self._placeholder(tensor, tensor.name, name))
        self._nodes(source.node, copy.node, scope, prefix, given)
        for value in source.output:
            if not scope.get(value.name):
                raise InputError(108, f"{prefix}output '{value.name}' is made by no node")
            copy.output.add(name=scope[value.name])

    def _named(self, name: str, prefix: str) -> str:
        """What a value of a function or branch is called in the copy; one of the main graph keeps its name."""
        found = prefix + name
        if prefix and found in self._taken:
            found = f"{found}.{len(self._taken)}"
            while found in self._taken:
                found += "."
        self._taken.add(found)
        return found

    def _nodes(
        self, source: Iterable[NodeProto], copies: Any, scope: _Scope, prefix: str, given: _Given
    ) -> None:
        own = scope.maps[0] if isinstance(scope, ChainMap) else scope
        for index, node in enumerate(source, 1):
            title = prefix + (node.name or f"{node.op_type}_{index}")
            inputs = [_defined(name, scope, title) for name in node.input]
            for name in filter(None, node.output):
                if name in own:
                    raise InputError(107, f"value '{name}' is defined twice", where=title)
            attributes = _resolved(node, given)
            function = self._functions.get(key_of(node, node.op_type))
            if function is not None:
                results = self._expand(function, inputs, copies, title, attributes)
                scope.update(zip(node.output, results, strict=False))
                continue
            copy = copies.add(name=title, op_type=node.op_type, domain=domain_of(node))
            copy.metadata_props.add(key=TITLE, value=title)
            copy.input.extend(inputs)
            for name, attribute in attributes.items():
                branch = node.op_type == "If" and attribute.type == _GRAPH
                if branch:
                    inner = copy.attribute.add(name=name, type=_GRAPH).g
                    self._graph(attribute.g, inner, ChainMap({}, scope), f"{title}/", given)
                else:
                    self._attribute(name, attribute, copy.attribute)
            for name in node.output:
                copy.output.append(self._named(name, prefix) if name else "")
                scope[name] = copy.output[-1]

    def _expand(
        self,
        function: FunctionProto,
        inputs: list[str],
        copies: Any,
        title: str,
        attributes: _Given,
    ) -> list[str]:
        """Copy the nodes of a function in place of a call of it; the names of its results."""
        for item in function.opset_import:
            if not domain_of(item):
                if not self._opset:
                    self._import("", item.version)
                if item.version != self._opset and min(item.version, self._opset) < _SETTLED:
                    reason = f"is for opset {item.version}, the model for {self._opset}"
                    raise InputError(109, f"function '{function.name}' {reason}", where=title)
        inner = {"": "", **dict.fromkeys(function.input, "")}
        inner.update(zip(function.input, inputs, strict=False))
        defaults = {item.name: item for item in function.attribute_proto}
        self._nodes(function.node, copies, inner, f"{title}/", {**defaults, **attributes})
        return [_defined(name, inner, title) for name in function.output]

    def _attribute(self, name: str, source: AttributeProto, copies: Any) -> None:
        """A copy, if it is of a kind that some operator here takes."""
        kind = source.type
        if kind in _NUMBERS:
            copies.add(name=name, type=kind, **{_NUMBERS[kind]: getattr(source, _NUMBERS[kind])})
        elif kind == _STRING:
            copies.add(name=name, type=kind, s=_text(source.s))
        elif kind == _STRINGS:
            copies.add(name=name, type=kind, strings=map(_text, source.strings))
        elif kind == _TENSOR:
            tensor = self._placeholder(source.t, source.t.name or name, source.t.name)
            copies.add(name=name, type=kind, t=tensor)

    def _placeholder(self, source: TensorProto, said: str, name: str) -> TensorProto:
        copy = type(source)(name=name, dims=source.dims, data_type=source.data_type)
        copy.doc_string = str(len(self.constants))
        self.constants.append(constant_of(source, said, self._folder))
        return copy


def _resolved(node: NodeProto, given: _Given) -> dict[str, AttributeProto]:
    """The node's attributes, references to those of the function's call replaced."""
    found = {}
    for item in node.attribute:
        if not item.ref_attr_name:
            found[item.name] = item
        elif item.ref_attr_name in given:
            found[item.name] = given[item.ref_attr_name]
    return found


def _defined(name: str, scope: _Scope, where: str) -> str:
    if name and name not in scope:
        raise InputError(108, f"uses '{name}', which nothing before it defines", where=where)
    return scope[name] if name else ""


def _text(value: bytes) -> bytes:
    return value.decode("utf-8", "replace").encode()
