"""Every command, with what it must say: worked out from the kernel, see ``kernels``."""

from __future__ import annotations

import pytest

from tests.runtime.debug.kernels import ADD, MULTIPLY, X, do, say, session


def lines(*given: str) -> str:
    return "\n".join(given)


FIRST = "  > MEM_W3: read 0x0000, E3 (1 of 2, line 17, x plane 3)"
ADD_1 = "VXM_0: add f32, E0, #0x3f800000 (1 of 2, line 18, node bias)"
ADD_2 = "VXM_0: add f32, E0, #0x3f800000 (2 of 2, line 18, node bias)"
RELU_1 = "VXM_1: relu f32, alu0 -> E4 (1 of 2, line 19, label clip)"
RELU_2 = "VXM_1: relu f32, alu0 -> E4 (2 of 2, line 19, label clip)"


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["here"], lines("cycle 0", FIRST)),
        (["goto 9"], lines("cycle 9", f"  > {ADD_1}")),
        (["goto 8"], "cycle 8"),
        (["goto 9", "stepi"], lines("cycle 9", f"    {ADD_1}, done")),
        (["goto 9", "si 2"], lines("cycle 10", f"    {ADD_2}, done")),
        (["goto 10", "backi"], lines("cycle 9", f"  > {ADD_1}")),
        (["goto 10", "si", "bi"], lines("cycle 10", f"  > {ADD_2}")),
        (["goto 13", "bi 2"], lines("cycle 10", f"  > {ADD_2}")),
        (["goto 2", "bi 99"], lines("cycle 0, the start", FIRST)),
        (["step 10"], lines("cycle 10", f"  > {ADD_2}")),
        (["step 10", "back"], lines("cycle 9", f"  > {ADD_1}")),
        (["step 10", "si", "back"], lines("cycle 10", f"  > {ADD_2}")),
        (["step 10", "b 10"], lines("cycle 0", FIRST)),
        (["c"], "cycle 21, finished: 25 cycles with the stagger"),
        (["goto 1000"], "cycle 21, finished: 25 cycles with the stagger"),
        (["c", "back 9"], lines("cycle 12", f"  > {RELU_1}")),
        (["c", "reverse"], lines("cycle 0, the start", FIRST)),
    ],
)
def test_moves(commands: list[str], expected: str) -> None:
    assert say(session(ADD, {"x": X}), *commands) == expected


@pytest.mark.parametrize(
    ("condition", "stops"),
    [
        ("cycle 7", ["cycle 7"]),
        ("queue VXM_1", ["cycle 12", "cycle 13"]),
        ("instr write", [f"cycle {c}" for c in (16, 17, 17, 18, 18, 19, 19, 20)]),
        ("instr write on MEM_E2", ["cycle 18", "cycle 19"]),
        ("label clip", ["cycle 12", "cycle 13"]),
        ("line 18", ["cycle 9", "cycle 10"]),
        ("read MEM_W0:1", ["cycle 4"]),
        ("read MEM_W0:0..2", ["cycle 3", "cycle 4"]),
        ("read MEM_E0:0", []),
        ("write y[1]", ["cycle 17", "cycle 18", "cycle 19", "cycle 20"]),
        ("access MEM_E3:0", ["cycle 19"]),
        ("E0@VXM", ["cycle 9", "cycle 10"]),
        ("E0@MEM_W0", ["cycle 8", "cycle 9"]),
        ("E0@VXM as f32 if > 100", ["cycle 10"]),
        ("E0@VXM as f32 lane 0 > 100", []),
        ("E0@VXM as f32 lane 0 == -4", ["cycle 9"]),
        ("E0@VXM as f32 nan", []),
        ("E4@15 as f32 lane 5 if <= 2", ["cycle 16"]),
        ("alu0", ["cycle 12", "cycle 13"]),
        ("alu0 as f32 if < 0", ["cycle 12"]),
        ("alu1 as f32 if < 0", []),
        ("MEM_E0:1", ["cycle 18"]),
        ("y[1] lanes 0..4 if >= 100", ["cycle 21"]),
        ("y[0,4] != 1", []),
    ],
)
def test_breakpoints(condition: str, stops: list[str]) -> None:
    """All stops on the way forward, and the same ones on the way back.

    An element of y is there once its last plane is: MEM_E3's writes in 19 and 20 take effect in 20 and 21.
    """
    on = session(ADD, {"x": X})
    assert say(on, f"break {condition}") == f"breakpoint 1: {condition}"
    reason = f": breakpoint 1 ({condition})"
    for stop in stops:
        assert say(on, "continue").splitlines()[0] == stop + reason
    assert say(on, "continue").startswith("cycle 21, finished")
    back = stops if stops[-1:] != ["cycle 21"] else stops[:-1]
    for stop in reversed(back):
        assert say(on, "reverse").splitlines()[0] == stop + reason
    assert say(on, "reverse").startswith("cycle 0, the start")


def test_two_breakpoints_at_once_and_one_within_a_cycle() -> None:
    """In cycle 17 MEM_E0 dispatches first; queues take turns in their order."""
    on = session(ADD, {"x": X})
    do(on, "break cycle 17", "break queue MEM_E0", "break queue MEM_E1")
    assert say(on, "c").splitlines()[0] == "cycle 16: breakpoint 2 (queue MEM_E0)"
    both = "cycle 17: breakpoint 1 (cycle 17), breakpoint 2 (queue MEM_E0)"
    assert say(on, "c").splitlines()[0] == both
    assert say(on, "c") == lines(
        "cycle 17: breakpoint 3 (queue MEM_E1)",
        "    MEM_E0: write 0x0001, E4 (2 of 2, line 20, y[1] plane 0), done",
        "  > MEM_E1: write 0x0000, E5 (1 of 2, line 21, y plane 1)",
    )
    assert say(on, "reverse").splitlines()[0] == both
    assert say(on, "breaks") == lines(
        "breakpoint 1: cycle 17", "breakpoint 2: queue MEM_E0", "breakpoint 3: queue MEM_E1"
    )
    assert say(on, "delete 2") == "breakpoint 2 deleted"
    assert say(on, "delete all") == "breakpoint 1, 3 deleted"
    assert say(on, "breaks") == "no breakpoints, no watches"


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["goto 9", "print E0@VXM as f32 lanes 0..3"], "E0@VXM = -4.0 -3.0 -2.0 (f32)"),
        (["goto 9", "p E0@14 as fp32 lanes 4,6..8"], "E0@14 = 0.0 2.0 3.0 (f32, lanes 4,6..8)"),
        (["goto 9", "p E0@VXM as hex32 lane 3"], "E0@VXM = 0xbf800000 (hex, lane 3)"),
        (["goto 9", "p E3@VXM lane 3"], "E3@VXM = 0xbf (hex, lane 3)"),
        (["goto 9", "p E3@VXM as int8 lane 3"], "E3@VXM = -65 (i8, lane 3)"),
        (["goto 9", "p E2@VXM as i16 lane 3"], "E2@VXM = -16512 (i16, lane 3)"),
        (["goto 9", "p E2@VXM as f16 lane 3"], "E2@VXM = -1.875 (f16, lane 3)"),
        (["goto 8", "p E0@VXM"], "E0@VXM = nothing"),
        (
            ["goto 9", "p E0 as f32 lane 0"],
            lines("E0@MEM_W0 = 96.0 (f32)", "E0@VXM = -4.0 (f32)"),
        ),
        (["goto 9", "p W3"], "W3: nothing is on it"),
        (["p x[1, 2..4]"], "x[1,2..4] = 98.0 99.0 (f32)"),
        (["p x[0]"], "x[0] = -4.0 -3.0 -2.0 -1.0 0.0 1.0 2.0 3.0 (f32, 24 more)"),
        (["p y[0]"], "y[0] = nothing"),
        (["goto 20", "p y lanes 5,33"], "y = 2.0 - (f32, lanes 5,33)"),
        (["c", "p y[1, 0]"], "y[1,0] = 97.0 (f32)"),
        (["goto 12", "p alu0 lanes 0..2"], "alu0 = -3.0 -2.0 (f32)"),
        (["goto 14", "p alu0"], "alu0 = nothing"),
        (["p MEM_W0:1+MEM_W1:1+MEM_W2:1+MEM_W3:1 as f32 lane 0"], "MEM_W0:1+MEM_W1:1+MEM_W2:1+MEM_W3:1 = 96.0 (f32)"),
        (["p MEM_W0:1 as f32 lane 0"], "MEM_W0:1 = 96.0 (f32)"),
        (["p MEM_W0:0x9"], "MEM_W0:0x9 = nothing"),
    ],
)  # fmt: skip
def test_print(commands: list[str], expected: str) -> None:
    """-1.0 is 0xbf800000: bytes bf 80 00 00 from plane 3 down; 0xbf80 as fp16 is -(1 + 0x380 / 0x400) = -1.875."""
    assert say(session(ADD, {"x": X}), *commands) == expected


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["goto 8", "p MXM_E0.acc:0"], "MXM_E0.acc:0 = nothing"),
        (["goto 9", "p MXM_E0.buffer:1 lanes 0..2"], "MXM_E0.buffer:1 = 3 3 (i8)"),
        (["goto 9", "p MXM_E0.weights:1"], "MXM_E0.weights:1 = nothing"),
        (["goto 10", "p MXM_E0.weights:1 lane 31"], "MXM_E0.weights:1 = 3 (i8, lane 31)"),
        (["goto 32", "p MXM_E0.acc:0"], "MXM_E0.acc:0 = nothing"),
        (["goto 32", "si", "p MXM_E0.acc:0 lanes 0..3"], "MXM_E0.acc:0 = 16 24 0 (i32)"),
        (["goto 40", "p W0@MXM_E as i32 lanes 0..3"], "W0@MXM_E = 16 24 0 (i32)"),
        (["c", "p MEM_E11:5 as i8 lane 1"], "MEM_E11:5 = 24 (i8, lane 1)"),
        (
            ["goto 9", "who MXM_E0.buffer:1"],
            lines(
                "MXM_E0.buffer:1 in cycle 9",
                "  written by @8 MXM_E0.weights: lw i8, E0, 1, 1, 1 (2 of 2, line 9)",
                "  read by @9 MXM_E0.weights: iw i8, 0, 2 (line 10)",
            ),
        ),
        (
            ["goto 10", "who MXM_E0.weights:0"],
            lines(
                "MXM_E0.weights:0 in cycle 10",
                "  written by @9 MXM_E0.weights: iw i8, 0, 2 (line 10)",
                "  read by @10 MXM_E0.activations: abc i8, E1, 0, 8 (line 11)",
            ),
        ),
        (["goto 32", "who MXM_E0.acc:0"], "MXM_E0.acc:0 in cycle 32: nothing is there"),
        (
            ["goto 32", "si", "who MXM_E0.acc:0"],
            lines(
                "MXM_E0.acc:0 in cycle 32",
                "  written by @32 MXM_E0.accumulate: acc i8, 0, start, emit, W0 (line 12)",
                "  read by nobody",
            ),
        ),
        (
            ["c", "who MEM_E11:5"],
            lines(
                "MEM_E11:5 in cycle 43",
                "  written by @42 MEM_E11: write 0x0005, W0 (line 13)",
                "  read by nobody",
            ),
        ),
        (
            ["who MEM_E10:0"],
            lines(
                "MEM_E10:0 in cycle 0",
                "  there from the start: constant",
                "  will be read by @2 MEM_E10: read 0x0000, E1 (line 8)",
            ),
        ),
    ],
)
def test_the_matrix_unit(commands: list[str], expected: str) -> None:
    assert say(session(MULTIPLY), *commands) == expected


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (
            ["goto 9", "who E0@VXM"],
            lines(
                "E0@VXM in cycle 9",
                "  written by @3 MEM_W0: read 0x0000, E0 (1 of 2, line 14, x plane 0)",
                f"  read by @9 {ADD_1}",
            ),
        ),
        (
            ["goto 8", "who E0@MEM_W0"],
            lines(
                "E0@MEM_W0 in cycle 8",
                "  written by @3 MEM_W0: read 0x0000, E0 (1 of 2, line 14, x plane 0)",
                f"  will be read by @9 {ADD_1}",
            ),
        ),
        (
            ["goto 12", "who alu0"],
            lines("alu0 in cycle 12", f"  written by @9 {ADD_1}", f"  read by @12 {RELU_1}"),
        ),
        (
            ["goto 16", "who E4@VXM as f32"],
            lines(
                "E4@VXM in cycle 16",
                f"  written by @13 {RELU_2}",
                "  will be read by @17 MEM_E0: write 0x0001, E4 (2 of 2, line 20, y[1] plane 0)",
                "  will be read by @18 MEM_E1: write 0x0001, E5 (2 of 2, line 21, y[1] plane 1)",
                "  will be read by @19 MEM_E2: write 0x0001, E6 (2 of 2, line 22, y[1] plane 2)",
                "  will be read by @20 MEM_E3: write 0x0001, E7 (2 of 2, line 23, y[1] plane 3)",
            ),
        ),
        (
            ["c", "who MEM_E3:1"],
            lines(
                "MEM_E3:1 in cycle 21",
                "  written by @20 MEM_E3: write 0x0001, E7 (2 of 2, line 23, y[1] plane 3)",
                "  part of output 'y'",
            ),
        ),
        (
            ["goto 2", "who MEM_W3:1"],
            lines(
                "MEM_W3:1 in cycle 2",
                "  there from the start: input 'x'",
                "  read by @1 MEM_W3: read 0x0001, E3 (2 of 2, line 17, x[1] plane 3)",
            ),
        ),
        (["who E0@VXM"], "E0@VXM in cycle 0: nothing is there"),
    ],
)
def test_who(commands: list[str], expected: str) -> None:
    """Asking moves nothing."""
    on = session(ADD, {"x": X})
    here = do(on, *commands[:-1], "here")[-1]
    assert say(on, commands[-1]) == expected
    assert do(on, "here")[0] == here


def test_watch_says_what_changes_on_the_way() -> None:
    on = session(ADD, {"x": X})
    assert say(on, "watch alu0 lane 1") == "watch 1: alu0 lane 1"
    assert say(on, "watch y[0, 5]") == "watch 2: y[0,5]"
    assert say(on, "goto 21") == lines(
        "watch 1, cycle 12: alu0 = -2.0 (f32, lane 1)",
        "watch 1, cycle 13: alu0 = 98.0 (f32, lane 1)",
        "watch 1, cycle 14: alu0 = nothing",
        "watch 2, cycle 20: y[0,5] = 2.0 (f32)",
        "cycle 21, finished: 25 cycles with the stagger",
    )
    assert say(on, "goto 12") == lines("cycle 12", f"  > {RELU_1}")
    assert say(on, "unwatch 1") == "watch 1 deleted"
    assert say(on, "step") == lines("cycle 13", f"  > {RELU_2}")


def test_the_floorplan() -> None:
    """Cycle 10: x[1] stands at the VXM; x[0] is a position on; the sum of x[0] is in ALU 0."""
    assert say(session(ADD, {"x": X}), "goto 10", "floor") == lines(
        "cycle 10: 1 dispatch, 8 values on 4 streams, 1 result inside units",
        "       11                     11",
        "     XS109876543210V012345678901SX",
        "busy ..............1..............",
        "E0   ..............>>.............",
        "E1   ..............>>.............",
        "E2   ..............>>.............",
        "E3   ..............>>.............",
        "X matrix, S exchange, V vector unit, digits: memory slices, west to east",
        "r read, w write, b both; a number: dispatches of its queues; ~: an fp16 activation goes on",
        f"  {ADD_2}",
    )


def test_the_floorplan_of_memories_at_work() -> None:
    """Cycle 2: the reads of three slices."""
    shown = say(session(ADD, {"x": X}), "goto 2", "floor").splitlines()
    assert shown[0] == "cycle 2: 2 dispatches, 0 values on 0 streams, 3 results inside units"
    assert shown[3] == "busy ...........rr................"


def test_names() -> None:
    assert say(session(ADD, {"x": X}), "names") == lines(
        "input x: f32[2, 32]", "output y: f32[2, 32]", "label clip: @12 VXM_1"
    )


def test_an_authors_tensor_by_name() -> None:
    text = """.chip tiny
.tensor t i8 2 32 at MEM_W0:3
.i8 5 x64
@0 t: read E0
"""
    on = session(text)
    assert say(on, "names") == "tensor t: 2 words of 1 bytes a lane"
    assert say(on, "print t[1] as i8 lane 0") == "t[1] = 5 (i8)"


@pytest.mark.parametrize(
    ("text", "passed", "found"),
    [
        ("y[0] lanes 0..4 == 0", True, ""),
        ("y[0] lanes 0..5 == 0", False, "lane 4 is 1.0"),
        ("y[1] >= 97", True, ""),
        ("y[1] > 97", False, "lane 0 is 97.0"),
        ("y[0] lanes 0..8 < 1", False, "lane 4 is 1.0, and 3 more"),
        ("y finite", True, ""),
        ("y lane 0 nan", False, "lane 0 is 0.0"),
        ("MEM_E3:1 as hex lane 0 == 0x42", True, ""),
        ("E4@VXM nothing", True, "nothing is there"),
        ("y[0] nothing", False, "something is there"),
        ("E4@VXM as f32 == 1", False, "nothing is there"),
        ("cycle 21", True, "it is cycle 21"),
        ("cycle 20", False, "it is cycle 21"),
        ("finished", True, "it stands in cycle 21"),
        ("fault", False, "there is none"),
    ],
)
def test_expect(text: str, passed: bool, found: str) -> None:
    """97.0 is 0x42c20000. y[0] is 0, 0, 0, 0, 1, 2 ..."""
    result = do(session(ADD, {"x": X}), "continue", f"expect {text}")[-1]
    assert (result["passed"], result["found"]) == (passed, found)


def test_nan_equals_nan_and_numbers_are_rounded_to_the_type() -> None:
    x = X.copy()
    x[0, :3] = [float("nan"), float("inf"), 0.1]
    on = session(ADD, {"x": x})
    texts = ["x[0, 0] == nan", "x[0, 0] nan", "x[0, 1] inf", "x[0, 1] == inf", "x[0, 2] == 0.1"]
    assert all(r["passed"] for r in do(on, *(f"expect {text}" for text in texts)))
    do(on, "break E0@VXM as f32 if nan")
    assert say(on, "continue").splitlines()[0] == "cycle 9: breakpoint 1 (E0@VXM as f32 if nan)"
    assert do(on, "print x[0] lanes 0..2")[0]["values"] == [None, None]


def test_what_cannot_go_on_is_looked_at_and_left() -> None:
    """The write a cycle late: in cycle 20 the last value has passed MEM_E3 (it does in 19 and 20; the second is wanted in 21)."""
    on = session(ADD.replace("@19 MEM_E3", "@20 MEM_E3"), {"x": X})
    assert say(on, "continue") == lines(
        "cycle 21, cannot go on",
        "  TSP910: cycle 21, MEM_E3: write address=1, stream=7 (burst 7, repeat 1): nothing is on E7 at position 18",
        "  > MEM_E3: write 0x0001, E7 (2 of 2, line 23, y[1] plane 3)",
    )
    assert say(on, "expect fault TSP910") == "as expected"
    assert say(on, "expect finished").startswith("FAILED")
    assert say(on, "step").startswith("cycle 21, cannot go on")
    assert say(on, "print E7 as i8").splitlines()[0].startswith("E7@MEM_E4 = ")
    assert say(on, "who E7@MEM_E4").splitlines()[1] == f"  written by @13 {RELU_2}"
    assert say(on, "back") == lines(
        "cycle 20", "  > MEM_E3: write 0x0000, E7 (1 of 2, line 23, y plane 3)"
    )
    assert say(on, "expect fault") == "FAILED: fault: there is none"


def test_two_results_in_one_place_stop_where_they_meet() -> None:
    """Both ALUs drive E4 at the VXM, and both are done in cycle 8: that of ALU 1 comes second."""
    text = """.chip tiny
@5 VXM_0: mov i8, #1 -> E4
@5 VXM_1: mov i8, #2 -> E4
"""
    on = session(text)
    assert say(on, "continue") == lines(
        "cycle 8, cannot go on",
        "  TSP913: cycle 8, VXM_1: mov dtype=0, a=3, imm=2, east=5, west=0 (burst 1, repeat 0): "
        "two results reach E4 at position 14",
    )
    assert say(on, "print E4 as i8 lane 0") == "E4@VXM = 1 (i8)"
    assert say(on, "reverse").startswith("cycle 0, the start")
    assert say(on, "goto 7") == "cycle 7"
    assert say(on, "step").startswith("cycle 8, cannot go on")
