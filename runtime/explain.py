"""Error numbers in words: a paragraph each, and a page with examples for those of assembler and verifier."""

from __future__ import annotations

import re
from typing import Final

from isa import explain as pages
from isa.errors import UsageError

STAGES: Final = {
    1: "The model could not be imported; the message names the node or tensor.",
    2: "The assembly text has errors; each is given with its line and column.",
    3: "The verifier refused the program: it breaks a rule of the machine. Nothing of it was run. A compiled program that "
    "is refused is a bug of the compiler; in a hand-written one the message names instruction, unit, cycle and stream.",
    4: "The program does not fit the chip, or a limit on size was exceeded.",
    5: "The program file is damaged, of another version, or for another chip.",
    6: "An input of the run is not what the program takes.",
    7: "The outputs were compared with a reference, and the comparison failed or could not be made.",
    8: "The command line asks for something that cannot be done.",
    9: "A promise between two stages of the toolkit was broken. This is a bug of the toolkit, not of the input.",
}
"""What the first digit says: the stage."""

CAUSES: Final[dict[int, str]] = {
    410: "The tensors named are the largest in memory; weights are stored as fp16 in whole vectors of the chip's lanes.",
    480: "The host ran out of memory. Compile with a smaller batch or sequence, or on a machine with more memory.",
    521: "A program runs only on the chip it was compiled for: every latency of that chip is built into its schedule. "
    "Compile the model again for this chip, or name the chip file it was compiled for with --chip.",
    591: "The command takes a program (.lpu, .asm), and was given a model. Compile the model first.",
    650: "An input file is not one whole array in numpy's .npy format without pickled objects.",
    652: "The program has no output of that name; `tspc info` lists its outputs.",
    653: "A session runs on the emulator `jit`, or on `plain`, the same with every optimisation off.",
    594: "The file for `tspc report --energy` has no table [picojoules] with a number for each event. examples/energies.toml "
    "shows them all.",
    701: "An output differs from that of onnx.reference by more than its tolerance, which `tspc check` prints with its "
    "reason. --per-node names the first tensor that differs.",
    702: "The cycles that the schedule predicts, the verifier counts and the emulator executes are not one number.",
    703: "An intermediate tensor left its tolerance although every output is within its own.",
    704: "The program lacks an output that the model has.",
    705: "`tspc diff --fail-over`: the second program takes more cycles than the first by more than was allowed.",
    710: "onnx.reference itself fails on the model or on these inputs, so there is nothing to compare with.",
    720: "An `expect` of a debugger script does not hold where the run stood. The transcript says what was found instead.",
    801: "An option or argument is unknown, missing or malformed; --help of the command lists them with examples.",
    802: "There is no command of that name; `tspc --help` lists them. A model is given by its path.",
    803: "The target of -o or --dump-dir cannot be written. Nothing was changed: files appear whole or not at all.",
    804: "An argument has another form than the command takes; the hint shows the form.",
    805: "A file given on the command line cannot be read, or is not text.",
    806: "The benchmark compares with onnxruntime, which is not installed here; nothing else needs it.",
    807: "The benchmark compiles in a process of its own, and that failed; its own error stands above.",
    808: "Compilation.dump takes the name of a stage: graph, tiles, placement, schedule or asm.",
    809: "The precision is fp16 (one pass) or strict (three passes).",
    820: "The debugger has no such command, or takes other operands; `help` lists the commands with their forms.",
    821: "The debugger looked for a place, queue, label or source line that the chip or the program does not have.",
    830: "`tspc lsp` is built on pygls, which is not installed here; nothing else needs it.",
    950: "The schedule and the verifier disagree on the cycle in which the program ends.",
    999: "The toolkit failed in a way that nobody foresaw. The traceback is in the file that the message names.",
}
"""Causes that deserve more than their stage's sentence; those of assembler and verifier have a page in ``isa.explain``."""


def explain(number: int) -> str:
    """The paragraph of an error number, or its page. Raises UsageError TSP804 where no stage has it."""
    if number // 100 not in STAGES:
        raise UsageError(804, f"no error has the number {number}", hint="they begin at TSP101")
    stage = STAGES[number // 100]
    page = pages.page(number)
    if page is not None:
        parts = (f"{page.title}.", page.about, _wrong(page), _right(page), stage)
        return "\n\n".join(parts)
    return f"{CAUSES[number]} {stage}" if number in CAUSES else stage


def _wrong(page: pages.Page) -> str:
    """The wrong example, and what is said about it."""
    said = "\n".join(_indented(str(error)) for error in page.wrong.errors())
    return f"Wrong:\n\n{_plain(page.wrong.markdown)}\n\nis refused:\n\n{said}"


def _right(page: pages.Page) -> str:
    return f"Right:\n\n{_plain(page.right.markdown)}"


def _plain(markdown: str) -> str:
    """Fenced blocks indented, their files named."""

    def block(found: re.Match[str]) -> str:
        name = f"{found[1]}:\n" if found[1] else ""
        return name + _indented(found[2].rstrip("\n"))

    return re.sub(r"^```\w+ ?(\S*)\n(.*?)^```$", block, markdown, flags=re.MULTILINE | re.DOTALL)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.split("\n"))
