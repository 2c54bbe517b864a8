"""Every command shown in a ``console`` block runs, ends as it is said to, and prints what stands below it.

A page's commands run in one folder, in order. ``$ cat FILE`` shows what the file holds, and makes it. A command ends with
exit code 0 unless it says ``; echo $?``. Figures are free, since they change with every better schedule: texts are
compared with every word that has a digit in it taken out (but not what ``od`` prints). A line ``...`` stands for any lines.
In the tutorial, whose programs are written by hand, figures count, too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Command, commands, name_of

SHOWN = [page for page in PAGES if commands(page)]
TUTORIAL = ROOT / "docs" / "tutorial.md"
FIGURE = re.compile(r"\S*\d\S*")
SECONDS = re.compile(r"in [0-9.]+s$")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the shipped model and kernels where the pages say they are, and the command on the way."""
    for shipped in ("runtime", "examples"):
        (tmp_path / shipped).symlink_to(ROOT / shipped)
    shim = tmp_path / ".bin" / "tspc"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tspc "$@"\n')
    shim.chmod(0o755)
    return tmp_path


def run(line: str, folder: Path) -> tuple[int, str]:
    """Exit code and output, errors in it."""
    environment = {
        **os.environ,
        "PATH": f"{folder / '.bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
    }
    if not entry_points(
        group="pytest11", name="tspc"
    ):  # Not installed: pytest is told of the fixture.
        environment["PYTEST_PLUGINS"] = "runtime.pytest_plugin"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout


def plain(text: str, volatile: re.Pattern[str]) -> list[str]:
    """The lines without spacing, and without what differs from run to run."""
    return [" ".join(volatile.sub("#", line).split()) for line in text.splitlines() if line.strip()]


def agrees(shown: list[str], printed: list[str]) -> bool:
    """Whether the lines are the same, ``...`` standing for any."""
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(agrees(shown[1:], printed[i:]) for i in range(len(printed) + 1))
    return bool(printed) and shown[0] == printed[0] and agrees(shown[1:], printed[1:])


def check(command: Command, folder: Path, volatile: re.Pattern[str] = FIGURE) -> None:
    line, shown = command
    if line.startswith("cat "):
        (folder / line.removeprefix("cat ")).write_text(shown)
        return
    code, printed = run(line, folder)
    assert code == 0, f"$ {line}\n{printed}"
    if "echo $?" in line:
        assert shown.split()[-1] == printed.split()[-1], f"$ {line}\n{printed}"
    if line.startswith("od "):
        assert shown == printed
    assert agrees(plain(shown, volatile), plain(printed, volatile)), f"$ {line}\n{printed}"


@pytest.mark.parametrize("page", SHOWN, ids=name_of)
def test_what_is_shown_is_what_happens(page: Path, folder: Path) -> None:
    for command in commands(page):
        check(command, folder, SECONDS if page == TUTORIAL else FIGURE)


def test_all_of_the_tutorial_is_run() -> None:
    assert set(re.findall(r"^```(.+)$", TUTORIAL.read_text(), re.MULTILINE)) == {"console"}
