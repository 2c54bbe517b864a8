"""Damaged program files: what is damaged and how, what becomes of each, and a process that judges a range of them.

Most damage is done where a checksum does not see it: sections are changed and the file is sealed again, facts are changed
and written in their canonical form, bursts are changed and encoded. ``python -m tests.isa.verify_mutants FIRST COUNT FOLDER``
judges mutants FIRST .. and prints a ``Summary`` as JSON; FOLDER has the sound files (``write_bases``) and keeps compiled
kernels and the number it is at.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emulator.jit import Kernel, guarded
from emulator.reference import ReferenceInterpreter
from isa.assembly import assemble
from isa.binary import from_bytes, to_bytes
from isa.binary.container import PAGE, SECTIONS, Raw, Section, Told, dump, load
from isa.errors import TspcError
from isa.instruction import BY_OPCODE
from isa.machine import load_chip
from isa.program import Program, sort_bursts
from isa.verify import Certificate, verify
from runtime.feeds import random_feeds
from tests.emulator.random_programs import random_program

KERNELS: Final = Path(__file__).parents[2] / "examples" / "kernels"
PARAMETERS: Final[dict[str, dict[str, int]]] = {
    "saxpy": {"n": 4, "cols": 32},
    "gelu": {"n": 3, "cols": 20},
    "matmul": {"m": 8, "k": 40, "n": 8},
    "transpose": {"rows": 4, "cols": 32},
    "gather": {"n": 5, "cols": 32, "vocab": 100},
    "requantise": {"n": 4, "cols": 32},
    "saxpy_gelu": {"n": 2, "cols": 32},
}
RANDOM: Final = 9
LONGEST: Final = 5000
"""Cycles that the reference interpreter steps through; of longer programs only the kernel is run."""
LARGEST: Final = 1 << 26
"""Bytes of memory of a chip on which a mutant is run."""
Rng = np.random.RandomState
EXTREMES: Final = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def write_bases(folder: Path) -> None:
    """Sound files to damage: the shipped kernels, small and for the small chip, and random programs."""
    files = []
    for name, parameters in PARAMETERS.items():
        text = (KERNELS / f"{name}.asm").read_text().replace(".chip tsp1", ".chip tiny")
        files.append(to_bytes(assemble(text, where=name, folder=KERNELS, parameters=parameters)))
    files += [to_bytes(random_program(seed, load_chip("tiny"))) for seed in range(RANDOM)]
    for number, data in enumerate(files):
        (folder / f"base.{number:02}").write_bytes(data)


@cache
def bases(folder: Path) -> tuple[bytes, ...]:
    """What ``write_bases`` wrote."""
    return tuple(path.read_bytes() for path in sorted(folder.glob("base.*")))


@cache
def parts(data: bytes) -> tuple[dict[str, Section], str, Program]:
    """A sound file's sections, the hash of its chip, and its program."""
    view = np.frombuffer(data, np.uint8)

    def fetch(offset: int, size: int, told: Told) -> Raw:
        out = view[offset : offset + size]
        told(out)
        return out

    (sections, abi), _ = load(fetch, len(data), "", lambda *found: found)
    return sections, abi, from_bytes(data)


def flip(data: bytes, rng: Rng) -> bytes:
    """A few bits anywhere."""
    out = bytearray(data)
    for _ in range(1 + rng.randint(3)):
        out[rng.randint(len(out))] ^= 1 << rng.randint(8)
    return bytes(out)


def cut(data: bytes, rng: Rng) -> bytes:
    """The end is missing, or there is more."""
    at = int(rng.choice([rng.randint(len(data)), rng.randint(64), len(data) - rng.randint(1, 64)]))
    return data[:at] if rng.randint(3) else data + data[:at]


def shuffle(data: bytes, rng: Rng) -> bytes:
    """Two pages change places."""
    pages = [data[i : i + PAGE] for i in range(0, len(data), PAGE)]
    i, j = rng.randint(len(pages)), rng.randint(len(pages))
    pages[i], pages[j] = pages[j], pages[i]
    return b"".join(pages)


def header(data: bytes, rng: Rng) -> bytes:
    """A number or a text of the header is another; its length stays right."""
    length = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + length])
    name = list(entries)[rng.randint(len(entries))]
    if name == "__metadata__":
        key = list(entries[name])[rng.randint(len(entries[name]))]
        entries[name][key] = str(rng.choice(["", "0", "tspc", "f" * 64]))
    else:
        key = ("shape", "data_offsets", "dtype")[rng.randint(3)]
        huge = [int(rng.choice([-1, 0, 1, 7, 1 << 20, 1 << 40, 1 << 62])) for _ in range(2)]
        entries[name][key] = "U64" if key == "dtype" else huge[: 1 + rng.randint(2)]
    text = json.dumps(entries, separators=(",", ":")).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def sealed(sections: dict[str, Section], abi: str) -> bytes:
    """The file of such sections, with the checksums that belong to them."""
    return b"".join(bytes(part) for part in dump(sections, abi))


def section(data: bytes, rng: Rng) -> bytes:
    """A section's bytes changed, shortened, lengthened or taken from another, and the file sealed again."""
    sections, abi, _ = parts(data)
    sections = dict(sections)
    name = str(rng.choice(["queues", "code", "code", "code", "nodes", "segments", "data"]))
    kept, raw = sections[name], sections[name].raw.copy()
    unit = SECTIONS[name][1]
    wide = kept.shape[1] if len(kept.shape) > 1 else 1
    kind = rng.randint(4)
    if kind == 0 or not len(raw):
        other = sections[str(rng.choice(list(SECTIONS)))].raw
        raw = np.resize(other, len(raw)) if len(other) else raw
    elif kind == 1:
        rows = raw.reshape(-1, unit * wide)
        order = rng.randint(0, len(rows), max(0, len(rows) + rng.randint(-2, 3)))
        raw = rows[np.sort(order)].reshape(-1) if rng.randint(2) else rows[order].reshape(-1)
    elif kind == 2:
        at = rng.randint(len(raw) // unit) * unit
        value = int(EXTREMES[rng.randint(len(EXTREMES))])
        raw[at : at + unit] = np.frombuffer(value.to_bytes(8, "little")[:unit], np.uint8)
    else:
        for _ in range(1 + rng.randint(3)):
            raw[rng.randint(len(raw))] ^= 1 << rng.randint(8)
    count = len(raw) // unit // max(1, wide)
    shape = (count, wide) if len(kept.shape) > 1 else (count,)
    sections[name] = Section(shape, np.ascontiguousarray(raw[: count * wide * unit]))
    return sealed(sections, abi)


def _numbers(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every number within JSON, as what holds it and where."""
    for key in value if isinstance(value, dict) else range(len(value)):
        if isinstance(value[key], dict | list):
            _numbers(value[key], found)
        elif isinstance(value[key], int):
            found.append((value, key))
    return found


def facts(data: bytes, rng: Rng) -> bytes:
    """A number of the chip, of a tensor or of a piece is another, in a file that is right otherwise."""
    sections, abi, _ = parts(data)
    written = json.loads(sections["facts"].raw.tobytes())
    numbers = _numbers(written, [])
    holder, key = numbers[rng.randint(len(numbers))]
    was = int(holder[key])
    near = [was - 1, was + 1, 2 * was, was // 2, 0, -1, was + 32]
    holder[key] = int(rng.choice(near if rng.randint(4) else [1 << 31, 1 << 62, -(1 << 40)]))
    text = json.dumps(written, sort_keys=True, separators=(",", ":")).encode()
    sections = sections | {"facts": Section((len(text),), np.frombuffer(text, np.uint8))}
    return sealed(sections, abi_of(text, abi))


def abi_of(text: bytes, otherwise: str) -> str:
    """The hash that a chip of such facts has, for the file to be taken seriously."""
    from isa.binary.facts import decode_facts

    try:
        return decode_facts(text, "").machine.abi_hash
    except TspcError:
        return otherwise


def bursts(data: bytes, rng: Rng) -> bytes:
    """One to three fields of bursts changed, mostly by little, and encoded anew."""
    program = parts(data)[2]
    table: npt.NDArray[np.void] = program.bursts.copy()
    for _ in range(1 + rng.randint(3)):
        i, by = rng.randint(len(table)), int(rng.randint(-3, 4))
        operands = BY_OPCODE[int(table["opcode"][i])].operands
        name = str(rng.choice(["cycle", "count", "interval", "stride", "queue", "args", "args"]))
        if name == "args" and operands:
            j = rng.randint(len(operands))
            value = int(table["args"][i, j]) + by if rng.randint(3) else rng.randint(1 << 10)
            table["args"][i, j] = np.clip(value, *operands[j].limits)
        elif name == "queue":
            table["queue"][i] = (int(table["queue"][i]) + by) % program.machine.queues
        elif name == "cycle":
            table["cycle"][i] = max(0, int(table["cycle"][i]) + by)
        elif name != "args":
            low = -9 if name == "stride" else 1
            huge = int(rng.choice([1 << 10, 1 << 20, (1 << 31) - 1]))
            table[name][i] = huge if not rng.randint(8) else max(low, int(table[name][i]) + by)
    if not rng.randint(6):
        table = np.delete(table, rng.randint(len(table)))
    changed = dataclasses.replace(program, bursts=sort_bursts(table), lines=())
    try:
        return to_bytes(changed)
    except TspcError:
        return section(data, rng)


DAMAGE: Final[tuple[tuple[Callable[[bytes, Rng], bytes], int], ...]] = (
    (flip, 2),
    (cut, 1),
    (shuffle, 1),
    (header, 2),
    (section, 5),
    (facts, 4),
    (bursts, 10),
)
"""Kinds of damage and how often each is done."""


def mutant(seed: int, folder: Path) -> bytes:
    """Mutant number ``seed`` of the files in ``folder``."""
    rng, files = Rng(seed), bases(folder)
    kinds = [kind for kind, often in DAMAGE for _ in range(often)]
    data = files[rng.randint(len(files))]
    return kinds[rng.randint(len(kinds))](data, rng)


@dataclass
class Summary:
    """What became of mutants: how many were refused under each number, accepted, compared; the slowest; what went wrong."""

    judged: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    compared: int = 0
    long: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def add(self, other: dict[str, Any]) -> None:
        """Take up the summary of another range."""
        for name in ("judged", "accepted", "compared", "long"):
            setattr(self, name, getattr(self, name) + other[name])
        self.refused.update(other["refused"])
        self.seconds = max(self.seconds, other["seconds"])
        self.faults += other["faults"]


def judge(seed: int, folder: Path, summary: Summary) -> None:
    """Read, verify and, if it is accepted, run one mutant."""
    data = mutant(seed, folder)
    begin = time.process_time()
    certificate: Certificate | None = None
    try:
        program = from_bytes(data)
        certificate = verify(program)
    except TspcError as error:
        summary.refused[error.code] += 1
    summary.seconds = max(summary.seconds, time.process_time() - begin)
    summary.judged += 1
    if certificate is not None:
        summary.accepted += 1
        _run(program, certificate, seed, folder, summary)


def _run(
    program: Program, certificate: Certificate, seed: int, folder: Path, summary: Summary
) -> None:
    """Both emulators on what the verifier accepts; buffers end, or begin, where nobody may touch anything."""
    m = program.machine
    if 2 * m.slices * m.words * m.lanes > LARGEST:
        summary.long += 1
        return
    inputs = random_feeds(program.inputs, seed=seed)
    guarded.at_front = bool(seed % 2)
    kernel = Kernel(program, cache_dir=folder)
    outputs, trace = kernel.run(inputs)
    if certificate.cycles > LONGEST:
        summary.long += 1
        return
    reference = ReferenceInterpreter(program)
    expected, stepped = reference.run(inputs)
    same = np.array_equal(reference.final_memory, kernel.final_memory)
    same &= all(outputs[name].tobytes() == value.tobytes() for name, value in expected.items())
    counts = {trace.cycles, stepped.cycles, certificate.cycles}
    if not same or len(counts) != 1 or trace != stepped:
        summary.faults.append(f"mutant {seed}: the emulators differ: {counts}")
    summary.compared += 1


def main(first: int, count: int, folder: Path) -> None:
    """Judge a range of mutants and print what became of it."""
    summary = Summary()
    at = os.open(folder / f"at.{first}", os.O_WRONLY | os.O_CREAT)
    for seed in range(first, first + count):
        os.pwrite(at, b"%-20d" % seed, 0)
        try:
            judge(seed, folder, summary)
        except Exception:  # Anything at all is what is looked for.
            summary.faults.append(f"mutant {seed}: {traceback.format_exc()}")
    sys.stdout.write(json.dumps(vars(summary)) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
