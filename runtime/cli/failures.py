"""Every way a command ends badly: what is printed, and the exit code."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
import traceback

import click

from isa.errors import InputError, InternalError, LimitError, TspcError, UsageError

INTERRUPTED = 130
BROKEN_PIPE = 141


class Reported(Exception):  # noqa: N818 - not an error: the command has printed its own.
    """A command that printed its result, failure included, and ends with ``exit_code``."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def exit_code_of(error: BaseException, as_json: bool) -> int:
    """Print what ``error`` deserves and return the exit code."""
    match error:
        case click.exceptions.Exit() | Reported():
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():
            print("interrupted", file=sys.stderr)
            return INTERRUPTED
        case BrokenPipeError():
            _abandon_stdout()
            return BROKEN_PIPE
        case OSError(errno=errno.ENOSPC | errno.EIO, filename=None):
            _abandon_stdout()
            as_json = False
        case SystemExit():
            return error.code if isinstance(error.code, int) else 1
    numbered = as_numbered(error)
    print_error(numbered)
    if as_json:
        print(json.dumps({"error": numbered.to_dict()}))
    return numbered.exit_code


def _abandon_stdout() -> None:
    """Drop what is still buffered for a reader that is gone, or Python complains once more as it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_error(error: TspcError) -> None:
    """The diagnostic on stderr."""
    try:
        sys.stdout.flush()  # What was said before stands before, also where both go into one pipe.
    except BrokenPipeError:
        _abandon_stdout()
    print(f"error: {error}", file=sys.stderr)


def as_numbered(error: BaseException) -> TspcError:
    """``error`` as a diagnostic; one that nobody foresaw leaves its traceback in a file that the text names."""
    match error:
        case TspcError():
            return error
        case click.UsageError():
            place = error.ctx.command_path if error.ctx else "tspc"
            return UsageError(801, error.format_message(), hint=f"{place} --help")
        case click.ClickException():
            return UsageError(801, error.format_message())
        case MemoryError():
            return LimitError(480, "the host is out of memory")
        case OSError(errno=errno.ENOSPC | errno.EIO, filename=None):
            return UsageError(803, f"cannot be written: {error.strerror}", where="standard output")
        case OSError() if error.filename is not None:
            reason = error.strerror or str(error)
            return InputError(805, f"cannot read: {reason}", where=str(error.filename))
    kept = _keep_traceback(error)
    summary = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return InternalError(999, f"internal error: {summary} (traceback in {kept})")


def _keep_traceback(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    try:
        handle, name = tempfile.mkstemp(prefix="tspc-traceback-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        return "no file: the temporary folder cannot be written"
    return name
