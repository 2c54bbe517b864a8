"""The verifier on programs of the size of a large model, and on programs that mean to exhaust it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from isa.instruction import DType, Instruction, Source, SourceKind
from isa.machine import Hemisphere, Machine, load_chip
from isa.ops.mem import Read, Write
from isa.ops.mxm import Accumulate, Activate, InstallWeights, LoadWeights
from isa.ops.vxm import Add, Mul
from isa.program import SEGMENT, BurstList, Program
from isa.verify import verify

F16, F32 = int(DType.F16), int(DType.F32)
PERIOD = 130
Burst = tuple[str, int, Instruction, int]
"""Queue, cycle, instruction and count."""


def matmul_pass(out: BurstList, m: Machine, east: bool, t: int, number: int) -> None:
    """Weights of one pass from 16 slices, 128 activation rows from 2, results to 4: all timed to meet at the matrix unit."""
    side: Hemisphere = "E" if east else "W"
    outward, inward = (0, m.streams) if east else (m.streams, 0)
    mxm = m.positions - 1 if east else 0
    queue = m.mxm_queue + 3 * (m["mxm.planes"] if east else 0)

    def memory(index: int) -> tuple[int, int]:
        return m.mem_queue(side, index), abs(m.mem_position(side, index) - mxm)

    flight = m.timing("mem_read")
    for i in range(16):
        q, far = memory(i)
        read = Read(address=number * 40 % 3200, stream=outward + i)
        out.add(q, t - far - flight, read, count=40, stride=1)
    load = LoadWeights(F16, stream=outward, groups=8, column=0, spread=40)
    out.add(queue, t, load, count=40, stride=1)
    out.add(queue, t + 41, InstallWeights(F16, 0, 320))
    start = t + 42
    for i in range(2):
        q, far = memory(16 + i)
        out.add(q, start - far - flight, Read(0, outward + 16 + i), count=128, stride=1)
    out.add(queue + 1, start, Activate(F16, outward + 16, 0, 160), count=128)
    emitted = start + m["mxm.array_latency"]
    out.add(queue + 2, emitted, Accumulate(F16, 0, 1, 1, inward), count=128, stride=1)
    for i in range(4):
        q, far = memory(20 + i)
        at = emitted + m.timing("mxm_accumulate") + far
        out.add(q, at, Write(4096 + number * 128 % 3840, inward + i), count=128, stride=1)


def vector_group(out: BurstList, m: Machine, t: int) -> None:
    """Two fp32 operands of 128 rows from the east, a chain of every ALU, the result written back."""
    for i in range(8):
        far = m.mem_position("E", 24 + i) - m.vxm_position
        read = Read(0, m.streams + 24 + i)
        out.add(m.mem_queue("E", 24 + i), t - far - 5, read, count=128, stride=1)
    stream = [Source(SourceKind.STREAM, m.streams + 24 + 4 * i).pack() for i in range(2)]
    out.add(m.vxm_queue, t, Add(F32, *stream), count=128)
    for alu in range(1, 16):
        previous = Source(SourceKind.ALU, alu - 1).pack()
        op = Mul(F32, previous, previous, east=25 if alu == 15 else 0)
        out.add(m.vxm_queue + alu, t + 3 * alu, op, count=128)
    for i in range(4):
        far = m.mem_position("E", 36 + i) - m.vxm_position
        write = Write(0, 24 + i)
        out.add(m.mem_queue("E", 36 + i), t + 48 + far, write, count=128, stride=1)


def large(passes: int) -> Program:
    """``passes`` matmul passes a hemisphere, a vector group beside each."""
    m, out = load_chip("tsp1-deep"), BurstList()
    for n in range(passes):
        for east in (False, True):
            matmul_pass(out, m, east, 100 + n * PERIOD, n)
        vector_group(out, m, 100 + n * PERIOD)
    segments = [(q, 0, 4096, 0) for q in range(2 * m.slices)]
    data = np.zeros((4096, m.lanes), np.uint8)
    return Program(m, out.array(), np.array(segments, SEGMENT), data)


def test_a_stack_of_passes_is_certified() -> None:
    certificate = verify(large(20))
    last_row = 100 + 19 * PERIOD + 42 + 22 + 8 + 25 + 127
    assert certificate.cycles == last_row + 1 + 20


def test_a_program_of_the_size_of_bert_takes_moments() -> None:
    program = large(1250)
    assert len(program.bursts) == 100_000
    begin = time.process_time()
    assert verify(program).instructions > 8_000_000
    assert time.process_time() - begin < 3


HOSTILE: dict[str, list[Burst]] = {
    "one burst without end": [("MEM_W0", 0, Read(0, 0), (1 << 32) - 1)],
    "many long bursts": [(f"MEM_W{i}", 0, Read(0, 0), 1 << 21) for i in range(44)],
    "a burst past the end of time": [("MEM_W0", 1 << 62, Read(0, 0), 1 << 62)],
    "every cycle taken twice": [("MEM_W0", i % 2, Read(0, 0), 1 << 19) for i in range(8)],
    "every word read undefined": [("MEM_W0", 0, Read(0, 0), 1 << 22)],
    "every read without a value": [("MEM_W0", 0, Write(0, 0), 1 << 22)],
    "every stream driven by all": [
        (f"VXM_{i}", 0, Add(F32, 3, 3, 0, 1, 1), 1 << 17) for i in range(16)
    ],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_program_that_means_to_exhaust_the_verifier_is_refused_soon(name: str) -> None:
    m, out = load_chip("tsp1"), BurstList()
    for queue, cycle, instr, count in HOSTILE[name]:
        out.add(m.queue_names.index(queue), cycle, instr, count=count, interval=2)
    begin = time.process_time()
    assert verify(Program(m, out.array()), collect=True)
    assert time.process_time() - begin < 2
