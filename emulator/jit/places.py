"""Addresses: where instance ``j`` of an operand's byte plane lies, as pointer and strides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emulator.jit.effects import WHOLE, Ints
from emulator.jit.groups import whole
from emulator.jit.nodes import Graph, Ref
from emulator.jit.regions import Region
from emulator.jit.storage import Storage
from emulator.lowering.rows import Input
from isa.ops.mem import Read
from isa.ops.sxm import Transpose


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
    """Addresses of the chip's words and of results.

    ``used`` are the MEM read bursts, ``ranges`` the words (slice, first, last) of gathers, that kernels read in chip memory.
    """

    def __init__(self, graph: Graph, storage: Storage) -> None:
        self.graph, self.storage = graph, storage
        self.depth, self.lanes = graph.machine.words, graph.machine.lanes
        self.used: set[int] = set()
        self.ranges: list[tuple[int, int, int]] = []
        bursts = graph.program.bursts
        self.plain_read = bursts["opcode"] == Read.opcode
        self.plain_read[list(graph.copies)] = False
        self.address = bursts["args"][:, 0].astype(np.int64)
        self.stride, self.queue = (bursts[n].astype(np.int64) for n in ("stride", "queue"))

    def word(self, slice_: int, address: int) -> int:
        """Pointer to a word of the chip's memory."""
        return int(Region.CHIP.base + (slice_ * self.depth + address) * self.lanes)

    def result(self, burst: int, index: int) -> int:
        """Pointer to a burst's result, instance ``index``."""
        return self.storage.address(("result", burst)) + index * self.pitch(burst)

    def pitch(self, burst: int) -> int:
        """Bytes from instance to instance of a result."""
        return int(self.graph.size[burst] * self.lanes)

    def plane(self, ref: Ref) -> Place:
        """An operand's byte plane."""
        graph, burst = self.graph, ref.burst
        if graph.is_read(burst):
            self.used.add(burst)
            stride = graph.columns["stride"][burst]
            address = graph.columns["args"][burst][0] + ref.index * stride
            pointer = self.word(graph.columns["queue"][burst], address)
            return Place(pointer, ref.step * stride * self.lanes, 1, 0)
        pointer, stride = self.result(burst, ref.index), ref.step * self.pitch(burst)
        if graph.classes[burst] is Transpose:
            return Place(pointer + ref.part * self.lanes, stride, 1, 0)
        return Place(pointer, stride, graph.size[burst], ref.part)

    def operand(self, operand: tuple[Ref, ...]) -> tuple[Input, tuple[tuple[int, int], ...]]:
        """An operand as a row kernel's input, with pointer and stride of each of its places."""
        first = operand[0]
        if whole(self.graph, operand) and self.graph.classes[first.burst] is not Transpose:
            stride = first.step * self.pitch(first.burst)
            where = ((self.result(first.burst, first.index), stride),)
            return Input(self.graph.size[first.burst]), where
        places = [self.plane(r) for r in operand]
        if len(places) == 1 and places[0].size == 1:
            return Input(1), ((places[0].pointer, places[0].stride),)
        layout = tuple((p.size, p.byte) for p in places)
        return Input(len(places), layout), tuple((p.pointer, p.stride) for p in places)

    def _words(self, burst: Ints, index: Ints) -> Ints:
        """Pointers to the words that many instances of MEM read bursts name."""
        self.used.update(np.unique(burst).tolist())
        address = self.address[burst] + index * self.stride[burst]
        pointers: Ints = Region.CHIP.base + (self.queue[burst] * self.depth + address) * self.lanes
        return pointers

    def planes(self, burst: Ints, part: Ints, index: Ints) -> tuple[Ints, Ints]:
        """Pointers and lane strides of many byte planes at once; memory is read in place."""
        graph = self.graph
        pointers, steps = np.zeros_like(burst), np.ones_like(burst)
        if self.plain_read[burst].all():
            return self._words(burst, index), steps
        for b in np.unique(burst):
            own, i = burst == b, index[burst == b]
            if graph.classes[b] is Read and b not in graph.copies:
                pointers[own] = self._words(burst[own], i)
            elif graph.classes[b] is Transpose:
                pointers[own] = self.result(b, 0) + i * self.pitch(b) + part[own] * self.lanes
            else:
                whole_part = np.where(part[own] == WHOLE, 0, part[own])
                pointers[own] = self.result(b, 0) + i * self.pitch(b) + whole_part
                steps[own] = graph.size[b]
        return pointers, steps
