"""MEM: vectors between a slice's SRAM and the streams that pass it."""

from __future__ import annotations

import numpy as np

from isa.instruction import Instruction, Kind, Port, instruction, operand


@instruction("read", 0x10, "MEM", "mem_read", port="read")
class Read(Instruction):
    """Put the word at ``address`` on ``stream``.

    The slice's bank ``address // mem.words`` is busy in this cycle; a read and a write in the same cycle must hit
    different banks [published].
    """

    address: int = operand(Kind.UINT, 16, strided=True)
    stream: int = operand(Kind.STREAM, 6)

    def execute(self, port: Port) -> None:
        port.put(self.stream, port.memory[self.address][None])


@instruction("write", 0x11, "MEM", "mem_write", port="write")
class Write(Instruction):
    """Store what passes on ``stream`` at ``address``; reads dispatched ``timing.mem_write`` or more later see it."""

    address: int = operand(Kind.UINT, 16, strided=True)
    stream: int = operand(Kind.STREAM, 6)

    def execute(self, port: Port) -> None:
        port.store(self.address, port.stream(self.stream, 1))


def superlane_addresses(
    port: Port, indices: int, base: int, limit: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """``base + min(index, limit)`` for each superlane; the index is the unsigned 16-bit value at its first lane."""
    planes = port.stream(indices, 2)[:, :: port.machine["lanes.per_superlane"]].astype(np.int64)
    rows: np.ndarray[tuple[int], np.dtype[np.int64]] = base + np.minimum(
        planes[0] | planes[1] << 8, limit
    )
    return rows


@instruction("gather", 0x12, "MEM", "mem_gather", port="read")
class Gather(Instruction):
    """Each superlane reads its own word, ``base + min(index, limit)``, with indices on the stream pair ``indices``.

    The index is the unsigned 16-bit value at the superlane's first lane; clamping to ``limit`` [assumed] bounds the
    access for the verifier. A repeat's stride moves ``base`` [assumed]. Both banks that ``base .. base+limit`` touches are busy.
    """

    base: int = operand(Kind.UINT, 16, strided=True)
    limit: int = operand(Kind.UINT, 16)
    indices: int = operand(Kind.STREAM, 6)
    stream: int = operand(Kind.STREAM, 6)

    def execute(self, port: Port) -> None:
        rows = superlane_addresses(port, self.indices, self.base, self.limit)
        wide = np.repeat(rows, port.machine["lanes.per_superlane"])
        port.put(self.stream, port.memory[wide, np.arange(port.machine.lanes)][None])


@instruction("scatter", 0x13, "MEM", "mem_scatter", port="write")
class Scatter(Instruction):
    """Each superlane stores its 16 lanes of ``stream`` at its own word, ``base + min(index, limit)``; see ``gather``."""

    base: int = operand(Kind.UINT, 16, strided=True)
    limit: int = operand(Kind.UINT, 16)
    indices: int = operand(Kind.STREAM, 6)
    stream: int = operand(Kind.STREAM, 6)

    def execute(self, port: Port) -> None:
        rows = superlane_addresses(port, self.indices, self.base, self.limit)
        port.store(rows, port.stream(self.stream, 1))
