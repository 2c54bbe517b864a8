"""What the prompt adds: completion, and moves that are interrupted."""

from __future__ import annotations

import signal

import pytest

from runtime.debug.repl import Repl
from tests.runtime.debug.kernels import ADD, X, do, say, session


def test_completion_knows_commands_and_names() -> None:
    repl = Repl(session(ADD, {"x": X}))
    assert repl.completenames("s") == ["step", "stepi"]
    assert repl.completedefault("VX", "", 0, 0)[:3] == ["VXM", "VXM_0", "VXM_1"]
    assert repl.completedefault("cl", "", 0, 0) == ["clip"]
    assert repl.completedefault("alu1", "", 0, 0)[0] == "alu1"


@pytest.mark.parametrize(
    ("command", "where"), [("continue", 10), ("goto 20", 10), ("stepi 99", 10), ("reverse", 10)]
)
def test_an_interrupted_move_ends_at_a_place_of_the_run(command: str, where: int) -> None:
    on = session(ADD, {"x": X})
    do(on, "break alu0", "goto 10", "stepi")
    on.travel.interrupt = True
    assert say(on, command).splitlines()[0] == f"cycle {where}, interrupted"
    on.travel.interrupt = False
    assert say(on, "continue").splitlines()[0] == "cycle 12: breakpoint 1 (alu0)"


def test_a_second_interrupt_leaves() -> None:
    repl = Repl(session(ADD, {"x": X}))
    repl._interrupted(signal.SIGINT, None)
    assert repl.session.travel.interrupt
    with pytest.raises(KeyboardInterrupt):
        repl._interrupted(signal.SIGINT, None)
