"""``format_text``: one form, the same program."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from isa.assembly import assemble, disassemble, listing
from isa.assembly.format import format_text
from isa.machine import Machine
from isa.program import Program

UGLY = """

.chip   tiny
.let n=4   ; four
.macro   f( a,b )
@0   MEM_E0:read a ,E0   x128 /1   +1;moves
.for i in 0..n


   lab:   @n+i  MEM_E1 : read   i,E{ 3 }
\tVXM_0:add f32,E4 , #1 *n->E0,W4 !0 x3
.end
.else
.end
f(1,2)
.meta "a  ;  b" "x"
  ; alone
nonsense   here
"""

NEAT = """.chip tiny
.let n=4  ; four
.macro f( a, b )
  @0 MEM_E0: read a, E0 x128 +1  ;moves
  .for i in 0..n

    lab: @n+i MEM_E1: read i, E{ 3 }
    VXM_0: add f32, E4, #1 *n -> E0, W4 x3 !0
  .end
.else
.end
f(1, 2)
.meta "a  ;  b" "x"
; alone
nonsense here
"""


def test_form() -> None:
    assert format_text(UGLY) == NEAT
    assert format_text(NEAT) == NEAT


LOOSE = """
.kernel  f( n )
.in  x :W0   f32  @t  at  VXM x  128  /2 ; c
 .out y: E4 f32 @t+timing.vxm_alu x {n}
.uses  VXM_0 ,VXM_1..VXM_3   @t..t+1
@arrives VXM_0:mul f32 , x,#2->y   x{n}
.end
a:  @arrives   f( 1,x = b.y )
"""
TIGHT = """.kernel f( n )
  .in x: W0 f32 @t at VXM x128 /2  ; c
  .out y: E4 f32 @t+timing.vxm_alu x{n}
  .uses VXM_0, VXM_1..VXM_3 @t..t+1
  @arrives VXM_0: mul f32, x, #2 -> y x{n}
.end
a: @arrives f( 1, x = b.y )
"""


def test_kernels() -> None:
    assert format_text(LOOSE) == TIGHT
    assert format_text(TIGHT) == TIGHT


def test_a_clause_means_the_same_loose_and_in_form() -> None:
    """``x 128`` is ``x128``."""
    text = """
    .chip tiny
    @0 MEM_E0: read 0, W0 x4
    .kernel f()
    .in  x :W0 @t x  4
    .out y: W1 @t + 3 x 4
    .uses VXM_0
    @t VXM_0:neg i8, x->y x4
    .end
    @7   f( )
    """.replace("@t + 3", "@t+3")
    assert disassemble(assemble(text)) == disassemble(assemble(format_text(text)))


@pytest.mark.parametrize("text", ["", "\n\n", ";", "x", "@", ':;"', '.meta "\\"'])
def test_odd_texts(text: str) -> None:
    once = format_text(text)
    assert format_text(once) == once


def test_what_is_canonical_stays(tiny: Machine, arbitrary: Callable[..., Program]) -> None:
    """A disassembled program and its listing are in form, constants and quoted texts included."""
    text = disassemble(arbitrary(0, tiny))
    assert format_text(text) == text
    assert format_text(listing(arbitrary(1, tiny))) == listing(arbitrary(1, tiny))


def test_noise(tiny: Machine, arbitrary: Callable[..., Program]) -> None:
    """Spaces thrown in between words change nothing; formatting is idempotent on any damage."""
    rng = np.random.RandomState(0)
    text = disassemble(arbitrary(2, tiny))
    for _ in range(200):
        at, letter = rng.randint(len(text)), '"; ,x/+!E~#.@:-\n\t({'[rng.randint(18)]
        once = format_text(text[:at] + letter + text[at:])
        assert format_text(once) == once
    loose = "\n".join(
        line.replace(", ", " ,  ").replace(": ", " :   ") if line.startswith("@") else line
        for line in text.split("\n")
    )
    assert format_text(loose) == text
    assert disassemble(assemble(loose)) == text
