"""Products leave out a panel's leading and trailing zeros only where that changes no bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from emulator.jit import Kernel
from emulator.jit import kernel as kernel_module
from emulator.jit.host import Host, this_host
from emulator.jit.regions import Region
from emulator.lowering.matrix import Multiply
from emulator.reference import ReferenceInterpreter
from isa.instruction import DType
from isa.machine import load_chip
from isa.program import Program
from tests.emulator.jit_programs import Build, byte_planes

CHIP = load_chip("tsp1")
WINDOW = CHIP["mxm.window"]
COLUMNS = 80
BLOCKS = ((64, 192), (0, 320), (0, 0), (304, 320), (0, 17))
"""The k between which each 16 columns have weights other than zeros."""
ZEROS = {"-0": -0.0, "+0": 0.0}


def weights(zero: float) -> npt.NDArray[np.float16]:
    """``[columns, lanes]``."""
    w = np.full((COLUMNS, CHIP.lanes), zero, np.float16)
    rng = np.random.RandomState(3)
    for block, (first, last) in enumerate(BLOCKS):
        some = rng.randn(16, last - first).astype(np.float16)
        w[16 * block : 16 * block + 16, first:last] = some + np.float16(8)
    return w


def activations(odd: float, lane: int, rows: int) -> npt.NDArray[np.float16]:
    """``[rows, lanes]``, zeros of both signs among them; ``odd`` in one place of the last row."""
    x = np.random.RandomState(rows).randn(rows, CHIP.lanes).astype(np.float16)
    x[0, ::3], x[0, 1::3] = -0.0, 0.0
    x[rows // 2] = np.float16(-6e-8)
    x[-1, lane] = odd
    return x


def product(
    x: npt.NDArray[np.float16], zero: float, passes: int = 1, lanes: int = 320, first: int = 0
) -> Program:
    """So many passes into the same sums."""
    b, time, rows = Build(CHIP), 400, len(x)
    for plane in range(2):
        b.constant(plane, 0, byte_planes(weights(zero))[plane])
        b.constant(2 + plane, 0, byte_planes(x)[plane])
    for number in range(passes):
        b.weights(time, DType.F16, [0, 1], 0, COLUMNS)
        done = b.product(
            time, DType.F16, [2, 3], 0, rows, lanes, first=first, start=number == 0,
            emit=number == passes - 1,
        )  # fmt: skip
        time += 500
    b.store(done, b.matrix, b.inward + 4, [5, 6, 7, 8], 0, rows, -(-lanes // CHIP["mxm.fp16_k"]))
    return b.program()


def agree(program: Program, cache: Path, threads: int = 1) -> Kernel:
    reference, kernel = ReferenceInterpreter(program), Kernel(program, threads, cache)
    reference.run({})
    kernel.run({})
    assert (reference.final_memory == kernel.final_memory).all()
    return kernel


@pytest.mark.parametrize("zero", ZEROS)
@pytest.mark.parametrize("odd", [1.0, -np.inf, np.nan])
@pytest.mark.parametrize("lane", [10, 100, 250])
def test_a_product_with_zeros(zero: str, odd: float, lane: int, tmp_path: Path) -> None:
    """An infinity or NaN before, among and behind the weights that are no zeros."""
    kernel = agree(product(activations(odd, lane, 13), ZEROS[zero]), tmp_path)
    assert any(isinstance(s, Multiply) and s.skips for s in kernel.shapes)


@pytest.mark.parametrize(("first", "lanes"), [(0, 64), (64, 128), (160, 160), (304, 16)])
def test_a_window_of_the_lanes(first: int, lanes: int, tmp_path: Path) -> None:
    agree(product(activations(1.0, 9, 7), -0.0, lanes=lanes, first=first), tmp_path)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_further_passes_into_the_same_sums(threads: int, tmp_path: Path) -> None:
    for odd in (1.0, np.inf):
        agree(product(activations(odd, 300, 12), 0.0, passes=3), tmp_path, threads)


def test_what_is_told_of_zeros(tmp_path: Path) -> None:
    """In blocks of 16 k; a host without such blocks leaves nothing out."""
    kernel = Kernel(product(activations(1.0, 0, 8), -0.0), 1, tmp_path)
    if not any(isinstance(s, Multiply) and s.skips for s in kernel.shapes):
        pytest.skip("panels of this host are narrower than 16 columns")
    panels = kernel._held[0][Region.PANELS]
    wide = -(-COLUMNS // 32) * 32 if kernel._library.target.width == 16 else COLUMNS
    told = panels[2 * CHIP.lanes * wide :][:COLUMNS].view(np.int64).reshape(-1, 2)
    expected = [
        (first // 16 * 16, -(-last // 16) * 16) if last else (320, 0) for first, last in BLOCKS
    ]
    assert told.tolist() == [list(e) for e in expected]


def test_plain_and_narrow_hosts_leave_nothing_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = product(activations(np.nan, 10, 6), 0.0)
    plain = Kernel(program, 1, tmp_path, plain=True)
    assert not any(isinstance(s, Multiply) and s.skips for s in plain.shapes)
    host = this_host()
    if host.arch == "x86_64":
        narrow = Host(host.triple, "x86-64", "", host.llvm)
        monkeypatch.setattr(kernel_module, "this_host", lambda: narrow)
        agree(program, tmp_path)
