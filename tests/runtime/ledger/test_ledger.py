"""The ledger against recounts that go through a program cycle by cycle, and against programs small enough to count by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from isa.errors import InternalError
from isa.instruction import BY_OPCODE, DType
from isa.program import Program
from runtime.api import compile as compile_program
from runtime.cli.programs import assembled
from runtime.ledger import Cost, Ledger, executed, ledger_of
from runtime.ledger.books import UNBALANCED
from runtime.ledger.causes import NAMES
from runtime.ledger.events import EVENTS

SAXPY = Path(__file__).parents[3] / "examples" / "kernels" / "saxpy.asm"


@pytest.fixture(scope="module")
def demo(demo_model: Path) -> Ledger:
    """The shipped transformer: 2 layers, one sequence of 16."""
    return executed(compile_program(demo_model, {"batch": 1, "seq": 16}))


def saxpy(rows: int) -> Program:
    return assembled(SAXPY, None, {"n": rows})


def expanded(program: Program) -> list[tuple[int, int, int]]:
    """Burst, queue and cycle of every dispatch, one by one."""
    return [
        (i, int(b["queue"]), int(b["cycle"]) + k * int(b["interval"]))
        for i, b in enumerate(program.bursts)
        for k in range(int(b["count"]))
    ]


def test_books_of_a_kernel_by_hand() -> None:
    """saxpy over 4 rows: x and y are 4 planes each, read in 4 cycles a plane; two ALUs work 4 cycles; z is 4 planes."""
    ledger = executed(saxpy(4))
    assert ledger.cycles == 47
    books = ledger.books.by_kind()
    busy = {kind: int(b.sum()) for kind, (_, b, _) in books.items() if b.sum()}
    assert busy == {"MEM.read": 32, "VXM": 8, "MEM.write": 16}
    count, _, idle = books["VXM"]
    assert count == 16
    # The multiply is issued in cycles 9..12, the add in 12..15; 27 cycles before the stagger of 20.
    assert dict(zip(NAMES, idle.tolist(), strict=True)) == {
        **dict.fromkeys(NAMES, 0),
        "start-up": 9 + 12,
        "drain": (27 - 13) + (27 - 16),
        "unused": 14 * 27,
        "stagger": 16 * 20,
    }


def test_books_are_those_of_a_recount(demo: Ledger) -> None:
    """Each unit-cycle that a dispatch takes is counted once, for its node; the rest of the run is idle."""
    program, machine = demo.program, demo.program.machine
    owner: dict[tuple[str, int, int], str] = {}
    for i, queue, cycle in expanded(program):
        burst = program.bursts[i]
        name = BY_OPCODE[int(burst["opcode"])].mnemonic
        node = program.nodes[int(burst["node"])]
        kind = machine.queue_kinds[queue]
        if kind == "MEM":
            kind += ".read" if name in ("read", "gather") else ".write"
        elif kind == "MXM":
            kind = "MXM." + machine.queue_names[queue].split(".")[1]
        fp16 = name == "abc" and int(burst["args"][0]) == DType.F16
        lasting = -(-int(burst["args"][3]) // machine["mxm.fp16_k"]) if fp16 else 1
        for plane in (0, 3) if fp16 else (0,):
            for later in range(lasting):
                assert (kind, queue + plane, cycle + later) not in owner
                owner[kind, queue + plane, cycle + later] = node
    recount = Counter((kind, node) for (kind, _, _), node in owner.items())
    for kind, (units, busy, idle) in demo.books.by_kind().items():
        assert {n: int(b) for n, b in zip(demo.books.nodes, busy, strict=True) if b} == {
            node: count for (k, node), count in recount.items() if k == kind
        }
        assert int(busy.sum() + idle.sum()) == units * demo.cycles


def test_books_that_do_not_balance_are_refused() -> None:
    """Two operations on one ALU in one cycle take two unit-cycles where there is one."""
    program = saxpy(4)
    bursts = program.bursts.copy()
    vxm = np.flatnonzero(bursts["queue"] >= program.machine.vxm_queue)
    bursts["queue"][vxm] = bursts["queue"][vxm[0]]
    with pytest.raises(InternalError) as caught:
        ledger_of(replace(program, bursts=bursts), 47)
    assert caught.value.number == UNBALANCED
    assert "the books of VXM_0 come to" in caught.value.message


def test_the_critical_path_covers_the_run(demo: Ledger) -> None:
    """Step after step from cycle 0 to the end; what works on it belongs to a node."""
    steps = demo.path
    assert steps[0].begin == 0
    assert steps[-1].end == demo.cycles
    assert all(a.end == b.begin < b.end for a, b in pairwise(steps))
    assert all(step.node for step in steps if not step.wait)
    assert sum(demo.on_path.values()) == demo.cycles


def test_no_bound_is_above_the_cycles(demo: Ledger) -> None:
    """A bound that the run undercuts would be none. The chain of saxpy alone needs all of its cycles."""
    for bound in demo.bounds:
        assert 0 < bound.cycles <= demo.cycles, bound
    by_name = {b.name: b for b in executed(saxpy(4)).bounds}
    assert by_name["dependence path"].cycles == 47
    assert by_name["busiest read port"].cycles == 4
    assert by_name["memory write ports"].arithmetic == "16 words / 88 write ports"
    # x, one direction, 4 rows of 4 planes: MEM_E0 is the slice next to the VXM, all of x passes there.
    assert by_name["stream bandwidth"].arithmetic == (
        "16 bytes a lane go westward between positions 46 and 47 / 32 streams"
    )


def test_the_matrix_bound_is_that_of_shapes(demo: Ledger) -> None:
    """Two layers of width 32, twice as wide inside, and attention over 16 positions; 102,400 products a cycle."""
    macs = 2 * (4 * 16 * 32 * 32 + 2 * 16 * 32 * 64 + 2 * 16 * 16 * 32)
    found = next(b for b in demo.bounds if b.name == "multiply-accumulates")
    assert found.arithmetic.startswith(f"{macs:,} multiply-accumulates")
    assert found.cycles == -(-macs // 102_400)


def test_memory_in_use_by_hand() -> None:
    """x and y lie there from the start, z from its writes to the end; at no time all of them are more than that."""
    ledger = executed(saxpy(4))
    word = 320
    assert ledger.residency.constant_bytes == 0
    held = dict(ledger.residency.at_peak)
    assert held["input x"] == held["input y"] == 4 * 4 * word
    assert ledger.residency.curve[0].tolist() == [0, 2 * 4 * 4 * word]
    assert ledger.residency.curve[-1].tolist() == [46, 4 * 4 * word]


def test_events_by_hand() -> None:
    """Words read and written, operations a lane, and hops: x from MEM_E0..3 by 1..4, y likewise, z from the VXM by 5..8."""
    ledger = executed(saxpy(4))
    found = dict(zip(EVENTS, ledger.events.counts.sum(0).tolist(), strict=True))
    assert found["dispatches"] == 56
    assert found["read_bytes"] == 32 * 320
    assert found["write_bytes"] == 16 * 320
    assert found["vector_ops"] == 8 * 320
    assert found["large_vector_ops"] == found["mac_f16"] == found["exchange_bytes"] == 0
    rows_of_bytes = 4 * 320
    # z leaves as 4 planes together, as far as the farthest of its writers.
    assert found["hop_bytes"] == rows_of_bytes * (2 * (1 + 2 + 3 + 4) + 4 * 8)


def test_multiply_accumulates_are_those_of_the_tiles(demo: Ledger) -> None:
    """At least those of the shapes: tiles are padded, and reductions run on the matrix unit as well."""
    total = int(demo.events.counts.sum(0)[0])
    macs = 2 * (4 * 16 * 32 * 32 + 2 * 16 * 32 * 64 + 2 * 16 * 16 * 32)
    assert total >= macs


def test_cost_is_the_arithmetic_of_the_chip_file(demo: Ledger) -> None:
    cost = Cost.of(demo.program, 9_000_000)
    assert cost.seconds == pytest.approx(0.01)
    assert cost.joules == pytest.approx(3.0)
    # $20,000 over 1,460 days at 50 %, and 3 J at 10 cents for 3.6 MJ.
    assert cost.dollars == pytest.approx(20_000 * 0.01 / (1460 * 86_400 / 2) + 3 / 3.6e6 * 0.10)
    assert cost.tokens == 16
    assert Cost.of(demo.program, 9_000_000, tokens=5).tokens == 5


def test_without_an_operand_nothing_waits_and_with_one_it_does(demo: Ledger) -> None:
    """A transformer's matrix planes wait for operands; nothing on the chip waits for links."""
    books = demo.books.by_kind()
    operand = NAMES.index("operand")
    assert books["MXM.activations"][2][operand] > 0
    assert books["C2C"][1].sum() == 0
    assert all(0 < share <= 1 for share in demo.matrix_busy.values())
