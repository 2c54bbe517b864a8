"""Programs that were compiled before, by everything that decided their bytes.

An entry's key is a SHA-256 over the model file's bytes, the bound dimensions, the chip's facts, precision and effort, this toolkit's
own code and the versions of what it computes with. Files with external weights are too large to hash at every call: an entry
holds each one's size, inode and times, as version control does, and a changed one makes it worthless. Trouble with the disk is
never an error: the model is compiled again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from isa.errors import TspcError
from isa.files import cache_folder, make_private, write_atomic
from isa.machine import Machine

FOLDER: Final = "programs"
MOST_BYTES: Final = 4 << 30
"""What all entries together may take; the ones longest unused go first."""
_ROOT: Final = Path(__file__).parents[1]
_DECIDES: Final = ("compiler", "isa")
_VERSIONS: Final = ("numpy", "onnx")


@dataclass(frozen=True)
class Request:
    """What is to be compiled, and how."""

    model: Path
    dims: Mapping[str, int]
    machine: Machine
    precision: str
    effort: int = 1

    def key(self) -> str | None:
        """SHA-256 (hex) of all that decides the program; None where the model cannot be read."""
        try:
            model = hashlib.sha256(self.model.read_bytes()).hexdigest()
        except OSError:
            return None
        facts = [[name, fact.value, fact.source, fact.note] for name, fact in self.machine.facts]
        how = [self.precision, self.effort]
        decides = [model, self.model.stem, sorted(self.dims.items()), facts, *how]
        return hashlib.sha256(json.dumps([decides, _code(), _versions()]).encode()).hexdigest()


def _code() -> str:
    """SHA-256 (hex) of the files that make programs."""
    h = hashlib.sha256()
    for folder in _DECIDES:
        for path in sorted((_ROOT / folder).rglob("*.*")):
            if path.suffix in (".py", ".lark"):
                h.update(f"{path.relative_to(_ROOT)}\0".encode() + path.read_bytes())
    return h.hexdigest()


def _versions() -> list[str]:
    found = []
    for name in _VERSIONS:
        try:
            found.append(version(name))
        except PackageNotFoundError:
            found.append("")
    return found


def _signature(path: Path) -> list[int]:
    """What changes when a file does."""
    s = path.stat()
    return [s.st_size, s.st_ino, s.st_mtime_ns, s.st_ctime_ns]


@dataclass(frozen=True)
class Hit:
    """A program compiled before: where its bytes are, and what the compilation reported (``data`` as ``--json`` has it)."""

    program: Path
    data: dict[str, Any]
    text: str

    def copy_to(self, target: Path) -> None:
        """Write the program there, whole or not at all. Raises InputError TSP520."""
        with self.program.open("rb") as file:
            write_atomic(target, iter(lambda: file.read(1 << 24), b""))


class CompileCache:
    """Entries in one folder that nobody else may write to: ``KEY.lpu`` and ``KEY.json``."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder(FOLDER)
        self.usable = make_private(self.folder)

    def find(self, request: Request) -> Hit | None:
        """The program of a request, if it was kept and nothing it depends on has changed."""
        key = request.key() if self.usable else None
        if key is None:
            return None
        program = self.folder / f"{key}.lpu"
        try:
            entry = json.loads((self.folder / f"{key}.json").read_bytes())
            folder = request.model.absolute().parent
            current = {name: _signature(folder / name) for name in entry["external"]}
            if current != entry["external"] or program.stat().st_size != entry["bytes"]:
                return None
            os.utime(program)
            return Hit(program, dict(entry["data"]), str(entry["text"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(
        self,
        request: Request,
        write: Callable[[Path], None],
        external: Iterable[str],
        data: Mapping[str, Any],
        text: str,
    ) -> None:
        """Keep a program, which ``write`` writes. ``external``: weight files, relative to the model's folder."""
        key = request.key() if self.usable else None
        if key is None:
            return
        folder = request.model.absolute().parent
        try:
            kept = self.folder / f"{key}.lpu"
            write(kept)
            entry = {
                "external": {name: _signature(folder / name) for name in external},
                "bytes": kept.stat().st_size,
                "data": dict(data),
                "text": text,
            }
            write_atomic(self.folder / f"{key}.json", [json.dumps(entry).encode()])
            self._make_room()
        except (OSError, TspcError):
            return

    def _make_room(self) -> None:
        """Drop what was longest unused until the rest fits."""
        programs = sorted(self.folder.glob("*.lpu"), key=lambda p: -p.stat().st_mtime_ns)
        total = 0
        for path in programs:
            total += path.stat().st_size
            if total > MOST_BYTES:
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)
