"""Assembling a text of 100,000 lines: canonical as ``tspc dis`` prints them, in an author's words, and with names for all. Nightly."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from isa.assembly import assemble
from isa.machine import load_chip

LINES = 100_000
SECONDS = 10
TSP1 = load_chip("tsp1")


def canonical() -> str:
    """Explicit dispatches on 58 queues, every one with operands and a cycle of its own."""
    lines = []
    for i in range(LINES):
        t = 5 * i
        lines.append(
            (
                f"@{t} MEM_E{i % 44}: read {i % 4096:#06x}, W{i % 28} x4 +1",
                f"@{t} VXM_{i % 14}: add f32, E{i % 7 * 4}, alu{i % 16}, imm={i + 1:#x} -> W4 x2 /3",
                f"@{t} MEM_W{i % 44}: write {i % 4096:#06x}, W{i % 28} x4 +1",
            )[i % 3]
        )
    return "\n".join(lines)


def authored() -> str:
    """Names, expressions and arrival times in every line."""
    lines = [".let n = 2", ".let step = 12"]
    for i in range((LINES - 2) // 2):
        lines.append(f"@{i}*step+n MEM_W{{{i % 40}}}: read {i % 4000}+n, E{i % 28} x{{n}} +1")
        lines.append(f"@arrives VXM_{i % 14}: add i8, E{i % 28}, #n -> W4 x{{n}} /3  ; line {i}")
    return "\n".join(lines)


def named() -> str:
    """A label in every line, times that follow from labels, tensors as queues and as operands."""
    lines = [".let n = 4"]
    for j in range(8):
        lines.append(f".tensor in{j} i8 4000 320 at MEM_W{j}:0 input")
        lines.append(f".tensor out{j} i8 4000 320 at MEM_E{j}:0 output")
    lines += ["; from in0 .. in7 to out0 .. out7", "w0:", "@0 out0[0]: write E31"]
    for i in range((LINES - len(lines)) // 4):
        j, row, s = i % 8, i % 3990, i % 28
        lines.append(f"r{i}: @w{i}+3 in{j}[{row}..{row}+n]: read E{s}")
        lines.append(
            f"q{i}: @start(r{i})+{i % 3} MEM_W9: read address(in{j}, 0, {row})+n, E{s + 1} x{{n}} +1"
        )
        lines.append(f"a{i}: @arrives VXM_{i % 14}: add i8, E{s}, #n -> E{s + 2} x{{n}}")
        lines.append(
            f"w{i + 1}: @arrives(a{i}) out{j}[{row}..{row}+n]: write E{s + 2}  ; row {row}"
        )
    return "\n".join(lines)


@pytest.mark.nightly
@pytest.mark.parametrize("text", [canonical, authored, named])
def test_100_000_lines(text: Callable[[], str]) -> None:
    """Within the 10 s that the project demands, of processor time: of explicit lines, with a time and names to find in each, and
    with a label and a tensor in each besides.

    What it took is printed (``pytest -s``).
    """
    lines = text()
    assert lines.count("\n") + 1 == LINES
    start = time.process_time()
    program = assemble(lines, TSP1)
    took = time.process_time() - start
    print(f"\n{LINES:,} lines, {len(program.bursts):,} bursts: {took:.1f} s")  # noqa: T201
    assert took < SECONDS
