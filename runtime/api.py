"""The Python interface: ``compile`` a model, ``load`` a program, run it in a ``Session``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isa.errors import InputError, UsageError
from isa.machine import CHIPS, load_chip
from isa.program import PortTensor, Program

if TYPE_CHECKING:
    from emulator.trace import Trace
    from isa.verify import Certificate

Array = NDArray[Any]
Source = str | os.PathLike[str]
EMULATORS = ("jit", "plain")


def compile(
    model: Source | Any,
    dims: Mapping[str, int] | None = None,
    chip: str = "tsp1",
    precision: str = "fp16",
    effort: int = 1,
) -> Program:
    """Compile an ONNX model, a path or a ``ModelProto``.

    Args:
        model: what to compile.
        dims: the size of each symbolic dimension of the inputs, by its name in the model.
        chip: a preset (``tsp1``, ``tsp1-deep``, ``tiny``) or the path of a chip file.
        precision: ``fp16`` (one pass) or ``strict`` (three passes, fp32-grade).
        effort: 0 to 3, how many schedules are tried for a short one.

    Raises:
        InputError: the model is unreadable, invalid, unsupported, or a dimension is unbound.
        LimitError: it does not fit the chip.
    """
    from compiler import compile_model

    made = compile_model(model, dims=dims or {}, chip=chip, precision=precision, effort=effort)
    return made.program


def load(path: Source, chip: str | None = None) -> Program:
    """Read a ``.lpu`` file.

    Raises:
        InputError: TSP5xx, the file is damaged; TSP521, it is not for ``chip``, or, where that is None, not for the preset
            whose name it carries.
    """
    from isa.binary import read

    program = read(path, None if chip is None else load_chip(chip))
    name = program.machine.name
    if chip is None and (CHIPS / f"{name}.toml").is_file():
        preset = load_chip(name)
        if preset.abi_hash != program.machine.abi_hash:
            message = f"made for a chip called {name}, which is not the {name} of this version"
            hint = "compile it again, or give its chip file with --chip"
            raise InputError(521, message, where=str(path), hint=hint)
    return program


@dataclass(frozen=True, slots=True)
class NodeArg:
    """An input or output as onnxruntime describes one: ``type`` is ``tensor(int64)``, ``tensor(float)`` and the like."""

    name: str
    shape: list[int]
    type: str


_TYPE_NAMES = {"float32": "float", "float64": "double"}


def _node_arg(port: PortTensor) -> NodeArg:
    name = _TYPE_NAMES.get(port.abi_dtype, port.abi_dtype)
    return NodeArg(port.name, list(port.shape), f"tensor({name})")


class Session:
    """A verified program, ready to run on the JIT emulator.

    Args:
        program: a ``Program`` or the path of a ``.lpu`` file.
        threads: how many threads a run uses; the bits of the outputs do not depend on it.
        emulator: ``jit``, or ``plain``: with every optimisation off. The bits do not depend on it either.
        certificate: what ``isa.verify.verify`` gave for this program; without one it is verified here, unless the same
            verifier accepted the same bytes before (``runtime.verified``).

    Raises:
        UsageError: TSP653, no such emulator.
        VerifyError: the program breaks a rule of the machine, or the certificate is of another one (TSP390); nothing of it
            was run.
    """

    def __init__(
        self,
        program: Program | Source,
        threads: int = 1,
        emulator: str = "jit",
        certificate: Certificate | None = None,
    ) -> None:
        from emulator.jit import Kernel
        from isa.verify import admit
        from runtime.verified import verified

        if emulator not in EMULATORS:
            raise UsageError(
                653, f"no emulator {emulator!r}", hint=f"one of: {', '.join(EMULATORS)}"
            )
        self.program = program if isinstance(program, Program) else load(program)
        self.certificate: Certificate = (
            verified(self.program) if certificate is None else admit(self.program, certificate)
        )
        self._kernel = Kernel(self.program, threads=threads, plain=emulator == "plain")

    def get_inputs(self) -> list[NodeArg]:
        """What ``run`` must be fed."""
        return [_node_arg(port) for port in self.program.inputs]

    def get_outputs(self) -> list[NodeArg]:
        """What ``run`` gives."""
        return [_node_arg(port) for port in self.program.outputs]

    def run(self, output_names: Sequence[str] | None, feeds: Mapping[str, Array]) -> list[Array]:
        """The named outputs, all in declaration order if None.

        Raises:
            InputError: TSP6xx, an input is missing, unknown, of another shape or type, or out of range; an output name
                is unknown.
        """
        known = [port.name for port in self.program.outputs]
        names = known if output_names is None else list(output_names)
        for name in names:
            if name not in known:
                raise InputError(
                    652, f"no output {name!r}", hint=f"the outputs are: {', '.join(known)}"
                )
        outputs, _ = self.execute(feeds)
        return [outputs[name] for name in names]

    def execute(self, feeds: Mapping[str, Array]) -> tuple[dict[str, Array], Trace]:
        """All outputs by name, and what the emulator counted."""
        return self._kernel.run({name: np.asarray(value) for name, value in feeds.items()})
