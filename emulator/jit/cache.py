"""Compiled kernels on disk. A cached object is code that will run: private directory, content checked before use.

An entry's name holds the SHA-256 of all that decides its content; the file starts with the SHA-256 of the rest. Trouble with
the disk is never an error: kernels are then compiled again.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from isa.files import cache_folder, make_private

DIGEST: Final = 32
VERSION: Final = "1"
"""Changed with the format of an entry."""


def default_directory() -> Path:
    """Where kernels are kept: see ``cache_folder``."""
    return cache_folder("kernels")


class ObjectCache:
    """Objects by key in one directory, which only its owner may write to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.usable = make_private(directory)

    def _path(self, key: str, kind: str) -> Path:
        name = hashlib.sha256(f"{VERSION}\0{key}".encode()).hexdigest()
        return self.directory / f"{name}.{kind}"

    def get(self, key: str, kind: str = "o") -> bytes | None:
        """The object of ``key``, or None if there is none that is intact."""
        if not self.usable:
            return None
        try:
            content = self._path(key, kind).read_bytes()
        except OSError:
            return None
        body = content[DIGEST:]
        return body if hashlib.sha256(body).digest() == content[:DIGEST] and body else None

    def put(self, key: str, body: bytes, kind: str = "o", most: int = 0) -> None:
        """Keep an object; another process may do the same. Of its kind, only the newest ``most`` stay, if that is not 0."""
        if not self.usable:
            return
        path = self._path(key, kind)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(body).digest() + body)
            part.replace(path)
            if most:
                kept = sorted(self.directory.glob(f"*.{kind}"), key=lambda p: -p.stat().st_mtime)
                for old in kept[most:]:
                    old.unlink(missing_ok=True)
        except OSError:
            part.unlink(missing_ok=True)
