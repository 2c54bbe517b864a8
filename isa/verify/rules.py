"""The rules by number."""

from __future__ import annotations

from typing import Final

RULES: Final[dict[int, str]] = {
    300: "a program stays within the verifier's limits on cycles and dispatches",
    301: "an instruction is one that this machine executes",
    302: "bursts are sorted by queue, cycle and opcode",
    303: "cycle >= 0, count >= 1 and interval >= 1",
    304: "an instruction is on a queue of its unit, and of its role",
    305: "an operand fits its field, in the first dispatch and in the last, and has a meaning",
    306: "an operand names something that the chip has",
    307: "only an instruction with a strided operand takes a stride",
    308: "a burst's node is one of the program's",
    309: "a program for one chip has no business with links to others",
    310: "a stream group is aligned to its size and stays in its direction",
    311: "an instruction takes the type",
    312: "a queue dispatches once a cycle; a MEM queue one read and one write",
    320: "a VXM operation has all of its sources",
    321: "a large operation is on a large ALU",
    322: "an operand is delayed by what the chip's skew registers hold",
    323: "immediates and other extensions are used only where the chip has them",
    324: "an ALU finishes a result in the cycle in which another reads it",
    325: "a result read from an ALU has the reader's width",
    330: "a read and a write of a slice in one cycle are in different banks",
    331: "one write a slice and cycle becomes effective",
    332: "a word is constant, input or written before it is read",
    333: "every word that a gather or scatter may touch is defined before",
    334: "constant segments are inside the memory, have data, and do not overlap",
    335: "inputs overlap neither each other nor constants",
    336: "every byte of an output is in words that the program defines",
    337: "an input's or output's pieces are inside its tensor and the memory",
    340: "one value at a time is put on a stream at one position",
    341: "a stream that is read carries a value",
    342: "a value is read as the type that it was made as",
    350: "fp16 runs on the queues of the even plane while the odd one rests",
    351: "weights arrive on the streams that a plane has",
    352: "an installed column was loaded, as this type, since the last install",
    353: "activations meet installed weights of their type",
    354: "an fp16 activation has its pair of planes for all of its cycles",
    355: "weights stay while an fp16 activation passes",
    356: "acc takes an activation of its type that entered the array array_latency before",
    357: "an accumulator row is started, as this type, before it is continued",
    358: "a row window is made of whole superlanes inside the array",
}
"""One line a rule. A number is what a refusal carries; a rule that is not listed refuses nothing."""
