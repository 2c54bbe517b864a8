"""Native code touches what descriptors point to. Here is shown, before any is made, that this lies inside the machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emulator.jit.effects import distinct
from isa.errors import InternalError
from isa.instruction import BY_OPCODE, DType
from isa.machine import Machine
from isa.program import Program

OUT_OF_BOUNDS: Final = 974
Ints = npt.NDArray[np.int64]


def check_bounds(program: Program) -> None:
    """Raise ``InternalError`` TSP974 for a burst that leaves its slice, its plane or its queue: verify programs first."""
    machine, bursts = program.machine, program.bursts
    queue = np.minimum(bursts["queue"], machine.queues)
    opcodes = np.ascontiguousarray(bursts["opcode"])
    for opcode in distinct(opcodes):
        cls = BY_OPCODE.get(int(opcode))
        rows = np.flatnonzero(opcodes == opcode)
        if cls is None or cls.word_only:
            raise _outside(program, int(rows[0]))
        some = bursts[rows]
        wrong = (some["count"] < 1) | (some["interval"] < 1) | (some["cycle"] < 0)
        wrong |= queue[rows] >= machine.queues
        if cls.unit != "ICU":
            fits = np.array([*(kind == cls.unit for kind in machine.queue_kinds), False])
            wrong |= ~fits[queue[rows]]
        args = {o.name: some["args"][:, i].astype(np.int64) for i, o in enumerate(cls.operands)}
        reach = (some["count"] - 1) * some["stride"]
        for low, high, limit in _ranges(machine, cls.mnemonic, args, reach):
            wrong |= (low < 0) | (high >= limit)
        if wrong.any():
            raise _outside(program, int(rows[np.argmax(wrong)]))


def _ranges(
    machine: Machine, mnemonic: str, args: dict[str, Ints], reach: Ints
) -> Iterator[tuple[Any, Any, int]]:
    """Lowest and highest index an instruction touches, and how many there are, for everything it addresses."""
    down, up = np.minimum(reach, 0), np.maximum(reach, 0)
    if "dtype" in args:
        yield args["dtype"], args["dtype"], len(DType)
    if "to" in args:
        yield args["to"], args["to"], len(DType)
    if mnemonic in ("read", "write"):
        yield args["address"] + down, args["address"] + up, machine.words
    elif mnemonic in ("gather", "scatter"):
        yield args["base"] + down, args["base"] + args["limit"] + up, machine.words
    elif mnemonic == "lw":
        last = args["column"] + (args["groups"] - 1) * args["spread"]
        yield args["column"] + down, last + up, machine.lanes
    elif mnemonic == "iw":
        yield args["first"], args["first"] + args["columns"] - 1, machine.lanes
    elif mnemonic == "abc":
        yield args["first"], args["first"] + args["rows"] - 1, machine.lanes
    elif mnemonic == "acc":
        yield args["row"] + down, args["row"] + up, machine["mxm.acc_rows"]


def _outside(program: Program, burst: int) -> InternalError:
    row = program.bursts[burst]
    message = (
        f"burst {burst} (opcode {int(row['opcode'])}, cycle {int(row['cycle'])}) leaves the machine"
    )
    return InternalError(OUT_OF_BOUNDS, message, hint="run the verifier first")
