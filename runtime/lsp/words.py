"""The words of assembly that are no instruction: how each is written, as a snippet, and what it says."""

from __future__ import annotations

from typing import Final

DIRECTIVES: Final[dict[str, tuple[str, str]]] = {
    ".chip": (".chip ${1:tsp1}", "The chip, first of all: a preset."),
    ".fact": (
        '.fact ${1:field} ${2:value} ${3:assumed} "${4:note}"',
        "A field in which the chip differs from its preset.",
    ),
    ".meta": ('.meta "${1:key}" "${2:text}"', "Free text that the program carries."),
    ".node": ('.node ${1:0} "${2:name}"', "The name of a node, for `!n` behind a dispatch."),
    ".segment": (
        ".segment ${1:MEM_E0}, ${2:0x0000}, x${3:1}",
        "Constant words of a slice, from an address on: rows of the data.",
    ),
    ".data": (".data ${1:BASE64}", "A row of data."),
    ".fill": (".fill ${1:0} x${2:1}", "Rows of data, every byte the same."),
    ".input": (
        '.input "${1:x}" ${2:float32} ${3:f32} [${4:1,32}]',
        "An input: the user's type, the chip's type, shape, and perhaps a range. `.piece` says where it lies.",
    ),
    ".output": (
        '.output "${1:y}" ${2:float32} ${3:f32} [${4:1,32}]',
        "An output: the user's type, the chip's type and shape. `.piece` says where it lies.",
    ),
    ".piece": (
        ".piece ${1:MEM_E0}, ${2:0x0000}, plane ${3:0}, view ${4:32}, rows ${5:0+1}, columns ${6:0+32}, lane ${7:0}",
        "Where a part of the input or output above lies: a byte plane of some rows and columns.",
    ),
    ".let": (".let ${1:name} = $0", "Names a number, stream, queue or ALU."),
    ".set": (".set ${1:name} = $0", "Gives a name another value."),
    ".param": (".param ${1:name} = $0", "A `.let` whose value the caller may replace: `-D name=value`."),
    ".for": (".for ${1:i} in ${2:0}..${3:n}\n  $0\n.end", "The lines up to `.end`, once a number: `.for i in a..b step n`."),
    ".if": (".if ${1:condition}\n  $0\n.end", "The lines up to `.else` or `.end`, if the condition is not 0."),
    ".else": (".else", "What stands here counts if the condition of `.if` does not hold."),
    ".macro": (".macro ${1:name}(${2:a, b})\n  $0\n.end", "Lines to be called by name: `name(1, 2)`."),
    ".kernel": (
        ".kernel ${1:name}(${2:n})\n  .in ${3:x}: ${4:W0} ${5:f32} @t at ${6:VXM} x{${2:n}}\n"
        "  .out ${7:y}: ${8:E4} ${9:f32} @t+${10:timing.vxm_alu} at ${6:VXM} x{${2:n}}\n  .uses ${11:VXM_0}\n  $0\n.end",
        "A block with a contract, called for a cycle: `label: @time name(1, 2)`. The body is proved to keep the contract.",
    ),
    ".in": (
        ".in ${1:x}: ${2:W0} ${3:f32} @${4:t} at ${5:VXM} x${6:1}",
        "At a kernel's head: values that it consumes, on a stream, from a cycle on, at a place.",
    ),
    ".out": (
        ".out ${1:y}: ${2:E4} ${3:f32} @${4:t} at ${5:VXM} x${6:1}",
        "At a kernel's head: values that it produces, on a stream, from a cycle on, at a place.",
    ),
    ".uses": (".uses ${1:VXM_0}", "At a kernel's head: the queues that it dispatches on; `@t..t+9` says in which cycles."),
    ".end": (".end", "Closes `.for`, `.if`, `.macro` or `.kernel`."),
    ".include": ('.include "$1"', "The lines of another file, which lies in this one's folder."),
    ".tensor": (
        ".tensor ${1:x} ${2:f32} ${3:rows} ${4:cols} at ${5:MEM_E0:0} $0",
        "Names memory: type, rows, columns, the place of its byte planes; perhaps `input`, `output`, `splat`. "
        "One place stands for its slice and those behind it.",
    ),
    ".npy": ('.npy "$1"', "Fills the tensor above from a file of this one's folder."),
    **{
        f".{name}": (f".{name} $0", f"Elements of the {name} tensor above: values, `value x3` for three of them.")
        for name in ("i8", "i16", "i32", "f16", "f32")
    },
}  # fmt: skip
"""By directive: a snippet, and a sentence."""

FUNCTIONS: Final[dict[str, tuple[str, str]]] = {
    "arrives": (
        "arrives",
        "As a dispatch's time: the cycle in which all its operands are there; a VXM operand that comes earlier waits in a "
        "delay register. `arrives(stream)`, `arrives(label)`: the cycle in which that passes here.",
    ),
    "reach": ("reach(${1:VXM}, ${2:t})", "As a dispatch's time: its result passes the unit in cycle t."),
    "earliest": (
        "earliest(${1:x}, ${2:VXM})",
        "The first cycle in which a tensor's rows can pass a unit, if none is read before a cycle: `earliest(x, VXM, t)`.",
    ),
    "start": ("start(${1:label})", "The cycle of a label's first dispatch."),
    "end": ("end(${1:label})", "The cycle of a label's last dispatch."),
    "next": ("next(${1:label})", "The cycle after a label's last dispatch."),
    "done": ("done(${1:label})", "The cycle from which all effects of a label hold: memory written, weights in place."),
    "slice": ("slice(${1:x}, ${2:plane})", "The slice in which a byte plane of a tensor lies."),
    "address": ("address(${1:x}, ${2:plane}, ${3:row})", "The word at which a row of a tensor's byte plane lies."),
    "min": ("min($1)", "The smallest."),
    "max": ("max($1)", "The largest."),
    "abs": ("abs($1)", "Without its sign."),
    "int": ("int($1)", "Towards zero."),
    "round": ("round($1)", "To the nearest, ties to even."),
    "cdiv": ("cdiv(${1:a}, ${2:b})", "Quotient, rounded up."),
    "sqrt": ("sqrt($1)", "Square root."),
    "exp": ("exp($1)", "Power of e."),
    "log": ("log($1)", "Natural logarithm."),
}  # fmt: skip
"""By function of expressions: a snippet, and a sentence."""

UNITS: Final = {
    "VXM": "The vector unit.",
    "MXM_E": "The matrix units of the east.",
    "MXM_W": "The matrix units of the west.",
    "SXM_E": "The exchange unit of the east.",
    "SXM_W": "The exchange unit of the west.",
}
"""Places that an expression can name."""
