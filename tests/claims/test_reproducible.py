"""Claim: the same model, options and version give the same bytes; and text and back is the same program."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compiler import Compilation, compile_model
from isa.assembly import assemble, disassemble
from isa.binary import from_bytes, to_bytes
from tests.claims.subjects import LAYER, LEGACY_LAYER, SMALL, Subject, demo

ROOT = Path(__file__).parents[2]

SCRIPT = """
import hashlib, sys
from compiler import compile_model
from isa.binary import to_bytes

model, chip, precision, *dims = sys.argv[1:]
bound = {name: int(size) for name, size in (text.split("=") for text in dims)}
print(hashlib.sha256(to_bytes(compile_model(model, bound, chip, precision).program)).hexdigest())
"""


def elsewhere(path: Path, subject: Subject, folder: Path, seed: str) -> str:
    """SHA-256 of the program that another process makes, with its own hash seed, folder and environment."""
    dims = [f"{name}={size}" for name, size in subject.dims]
    arguments = [sys.executable, "-c", SCRIPT, str(path), subject.chip, subject.precision, *dims]
    environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "LC_ALL": "C"}
    environment |= {"OMP_NUM_THREADS": seed, "PATH": os.environ.get("PATH", "")}
    done = subprocess.run(
        arguments, check=True, capture_output=True, text=True, cwd=folder, env=environment
    )
    digest: str = done.stdout.strip()
    assert len(digest) == 64
    return digest


@pytest.mark.parametrize("subject", [SMALL, demo(1, 16, "strict"), LEGACY_LAYER, LAYER], ids=str)
def test_two_processes_make_the_same_bytes(
    subject: Subject, filled_model: Any, tmp_path: Path
) -> None:
    path = subject.model(filled_model)
    assert elsewhere(path, subject, tmp_path, "1") == elsewhere(path, subject, ROOT, "2")


def test_what_was_compiled_before_does_not_matter(filled_model: Any) -> None:
    subject = LEGACY_LAYER
    path = subject.model(filled_model)
    digests = set()
    for before in (SMALL, demo(1, 3)):
        compile_model(before.model(filled_model), dict(before.dims))
        made = compile_model(path, dict(subject.dims)).program
        digests.add(hashlib.sha256(to_bytes(made)).hexdigest())
    assert len(digests) == 1


def test_a_model_in_memory_and_a_file_elsewhere_make_the_same_program(tmp_path: Path) -> None:
    """The name of the file is the model's where it has none itself; nothing else of the path counts."""
    from onnx import load

    path = SMALL.model(lambda _: tmp_path)
    copy = tmp_path / "folder" / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    made = [
        to_bytes(compile_model(source, dict(SMALL.dims)).program)
        for source in (path, copy, load(path))
    ]
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize("subject", [SMALL, LEGACY_LAYER, LAYER], ids=str)
def test_text_and_back(build: Callable[[Subject], Compilation], subject: Subject) -> None:
    program = build(subject).program
    binary = to_bytes(program)
    assert to_bytes(from_bytes(binary)) == binary
    assert to_bytes(assemble(disassemble(program))) == binary


def test_constants_of_a_compiled_program_are_settled(
    build: Callable[[Subject], Compilation],
) -> None:
    """Their digest is known for good, so they cannot be changed."""
    program = build(SMALL).program
    assert program.data_digest == hashlib.sha256(program.data.tobytes()).hexdigest()
    with pytest.raises(ValueError, match="read-only"):
        program.data[0, 0] = 1
