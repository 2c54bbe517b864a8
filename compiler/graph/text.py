"""The text form of a `Graph`: one line an input, constant, node and output.

    graph "model"
    input "ids" i32[1,128] abi=i64 range=0..30521
    constant "w" f32[384,384] sha256=9f86d0...
    constant "half" f32[] = [0.5]
    node "add" Add("a", "half") {} -> "sum" f32[1,128] from ["Add_3"]
    output "y" = "sum" abi=f32

Names are JSON strings and attributes a JSON object. Constants of up to 8 elements carry their elements,
larger ones the SHA-256 of their bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from compiler.graph.model import Graph, GraphInput, GraphOutput, Node
from compiler.graph.types import Array, Constant, DType, Tensor
from isa.errors import InputError, InternalError

INLINE = 8

_TYPE = re.compile(r"([a-z]+\d*)\[([\d,]*)\]")


def print_graph(graph: Graph) -> str:
    """The text form, ending in a newline. Reads every constant to print its digest."""
    lines = [f"graph {json.dumps(graph.name)}"]
    lines += [_input_line(given) for given in graph.inputs]
    lines += [_constant_line(constant) for constant in graph.constants.values()]
    lines += [_node_line(node, graph.tensors[node.output]) for node in graph.nodes]
    lines += [
        f"output {json.dumps(output.name)} = {json.dumps(output.tensor)} abi={output.abi_dtype.value}"
        for output in graph.outputs
    ]
    return "\n".join(lines) + "\n"


def _type(tensor: Tensor) -> str:
    return f"{tensor.dtype.value}[{','.join(map(str, tensor.shape))}]"


def _input_line(given: GraphInput) -> str:
    limits = given.valid_range
    suffix = f" range={limits[0]}..{limits[1]}" if limits else ""
    name = json.dumps(given.tensor.name)
    return f"input {name} {_type(given.tensor)} abi={given.abi_dtype.value}{suffix}"


def _constant_line(constant: Constant) -> str:
    tensor = constant.tensor
    head = f"constant {json.dumps(tensor.name)} {_type(tensor)}"
    if tensor.size <= INLINE:
        return f"{head} = {json.dumps(constant.value().ravel().tolist())}"
    return f"{head} sha256={constant.digest()}"


def _node_line(node: Node, result: Tensor) -> str:
    operands = ", ".join(json.dumps(name) for name in node.inputs)
    attrs = json.dumps(dict(sorted(node.attrs.items())))
    origin = f" from {json.dumps(list(node.origin))}" if node.origin else ""
    return (
        f"node {json.dumps(node.name)} {node.op}({operands}) {attrs}"
        f" -> {json.dumps(result.name)} {_type(result)}{origin}"
    )


def parse_graph(text: str, data: Mapping[str, Constant] | None = None) -> Graph:
    """The graph that `text` describes, verified.

    Args:
        text: as `print_graph` writes it; blank lines and lines that begin with `#` are skipped.
        data: elements of the constants that the text names by digest. A constant without data has the
            right shape and raises TSP131 when its elements are asked for.

    Raises:
        InputError: TSP130, with the line; TSP132 if data does not have the digest.
    """
    parts = _Parts(dict(data or {}))
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            parts.read(_Line(line, number))
    try:
        graph = parts.graph()
        graph.verify()
    except InternalError as error:
        raise InputError(130, error.message, where=error.where) from None
    return graph


class _Line:
    """A cursor over one line."""

    def __init__(self, text: str, number: int) -> None:
        self.text, self.number, self.at = text, number, 0

    def fail(self, expected: str) -> NoReturn:
        raise InputError(
            130, f"expected {expected}", where=f"graph text:{self.number}:{self.at + 1}"
        )

    def match(self, pattern: str, expected: str) -> str:
        found = re.compile(r"\s*" + pattern).match(self.text, self.at)
        if found is None:
            self.fail(expected)
        self.at = found.end()
        return found.group(found.lastindex or 0)

    def peek(self, literal: str) -> bool:
        return self.text[self.at :].lstrip().startswith(literal)

    def json(self, kind: type, expected: str) -> Any:
        """The JSON value here; its type varies, `kind` is checked."""
        self.match("", "")
        try:
            value, self.at = json.JSONDecoder().raw_decode(self.text, self.at)
        except ValueError:
            self.fail(expected)
        if not isinstance(value, kind):
            self.fail(expected)
        return value

    def name(self) -> str:
        return str(self.json(str, "a name in double quotes"))

    def dtype(self, text: str) -> DType:
        if text not in {kind.value for kind in DType}:
            self.fail(f"a dtype, one of {', '.join(kind.value for kind in DType)}")
        return DType(text)

    def tensor(self, name: str) -> Tensor:
        self.match("", "")
        found = _TYPE.match(self.text, self.at)
        if found is None:
            self.fail("a type such as f32[1,128]")
        shape = tuple(int(size) for size in found.group(2).split(",") if size)
        dtype = self.dtype(found.group(1))
        self.at = found.end()
        return Tensor(name, shape, dtype)

    def end(self) -> None:
        if self.text[self.at :].strip():
            self.fail("the end of the line")


class _Parts:
    """What the lines read so far have defined."""

    def __init__(self, data: dict[str, Constant]) -> None:
        self.data = data
        self.name = ""
        self.inputs: list[GraphInput] = []
        self.outputs: list[GraphOutput] = []
        self.nodes: list[Node] = []
        self.tensors: dict[str, Tensor] = {}
        self.constants: dict[str, Constant] = {}

    def graph(self) -> Graph:
        return Graph(
            self.name,
            tuple(self.inputs),
            tuple(self.outputs),
            tuple(self.nodes),
            self.tensors,
            self.constants,
        )

    def read(self, line: _Line) -> None:
        readers: dict[str, Callable[[_Line], None]] = {
            "graph": self.read_graph,
            "input": self.read_input,
            "constant": self.read_constant,
            "node": self.read_node,
            "output": self.read_output,
        }
        keyword = line.match(r"([a-z]+)\b", "a keyword")
        if keyword not in readers:
            line.at = 0
            line.fail(f"one of {', '.join(readers)}")
        readers[keyword](line)
        line.end()

    def read_graph(self, line: _Line) -> None:
        self.name = line.name()

    def read_input(self, line: _Line) -> None:
        tensor = line.tensor(line.name())
        abi = line.dtype(line.match(r"abi=(\w+)", "abi=DTYPE"))
        limits = None
        if line.peek("range="):
            low, high = line.match(r"range=(-?\d+\.\.-?\d+)", "range=LOW..HIGH").split("..")
            limits = (int(low), int(high))
        self.inputs.append(GraphInput(tensor, abi, limits))
        self.tensors[tensor.name] = tensor

    def read_constant(self, line: _Line) -> None:
        tensor = line.tensor(line.name())
        self.tensors[tensor.name] = tensor
        if line.peek("="):
            line.match("=", "=")
            self.constants[tensor.name] = Constant.of(tensor.name, _elements(line, tensor))
            return
        digest = line.match(r"sha256=([0-9a-f]{64})", "= [elements] or sha256=DIGEST")
        given = self.data.get(tensor.name)
        if given is None:
            self.constants[tensor.name] = Constant(tensor, lambda: _missing(tensor.name))
        elif given.tensor != tensor or given.digest() != digest:
            raise InputError(
                132, f"the data given for constant '{tensor.name}' is not what the text names"
            )
        else:
            self.constants[tensor.name] = given

    def read_node(self, line: _Line) -> None:
        name, op = line.name(), line.match(r"(\w+)\(", "an operation and (")
        inputs: list[str] = []
        while not line.peek(")"):
            if inputs:
                line.match(",", ", or )")
            inputs.append(line.name())
        line.match(r"\)", ")")
        raw = line.json(dict, "attributes in braces")
        attrs = {
            key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()
        }
        line.match("->", "->")
        result = line.tensor(line.name())
        origin: list[str] = []
        if line.peek("from"):
            line.match("from", "from")
            origin = [str(item) for item in line.json(list, "a list of names")]
        self.tensors[result.name] = result
        self.nodes.append(Node(name, op, tuple(inputs), (result.name,), attrs, tuple(origin)))

    def read_output(self, line: _Line) -> None:
        name = line.name()
        line.match("=", "=")
        tensor = line.name()
        abi = line.dtype(line.match(r"abi=(\w+)", "abi=DTYPE"))
        self.outputs.append(GraphOutput(name, tensor, abi))


def _elements(line: _Line, tensor: Tensor) -> Array:
    values = line.json(list, "a list of elements")
    if len(values) != tensor.size:
        line.fail(f"{tensor.size} elements")
    try:
        return np.array(values, dtype=tensor.dtype.numpy).reshape(tensor.shape)
    except (ValueError, TypeError, OverflowError):
        line.fail(f"elements that are {tensor.dtype.value}")


def _missing(name: str) -> NoReturn:
    raise InputError(
        131, f"constant '{name}' is known by its digest alone and has no elements here"
    )
