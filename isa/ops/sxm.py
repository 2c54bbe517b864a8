"""SXM: lanes moved within and between superlanes, one byte-plane stream to another.

Each operation reads ``src`` as it passes the SXM and drives ``dst``, in either direction. Lane 0 is superlane 0's first;
"up" is toward higher lanes. Every operation is total: data decides which lane goes where, never whether it is legal.
"""

from __future__ import annotations

import numpy as np

from isa.instruction import Bytes, Instruction, Kind, Port, instruction, operand

LANES_IN_MAP = 16
"""Entries of ``distribute``'s map, 4 bits each: no chip's superlane is wider."""


def superlanes(port: Port, data: Bytes) -> Bytes:
    """``[planes, lanes]`` as ``[planes, superlanes, lanes of a superlane]``."""
    return data.reshape(len(data), -1, port.machine["lanes.per_superlane"])


@instruction("shift", 0x60, "SXM", "sxm_shift")
class Shift(Instruction):
    """Every lane moves ``lanes`` up (down if negative), across superlanes; lanes left empty are zero."""

    src: int = operand(Kind.STREAM, 6)
    dst: int = operand(Kind.STREAM, 6)
    lanes: int = operand(Kind.INT, 10)

    def execute(self, port: Port) -> None:
        data, n = port.stream(self.src, 1), self.lanes
        out = np.zeros_like(data)
        size = max(0, data.shape[1] - abs(n))
        out[:, max(n, 0) : max(n, 0) + size] = data[:, max(-n, 0) : max(-n, 0) + size]
        port.put(self.dst, out)


@instruction("permute", 0x61, "SXM", "sxm_permute")
class Permute(Instruction):
    """``out[lane] = in[map[lane] mod lanes]``; ``map`` is a stream pair of unsigned 16-bit lane numbers.

    The published unit takes a bijection; any map has this meaning here [assumed].
    """

    src: int = operand(Kind.STREAM, 6)
    dst: int = operand(Kind.STREAM, 6)
    map: int = operand(Kind.STREAM, 6)

    def execute(self, port: Port) -> None:
        planes = port.stream(self.map, 2).astype(np.int64)
        lanes = (planes[0] | planes[1] << 8) % port.machine.lanes
        port.put(self.dst, np.ascontiguousarray(port.stream(self.src, 1)[:, lanes]))


@instruction("distribute", 0x62, "SXM", "sxm_distribute")
class Distribute(Instruction):
    """Within each superlane, lane ``l`` becomes lane ``map[l] mod lanes.per_superlane``, or zero.

    ``map[l]`` is nibble ``l`` (least significant first) of ``low`` for lanes 0..7, of ``high`` for lanes 8..15. Bit ``l``
    of ``mask`` clear makes the lane zero. Entries and bits past the superlane's width have no effect.
    """

    src: int = operand(Kind.STREAM, 6)
    dst: int = operand(Kind.STREAM, 6)
    low: int = operand(Kind.UINT, 32)
    high: int = operand(Kind.UINT, 32)
    mask: int = operand(Kind.UINT, 16)

    def execute(self, port: Port) -> None:
        width = port.machine["lanes.per_superlane"]
        table = self.low | self.high << 32
        lane = np.array([(table >> 4 * i & 15) % width for i in range(LANES_IN_MAP)])[:width]
        keep = np.array([self.mask >> i & 1 for i in range(LANES_IN_MAP)], np.uint8)[:width]
        data = port.stream(self.src, 1)
        port.put(self.dst, (superlanes(port, data)[:, :, lane] * keep).reshape(data.shape))


@instruction("rotate", 0x63, "SXM", "sxm_rotate")
class Rotate(Instruction):
    """Within each superlane, lane ``l`` moves to lane ``(l + lanes) mod lanes.per_superlane``."""

    src: int = operand(Kind.STREAM, 6)
    dst: int = operand(Kind.STREAM, 6)
    lanes: int = operand(Kind.UINT, 4)

    def execute(self, port: Port) -> None:
        data = port.stream(self.src, 1)
        port.put(self.dst, np.roll(superlanes(port, data), self.lanes, 2).reshape(data.shape))


@instruction("transpose", 0x64, "SXM", "sxm_transpose")
class Transpose(Instruction):
    """Within each superlane, lane ``l`` of stream ``dst + s`` becomes lane ``s`` of stream ``src + l``.

    Takes and makes ``lanes.per_superlane`` consecutive streams, both groups aligned to that number.
    """

    src: int = operand(Kind.STREAM, 6)
    dst: int = operand(Kind.STREAM, 6)

    def execute(self, port: Port) -> None:
        data = port.stream(self.src, port.machine["lanes.per_superlane"])
        turned = superlanes(port, data).transpose(2, 1, 0)
        port.put(self.dst, np.ascontiguousarray(turned).reshape(data.shape))
