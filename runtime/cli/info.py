"""``tspc info``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from isa.errors import UsageError
from runtime.cli.options import emit, examples, json_option

if TYPE_CHECKING:
    from isa.machine import Machine
    from isa.program import PortTensor, Program


@click.command(
    "info",
    epilog=examples("tspc info model.lpu", "tspc info --chip tsp1", "tspc info --chip my.toml"),
)
@click.argument("file", metavar="[PROGRAM.lpu]", required=False, type=click.Path(path_type=Path))
@click.option("--chip", metavar="NAME_OR_FILE", help="Describe this chip instead of a program.")
@json_option
def command(file: Path | None, chip: str | None, as_json: bool) -> None:
    """Describe a program (inputs, outputs, instructions by unit, memory) or a chip (every field and its source)."""
    if (file is None) == (chip is None):
        raise UsageError(804, "give a program or --chip, one of the two")
    if file is not None:
        from runtime.cli.programs import program_of

        program = program_of(file, None)
        data = program_facts(program)
        emit(as_json, data, f"{file.name}: {_program_text(program, data)}")
    else:
        from isa.machine import load_chip

        machine = load_chip(str(chip))
        emit(as_json, chip_facts(machine), _chip_text(machine))


def program_facts(program: Program) -> dict[str, object]:
    """A program as data, without judging it."""
    import numpy as np

    from isa.instruction import BY_OPCODE

    units: dict[str, dict[str, int]] = {}
    for opcode in np.unique(program.bursts["opcode"]):
        cls, chosen = BY_OPCODE[int(opcode)], program.bursts["opcode"] == opcode
        counts = units.setdefault(cls.unit, {})
        counts[cls.mnemonic] = int(program.bursts["count"][chosen].sum())
    return {
        "chip": program.machine.name,
        "abi_hash": program.machine.abi_hash,
        "meta": dict(program.meta),
        "inputs": [_port(port) for port in program.inputs],
        "outputs": [_port(port) for port in program.outputs],
        "bursts": len(program.bursts),
        "instructions": program.instructions,
        "units": units,
        "constant_bytes": int(program.data.nbytes),
        "nodes": len(program.nodes),
    }


def _port(port: PortTensor) -> dict[str, object]:
    bounds = [port.minimum, port.maximum] if (port.minimum, port.maximum) != (0, 0) else None
    return {
        "name": port.name,
        "shape": list(port.shape),
        "dtype": port.abi_dtype,
        "on_chip": port.dtype.name.lower(),
        "range": bounds,
    }


def _program_text(program: Program, data: dict[str, object]) -> str:
    from runtime.report import MIB, aligned

    rows = [("meta", f"{key}: {value}") for key, value in program.meta]
    for kind, ports in (("input", program.inputs), ("output", program.outputs)):
        for port in ports:
            fact = _port(port)
            bounds = f"in {fact['range']}" if fact["range"] else ""
            rows.append((kind, f"{port.name}: {port.abi_dtype}{list(port.shape)} {bounds}"))
    units = data["units"]
    assert isinstance(units, dict)
    for unit, counts in units.items():
        rows.append((unit, ", ".join(f"{name} {count:,}" for name, count in counts.items())))
    rows.append(("constants", f"{program.data.nbytes / MIB:,.2f} MiB"))
    head = f"{len(program.bursts):,} bursts, {program.instructions:,} instructions"
    chip = f"chip {program.machine.name} (ABI {program.machine.abi_hash[:12]})"
    return f"{head} for {chip}\n{aligned(rows)}"


def chip_facts(machine: Machine) -> dict[str, object]:
    """A chip as data: every field with its source."""
    fields = {
        name: {"value": fact.value, "source": fact.source, "note": fact.note}
        for name, fact in machine.facts
    }
    return {"chip": machine.name, "abi_hash": machine.abi_hash, "fields": fields}


def _chip_text(machine: Machine) -> str:
    from runtime.report import MIB, aligned, sram_bytes

    rows = [
        (name, str(fact.value), fact.source, fact.note)
        for name, fact in machine.facts
        if name != "chip.name"
    ]
    head = (
        f"{machine.name}: {machine.lanes} lanes, {machine.queues} queues, "
        f"{sram_bytes(machine) / MIB:,.1f} MiB of SRAM"
    )
    return f"{head}\n  ABI {machine.abi_hash}\n{aligned(rows)}"
