"""Laws of the source tree itself."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for folder in ("compiler", "emulator", "isa", "runtime", "examples", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
FILE_LINES, FUNCTION_LINES = 400, 60


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_stay_short(path: Path) -> None:
    """A longer one is two: split it where its subject changes."""
    text = path.read_text(encoding="utf-8")
    functions = (
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert text.count("\n") <= FILE_LINES
    assert {name: n for name, n in lengths.items() if n > FUNCTION_LINES} == {}


def test_error_numbers_are_documented_ranges() -> None:
    """Every raised number belongs to a range that ``isa/errors.py`` names."""
    named = set(re.findall(r"``TSP(\d)xx``", (ROOT / "isa" / "errors.py").read_text()))
    used = {
        str(node.args[0].value)
        for path in SOURCES
        if path.parts[len(ROOT.parts)] != "tests"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and re.fullmatch(r"(Comparison|Usage|Input|Limit|Verify|Internal)Error", node.func.id)
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert {number for number in used if number[0] not in named or len(number) != 3} == set()


def test_what_is_read_at_run_time_lies_in_packaged_folders() -> None:
    """The wheel takes the four folders whole, so what lies there needs no further list."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packaged = set(config["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])
    assert packaged == {"compiler", "emulator", "isa", "runtime", "tspc.py"}
    assert (ROOT / "runtime" / "data" / "demo.onnx").is_file()
    assert list((ROOT / "isa" / "chips").glob("*.toml"))
