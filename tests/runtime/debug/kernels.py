"""Two kernels on ``tiny`` whose every cycle can be worked out, and sessions on them.

Positions there: MEM_W3 .. MEM_W0 are 10 .. 13, the VXM is 14, MEM_E0 .. MEM_E11 are 15 .. 26, SXM_E 27, MXM_E 28. A read
takes 5 cycles, a write 1, an ALU 3; ``stagger`` is 4.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from isa.assembly import assemble
from runtime.debug import Session, parse, render
from runtime.debug.looking import Result

ADD = """.chip tiny
.node 0 ""
.node 1 "bias"
.input "x" float32 f32 [2,32]
.piece MEM_W0, 0x0000, plane 0, view 32, rows 0+2, columns 0+32, lane 0
.piece MEM_W1, 0x0000, plane 1, view 32, rows 0+2, columns 0+32, lane 0
.piece MEM_W2, 0x0000, plane 2, view 32, rows 0+2, columns 0+32, lane 0
.piece MEM_W3, 0x0000, plane 3, view 32, rows 0+2, columns 0+32, lane 0
.output "y" float32 f32 [2,32]
.piece MEM_E0, 0x0000, plane 0, view 32, rows 0+2, columns 0+32, lane 0
.piece MEM_E1, 0x0000, plane 1, view 32, rows 0+2, columns 0+32, lane 0
.piece MEM_E2, 0x0000, plane 2, view 32, rows 0+2, columns 0+32, lane 0
.piece MEM_E3, 0x0000, plane 3, view 32, rows 0+2, columns 0+32, lane 0
@3 MEM_W0: read 0x0000, E0 x2 +1
@2 MEM_W1: read 0x0000, E1 x2 +1
@1 MEM_W2: read 0x0000, E2 x2 +1
@0 MEM_W3: read 0x0000, E3 x2 +1
@9 VXM_0: add f32, E0, #1 x2 !1
clip: @12 VXM_1: relu f32, alu0 -> E4 x2
@16 MEM_E0: write 0x0000, E4 x2 +1
@17 MEM_E1: write 0x0000, E5 x2 +1
@18 MEM_E2: write 0x0000, E6 x2 +1
@19 MEM_E3: write 0x0000, E7 x2 +1
"""
"""y = relu(x + 1). A row passes the VXM in cycle 9, the next one in 10; ALU 0 is done in 12 and 13, ALU 1 in 15 and 16."""

X: npt.NDArray[np.float32] = (np.arange(32) - 4 + 100 * np.arange(2)[:, None]).astype(np.float32)
"""-4, -3, -2 ... and 96, 97, 98 ..."""

MULTIPLY = """.chip tiny
.segment MEM_E11, 0, x2, 0
.segment MEM_E10, 0, x1, 2
.fill 2
.fill 3
.fill 1
@0 MEM_E11: read 0, E0 x2 +1
@2 MEM_E10: read 0, E1
@7 MXM_E0.weights: lw i8, E0, 1, 0, 1 x2 +1
@9 MXM_E0.weights: iw i8, 0, 2
@10 MXM_E0.activations: abc i8, E1, 0, 8
@32 MXM_E0.accumulate: acc i8, 0, start, emit, W0
@42 MEM_E11: write 5, W0
"""
"""Column 0 has eight 2s, column 1 eight 3s, the activation eight 1s. MEM_E11's words pass the MXM from cycle 7 on, MEM_E10's in
cycle 10; 22 cycles later the sums 16 and 24 are made, 8 later they are on W0 .. W3, and in cycle 42 they pass MEM_E11."""

SUMS: Final = """.chip tiny
.segment MEM_E11, 0, x1, 0
.segment MEM_E10, 0, x1, 1
.segment MEM_E9, 0, x2, 2
.segment MEM_E8, 0, x2, 4
.fill 0
.fill 60
.fill 0 x2
.fill 60
.fill 124
@1 MEM_E11: read 0, E0
@0 MEM_E10: read 0, E1
@8 MXM_E0.weights: lw f16, E0, 1, 0, 0
@9 MXM_E0.weights: iw f16, 0, 1
@2 MEM_E9: read 0, E2 x2 +1
@1 MEM_E8: read 0, E3 x2 +1
@11 MXM_E0.activations: abc f16, E2, 0, 8 x2
@33 MXM_E0.accumulate: acc f16, 5, start, W0
@34 MXM_E0.accumulate: acc f16, 5, W0
"""
"""Eight ones (byte 60 above byte 0) times eight ones, then eight infinities (124 above 0): row 5 is 8 from cycle 34 on, infinite
from 35 on. Its other lanes, of no weights, are 0. Nothing is emitted."""


def session(text: str, inputs: dict[str, Any] | None = None) -> Session:
    """A session on an assembly text that knows its lines."""
    return Session(assemble(text, where="k.asm"), inputs or {}, "k.asm")


def do(on: Session, *commands: str) -> list[Result]:
    """The results of commands."""
    results = []
    for text in commands:
        command = parse(text, on.names)
        assert command is not None
        results.append(on.execute(command))
    return results


def say(on: Session, *commands: str) -> str:
    """The text of the last command's result."""
    return render(do(on, *commands)[-1])
