"""Groups of VXM operations and writes, and memory copies, as row kernels with their descriptors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from emulator.jit.effects import distinct
from emulator.jit.groups import ROWWISE
from emulator.jit.nodes import Graph, Kind
from emulator.jit.order import Plan
from emulator.jit.places import Places, Where
from emulator.jit.table import Table
from emulator.lowering.rows import Input, Output, Shape, Source
from emulator.lowering.vector import Op
from isa.instruction import BY_OPCODE, DType, SourceKind

INPUT, IMMEDIATE, OPERATION = 0, 1, 2
KINDS = "imo"
"""Of sources; in a draft, ``index`` of kind ``k`` is the number ``k << BITS | index``."""
BITS = 16
WHOLE_VALUE = -1


Key = tuple[tuple[Input, ...], tuple[tuple[int, ...], ...], tuple[tuple[int, int], ...]]
"""A draft without its descriptor: inputs, operations, stores."""


@dataclass
class _Draft:
    """A shape and its descriptor, being collected."""

    inputs: dict[tuple[Input, Where], int] = field(default_factory=dict)
    immediates: dict[int, int] = field(default_factory=dict)
    operations: list[tuple[int, ...]] = field(default_factory=list)
    stores: list[tuple[int, int, int, int]] = field(default_factory=list)

    def input(self, given: tuple[Input, Where]) -> int:
        """An input; the same place is loaded once."""
        return self.inputs.setdefault(given, len(self.inputs))

    def immediate(self, value: int) -> int:
        """An immediate."""
        known = self.immediates
        return IMMEDIATE << BITS | known.setdefault(value, len(known))

    def operation(self, *numbers: int) -> int:
        """An operation of a row emitter and its sources."""
        self.operations.append(numbers)
        return OPERATION << BITS | len(self.operations) - 1


class Emitted(NamedTuple):
    """What an ``acc`` run emits: accumulator rows of ``stride`` bytes, ``uniform`` ones alike in all lanes; ``kept`` for later."""

    node: int
    pointer: int
    stride: int
    dtype: DType
    uniform: bool
    kept: bool = True


class _Vector:
    """What VXM nodes compute: ``op`` by number in ``ops``; sources ``[nodes, 3]`` by kind; the immediate."""

    def __init__(self, graph: Graph) -> None:
        self.ops: dict[Op, int] = {}
        vxm = np.flatnonzero(graph.kind == Kind.VXM)
        burst = graph.burst[vxm]
        op, kinds = np.zeros(len(graph.kind), np.int64), np.full((len(graph.kind), 3), -1)
        immediate = np.zeros(len(graph.kind), np.int64)
        for code in distinct(graph.opcode[burst]):
            cls, own = BY_OPCODE[int(code)], graph.opcode[burst] == code
            nodes, args = vxm[own], graph.args[burst[own]]
            at = {o.name: i for i, o in enumerate(cls.operands)}
            for number in range(cls.arity):
                kinds[nodes, number] = args[:, at["abc"[number]]] & 3
            if "imm" in at:
                immediate[nodes] = args[:, at["imm"]]
            facts = [
                args[:, at[n]] if n in at else args[:, 0] * 0 for n in ("dtype", "to", "saturate")
            ]
            packed = facts[0] << 16 | facts[1] << 8 | facts[2]
            for value in distinct(packed).tolist():
                found = Op(
                    cls.mnemonic, DType(value >> 16), DType(value >> 8 & 255), bool(value & 255)
                )
                op[nodes[packed == value]] = self.number(found)
        self.op, self.immediate = op.tolist(), immediate.tolist()
        self.kinds = [[k for k in row if k >= 0] for row in kinds.tolist()]

    def number(self, op: Op) -> int:
        """An operation's number."""
        return self.ops.setdefault(op, len(self.ops))


class RowEmitter:
    """Emits row kernels into a table."""

    def __init__(self, plan: Plan, places: Places, table: Table) -> None:
        graph, groups = plan.graph, plan.groups
        self.places, self.table = places, table
        self.kind, self.count, self.burst = (
            c.tolist() for c in (graph.kind, graph.count, graph.burst)
        )
        size, lanes = graph.size, graph.machine.lanes
        self.pitch = (size * lanes)[graph.burst].tolist()
        self._size = size[graph.refs.burst].tolist()
        self._part, self._from = graph.refs.part.tolist(), graph.refs.burst.tolist()
        self._makers = groups.row_makers.tolist()
        # Words that COPY and WRITE nodes name; of others these numbers mean nothing.
        self._word = places.words(graph.burst, graph.first).tolist()
        self._step = (graph.stride[graph.burst] * lanes).tolist()
        self._vector = _Vector(graph)
        self._canonical = self._vector.number(Op("cvt", DType.F32, DType.F32, False))
        self._shapes: dict[Key, tuple[int, list[int], list[int], list[int]]] = {}

    def group(self, nodes: list[int], divisible: bool, emitted: Emitted | None = None) -> None:
        """One kernel for a group: operations in order of time, then writes; ``emitted`` is computed in front of them."""
        draft, results = _Draft(), dict[int, int]()
        if emitted is not None:
            results[emitted.node] = self._emitted(draft, emitted)
        for node in nodes:
            if self.kind[node] == Kind.VXM:
                results[node] = self._operation(draft, node, results)
        for node in nodes:
            if self.kind[node] == Kind.WRITE:
                self._write(draft, node, results)
        if draft.stores:
            self._finish(draft, self.count[nodes[0]], divisible)

    def copy(self, node: int) -> None:
        """A MEM read made explicit."""
        draft = _Draft()
        source = draft.input((Input(1), ((self._word[node], self._step[node]),)))
        draft.stores.append((source, WHOLE_VALUE, self.places.result[node], self.pitch[node]))
        self._finish(draft, self.count[node], divisible=True)

    def emission(self, emitted: Emitted) -> None:
        """Accumulator rows as a result."""
        draft = _Draft()
        self._emitted(draft, emitted)
        self._finish(draft, self.count[emitted.node], divisible=True)

    def takes_whole(self, nodes: list[int], node: int) -> bool:
        """Whether a group can have ``node`` in front: it uses its results, and only row by row."""
        used, burst, start = False, self.burst[node], self.places.operands
        for member in nodes:
            if self.kind[member] not in ROWWISE or self.count[member] != self.count[node]:
                return False
            for operand in range(start[member], start[member + 1]):
                if burst in self._from[self.places.head(operand) : self.places.head(operand + 1)]:
                    used = True
                    if self._makers[operand] != node:
                        return False
        return used

    def _emitted(self, draft: _Draft, emitted: Emitted) -> int:
        """What accumulators hold, or the first column of each row in every lane; NaN canonical. Stored if it is kept."""
        node, given = emitted.node, Input(4, spread=emitted.uniform)
        source = draft.input((given, ((emitted.pointer, emitted.stride),)))
        if emitted.dtype.is_float:
            source = draft.operation(self._canonical, source)
        if emitted.kept:
            draft.stores.append((source, WHOLE_VALUE, self.places.result[node], self.pitch[node]))
        return source

    def _operation(self, draft: _Draft, node: int, results: dict[int, int]) -> int:
        """One VXM operation; its result is stored if anything outside takes it."""
        sources, operand = [self._vector.op[node]], self.places.operands[node]
        for kind in self._vector.kinds[node]:
            if kind == SourceKind.IMMEDIATE:
                sources.append(draft.immediate(self._vector.immediate[node]))
                continue
            known = results.get(self._makers[operand])
            sources.append(draft.input(self.places.operand(operand)) if known is None else known)
            operand += 1
        result = draft.operation(*sources)
        target = self.places.result[node]
        if target >= 0:
            draft.stores.append((result, WHOLE_VALUE, target, self.pitch[node]))
        return result

    def _write(self, draft: _Draft, node: int, results: dict[int, int]) -> None:
        """One byte plane to memory."""
        target, operand = (self._word[node], self._step[node]), self.places.operands[node]
        ref = self.places.refs[node]
        known = results.get(self._makers[operand])
        if known is not None:
            part = self._part[ref] if self._size[ref] > 1 else WHOLE_VALUE
            draft.stores.append((known, part, *target))
            return
        place = self.places.plane(ref)
        source = draft.input((Input(place.size), ((place.pointer, place.stride),)))
        draft.stores.append((source, place.byte if place.size > 1 else WHOLE_VALUE, *target))

    def _finish(self, draft: _Draft, rows: int, divisible: bool) -> None:
        """Add the entry."""
        draft.stores.sort()
        layouts = tuple(given for given, _ in draft.inputs)
        stores = tuple(store[:2] for store in draft.stores)
        key = layouts, tuple(draft.operations), stores
        if key not in self._shapes:
            self._shapes[key] = self._arranged(*key)
        number, inputs, immediates, order = self._shapes[key]
        places, values = list(draft.inputs), list(draft.immediates)
        words = [rows]
        for index in inputs:
            for place in places[index][1]:
                words += place
        words += [values[index] for index in immediates]
        for index in order:
            words += draft.stores[index][2:]
        steps = len(draft.operations) + len(draft.inputs) + len(draft.stores)
        lanes = self.table.lanes * rows * steps if divisible and rows > 1 else 0
        self.table.enter(number, words, lanes)

    def _arranged(
        self,
        layouts: tuple[Input, ...],
        operations: tuple[tuple[int, ...], ...],
        stores: tuple[tuple[int, int], ...],
    ) -> tuple[int, list[int], list[int], list[int]]:
        """The number of a draft's shape, and the order of inputs, immediates and stores in its descriptor.

        Operations are brought into an order that depends on nothing but what is computed of what: each behind its sources, as
        late as that can be. So one shape stands for all orders of time.
        """
        weigh = {n: hash((given.size, *given.planes)) for n, given in enumerate(layouts)}
        for index, (op, *sources) in enumerate(operations):
            weigh[OPERATION << BITS | index] = hash((op, *(weigh.get(s, -2) for s in sources)))
        roots = sorted({source for source, _ in stores}, key=lambda n: (weigh.get(n, -2), n))
        moved: dict[int, int] = {}
        counts, orders = [0, 0, 0], (list[int](), list[int](), list[int]())

        def visit(number: int) -> None:
            if number in moved:
                return
            kind, index = number >> BITS, number & (1 << BITS) - 1
            for source in operations[index][1:] if kind == OPERATION else ():
                visit(source)
            moved[number] = kind << BITS | counts[kind]
            counts[kind] += 1
            orders[kind].append(index)

        for root in roots:
            visit(root)
        placed = sorted((moved[source], plane, n) for n, (source, plane) in enumerate(stores))
        ops = list(self._vector.ops)
        computed = tuple(
            (ops[operations[n][0]], tuple(_source(moved[s]) for s in operations[n][1:]))
            for n in orders[OPERATION]
        )
        outputs = tuple(Output(_source(source), plane) for source, plane, _ in placed)
        given = tuple(layouts[n] for n in orders[INPUT])
        number = self.table.number(Shape(given, computed, counts[IMMEDIATE], outputs))
        return number, orders[INPUT], orders[IMMEDIATE], [n for _, _, n in placed]


def _source(number: int) -> Source:
    return Source(KINDS[number >> BITS], number & (1 << BITS) - 1)
