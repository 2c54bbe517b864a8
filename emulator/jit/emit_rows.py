"""Groups of VXM operations and writes, and memory copies, as row kernels with their descriptors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from emulator.jit.groups import ROWWISE, operands, row_maker
from emulator.jit.nodes import Graph, Kind, Node, Ref
from emulator.jit.places import Places
from emulator.jit.table import Table
from emulator.lowering.rows import Input, Output, Shape, Source
from emulator.lowering.vector import Op
from isa.instruction import DType, SourceKind

Where = tuple[tuple[int, int], ...]


@dataclass
class _Draft:
    """A shape and its descriptor, being collected."""

    inputs: dict[tuple[Input, Where], int] = field(default_factory=dict)
    immediates: dict[int, int] = field(default_factory=dict)
    operations: list[tuple[Op, tuple[Source, ...]]] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    targets: list[tuple[int, int]] = field(default_factory=list)

    def input(self, given: tuple[Input, Where]) -> Source:
        """An input; the same place is loaded once."""
        return Source("i", self.inputs.setdefault(given, len(self.inputs)))

    def immediate(self, value: int) -> Source:
        """An immediate."""
        return Source("m", self.immediates.setdefault(value, len(self.immediates)))

    def output(self, source: Source, plane: int, pointer: int, stride: int) -> None:
        """A store."""
        self.outputs.append(Output(source, plane))
        self.targets.append((pointer, stride))

    def finish(self, table: Table, rows: int, divisible: bool) -> None:
        """Add the entry."""
        stores = sorted(zip(self.outputs, self.targets, strict=True))  # fewer shapes
        shape = Shape(
            tuple(given for given, _ in self.inputs),
            tuple(self.operations),
            len(self.immediates),
            tuple(output for output, _ in stores),
        )
        words = [rows]
        for _, where in self.inputs:
            for place in where:
                words += place
        words += self.immediates
        for _, target in stores:
            words += target
        steps = len(self.operations) + len(self.inputs) + len(stores)
        lanes = table.lanes * rows * steps if divisible and rows > 1 else 0
        table.add(shape, words, lanes)


class Emitted(NamedTuple):
    """What an ``acc`` run emits: accumulator rows of ``stride`` bytes, ``uniform`` ones alike in all lanes; ``kept`` for later."""

    node: Node
    pointer: int
    stride: int
    dtype: DType
    uniform: bool
    kept: bool = True


class RowEmitter:
    """Emits row kernels into a table."""

    def __init__(self, graph: Graph, places: Places, table: Table) -> None:
        self.graph, self.places, self.table = graph, places, table
        self.stored = {burst for kind, burst in places.storage.offsets if kind == "result"}

    def group(self, nodes: list[Node], divisible: bool, emitted: Emitted | None = None) -> None:
        """One kernel for a group: operations in order of time, then writes; ``emitted`` is computed in front of them."""
        draft, results = _Draft(), dict[int, Source]()
        if emitted is not None:
            results[emitted.node.id] = self._emitted(draft, emitted)
        for node in (n for n in nodes if n.kind is Kind.VXM):
            results[node.id] = self._operation(draft, node, results)
        for node in (n for n in nodes if n.kind is Kind.WRITE):
            self._write(draft, node, results)
        if draft.outputs:
            draft.finish(self.table, nodes[0].count, divisible)

    def copy(self, node: Node) -> None:
        """A MEM read made explicit."""
        draft = _Draft()
        self.places.used.add(node.burst)
        pointer, stride = self._word(node)
        source = draft.input((Input(1), ((pointer, stride),)))
        target = self.places.result(node.burst, node.first)
        draft.output(source, -1, target, self.places.pitch(node.burst))
        draft.finish(self.table, node.count, divisible=True)

    def emission(self, emitted: Emitted) -> None:
        """Accumulator rows as a result."""
        draft = _Draft()
        self._emitted(draft, emitted)
        draft.finish(self.table, emitted.node.count, divisible=True)

    def takes_whole(self, nodes: list[Node], node: Node) -> bool:
        """Whether a group can have ``node`` in front: it uses its results, and only row by row."""
        used = False
        for member in nodes:
            if member.kind not in ROWWISE or member.count != node.count:
                return False
            for operand in operands(self.graph, member):
                if any(ref.burst == node.burst for ref in operand):
                    used = True
                    if row_maker(self.graph, member, operand) is not node:
                        return False
        return used

    def _emitted(self, draft: _Draft, emitted: Emitted) -> Source:
        """What accumulators hold, or the first column of each row in every lane; NaN canonical. Stored if it is kept."""
        node, given = emitted.node, Input(4, spread=emitted.uniform)
        source = draft.input((given, ((emitted.pointer, emitted.stride),)))
        if emitted.dtype.is_float:
            draft.operations.append((Op("cvt", DType.F32, DType.F32, False), (source,)))
            source = Source("o", len(draft.operations) - 1)
        if emitted.kept:
            target = self.places.result(node.burst, node.first)
            draft.output(source, -1, target, self.places.pitch(node.burst))
        return source

    def _word(self, node: Node) -> tuple[int, int]:
        """The words that a read or write burst's run names, and their stride."""
        c = self.graph.columns
        stride = c["stride"][node.burst]
        address = c["args"][node.burst][0] + node.first * stride
        return self.places.word(c["queue"][node.burst], address), stride * self.places.lanes

    def _source(
        self, draft: _Draft, node: Node, operand: tuple[Ref, ...], results: dict[int, Source]
    ) -> Source:
        """An operand: a result of this group, or an input."""
        maker = row_maker(self.graph, node, operand)
        if maker is not None and maker.id in results:
            return results[maker.id]
        return draft.input(self.places.operand(operand))

    def _operation(self, draft: _Draft, node: Node, results: dict[int, Source]) -> Source:
        """One VXM operation; its result is stored if anything outside takes it."""
        graph, burst = self.graph, node.burst
        cls, args = graph.classes[burst], graph.columns["args"][burst]
        values = {o.name: int(v) for o, v in zip(cls.operands, args, strict=False)}
        given, sources = iter(operands(graph, node)), []
        for name in "abc"[: cls.arity]:
            if values[name] & 3 == SourceKind.IMMEDIATE:
                sources.append(draft.immediate(values["imm"]))
            else:
                sources.append(self._source(draft, node, next(given), results))
        to, saturate = DType(values.get("to", 0)), bool(values.get("saturate", 0))
        op = Op(cls.mnemonic, DType(values["dtype"]), to, saturate)
        result = Source("o", len(draft.operations))
        draft.operations.append((op, tuple(sources)))
        if burst in self.stored:
            target = self.places.result(burst, node.first)
            draft.output(result, -1, target, self.places.pitch(burst))
        return result

    def _write(self, draft: _Draft, node: Node, results: dict[int, Source]) -> None:
        """One byte plane to memory."""
        graph, (ref,) = self.graph, node.refs
        pointer, stride = self._word(node)
        maker = row_maker(graph, node, (ref,))
        if maker is not None and maker.id in results:
            size = graph.size[ref.burst]
            draft.output(results[maker.id], ref.part if size > 1 else -1, pointer, stride)
            return
        place = self.places.plane(ref)
        source = draft.input((Input(place.size), ((place.pointer, place.stride),)))
        draft.output(source, place.byte if place.size > 1 else -1, pointer, stride)
