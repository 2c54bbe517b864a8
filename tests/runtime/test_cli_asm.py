"""``tspc asm``, ``dis`` and ``fmt``: the timeline, and errors of a text as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TEXT = """\
.chip tiny
.tensor x i8 5 32 at MEM_W0:0 input
.tensor y i8 5 32 at MEM_E1:0 output
load: @2 x: read E0
@arrives VXM_0: neg i8, E0 -> E1 x5
@arrives y: write E1
"""
TIMELINE = """\
@0 .. 1           nothing
@2 .. 6           MEM_W0: read 0x0000, E0 x5 +1  ; load: x plane 0
@7                nothing
@8 .. 12          VXM_0: neg i8, E0 -> E1 x5
@13 .. 17         MEM_E1: write 0x0000, E1 x5 +1  ; y plane 0
"""


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "k.asm"
    path.write_text(TEXT)
    return path


def test_timeline(cli: Any, kernel: Path, tmp_path: Path) -> None:
    """Of a text and of its binary the same; parts of it; as data; as a file."""
    cli("asm", kernel, "-o", tmp_path / "k.lpu")
    assert cli("dis", kernel, "--timeline").out == TIMELINE
    assert cli("dis", tmp_path / "k.lpu", "--timeline").out == TIMELINE
    part = cli(
        "dis", kernel, "--timeline", "--from", 5, "--to", 9, "--queue", "VXM", "--queue", "MEM_W*"
    )
    assert part.out == (
        "@5 .. 6           MEM_W0: read 0x0003, E0 x2 +1  ; x[3] plane 0\n"
        "@7                nothing\n"
        "@8 .. 9           VXM_0: neg i8, E0 -> E1 x2\n"
    )
    data = cli("dis", kernel, "--timeline", "--to", 4, "--json").json
    assert data == {
        "timeline": [
            {"first": 0, "last": 1, "cells": []},
            {
                "first": 2,
                "last": 4,
                "cells": [
                    {"queue": "MEM_W0", "cycle": 2, "count": 3, "interval": 1, "text": "read 0x0000, E0 x3 +1",
                     "node": "", "comment": "load: x plane 0"}
                ],
            },
        ],
        "output": None,
    }  # fmt: skip
    assert cli("dis", kernel, "--timeline", "-o", tmp_path / "t.txt").code == 0
    assert (tmp_path / "t.txt").read_text() == TIMELINE


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (["--from", 3], "--from, --to and --queue choose a part of --timeline", ""),
        (["--timeline", "--from", 3, "--to", 2], "--to 2 is before --from 3", ""),
        (["--timeline", "--queue", "VXN_3"], "tiny has no queue 'VXN_3'", "did you mean VXM_3?"),
        (["--timeline", "--queue", "*?!"], "tiny has no queue '*?!'", "MEM_E3, MEM_E*, VXM, MXM_E0"),
    ],
)  # fmt: skip
def test_a_part_that_is_not_there(
    cli: Any, kernel: Path, options: list[Any], message: str, hint: str
) -> None:
    done = cli("dis", kernel, *options, "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "TSP804")
    assert (done.json["error"]["message"], done.json["error"]["hint"]) == (message, hint)


def test_all_errors_of_a_text_are_data(cli: Any, kernel: Path) -> None:
    kernel.write_text(TEXT.replace("read E0", "raed E0").replace("y: write", "yy: write"))
    done = cli("asm", kernel, "--json")
    assert done.code == 3
    errors = done.json["error"]["errors"]
    assert [(e["code"], e["line"], e["column"], e["hint"]) for e in errors] == [
        ("TSP202", 4, 13, "did you mean read?"),
        ("TSP214", 5, 2, "put one on E0 at a unit west of VXM, in a line above this one"),
        ("TSP209", 6, 10, "did you mean y?"),
    ]


def test_fmt_as_data(cli: Any, kernel: Path) -> None:
    assert cli("fmt", kernel, "--json").json == {"changed": False}
    kernel.write_text(TEXT.replace(" x5", "   x5"))
    assert cli("fmt", kernel, "--check", "--json").json == {"changed": True}
    assert cli("fmt", kernel, "--stdout", "--json").json == {"assembly": TEXT, "changed": True}
    assert cli("fmt", kernel, "--json").json == {"changed": True}
    assert kernel.read_text() == TEXT
