"""What each node makes the machine do, counted; and, with a table of energies, what that takes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from isa.errors import InputError
from isa.instruction import BY_OPCODE, DType
from runtime.files import read_text
from runtime.ledger.columns import Columns, Ints
from runtime.ledger.flow import EDGE_KINDS, Flow

EVENTS: Final = {
    "mac_f16": "fp16 multiply-accumulates",
    "mac_i8": "int8 multiply-accumulates",
    "weight_bytes": "bytes of weights loaded into the matrix planes",
    "vector_ops": "vector operations, a lane each",
    "large_vector_ops": "operations of large ALUs, a lane each",
    "read_bytes": "bytes read from memory",
    "write_bytes": "bytes written to memory",
    "hop_bytes": "bytes moved by one position on a stream, as far as their last reader",
    "exchange_bytes": "bytes out of the SXM",
    "dispatches": "instructions dispatched",
}
"""What is counted, and what it means; the keys of a table of energies, which gives picojoules an event."""


@dataclass(frozen=True)
class Events:
    """``counts[node, event]``, in the order of ``EVENTS``."""

    counts: Ints

    def energy(self, table: Mapping[str, float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Picojoules of each node."""
        return np.asarray(self.counts @ np.array([table[name] for name in EVENTS]), np.float64)


def events_of(c: Columns, flow: Flow) -> Events:
    """The events of a program's every dispatch, by its node."""
    out = np.zeros((len(c.program.nodes), len(EVENTS)), np.int64)
    at = {name: number for number, name in enumerate(EVENTS)}
    lanes = c.machine.lanes

    def add(event: str, bursts: Ints, each: Ints | int) -> None:
        np.add.at(out[:, at[event]], c.node[bursts], c.count[bursts] * each)

    every = np.arange(len(c))
    add("dispatches", every, 1)
    add("read_bytes", c.of("read", "gather"), lanes)
    add("write_bytes", c.of("write", "scatter"), lanes)
    kind = np.array(c.machine.queue_kinds)[c.queue]
    large = np.array([code in BY_OPCODE and BY_OPCODE[code].large for code in range(256)])
    add("vector_ops", every[(kind == "VXM") & ~large[c.opcode]], lanes)
    add("large_vector_ops", every[(kind == "VXM") & large[c.opcode]], lanes)
    moved = every[kind == "SXM"]
    add("exchange_bytes", moved, flow.size[moved] * lanes)
    lw = c.of("lw")
    planes = np.array([d.planes for d in DType])[c.operand("lw", "dtype", lw)]
    add("weight_bytes", lw, c.operand("lw", "groups", lw) * planes * lanes)
    add("hop_bytes", every, hops(c, flow) * np.maximum(flow.size, 1) * lanes)
    abc, columns = _met(c, flow)
    for name, dtype in (("mac_f16", DType.F16), ("mac_i8", DType.I8)):
        some = c.operand("abc", "dtype", abc) == dtype
        add(name, abc[some], c.operand("abc", "rows", abc[some]) * columns[some])
    return Events(out)


def hops(c: Columns, flow: Flow) -> Ints:
    """Positions that each burst's result passes on its way to the farthest reader, both directions together."""
    position = np.array(c.machine.queue_positions)
    reader, maker = flow.links[:, 0], flow.links[:, 1]
    way = position[c.queue[reader]] - position[c.queue[maker]]
    east, west = np.zeros(len(c), np.int64), np.zeros(len(c), np.int64)
    np.maximum.at(east, maker, way)
    np.maximum.at(west, maker, -way)
    return east + west


def _met(c: Columns, flow: Flow) -> tuple[Ints, Ints]:
    """Activations, and how many columns are installed when they enter."""
    edges = flow.edges
    installs = np.zeros(len(c), np.bool_)
    installs[c.of("iw")] = True
    met = (edges.kind == EDGE_KINDS.index("weights")) & installs[edges.src]
    return edges.dst[met], c.operand("iw", "columns", edges.src[met])


def read_energies(path: Path) -> dict[str, float]:
    """Picojoules an event from the table ``[picojoules]`` of a TOML file. Raises InputError TSP594."""
    try:
        table = tomllib.loads(read_text(path)).get("picojoules")
    except tomllib.TOMLDecodeError as error:
        raise InputError(594, f"not a table of energies: {error}", where=str(path)) from None
    if not isinstance(table, dict) or table.keys() != EVENTS.keys():
        given = table.keys() if isinstance(table, dict) else set()
        odd = ", ".join(sorted(EVENTS.keys() ^ given))
        hint = f"[picojoules] has a number for each of {', '.join(EVENTS)}"
        raise InputError(594, f"missing or unknown: {odd}", where=str(path), hint=hint)
    for name, value in table.items():
        if not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise InputError(
                594, f"{name} = {value!r} is not a number of picojoules", where=str(path)
            )
    return {name: float(value) for name, value in table.items()}
