"""MXM: weights loaded (``lw``) and installed (``iw``), activations driven through (``abc``), products accumulated (``acc``).

Queues: each plane has three, one a role. int8 works on one plane. fp16 works on a pair of planes in tandem: its
instructions go to the queues of the even plane, and the odd plane is busy with it.

Arithmetic [assumed, exact by definition]: int8 x int8 accumulates in int32 modulo 2**32. fp16 x fp16: products are exact in
fp32; the accumulator takes them one by one in ascending lane order, each step rounded once to fp32. NaN is stored as
the canonical quiet NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from isa.instruction import Bytes, DType, Instruction, Kind, Port, instruction, operand
from isa.machine import Machine

CANONICAL_NAN = np.uint32(0x7FC00000)
TYPES = (DType.I8, DType.F16)


@dataclass
class PlaneState:
    """An int8 plane, or an fp16 pair seen through its even plane.

    ``buffer`` and ``weights`` are ``[columns, lanes]``: a loaded vector holds, across lanes, the weights of one output
    column. ``enabled`` marks the installed columns.
    """

    machine: Machine
    buffer: npt.NDArray[np.generic] = field(init=False)
    weights: npt.NDArray[np.generic] = field(init=False)
    enabled: npt.NDArray[np.bool_] = field(init=False)
    accumulators: npt.NDArray[np.generic] = field(init=False)

    def __post_init__(self) -> None:
        n = self.machine.lanes
        self.buffer = np.zeros((n, n), np.uint16)
        self.weights = np.zeros((n, n), np.uint16)
        self.enabled = np.zeros(n, np.bool_)
        self.accumulators = np.zeros((self.machine["mxm.acc_rows"], n), np.uint32)


@dataclass(frozen=True)
class Activation:
    """What ``abc`` sent into the array: raw lane values, the window, and the weights that were installed then."""

    dtype: DType
    lanes: npt.NDArray[np.uint16]
    first: int
    rows: int
    weights: npt.NDArray[np.generic]
    enabled: npt.NDArray[np.bool_]


def to_words(data: Bytes) -> npt.NDArray[np.uint16]:
    """Byte planes ``[1|2, lanes]`` as unsigned 16-bit lane values."""
    low: npt.NDArray[np.uint16] = data[0].astype(np.uint16)
    if len(data) == 2:
        low |= data[1].astype(np.uint16) << 8
    return low


@instruction("lw", 0x20, "MXM", "mxm_load", role=0, types=TYPES)
class LoadWeights(Instruction):
    """Load ``groups`` weight vectors into the buffer, one a stream group from ``stream`` on.

    Group ``g`` goes to output column ``column + g * spread``. At most ``mxm.weight_streams`` streams a plane
    [published]; the first stream is aligned to the type's group.
    """

    dtype: int = operand(Kind.DTYPE, 4)
    stream: int = operand(Kind.STREAM, 6)
    groups: int = operand(Kind.UINT, 5)
    column: int = operand(Kind.UINT, 9, strided=True)
    spread: int = operand(Kind.UINT, 9)

    def execute(self, port: Port) -> None:
        planes = DType(self.dtype).planes
        for g in range(self.groups):
            column = self.column + g * self.spread
            port.plane.buffer[column] = to_words(port.stream(self.stream + g * planes, planes))


@instruction("iw", 0x21, "MXM", "mxm_install", role=0, types=TYPES)
class InstallWeights(Instruction):
    """Install buffer columns ``first .. first+columns-1``; every other column is disabled.

    Each installed column must have been loaded since the previous ``iw``. A disabled column's accumulator is left as it
    is by ``acc``. ``abc`` dispatched ``timing.mxm_install`` or more later meets the new weights.
    """

    dtype: int = operand(Kind.DTYPE, 4)
    first: int = operand(Kind.UINT, 9)
    columns: int = operand(Kind.UINT, 9)

    def execute(self, port: Port) -> None:
        plane = port.plane
        plane.weights = plane.buffer.copy()
        plane.enabled = np.zeros(port.machine.lanes, np.bool_)
        plane.enabled[self.first : self.first + self.columns] = True


@instruction("abc", 0x22, "MXM", "", role=1, types=TYPES)
class Activate(Instruction):
    """Drive the vector on ``stream`` through the array; lanes ``first .. first+rows-1`` take part.

    ``first`` and ``rows`` are multiples of ``mxm.window``. int8 takes one cycle; fp16 takes ``ceil(rows / mxm.fp16_k)``
    cycles, in which the plane accepts nothing else.
    """

    dtype: int = operand(Kind.DTYPE, 4)
    stream: int = operand(Kind.STREAM, 6)
    first: int = operand(Kind.UINT, 9)
    rows: int = operand(Kind.UINT, 9)

    def execute(self, port: Port) -> None:
        dtype, plane = DType(self.dtype), port.plane
        lanes = to_words(port.stream(self.stream, dtype.planes))
        port.activate(Activation(dtype, lanes, self.first, self.rows, plane.weights, plane.enabled))


def multiply_accumulate(sent: Activation, seed: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """``seed`` (raw 32-bit ``[columns]``) plus the products of one activation, in the defined order."""
    window = slice(sent.first, sent.first + sent.rows)
    if sent.dtype is DType.I8:
        w = sent.weights[:, window].astype(np.uint8).view(np.int8).astype(np.int32)
        a = sent.lanes[window].astype(np.uint8).view(np.int8).astype(np.int32)
        return (seed.view(np.int32) + w @ a).astype(np.int32).view(np.uint32)
    w = (
        np.ascontiguousarray(sent.weights[:, window].astype(np.uint16).T)
        .view(np.float16)
        .astype(np.float32)
    )
    a = sent.lanes[window].view(np.float16).astype(np.float32)
    total = seed.view(np.float32).copy()
    with np.errstate(all="ignore"):
        for k in range(sent.rows):
            total += a[k] * w[k]
    raw: npt.NDArray[np.uint32] = total.view(np.uint32).copy()
    raw[np.isnan(total)] = CANONICAL_NAN
    return raw


@instruction("acc", 0x23, "MXM", "mxm_accumulate", role=2, types=TYPES)
class Accumulate(Instruction):
    """Add the products of the activation that entered ``mxm.array_latency`` cycles ago to accumulator ``row``.

    ``start`` takes zero as the seed (for every column), else the row as it is. ``emit`` drives the updated row, all
    columns, onto the stream quad ``stream``.
    """

    dtype: int = operand(Kind.DTYPE, 4)
    row: int = operand(Kind.UINT, 8, strided=True)
    start: int = operand(Kind.FLAG, 1)
    emit: int = operand(Kind.FLAG, 1)
    stream: int = operand(Kind.STREAM, 6)

    def execute(self, port: Port) -> None:
        sent: Activation = port.products()
        row = port.plane.accumulators[self.row]
        if self.start:
            row[:] = 0
        row[sent.enabled] = multiply_accumulate(sent, row)[sent.enabled]
        if self.emit:
            port.put(self.stream, np.ascontiguousarray(row.view(np.uint8).reshape(-1, 4).T))
