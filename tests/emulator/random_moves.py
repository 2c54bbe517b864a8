"""Gadgets of random programs that move data: memory rewritten while it is read, gather, scatter, the exchange unit."""

from __future__ import annotations

import numpy as np

from isa.instruction import DType, Instruction, Source, SourceKind
from isa.ops import icu, mem, sxm, vxm
from tests.emulator.random_source import Maker

STRIDES = (0, 0, 1, -1, 2, 7)
"""Of gathers and scatters, by which their range moves on."""


def interleaved_rewrite(make: Maker) -> bool:
    """Words are written in even cycles and read in odd ones, by two bursts that overlap: old and new values alternate."""
    machine, count = make.machine, int(make.rng.randint(2, 10))
    stream = int(make.rng.randint(2 * machine.streams))
    slice_ = int(make.rng.randint(2 * machine.slices))
    interval, lag = int(make.rng.choice([2, 4])), int(make.rng.choice([-3, -1, 1, 3, 5]))
    address = make.fresh(slice_, count)
    if address is None:
        return False
    words = make.values(DType.I8, count).view(np.uint8)
    make.board.constant(slice_, address, words)
    here, cycle = machine.queue_positions[slice_], make.cycle()
    if not make.supply(stream, DType.I8, here, cycle, count, interval):
        return False
    stride = int(make.rng.choice([1, -1]))
    first = address + count - 1 if stride < 0 else address
    if not make.board.place(slice_, cycle, mem.Write(first, stream), count, interval, stride):
        return False
    out = int(make.rng.randint(2 * machine.streams))
    reading = mem.Read(address, out)
    if not make.board.place(slice_, cycle + lag, reading, count, interval, 1):
        return False
    landing = cycle + lag + machine.timing("mem_read")
    return make.store(out, 1, here, landing, count, interval)


def memory_loop(make: Maker) -> bool:
    """Each repeat reads the word that the one before wrote: through the VXM and back, one more each time."""
    machine = make.machine
    slice_ = int(make.rng.randint(2 * machine.slices))
    west = slice_ < machine.slices
    hops = make.hops(slice_, machine.vxm_position)
    trip = machine.timing("mem_read") + machine.timing("vxm_alu") + 2 * hops
    interval = trip + machine.timing("mem_write") + int(make.rng.randint(3))
    count, cycle, there, back = (
        int(make.rng.randint(2, 6)),
        make.cycle(),
        make.group(1),
        make.group(1),
    )
    address = make.fresh(slice_, count + 1)
    if address is None:
        return False
    make.board.constant(slice_, address, make.values(DType.I8, 1).view(np.uint8))
    toward = there if west else machine.streams + there
    source = Source(SourceKind.STREAM, toward).pack()
    immediate = Source(SourceKind.IMMEDIATE).pack()
    side = {"west": back + 1} if west else {"east": back + 1}
    add = vxm.Add(DType.I8, source, immediate, int(make.rng.randint(256)), **side)
    homeward = machine.streams + back if west else back
    at_vxm = cycle + machine.timing("mem_read") + hops
    alu = machine.vxm_queue + int(make.rng.randint(machine["vxm.alus"]))
    for step in range(count):
        # One burst a kind cannot be checked before the words it needs are written: go repeat by repeat first.
        wait = step * interval
        done = (
            make.board.place(slice_, cycle + wait, mem.Read(address + step, toward))
            and make.board.place(alu, at_vxm + wait, add)
            and make.board.place(
                slice_, cycle + wait + trip, mem.Write(address + step + 1, homeward)
            )
        )
        if not done:
            return False
    rows = make.board.bursts.rows
    del rows[-3 * count :]
    bursts = make.board.bursts
    bursts.add(slice_, cycle, mem.Read(address, toward), count, interval, 1)
    bursts.add(alu, at_vxm, add, count, interval)
    bursts.add(slice_, cycle + trip, mem.Write(address + 1, homeward), count, interval, 1)
    return True


def _range(make: Maker, cycle: int) -> tuple[int, int, int] | None:
    """Slice, base and limit of words that are all defined by ``cycle``; at times across banks."""
    slice_ = int(make.rng.randint(2 * make.machine.slices))
    defined = make.board.defined[slice_] <= cycle
    bases = np.nonzero(defined)[0]
    if not len(bases):
        return None
    edge = make.machine["mem.words"] - int(make.rng.randint(1, 6))
    base = edge if defined[edge] and make.rng.rand() < 0.3 else int(make.rng.choice(bases))
    length = int(np.argmin(np.append(defined[base:], False)))
    return slice_, base, int(make.rng.randint(min(length, 1 + make.rng.randint(length))))


def _indices(
    make: Maker, stream: int, position: int, cycle: int, count: int, interval: int
) -> bool:
    """Index vectors at ``position``: small ones, some past any limit."""
    index = make.rng.randint(0, 24, (count, make.machine.lanes)).astype(np.uint16)
    index[make.rng.rand(*index.shape) < 0.1] = make.rng.randint(0x10000)
    planes = index.view(np.uint8).reshape(count, -1, 2)
    return all(
        make.supply_plane(stream + p, planes[:, :, p], position, cycle, interval) for p in (0, 1)
    )


def gather(make: Maker) -> bool:
    """A burst of gathers, stored."""
    machine, cycle = make.machine, make.cycle()
    found, count, interval = _range(make, cycle), make.count(), make.interval()
    if found is None:
        return False
    slice_, base, limit = found
    indices = make.group(2) + machine.streams * int(make.rng.randint(2))
    out = int(make.rng.randint(2 * machine.streams))
    here = machine.queue_positions[slice_]
    if not _indices(make, indices, here, cycle, count, interval):
        return False
    instr = mem.Gather(base, limit, indices, out)
    stride = int(make.rng.choice(STRIDES))
    placed = make.board.place(slice_, cycle, instr, count, interval, stride, shorten=True)
    landing = cycle + machine.timing("mem_gather")
    return bool(placed) and make.store(out, 1, here, landing, placed, interval)


def scatter(make: Maker) -> bool:
    """A burst of scatters over words that are already defined."""
    machine, cycle = make.machine, make.cycle()
    found, count, interval = _range(make, cycle), make.count(), make.interval()
    if found is None:
        return False
    slice_, base, limit = found
    indices = make.group(2) + machine.streams * int(make.rng.randint(2))
    data = int(make.rng.randint(2 * machine.streams))
    here = machine.queue_positions[slice_]
    if data in (indices, indices + 1):
        return False
    if not _indices(make, indices, here, cycle, count, interval):
        return False
    if not make.supply(data, DType.I8, here, cycle, count, interval):
        return False
    instr = mem.Scatter(base, limit, indices, data)
    stride = int(make.rng.choice(STRIDES))
    return bool(make.board.place(slice_, cycle, instr, count, interval, stride, shorten=True))


def _exchange_instruction(make: Maker, src: int, dst: int) -> Instruction:
    rng, lanes = make.rng, make.machine.lanes
    width = make.machine["lanes.per_superlane"]
    low, high = (int(rng.randint(0, 1 << 32, dtype=np.int64)) for _ in range(2))
    return (
        sxm.Shift(src, dst, int(rng.randint(-lanes - 2, lanes + 3))),
        sxm.Permute(src, dst, 0),
        sxm.Permute(src, dst, 0),
        sxm.Distribute(src, dst, low, high, int(rng.randint(1 << 16))),
        sxm.Rotate(src, dst, int(rng.randint(width))),
        sxm.Transpose(src - src % width, dst - dst % width),
    )[rng.randint(6)]


def exchange(make: Maker) -> bool:
    """One SXM operation, stored."""
    machine, count, interval = make.machine, make.count(), make.interval()
    queue = machine.sxm_queue + int(make.rng.randint(2 * machine["sxm.queues"]))
    here, cycle = machine.queue_positions[queue], make.cycle()
    src, dst = (int(make.rng.randint(2 * machine.streams)) for _ in range(2))
    instr, taken = _exchange_instruction(make, src, dst), 1
    if isinstance(instr, sxm.Transpose):
        taken, src, dst = machine["lanes.per_superlane"], instr.src, instr.dst
        count = min(count, 3)
    if not all(make.supply(src + p, DType.I8, here, cycle, count, interval) for p in range(taken)):
        return False
    if isinstance(instr, sxm.Permute):
        lanes = make.group(2) + machine.streams * int(make.rng.randint(2))
        instr = sxm.Permute(src, dst, lanes)
        if src in (lanes, lanes + 1) or not _permutation(make, lanes, here, cycle, count, interval):
            return False
    if not make.board.place(queue, cycle, instr, count, interval):
        return False
    landing = cycle + machine.timing(instr.timing)
    return make.store(dst, taken, here, landing, count, interval)


def _permutation(
    make: Maker, stream: int, here: int, cycle: int, count: int, interval: int
) -> bool:
    """Lane maps at ``here``: bijections, one in three with arbitrary entries among them."""
    lanes = make.machine.lanes
    maps = np.array([make.rng.permutation(lanes) for _ in range(count)], np.uint16)
    if make.rng.rand() < 0.33:
        maps[0, : lanes // 2] = make.rng.randint(0, 0x10000, lanes // 2)
    planes = maps.view(np.uint8).reshape(count, lanes, 2)
    return all(
        make.supply_plane(stream + p, planes[:, :, p], here, cycle, interval) for p in (0, 1)
    )


def queue_control(make: Maker) -> bool:
    """An instruction without effect, on any queue."""
    full = icu.Config(make.machine["lanes.superlanes"])
    instr = (icu.Sync(), icu.Notify(), icu.Ifetch(7), full)[make.rng.randint(4)]
    queue = int(make.rng.randint(make.machine.queues))
    return bool(make.board.place(queue, make.cycle(), instr, make.count(), make.interval()))
