"""A hand-made program, and the command line in process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from isa.binary import write
from isa.instruction import DType, Source, SourceKind
from isa.machine import Machine, load_chip
from isa.ops.mem import Read, Write
from isa.ops.vxm import Add, Relu
from isa.program import BurstList, Piece, PortTensor, Program
from runtime.cli import main


def lay(machine: Machine, side: int, first: int) -> tuple[Piece, ...]:
    """A [2, lanes] tensor of four byte planes in consecutive slices from ``first`` of a side (0 west, 1 east)."""
    return tuple(
        Piece(
            side * machine.slices + first + plane, 0, plane, machine.lanes, 0, 2, 0, machine.lanes
        )
        for plane in range(4)
    )


def emit_unary(bursts: BurstList, machine: Machine, at: int, first: int, alu: int, op: Any) -> None:
    """Two rows from the western slices through an ALU, which takes E0 and drives E4, to the eastern ones."""
    for plane in range(4):
        slice_, hops = first + plane, 1 + first + plane
        read = at - machine.timing("mem_read") - hops
        bursts.add(slice_, read, Read(0, plane), count=2, stride=1)
        write = at + machine.timing("vxm_alu") + hops
        bursts.add(machine.slices + slice_, write, Write(0, 4 + plane), count=2, stride=1)
    bursts.add(machine.vxm_queue + alu, at, op, count=2)


@pytest.fixture(scope="session")
def tiny_program() -> Program:
    """On ``tiny``: y = relu(x), float32 [2, 32]; next = ids + 1, int64 [2, 32] with ids in 0..9."""
    machine, bursts = load_chip("tiny"), BurstList()
    stream = Source(SourceKind.STREAM, 0).pack()
    one = Source(SourceKind.IMMEDIATE).pack()
    emit_unary(bursts, machine, 20, 0, 0, Relu(int(DType.F32), stream, east=5))
    emit_unary(bursts, machine, 40, 4, 8, Add(int(DType.I32), stream, one, imm=1, east=5))
    shape = (2, machine.lanes)
    return Program(
        machine,
        bursts.array(),
        inputs=(
            PortTensor("x", shape, "float32", DType.F32, lay(machine, 0, 0)),
            PortTensor("ids", shape, "int64", DType.I32, lay(machine, 0, 4), 0, 9),
        ),
        outputs=(
            PortTensor("y", shape, "float32", DType.F32, lay(machine, 1, 0)),
            PortTensor("next", shape, "int64", DType.I32, lay(machine, 1, 4)),
        ),
    )


@pytest.fixture
def tiny_lpu(tiny_program: Program, tmp_path: Path) -> Path:
    """The program's file."""
    path = tmp_path / "tiny.lpu"
    write(tiny_program, path)
    return path


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found


Cli = Callable[..., Done]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """``cli("run", path, "--json")`` runs a command in process."""

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return call
