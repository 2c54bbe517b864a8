"""What to do about a line that is wrong, where the error itself does not know: the form that it should have."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from isa.assembly.syntax import text_order
from isa.assembly.written import code_of, find, take_apart
from isa.instruction import REGISTRY, Kind
from isa.machine import Machine

DISPATCH: Final = "@120 MEM_E17: read 0x0123, E3 x128 +1"
FORMS: Final = {
    "chip": ".chip tsp1",
    "fact": '.fact mem.words 4096 assumed "why"',
    "meta": '.meta "key" "text"',
    "node": '.node 1 "name"',
    "segment": ".segment MEM_E3, 0x0010, x4, 0",
    "data": ".data BASE64",
    "fill": ".fill 0x00 x4",
    "input": '.input "x" float32 f32 [128,320] 0..0',
    "output": '.output "y" float32 f32 [128,320]',
    "piece": ".piece MEM_E3, 0x0010, plane 0, view 320, rows 0+128, columns 0+320, lane 0",
    "let": ".let name = expression",
    "set": ".set name = expression",
    "param": ".param name = expression",
    "tensor": ".tensor x f32 128 320 at MEM_E0:0x10 input",
    "npy": '.npy "file.npy"',
    "include": '.include "file.asm"',
    "for": ".for i in 0..4",
    "if": ".if n > 4",
    "macro": ".macro name(a, b)",
    "kernel": ".kernel name(a, b=1)",
    "in": ".in x: W0 f32 @t at VXM x128",
    "out": ".out y: E4 f32 @t+6 at VXM x128",
    "uses": ".uses VXM_0, VXM_8..VXM_11 @t..t+128",
}
"""An example of each directive."""
_DIRECTIVE: Final = re.compile(r"\s*\.([a-z]\w*)")
_DATA: Final = ("i8", "i16", "i32", "f16", "f32")
_COMMENT: Final = re.compile(r"\s*(//|#)")
_BARE: Final = re.compile(r"\s*([A-Za-z_]\w*)(?=\s+[^\s:]|\s*$)")
_ASSIGNED: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*:?=(?!=)")
_TIMED: Final = re.compile(r"\s*(?:[A-Za-z_]\w*\s*:\s*)?@")
_CALLED: Final = re.compile(r"[A-Za-z_]\w*\s*\(")
_SIGNS: Final = ("+", "-", "*", "/", "%")


def form_of(text: str) -> str:
    """The form of the directive, instruction or dispatch that a line tries to be."""
    comment, assigned, bare = _COMMENT.match(text), _ASSIGNED.match(text), _BARE.match(text)
    if comment:
        return f"a comment begins with ;, not with {comment[1]}"
    if assigned:
        return f".let {assigned[1]} = ... names a value"
    if bare and bare[1] in (*FORMS, "end", "else"):
        return f"a directive begins with a dot: {FORMS.get(bare[1], f'.{bare[1]}')}"
    directive = _DIRECTIVE.match(text)
    if directive:
        name = directive[1]
        return FORMS.get(name, f".{name} 1, 2 x3" if name in _DATA else "")
    written = take_apart(text)
    if written is not None and written.mnemonic.text in REGISTRY:
        return f"form: {instruction_form(written.mnemonic.text)}"
    return f"form: {DISPATCH}" if code_of(text).strip() else ""


def misplaced(text: str) -> tuple[int, str, str] | None:
    """Column, message and hint for a line that has a time that the grammar does not know, and behind it not a queue, its colon and
    an instruction; None for any other."""
    code = code_of(text).rstrip()
    timed = _TIMED.match(code)
    if not timed:
        return None
    end = find(code, timed.end(), " \t")
    time, behind = code[timed.end() : end], code[end:].lstrip()
    at = len(code) - len(behind) + 1
    if time.endswith(_SIGNS) or behind.startswith(_SIGNS):
        return at, "a time ends at whitespace", "leave the spaces out, or put it in parentheses"
    call = _CALLED.match(behind)
    if call and (close := find(code, at - 1 + call.end(), ")")) < len(code):
        return close + 2, f"unexpected {code[close + 1 :].strip()!r} behind a call", "@t name(1, 2)"
    word = behind.split(maxsplit=1)[0] if behind else ""
    if not time or time.isdigit():
        return None
    if ":" in word:
        return at + word.index(":") + 1, "expected an instruction", f"form: {DISPATCH}"
    missing = f"expected ':' behind {word!r}" if word else "expected a queue behind the time"
    return at + len(word), missing, f"form: {DISPATCH}"


def instruction_form(mnemonic: str) -> str:
    """An instruction's operands by name: ``add dtype, a, b[, saturate] [-> E4, W4]``."""
    parts, results = "", False
    for _, o in text_order(mnemonic):
        comma = ", " if parts else ""
        if o.kind is Kind.STREAM_OR_NONE:
            results = True
        elif o.kind is Kind.FLAG:
            parts += f"[{comma}{o.name}]"
        elif o.kind is not Kind.BITS32:
            parts += f"{comma}{o.name}"
    return f"{mnemonic} {parts}".rstrip() + (" [-> E4, W4]" if results else "")


def queues_of(mnemonic: str, machine: Machine) -> list[str]:
    """The queues that dispatch an instruction; none for one that every queue dispatches."""
    cls = REGISTRY[mnemonic]
    return [
        name
        for i, (name, kind) in enumerate(zip(machine.queue_names, machine.queue_kinds, strict=True))
        if kind == cls.unit and (cls.role < 0 or (i - machine.mxm_queue) % 3 == cls.role)
    ]


@lru_cache(maxsize=1 << 10)
def queues_for(mnemonic: str, machine: Machine) -> str:
    """The same in words."""
    fit = queues_of(mnemonic, machine)
    shown = fit if len(fit) < 5 else [fit[0], "..", fit[-1]]
    return f"its queues: {' '.join(shown) if len(fit) > 4 else ', '.join(shown)}"
