"""Files written whole or not at all, and folders for what can be made again."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from isa.errors import InputError

_MARK: Final = ".tspc-"
_STALE_SECONDS: Final = 60.0


def cache_folder(name: str) -> Path:
    """``$XDG_CACHE_HOME/tspc/NAME``, ``~/.cache/tspc/NAME`` where that is not set."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path(os.path.expanduser("~")) / ".cache"
    return root / "tspc" / name


def make_private(folder: Path) -> bool:
    """Make the folder; whether it is ours and nobody else can write to it, so that what lies there can be trusted."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(folder)
    except OSError:
        return False
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022
    return private and found.st_uid == os.getuid()


def _sweep(target: Path) -> None:
    """Remove what an earlier, killed ``write_atomic`` to ``target`` left behind: old and locked by nobody."""
    for left in target.parent.glob(f".{target.name}{_MARK}*"):
        try:
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                with left.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    left.unlink()
        except OSError:
            continue


def write_atomic(path: str | os.PathLike[str], chunks: Iterable[bytes | memoryview]) -> None:
    """Write ``chunks`` to ``path``: an interruption at any point leaves the old file, and no reader sees a part.

    The bytes go to a temporary file beside the target (the file that ``path`` leads to), are synced, then renamed. Raises
    ``InputError`` TSP520 when the place cannot be written or is no regular file.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise InputError(520, "not a regular file", where=str(path), hint="give a file's name")
    temporary = target.parent / f".{target.name}{_MARK}{secrets.token_hex(6)}"
    try:
        _sweep(target)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with open(descriptor, "wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        problem = f"cannot be written: {error.strerror or error}"
        raise InputError(520, problem, where=str(path)) from None
