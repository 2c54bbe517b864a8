"""For pytest: the fixture ``tsp_kernel`` takes a kernel through everything and compares it with a numpy function.

def test_saxpy(tsp_kernel):
    tsp_kernel(Path("saxpy.asm"), lambda x, y: 2.5 * x + y, parameters={"n": 37}, cycles=91)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isa.program import PortTensor, Program

    Array = NDArray[Any]


@dataclass(frozen=True)
class KernelRun:
    """What a kernel did: its program, its length in cycles, and its outputs of the last trial by name."""

    program: Program
    cycles: int
    outputs: dict[str, Array]


class TspKernel(Protocol):
    """What the fixture ``tsp_kernel`` is."""

    def __call__(
        self,
        kernel: Program | Path | str,
        reference: Callable[..., Any],
        *,
        parameters: Mapping[str, int | float] | None = None,
        chip: str | None = None,
        inputs: Mapping[str, Array | Callable[[int], Array]] | None = None,
        trials: int = 3,
        rtol: float = 0.0,
        atol: float = 0.0,
        cycles: int | None = None,
    ) -> KernelRun:
        """Assemble, verify, run on both emulators, compare.

        Args:
            kernel: a program, the path of an assembly text, or the text itself.
            reference: takes the inputs by name; gives the output, or all of them in order or by name.
            parameters: values for the text's ``.param``.
            chip: the chip, where the text names none.
            inputs: arrays by name, or functions of the trial's number; others are drawn at random.
            trials: how many sets of inputs.
            rtol, atol: how far an output may be from its reference; both 0: equal, NaN to NaN.
            cycles: what the program must take, exactly.
        """


def _program(
    kernel: Program | Path | str, chip: str | None, parameters: Mapping[str, int | float] | None
) -> Program:
    from isa.assembly import assemble
    from isa.machine import load_chip

    machine = load_chip(chip) if chip else None
    if isinstance(kernel, Path):
        text = kernel.read_text(encoding="utf-8")
        return assemble(text, machine, kernel.name, kernel.parent, parameters)
    if isinstance(kernel, str):
        return assemble(kernel, machine, "kernel", None, parameters)
    return kernel


def _by_name(wanted: Any, ports: Sequence[PortTensor]) -> dict[str, Any]:
    if isinstance(wanted, Mapping):
        return dict(wanted)
    values = wanted if isinstance(wanted, tuple | list) else [wanted]
    return {port.name: value for port, value in zip(ports, values, strict=True)}


def _difference(have: Array, want: Array, rtol: float, atol: float) -> str:
    """Where an output leaves its tolerance, or nothing."""
    import numpy as np

    want = np.asarray(want)
    if have.shape != want.shape:
        return f"shape {list(have.shape)}, the reference has {list(want.shape)}"
    a, b = have.astype(np.float64), want.astype(np.float64)
    with np.errstate(invalid="ignore"):
        near = np.abs(a - b) <= atol + rtol * np.abs(b)
    bad = ~(near | (a == b) | (np.isnan(a) & np.isnan(b)))
    if not bad.any():
        return ""
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    return (
        f"{int(bad.sum())} of {bad.size} elements differ, first {list(first)}: "
        f"{have[first]!r}, the reference has {want[first]!r}"
    )


def run_kernel(
    kernel: Program | Path | str,
    reference: Callable[..., Any],
    *,
    parameters: Mapping[str, int | float] | None = None,
    chip: str | None = None,
    inputs: Mapping[str, Array | Callable[[int], Array]] | None = None,
    trials: int = 3,
    rtol: float = 0.0,
    atol: float = 0.0,
    cycles: int | None = None,
) -> KernelRun:
    """What ``TspKernel`` says; a failure is pytest's, an error of the toolkit its own text."""
    from emulator.reference import ReferenceInterpreter
    from isa.errors import TspcError
    from runtime.api import Session
    from runtime.feeds import random_feeds

    try:
        program = _program(kernel, chip, parameters)
        session, slow = Session(program), ReferenceInterpreter(program)
    except TspcError as error:
        pytest.fail(str(error), pytrace=False)
    if cycles is not None and session.certificate.cycles != cycles:
        pytest.fail(f"{session.certificate.cycles} cycles, not {cycles}", pytrace=False)
    outputs: dict[str, Array] = {}
    for trial in range(trials):
        feeds = random_feeds(program.inputs, seed=trial)
        for name, given in (inputs or {}).items():
            feeds[name] = given(trial) if callable(given) else given
        outputs, trace = session.execute(feeds)
        expected = _by_name(reference(**feeds), program.outputs)
        again, slow_trace = slow.run(feeds)
        if {trace.cycles, slow_trace.cycles} != {session.certificate.cycles}:
            counts = (
                f"{session.certificate.cycles} verified, {trace.cycles} and {slow_trace.cycles} run"
            )
            pytest.fail(f"trial {trial}: cycles differ: {counts}", pytrace=False)
        for name, have in outputs.items():
            if have.tobytes() != again[name].tobytes():
                pytest.fail(f"trial {trial}: {name}: the two emulators differ", pytrace=False)
            problem = _difference(have, expected[name], rtol, atol)
            if problem:
                pytest.fail(f"trial {trial}: {name}: {problem}", pytrace=False)
    return KernelRun(program, session.certificate.cycles, outputs)


@pytest.fixture
def tsp_kernel() -> TspKernel:
    """``tsp_kernel(kernel, reference, ...)``: assemble, verify, run on both emulators, compare; see ``TspKernel``."""
    return run_kernel
