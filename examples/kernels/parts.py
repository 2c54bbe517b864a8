"""What several kernels share: transposes, folds over rows, softmax down the rows, and slots of repeating schedules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isa.assembly.expressions import Stream
from isa.assembly.tensors import Tensor
from isa.builder import Alu, Issued, KernelBuilder, Late, Plane, Reach, Slice
from isa.builder.operands import Place
from isa.instruction import DType
from isa.machine import Hemisphere

F16, F32, I8 = DType.F16, DType.F32, DType.I8
PLANES = (Plane("E", 0), Plane("W", 0), Plane("E", 1), Plane("W", 1))
INWARD: dict[Hemisphere, Hemisphere] = {"E": "W", "W": "E"}


def matrix_unit(hemisphere: Hemisphere) -> Place:
    """The MXM of a hemisphere."""
    return "MXM_E" if hemisphere == "E" else "MXM_W"


def window(k: KernelBuilder, lanes: int) -> int:
    """The row window that covers so many lanes."""
    step = k.machine["mxm.window"]
    return -(-lanes // step) * step


def ready(value: Issued) -> int:
    """The cycle in which the vector unit can use the first of a value."""
    return value.ready if value.alu is not None else value.at("VXM")


def units(k: KernelBuilder, size: int, at: int) -> dict[Hemisphere, Tensor]:
    """The rows of a unit matrix of bytes in slice ``at`` of both hemispheres: what ``transpose`` streams."""
    eye = np.eye(size, dtype=np.int8)
    return {
        "E": k.constant("unit_e", eye, Slice("E", at)),
        "W": k.constant("unit_w", eye, Slice("W", at)),
    }


def transpose(
    k: KernelBuilder,
    source: Tensor,
    target: Tensor,
    unit: dict[Hemisphere, Tensor],
    start: int,
    planes: Sequence[Plane] = PLANES,
) -> int:
    """``target = source^T``, exactly, reading from cycle ``start`` on; returns the cycle from which ``target`` holds.

    A byte plane goes through one MXM plane as in ``transpose.asm``, all at once: ``planes`` has one for each.
    """
    n, cols, names = source.rows, source.cols, k.machine.queue_names
    how: dict[str, Any] = {"every": 1, "step": 1, "node": "transpose"}
    installed: dict[Hemisphere, int] = {}
    for byte, (plane, (home, address)) in enumerate(zip(planes, source.places, strict=False)):
        side = plane.hemisphere
        given = {"address": address, "stream": Stream(side, 24 + byte)}
        row = k.issue("read", given, names[home], at=start, x=n, **how)
        loaded = k.lw(I8, row, 1, 0, 0, on=plane, x=n, step=1)
        there = k.iw(I8, 0, n, on=plane, at=loaded.done).done
        installed[side] = max(installed.get(side, 0), there)
    one_hot = {}
    for side, there in installed.items():
        mxm = matrix_unit(side)
        when = Reach(mxm, max(there, k.earliest(unit[side], mxm)))
        one_hot[side] = k.load(unit[side], Stream(side, 28), when, range(cols))
    done = 0
    for plane, (home, address) in zip(planes, target.places, strict=False):
        side = plane.hemisphere
        k.abc(I8, one_hot[side], 0, window(k, cols), on=plane, x=cols)
        out = Stream(INWARD[side], 16 + 4 * plane.index)
        given = {
            "address": address,
            "stream": k.acc(I8, 0, out, on=plane, start=True, emit=True, x=cols),
        }
        done = max(done, k.issue("write", given, names[home], at=None, x=cols, **how).done)
    return done


def fold(
    k: KernelBuilder,
    operation: Callable[..., Issued],
    value: Issued,
    alu: Alu,
    more: Sequence[Alu],
    west: Stream | None = None,
) -> Issued:
    """``operation`` over all dispatches of ``value``, a dispatch a cycle; the one result goes out on ``west``.

    An ALU's result is there ``vxm_alu`` cycles after its dispatch, so ``alu`` carries that many partial results in turn,
    each taking every so-many-th value. ``more`` has an ALU for each of these but one, at least one, and joins them.
    """
    count, lag = value.count, k.machine.timing("vxm_alu")
    parts = min(lag, count)
    first = k.mov(F32, value, on=alu, x=parts)
    if count > parts:
        operation(F32, value.behind(parts), alu, on=alu, at=first.cycle + parts, x=count - parts)
    last = first.cycle + count - 1 + lag
    if parts == 1:
        return k.mov(F32, alu, on=more[0], at=last, west=west)
    joined = operation(
        F32, alu, Late(alu, 1), on=more[0], at=last, west=west if parts == 2 else None
    )
    for part in range(2, parts):
        now, out = joined.ready, west if part == parts - 1 else None
        early = Late(alu, now - (last - part))
        joined = operation(F32, joined, early, on=more[part - 1], at=now, west=out)
    return joined


@dataclass(frozen=True)
class Scratch:
    """Memory that ``softmax_down`` needs: ``exps`` like its input, ``top`` and ``inverse`` of one row, all float32."""

    exps: Tensor
    top: Tensor
    inverse: Tensor


def scratch(k: KernelBuilder, rows: int, cols: int, at: int) -> Scratch:
    """Scratch for ``rows x cols`` values in slices ``at`` .. ``at + 11`` of the west."""
    return Scratch(
        k.tensor("exps", F32, rows, cols, Slice("W", at)),
        k.tensor("top", F32, 1, cols, Slice("W", at + 4)),
        k.tensor("inverse", F32, 1, cols, Slice("W", at + 8)),
    )


def softmax_down(k: KernelBuilder, x: Tensor, out: Tensor, room: Scratch, start: int) -> int:
    """Softmax of float32 down the rows, every lane for itself: ``out[r] = exp(x[r] - max) / sum``, float32 or float16.

    ``x`` lies in the east, ``out`` in the west. Three passes over the rows: their maximum; exponentials and their
    sum; the quotients. Reads ``x`` from cycle ``start`` on; returns the cycle from which ``out`` holds.
    """
    n, east, west = x.rows, Stream("E", 0), Stream("W", 0)
    east4, west4, west8 = Stream("E", 4), Stream("W", 4), Stream("W", 8)
    row = k.load(x, west, Reach("VXM", k.earliest(x, "VXM", start)))
    top = fold(k, k.max, row, Alu(0), (Alu(1), Alu(2)), west=west4)
    have = k.store(room.top, top).done

    when = max(k.earliest(x, "VXM", have), k.earliest(room.top, "VXM", have))
    row = k.load(x, west, Reach("VXM", when))
    high = k.load(room.top, east, Reach("VXM", when), x=n, step=0)
    power = k.exp(F32, k.sub(F32, row, high, on=Alu(8), x=n), on=Alu(3), x=n, west=west8)
    kept = k.store(room.exps, power)
    total = fold(k, k.add, power, Alu(9), (Alu(10), Alu(11)))
    root = k.rsqrt(F32, total, on=Alu(4))
    have = max(
        kept.done, k.store(room.inverse, k.mul(F32, root, root, on=Alu(12), west=west4)).done
    )

    when = max(k.earliest(room.exps, "VXM", have), k.earliest(room.inverse, "VXM", have))
    power = k.load(room.exps, east, Reach("VXM", when))
    inverse = k.load(room.inverse, east4, Reach("VXM", when), x=n, step=0)
    share = k.mul(F32, power, inverse, on=Alu(13), x=n, west=None if out.dtype is F16 else west8)
    if out.dtype is F16:
        share = k.cvt(F32, share, F16, on=Alu(5), x=n, west=west8)
    return k.store(out, share).done


@dataclass
class Slots:
    """Which cycles of a repeating schedule a queue has left: everything happens every ``interval`` cycles."""

    interval: int
    taken: dict[str, set[int]] = field(default_factory=dict)

    def first(self, queue: str, cycle: int) -> int:
        """Take the first free cycle of a queue that is not before ``cycle``."""
        own = self.taken.setdefault(queue, set())
        for at in range(cycle, cycle + self.interval):
            if at % self.interval not in own:
                own.add(at % self.interval)
                return at
        raise ValueError(f"{queue} has all of its {self.interval} cycles taken")
