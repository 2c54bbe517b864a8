"""Tables that repeat what the code says are held against it; a failure shows the lines to put there."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import isa.errors
from isa.errors import TspcError
from isa.instruction import REGISTRY
from isa.machine import load_chip
from isa.verify import RULES
from tests.docs.pages import ROOT, cells, table

CHIPS = ("tsp1", "tsp1-deep", "tiny")
FOLDERS = ("isa", "compiler", "emulator", "runtime")
MAKERS = ("_refuse", "_at", "complain", "Finding", "Complaint")
"""What makes errors besides their own classes."""
EXIT_CODES = {
    name: value.exit_code
    for name, value in vars(isa.errors).items()
    if isinstance(value, type) and issubclass(value, TspcError)
}


def chip_table() -> list[str]:
    """Every field of the chip files; source and note are those of ``tsp1``, and of ``tiny`` where it says another."""
    facts = [dict(load_chip(name).facts) for name in CHIPS]
    lines = [f"| field | {' | '.join(CHIPS)} | source | note |", "| --- " * 6 + "|"]
    for name, fact in facts[0].items():
        values = " | ".join(str(f[name].value) for f in facts)
        others = [f"{f[name].source} on {c}" for c, f in zip(CHIPS[1:], facts[1:], strict=True)
                  if f[name].source != fact.source]  # fmt: skip
        lines.append(f"| `{name}` | {values} | {', '.join([fact.source, *others])} | {fact.note} |")
    return lines


def test_chip_fields() -> None:
    assert table(ROOT / "docs" / "machine.md", "field") == chip_table()


def test_rules_of_the_verifier() -> None:
    lines = ["| rule | demands |", "| --- | --- |"]
    lines += [f"| TSP{number} | {text} |" for number, text in sorted(RULES.items())]
    assert table(ROOT / "docs" / "verifier.md", "rule") == lines


def test_every_instruction_is_held_against_the_published_table() -> None:
    rows = [cells(line) for line in table(ROOT / "docs" / "machine.md", "published")[2:]]
    named = [name.strip("`") for row in rows for name in row[1].split()]
    assert sorted(named) == sorted(REGISTRY)
    (extensions,) = (row[1] for row in rows if row[0] == "none")
    marked = [name for name, cls in REGISTRY.items() if cls.extension]
    assert sorted(name.strip("`") for name in extensions.split()) == sorted(marked)


def constants(tree: ast.Module) -> dict[str, int]:
    """Integers that a module names."""
    found: dict[str, int] = {}
    for node in tree.body:
        pairs: list[tuple[ast.expr, ast.expr | None]] = []
        if isinstance(node, ast.AnnAssign):
            pairs = [(node.target, node.value)]
        elif isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            both = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            pairs = list(zip(target.elts, value.elts, strict=True)) if both else [(target, value)]  # type: ignore[attr-defined]
        for name, number in pairs:
            if not isinstance(name, ast.Name) or not isinstance(number, ast.Constant):
                continue
            if type(number.value) is int and 100 <= number.value <= 999:
                found[name.id] = number.value
    return found


def raised(path: Path, named: dict[str, set[int]]) -> Iterator[tuple[int, str]]:
    """Error numbers that a file passes to an error, or to one of its own functions that make one, with its name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        codes = [k.value for k in node.keywords if k.arg == "code"]
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if not name.endswith("Error") and name not in MAKERS:
            continue
        for number in [node.args[0], *codes]:
            if isinstance(number, ast.Constant) and type(number.value) is int:
                yield number.value, name
            elif isinstance(number, ast.Name):
                yield from ((value, name) for value in named.get(number.id, ()))


def error_numbers() -> dict[int, set[str]]:
    """Every number that the code can raise but the verifier's, and the errors that carry it."""
    files = sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))
    found: dict[int, set[str]] = defaultdict(set)
    everywhere: dict[str, set[int]] = defaultdict(set)
    local = {path: constants(ast.parse(path.read_text())) for path in files}
    for names in local.values():
        for name, number in names.items():
            everywhere[name].add(number)
    for path in files:
        named = everywhere | {name: {number} for name, number in local[path].items()}
        for number, name in raised(path, named):
            if number not in RULES and 100 <= number <= 999:
                found[number].add(name)
    return found


def test_error_numbers() -> None:
    rows = [cells(line) for line in table(ROOT / "docs" / "errors.md", "number")[2:]]
    listed = {int(number.removeprefix("TSP")): int(code) for number, code, _ in rows}
    found = error_numbers()
    assert sorted(found.keys() - listed.keys()) == [], "raised, not listed"
    assert sorted(listed.keys() - found.keys()) == [], "listed, not raised"
    assert list(listed) == sorted(listed)
    for number, names in found.items():
        codes = {EXIT_CODES[name] for name in names if name in EXIT_CODES}
        assert not codes or codes == {listed[number]}, f"TSP{number}: {sorted(names)}"
