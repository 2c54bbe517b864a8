"""Every instruction gets its page without anyone writing one, and the page says all that is declared."""

from __future__ import annotations

import inspect
import re
import tomllib
from functools import cache
from typing import Any

import pytest

from emulator.reference import ReferenceInterpreter
from isa.assembly import assemble
from isa.instruction import REGISTRY, DType, Kind, Source, SourceKind
from isa.machine import CHIPS, Machine, load_chip
from isa.manual import SECTIONS, chip_page, example, page, unit_page
from isa.ops.sxm import Shift
from isa.ops.vxm import Mov, VxmInstruction
from isa.program import BurstList, Program
from isa.verify import verify
from runtime.api import Session
from runtime.feeds import random_feeds
from tests.isa.verify_texts import texts

PRESETS = ("tiny", "tsp1", "tsp1-deep")
LINKS = {"send", "receive", "deskew"}
"""Nothing of a program for one chip may use them."""
EXAMPLES = {example(cls, load_chip("tsp1")) for name, cls in REGISTRY.items() if name not in LINKS}


@cache
def sections(mnemonic: str, machine: Machine) -> dict[str, str]:
    head, *rest = re.split(r"^## (.+)\n", page(REGISTRY[mnemonic], machine), flags=re.MULTILINE)
    return {"": head} | dict(zip(rest[::2], rest[1::2], strict=True))


def rows(text: str) -> list[list[str]]:
    """The cells of a section's tables, headings and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines]
    return [
        row
        for i, row in enumerate(cells)
        if row[0] != "---" and cells[i + 1 : i + 2] != [["---"] * len(row)]
    ]


@pytest.mark.parametrize("mnemonic", REGISTRY)
def test_a_page_has_every_section(mnemonic: str, tsp1: Machine) -> None:
    found = sections(mnemonic, tsp1)
    assert list(found) == ["", *SECTIONS]
    assert all(text.strip() for text in found.values())
    assert inspect.cleandoc(REGISTRY[mnemonic].__doc__ or "") in found[""]
    assert f'```text\n"{mnemonic}"' in found["Syntax"]


@pytest.mark.parametrize("mnemonic", REGISTRY)
def test_every_bit_of_the_encoding_is_shown(mnemonic: str, tsp1: Machine) -> None:
    """In the table each of 128 bits once, in the picture four rows of 32, with the operands where the table says."""
    cls = REGISTRY[mnemonic]
    text = sections(mnemonic, tsp1)["Encoding"]
    bits: dict[int, str] = {}
    for span, name, _ in rows(text.partition("\n\n|")[2].join(("|", ""))):
        high, _, low = span.partition("..")
        for bit in range(int(low or high), int(high) + 1):
            assert bit not in bits
            bits[bit] = name.strip("`")
    assert sorted(bits) == list(range(128))
    sizes = [(o.name, o.bits) for o in cls.operands]
    assert [(name, list(bits.values()).count(name)) for name, _ in sizes] == sizes
    pictured = re.findall(r"^ *(\d+) \|(.*)\| (\d+)$", text, re.MULTILINE)
    assert [(int(high), int(low)) for high, _, low in pictured] == [
        (31, 0),
        (63, 32),
        (95, 64),
        (127, 96),
    ]
    for high, cells, _ in pictured:
        bit = int(high)
        for cell in cells.split("|"):
            size = (len(cell) + 1) // 2
            assert {bits[bit - i] for i in range(size)} == {bits[bit]}
            assert bits[bit].startswith(cell.strip())
            bit -= size
        assert bit == int(high) - 32


@pytest.mark.parametrize("mnemonic", REGISTRY)
def test_every_operand_is_described(mnemonic: str, tsp1: Machine) -> None:
    found = sections(mnemonic, tsp1)
    declared = REGISTRY[mnemonic].operands
    assert [row[0] for row in rows(found["Operands"])] == [f"`{o.name}`" for o in declared]
    for operand, row in zip(declared, rows(found["Operands"]), strict=True):
        assert ("stride advances it" in row[1]) == operand.strided
    assert [o.name for o in declared if o.kind is Kind.FLAG] == re.findall(
        r"without `(\w+)`", found["Types"]
    )


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("mnemonic", REGISTRY)
def test_timing_says_where_it_comes_from(mnemonic: str, preset: str) -> None:
    """The fields that the declaration or its description names, with value and source as in the chip file."""
    cls = REGISTRY[mnemonic]
    tables = tomllib.loads((CHIPS / f"{preset}.toml").read_text())
    facts = {f"{s}.{f}": fact for s, fields in tables.items() for f, fact in fields.items()}
    found = {
        row[0].strip("`"): row[1:] for row in rows(sections(mnemonic, load_chip(preset))["Timing"])
    }
    named = {name for name in facts if name in (cls.__doc__ or "")}
    assert named | ({f"timing.{cls.timing}"} if cls.timing else set()) <= found.keys()
    for name, (value, source, *note) in found.items():
        fact = facts[name]
        assert [value, source] == [str(fact["value"]), fact["source"]]
        assert fact.get("note", "") in note


@pytest.mark.parametrize(
    "mnemonic", [m for m, cls in REGISTRY.items() if any(o.name == "dtype" for o in cls.operands)]
)
def test_types_are_those_that_the_verifier_takes(mnemonic: str, tsp1: Machine) -> None:
    cls: Any = REGISTRY[mnemonic]
    queue = tsp1.queue_kinds.index(cls.unit) + max(cls.role, 0)
    taken = set()
    for dtype in DType:
        bursts = BurstList()
        bursts.add(queue, 0, cls(**{o.name: 0 for o in cls.operands} | {"dtype": int(dtype)}))
        refused = {error.number for error in verify(Program(tsp1, bursts.array()), collect=True)}
        taken |= set() if 311 in refused else {dtype.name.lower()}
    assert {row[0].split(", ")[0] for row in rows(sections(mnemonic, tsp1)["Types"])} == taken


@pytest.mark.parametrize("mnemonic", [m for m, cls in REGISTRY.items() if cls.unit == "VXM"])
def test_alus_are_those_that_the_verifier_lets_do_it(mnemonic: str, tsp1: Machine) -> None:
    cls: Any = REGISTRY[mnemonic]
    last = re.search(r"VXM_0 \.\. VXM_(\d+)\.", sections(mnemonic, tsp1)[""])
    assert last is not None
    able = []
    for alu in range(tsp1["vxm.alus"]):
        bursts = BurstList()
        bursts.add(
            tsp1.vxm_queue + alu,
            0,
            cls(**{o.name: 0 for o in cls.operands} | {"dtype": int(cls.types[0])}),
        )
        refused = {error.number for error in verify(Program(tsp1, bursts.array()), collect=True)}
        able += [] if 321 in refused else [alu]
    assert able == list(range(int(last[1]) + 1))


def test_every_alu_reads_and_drives_every_group(tsp1: Machine) -> None:
    """As the pages say: the verifier misses the value, and has nothing against the place."""
    for alu in range(tsp1["vxm.alus"]):
        for stream in range(0, 2 * tsp1.streams, 4):
            facing = "east" if stream < tsp1.streams else "west"
            results = {facing: stream % tsp1.streams + 1}
            source = Source(SourceKind.STREAM, stream).pack()
            bursts = BurstList()
            bursts.add(tsp1.vxm_queue + alu, 0, Mov(DType.F32, source, **results))
            refused = verify(Program(tsp1, bursts.array()), collect=True)
            assert {error.number for error in refused} == {341}


def test_an_instruction_without_an_example_is_named(tsp1: Machine) -> None:
    class Swap(Shift):
        mnemonic = "swap"

    with pytest.raises(TypeError, match=r"Swap has no example: write .*/swap\.asm"):
        example(Swap, tsp1)


@pytest.mark.parametrize("mnemonic", REGISTRY)
def test_the_meaning_is_the_source(mnemonic: str, tsp1: Machine) -> None:
    """Every line of the function that defines it, and everything of ``isa.ops`` that the function calls."""
    cls: Any = REGISTRY[mnemonic]
    shown = sections(mnemonic, tsp1)["Meaning"] + unit_page(cls.unit, tsp1)
    defined = [cls.execute] + ([cls.compute] if issubclass(cls, VxmInstruction) else [])
    for function in defined:
        assert all(line.strip() in shown for line in inspect.getsource(function).splitlines())
        names = {name: function.__globals__.get(name) for name in function.__code__.co_names}
        called = {
            n for n, f in names.items() if getattr(f, "__module__", "").startswith("isa.ops.")
        }
        assert {name for name in called if not re.search(rf"(def|class) {name}\b", shown)} == set()


def test_a_function_behind_an_instruction_is_shown_whole(tsp1: Machine) -> None:
    text = sections("tanh", tsp1)["Meaning"]
    for name in ("def tanh(", "def exp(", "TANH_POLY: Final", "LN2_HIGH: Final", "def canonical("):
        assert name in text
    assert "def rsqrt(" not in text
    assert "multiply_accumulate(sent" in sections("acc", tsp1)["Meaning"]


@pytest.mark.parametrize("mnemonic", REGISTRY)
def test_an_example_has_its_instruction_and_is_certified_on_every_chip(mnemonic: str) -> None:
    cls = REGISTRY[mnemonic]
    for machine in map(load_chip, PRESETS):
        text = example(cls, machine)
        program = assemble(text)
        assert cls.word_only or cls.opcode in program.bursts["opcode"]
        assert re.search(rf": {mnemonic}\b", text)
        assert {error.number for error in verify(program, collect=True)} == (
            {309} if mnemonic in LINKS else set()
        )
        shown = sections(mnemonic, machine)["Example"]
        assert f"```asm\n{text}```" in shown
        if mnemonic not in LINKS:
            assert f"{verify(program).cycles} cycles on {machine.name}" in shown


@pytest.mark.parametrize("text", sorted(EXAMPLES), ids=lambda text: text.splitlines()[-2][:40])
def test_an_example_runs_alike_on_both_emulators(text: str) -> None:
    program = assemble(text)
    session, slow = Session(program), ReferenceInterpreter(program)
    feeds = random_feeds(program.inputs, seed=1)
    outputs, trace = session.execute(feeds)
    again, slow_trace = slow.run(feeds)
    assert trace.cycles == slow_trace.cycles == session.certificate.cycles
    assert outputs.keys() == again.keys()
    for name, value in outputs.items():
        assert value.tobytes() == again[name].tobytes()


def test_errors_are_those_that_the_verifier_raises(tiny: Machine) -> None:
    """What its own cases refuse an instruction for stands on that instruction's page, and leads to that error's."""
    seen = set()
    for case in texts():
        for error in verify(case.program(), collect=True):
            spoken = re.search(r"@-?\d+ \S+: (\w+)", error.where)
            if spoken and spoken[1] in REGISTRY and error.number != 302:
                assert f"| {error.code} |" in sections(spoken[1], tiny)["Errors"], error
                seen.add(error.number)
    assert len(seen) > 25


@pytest.mark.parametrize("preset", PRESETS)
def test_a_chip_page_has_every_field_of_the_file(preset: str) -> None:
    text = chip_page(load_chip(preset))
    tables = tomllib.loads((CHIPS / f"{preset}.toml").read_text())
    for section, fields in tables.items():
        for name, fact in fields.items():
            assert (
                f"| `{section}.{name}` | {fact['value']} | {fact['source']} | {fact.get('note', '')} |"
                in text
            )


def test_extensions_say_why(tsp1: Machine) -> None:
    for mnemonic, cls in REGISTRY.items():
        assert ("*Extension*" in sections(mnemonic, tsp1)[""]) == bool(cls.extension)
    assert (
        "on chips with `vxm.compare`: eq, lt, le, select: comparisons" in sections("lt", tsp1)[""]
    )


def test_bounds_of_functions_are_those_declared(tsp1: Machine) -> None:
    for mnemonic, cls in REGISTRY.items():
        shown = dict(rows(sections(mnemonic, tsp1)["Meaning"])) if cls.max_ulp else {}
        assert shown == {t.name.lower(): str(ulp) for t, ulp in cls.max_ulp.items()}
    assert REGISTRY["exp"].max_ulp
