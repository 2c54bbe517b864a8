"""Many calls of kernels: each is held against those that it meets on a queue, not against all."""

from __future__ import annotations

from unittest import mock

import numpy as np

from isa.arrival import Arrivals
from isa.assembly import assemble
from isa.assembly.composing import clash
from isa.assembly.ports import Contract, Frame, Use
from isa.assembly.sources import Source
from isa.machine import load_chip

TINY = load_chip("tiny")
KERNEL = """.kernel copy(n=1)
  .in x: W0 i8 @t at VXM x{n}
  .out y: E4 i8 @t+timing.vxm_alu at VXM x{n}
  .uses VXM_0
  @arrives VXM_0: mov i8, x -> y x{n}
.end
"""


def test_calls_that_do_not_meet_are_not_compared() -> None:
    """300 calls have 44,850 pairs."""
    calls = [f"@{20 * i} MEM_E0: read 0, W0 x2\n@arrives copy(2)" for i in range(300)]
    with mock.patch("isa.assembly.kernels.clash", side_effect=clash) as compared:
        program = assemble(KERNEL + "\n".join(calls), TINY)
    assert len(program.bursts) == 600
    assert compared.call_count == 0


def test_those_that_meet_are_those_that_clash() -> None:
    """Against every pair, with uses that overlap, touch, hold one another, or are empty."""
    rng, source = np.random.RandomState(0), Source("", 1, "")
    for _ in range(50):
        frame = Frame(Arrivals(TINY))
        for n in range(40):
            firsts = rng.randint(0, 200, 3).tolist()
            lengths = rng.choice([0, 1, 3, 10, 80], 3).tolist()
            uses = [
                Use(int(rng.randint(4)), f, f + k) for f, k in zip(firsts, lengths, strict=True)
            ]
            call = Contract("k", f"k{n}", 0, source, 1, uses=tuple(uses))
            expected = [other for other in frame.calls if clash(other, call, TINY) is not None]
            assert frame.meeting(call) == expected
            frame.add(call, (n, n + 1))
