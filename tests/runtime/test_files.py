from __future__ import annotations

from pathlib import Path

import pytest

from isa.errors import InputError, UsageError
from runtime import files


def test_targets_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    source.touch()
    for target, why in (
        (tmp_path / "none" / "x", "there is no folder"),
        (tmp_path, "it is a folder"),
        (tmp_path / "model.onnx", "the file that is read"),
    ):
        with pytest.raises(UsageError, match=f"TSP803.*{why}"):
            files.check_target(target, source)
    with pytest.raises(UsageError, match="TSP803"):
        files.write_whole(tmp_path / "none" / "x", b"")
    with pytest.raises(UsageError, match="TSP803"):
        files.make_folder(source)


def test_text_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.asm").write_bytes(b"read \xff")
    for name, why in (
        ("a.asm", "byte 5 is not UTF-8"),
        ("b.asm", "No such file"),
        (".", "regular"),
    ):
        with pytest.raises(InputError, match=f"TSP805.*{why}"):
            files.read_text(tmp_path / name)


def test_every_tensor_gets_a_file_of_its_own_inside_the_folder() -> None:
    names = ["a/b", "a_b", "A_B", "../x", "", ".hid", "ok-1.0", "x" * 300]
    chosen = files.file_names(names)
    assert list(chosen) == names
    assert len({name.lower() for name in chosen.values()}) == len(names)
    assert all(
        "/" not in name and not name.startswith(".") and len(name) < 120 for name in chosen.values()
    )
    assert chosen["ok-1.0"] == "ok-1.0.npy"
