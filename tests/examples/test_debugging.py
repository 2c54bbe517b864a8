"""The kernel that is accepted and wrong: its script finds the dispatch that spoils it, and passes once it is mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.cli import main

FOLDER = Path(__file__).parents[2] / "examples" / "debugging"


def debug(kernel: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Exit code and transcript of the script on a kernel that the verifier accepts."""
    assert main(["verify", str(kernel)]) == 0
    capsys.readouterr()
    code = main(["debug", str(kernel), "--batch", str(FOLDER / "find.dbg")])
    return code, capsys.readouterr().out.splitlines()


def test_the_script_names_who_spoils_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    """The sum leaves the VXM in cycle 10 and is at MEM_E0 in 11, when the word of t, read in 6, comes out there."""
    code, shown = debug(FOLDER / "trampled.asm", capsys)
    assert code == 1
    asked = shown.index("> who E4@MEM_E3")
    text = (FOLDER / "trampled.asm").read_text().splitlines()
    copied, added = (
        next(i for i, line in enumerate(text, 1) if line.startswith(label))
        for label in ("copied:", "sum:")
    )
    assert shown[asked + 2 : asked + 4] == [
        f"  written by @6 MEM_E0: read 0x0000, E4 (1 of 4, line {copied}, label copied, t plane 0)",
        f"  in place of @7 VXM_0: add i8, E0, E1 -> E4 (1 of 4, line {added}, label sum)",
    ]
    assert "FAILED: z == 5: lane 0 is 9, and 127 more" in shown


def test_with_a_stream_of_its_own_the_copy_spoils_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (FOLDER / "trampled.asm").read_text()
    mended = tmp_path / "mended.asm"
    mended.write_text(
        text.replace("t: read E4", "t: read E5").replace("copy: write E4", "copy: write E5")
    )
    code, shown = debug(mended, capsys)
    assert code == 0
    assert shown.count("as expected") == 3
