"""The names that an author gave survive the binary and stand in the listing, which assembles to the same bytes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from isa.assembly import assemble, listing
from isa.assembly.symbols import KEY, Symbols
from isa.binary import from_bytes, to_bytes
from isa.machine import load_chip

TINY = load_chip("tiny")
TEXT = """\
.let base = 0x10
.let gain = 2.5
.let acc = E4
.let home = MEM_E5
.param n = 3
.tensor x f32 3 32 at MEM_E0:base input
.kernel scale(to)
  .in x: W0 f32 @t x{n}
  .out y: to f32 @t+3 x{n}
  .uses VXM_0
  inner: @arrives VXM_0: mul f32, x, #gain -> y x{n}
.end
load: @reach(VXM, 9) x: read W0
first: @arrives scale(acc)
.for i in 0..2
  keep: @arrives(acc)+20*i home: write base+i, acc
.end
"""


def test_all_names_are_in_the_listing_of_the_binary() -> None:
    program = from_bytes(to_bytes(assemble(TEXT, TINY)))
    shown = listing(program)
    for line in (
        "; base = 16",
        "; gain = 2.5",
        "; acc = E4",
        "; home = MEM_E5",
        "; n = 3",
        "; first: scale @9: in x: W0 f32 @9 at VXM x3; out y: E4 f32 @12 at VXM x3",
        "@3 MEM_E0: read 0x0010, W0 x3 +1  ; load: x plane 0",
        "@9 VXM_0: mul f32, W0, #0x40200000 -> E4 x3  ; inner: E4=acc",
        "@18 MEM_E5: write 0x0010, E4  ; keep: E4=acc",
        "@38 MEM_E5: write 0x0011, E4  ; keep: E4=acc",
    ):
        assert f"{line}\n" in shown, line
    assert to_bytes(assemble(shown)) == to_bytes(program)
    assert listing(assemble(shown)) == shown


def test_names_of_a_listing_that_is_worked_on_are_kept_beside_new_ones() -> None:
    text = listing(assemble(TEXT, TINY)) + "more: @99 MEM_E9: read 0, E0\n"
    program = assemble(text)
    assert [key for key, _ in program.meta] == [KEY, KEY]
    assert "; more:\n" in listing(program)
    assert "; load: x plane 0\n" in listing(program)
    assert to_bytes(assemble(listing(program))) == to_bytes(program)


@pytest.mark.parametrize(
    "entry",
    [
        "no json", "[]", "7", '{"labels": 3}', '{"labels": {"a": [[1]]}}', '{"tensors": {"x": []}}', '{"names": [1]}',
        '{"kernels": [[1]]}', '{"kernels": 5}', '{"tensors": {"x": [1, ["a", 0]]}}',
    ],
)  # fmt: skip
def test_an_entry_of_another_form_is_ignored(entry: str) -> None:
    program = replace(assemble(TEXT, TINY), meta=((KEY, entry),))
    assert Symbols.of(program).head == ()
    assert to_bytes(assemble(listing(program))) == to_bytes(program)


def test_a_name_never_leaves_its_comment() -> None:
    """A file may say anything: what it says of names stays behind the semicolon, on its line."""
    nasty = json.dumps(
        {"labels": {"a\n@7 b": [[12, 3]]}, "names": {"x\n@9 MEM_E0: read 0, E0": "E4\r"}}
    )
    program = replace(assemble(TEXT, TINY), meta=((KEY, nasty),))
    shown = listing(program)
    assert "; a @7 b: x plane 0\n" in shown
    assert to_bytes(assemble(shown)) == to_bytes(program)
