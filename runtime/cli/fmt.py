"""``tspc fmt``."""

from __future__ import annotations

from pathlib import Path

import click

from runtime.cli.failures import Reported
from runtime.cli.options import emit, examples, file_argument, json_option


@click.command("fmt", epilog=examples("tspc fmt kernel.asm", "tspc fmt kernel.asm --check"))
@file_argument("KERNEL.asm")
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if the file would change.")
@click.option("--stdout", is_flag=True, help="Print the formatted text instead of writing it.")
@json_option
def command(file: Path, check: bool, stdout: bool, as_json: bool) -> None:
    """Bring an assembly text into its one form; what it assembles to stays the same, and so do its comments."""
    from isa.assembly.format import format_text
    from runtime.files import read_text, write_whole

    before = read_text(file)
    after = format_text(before)
    changed = before != after
    if stdout:
        emit(as_json, {"assembly": after, "changed": changed}, after.rstrip("\n"))
        return
    if changed and not check:
        write_whole(file, after.encode())
    verb = "would change" if check else "formatted"
    emit(as_json, {"changed": changed}, f"{file.name}: {verb if changed else 'is in form'}")
    if check and changed:
        raise Reported(1)
