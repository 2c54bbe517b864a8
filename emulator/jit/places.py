"""Addresses: where instance ``j`` of an operand's byte plane lies, as pointer and strides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emulator.jit.effects import WHOLE, Ints
from emulator.jit.nodes import Graph, heads, reads_whole
from emulator.jit.regions import Region
from emulator.jit.storage import Storage
from emulator.lowering.rows import Input

Where = tuple[tuple[int, int], ...]


class Place(NamedTuple):
    """Byte ``byte`` of elements of ``size`` bytes: row ``j``, lane ``l`` is at ``pointer + j * stride + l * size + byte``."""

    pointer: int
    stride: int
    size: int
    byte: int

    @property
    def words(self) -> tuple[int, int, int]:
        """Pointer to the byte, row stride and lane stride, as the lane kernels want it."""
        return self.pointer + self.byte, self.stride, self.size


class Places:
    """Addresses of the chip's words, of results and of what nodes read.

    Attributes:
        result: ``[nodes]``: pointer to the first result of a node; negative where nothing outside its group takes it.
        pitch: ``[bursts]``: bytes from instance to instance of a result.
        operands: ``[nodes + 1]``: a node's operands are those from ``operands[node]`` on.
    """

    def __init__(self, graph: Graph, storage: Storage) -> None:
        self.graph, self.storage = graph, storage
        self.depth, self.lanes = graph.machine.words, graph.machine.lanes
        self.pitch = graph.size * self.lanes
        kept = storage.results[graph.burst]
        inside = graph.first * self.pitch[graph.burst]
        self.result = np.where((kept < 0) | (graph.burst < 0), -1, kept + inside).tolist()
        refs = graph.refs
        pointer, size, byte = self._bytes(refs.burst, refs.part, refs.index)
        word = graph.stride[refs.burst] * self.lanes
        stride = refs.step * np.where(graph.in_place[refs.burst], word, self.pitch[refs.burst])
        self._places = list(
            map(Place, pointer.tolist(), stride.tolist(), size.tolist(), byte.tolist())
        )
        head = heads(refs.operand)
        self._head: list[int] = [*head.tolist(), len(refs.operand)]
        values = reads_whole(graph) & ~graph.transposed[refs.burst[head]]
        self._values = values.tolist()
        nodes = np.arange(len(graph.kind) + 1)
        self.operands = np.searchsorted(refs.node[head], nodes).tolist()
        self.refs = np.searchsorted(refs.node, nodes).tolist()
        self._inputs: dict[tuple[tuple[int, int], ...], Input] = {}

    def head(self, operand: int) -> int:
        """The first ref of an operand."""
        return self._head[operand]

    def word(self, slice_: int, address: int) -> int:
        """Pointer to a word of the chip's memory."""
        return int(Region.CHIP.base + (slice_ * self.depth + address) * self.lanes)

    def words(self, burst: Ints, instance: Ints) -> Ints:
        """Pointers to the words that instances of MEM read and write bursts name."""
        graph = self.graph
        address = graph.args[burst, 0] + instance * graph.stride[burst]
        pointers: Ints = Region.CHIP.base + (graph.queue[burst] * self.depth + address) * self.lanes
        return pointers

    def _bytes(self, burst: Ints, part: Ints, index: Ints) -> tuple[Ints, Ints, Ints]:
        """Pointers to elements that hold byte planes, their size, and the byte that a plane is in them."""
        graph = self.graph
        memory, apart = graph.in_place[burst], graph.transposed[burst]
        pointers = self.storage.results[burst] + index * self.pitch[burst]
        pointers += np.where(apart, part * self.lanes, 0)
        pointers = np.where(memory, self.words(burst, index), pointers)
        single = memory | apart
        byte = np.where(single | (part == WHOLE), 0, part)
        return pointers, np.where(single, 1, graph.size[burst]), byte

    def planes(self, burst: Ints, part: Ints, index: Ints) -> tuple[Ints, Ints]:
        """Pointers and lane strides of many byte planes; memory is read in place."""
        pointers, size, byte = self._bytes(burst, part, index)
        return pointers + byte, size

    def plane(self, ref: int) -> Place:
        """One of what nodes read, as a byte plane."""
        return self._places[ref]

    def operand(self, operand: int) -> tuple[Input, Where]:
        """An operand as a row kernel's input, with pointer and stride of each of its places."""
        return self._joined(self._head[operand], self._head[operand + 1], self._values[operand])

    def activations(self, node: int) -> tuple[Input, Where]:
        """All that a node reads as one input: byte planes of one element."""
        first, end = self.refs[node : node + 2]
        lead, size = self._places[first], end - first
        planes = [lead._replace(size=size, byte=byte) for byte in range(size)]
        return self._joined(first, end, self._places[first:end] == planes)

    def _joined(self, first: int, end: int, value: bool) -> tuple[Input, Where]:
        """Some refs as one input: a value as a whole, or its planes."""
        places = self._places
        if value:
            place = places[first]
            return Input(place.size), (place[:2],)
        if end - first == 1 and places[first].size == 1:
            return Input(1), (places[first][:2],)
        layout = tuple(p[2:] for p in places[first:end])
        known = self._inputs.get(layout)
        if known is None:
            known = self._inputs[layout] = Input(len(layout), layout)
        return known, tuple(p[:2] for p in places[first:end])
