"""Clauses and calls that have not the form: each is named with what to do."""

from __future__ import annotations

import pytest

from tests.isa.assembly.test_contracts import changed, said


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("x: W0 f32", "x W0 f32", "216:4: unexpected form | .in x: W0 f32 @t at VXM x128"),
        ("x: W0 f32", "x: 5 f32", "216:4: the number 5 is no stream | .in x: W0 f32 @t at VXM x128"),
        ("x: W0 f32", "x: W2 f32", "216:4: a value of 4 byte planes begins at a multiple of 4, not at W2 | .in x: W0 f32 @t at VXM x128"),
        ("x: W0 f32", "x: W32", "216:4: tiny has no stream W32 | .in x: W0 f32 @t at VXM x128"),
        ("@t at VXM x{n}", "at VXM x{n}", "216:4: x has no cycle | .in x: W0 f32 @t at VXM x128"),
        ("@t at VXM x{n}", "@t at 7 x{n}", "216:4: the number 7 is no place | at VXM, at MEM_E4"),
        ("@t at VXM x{n}", "@t at VXM x{n} y", "216:4: unexpected 'y' | .in x: W0 f32 @t at VXM x128"),
        ("@t at VXM x{n}", "@t at VXM x0", "216:4: 0 values every 1 cycles | .in x: W0 f32 @t at VXM x128"),
        (".out y", ".out x", "216:5: x stands twice in scale | .out y: E4 f32 @t+6 at VXM x128"),
        (".uses VXM_0", ".uses x", "216:6: the stream W0 is no unit | .uses VXM_0, VXM_8..VXM_11 @t..t+128"),
        (".uses VXM_0", ".uses VXM_3..VXM_0", "216:6: VXM_3..VXM_0 is no range of queues | "
         ".uses VXM_0, VXM_8..VXM_11 @t..t+128"),
        (".uses VXM_0", ".uses VXM_0 @t", "216:6: unexpected form | .uses VXM_0, VXM_8..VXM_11 @t..t+128"),
        (".uses VXM_0", ".uses VMX_0", "209:6: no name 'VMX_0' | did you mean VXM_0?"),
        (".uses VXM_0\n", "@t MEM_W0: read 0, E9\n.uses VXM_0\n", "216:7: a clause behind the body's first line | "
         ".in, .out and .uses stand at the kernel's head, with .let among them at most"),
        ("@arrives z", ".uses VXM_0\n@arrives z", "216:18: .uses outside a kernel's head | "
         "it belongs at the head of a .kernel, above what the kernel does"),
        (".kernel relu(n)", ".kernel scale(n)", "210:9: kernel scale is defined already | .kernel name(a, b=1)"),
        (".kernel relu(n)", ".kernel none()\n.end\n.kernel relu(n)", "216:9: kernel none has no contract | "
         "say what it consumes, produces and uses, or make it a .macro"),
        ("b: @12 relu", "b: @12 rely", "209:17: no kernel 'rely' | did you mean relu?"),
        ("b: @12 relu(4, x=a.y)", "relu(4)", "210:17: kernel relu is called for a cycle | @t relu(...), or @arrives relu(...)"),
        ("relu(4, x=a.y)", "relu(x=a.y)", "216:17: relu takes 1 arguments, not 0 | @t relu(n)"),
        ("relu(4, x=a.y)", "relu(4, 5)", "216:17: relu takes 1 arguments, not 2 | @t relu(n)"),
        ("relu(4, x=a.y)", "relu(4, y=a.y)", "216:17: no in 'y' | relu has x"),
        ("relu(4, x=a.y)", "relu(4, x=a.z)", "209:17: no out 'z' | scale has y"),
        ("relu(4, x=a.y)", "relu(4, x=aa.y)", "209:17: no name 'aa' | did you mean a?"),
        ("relu(4, x=a.y)", "relu(4, x=7)", "216:17: the number 7 is nothing that a kernel produces | "
         "x=label.y, where label names a kernel's call above and y its .out"),
        ("a: @9", "a: @2-3", "214:16: a begins in cycle -1, before the first | everything 1 cycles later would do"),
        ("scale(n, by, to)", "scale(n, by, t)", "209:16: t is defined already | .set t = ... gives it another value"),
        ("#by -> y x{n}", "#by x{n} -> y", "208:7: results stand before the count | mul f32, E0, #2 -> E4 x128 +1"),
    ],
)  # fmt: skip
def test_what_is_no_contract_or_no_call(old: str, new: str, message: str) -> None:
    assert message in said(changed(old, new))
