"""``KernelBuilder``: programs from Python, one call an instruction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from isa.assembly.expressions import ExpressionError, Stream
from isa.assembly.symbols import symbols_entry
from isa.assembly.tensors import Tensor, check, spread
from isa.builder.issued import Issued
from isa.builder.issuing import Issuer
from isa.builder.operands import Place, Slice, Time, position, refuse
from isa.instruction import DType
from isa.machine import Machine, load_chip
from isa.program import BURST, Array, Program, pack_constants, sort_bursts

DTYPES: Final = {t.numpy: t for t in DType}
Slices = Slice | Sequence[Slice]
"""A slice a byte plane; one slice stands for itself and those behind it, outward."""


class KernelBuilder(Issuer):
    """Collects instructions, tensors and constants for one chip; ``program()`` makes them a ``Program``.

    Every instruction is a method: operands in their order, then by name ``on`` (the queue), results and flags, and

    - ``at``: the first dispatch's cycle; ``Reach(unit, cycle)``: when the result shall pass a unit; None: when all operands
      arrive. A vector operand that comes earlier waits in a delay register.
    - ``x``, ``every``, ``step``: dispatches, cycles between them, stride; ``node``: what it works for.

    What a call returns stands for its value in later calls: read from its ALU where an ALU made it, else from its streams.
    Errors are ``InputError`` TSP215.
    """

    def __init__(self, chip: Machine | str = "tsp1") -> None:
        super().__init__(load_chip(chip) if isinstance(chip, str) else chip)
        self.tensors: dict[str, Tensor] = {}
        self._constants: list[tuple[int, int, Array]] = []

    def tensor(
        self,
        name: str,
        dtype: DType,
        rows: int,
        cols: int,
        at: Slices,
        address: int = 0,
        *,
        use: str = "",
        splat: bool = False,
    ) -> Tensor:
        """Memory with a name, as ``isa.assembly.tensors.Tensor`` lays it out; ``use`` is ``input``, ``output`` or nothing."""
        numbers = [self.queue_number(s.name) for s in ([at] if isinstance(at, Slice) else at)]
        try:
            places = tuple(spread([(n, address) for n in numbers], dtype.planes, self.machine))
            made = Tensor(name, dtype, rows, cols, places, self.machine.lanes, splat, use)
            check(made, self.machine)
        except ExpressionError as error:
            raise refuse(error.message, error.hint) from None
        if self.tensors.setdefault(name, made) is not made:
            raise refuse(f"tensor {name!r} is there already")
        return made

    def input(
        self,
        name: str,
        dtype: DType,
        rows: int,
        cols: int,
        at: Slices,
        address: int = 0,
        splat: bool = False,
    ) -> Tensor:
        """A tensor that is filled before cycle 0."""
        return self.tensor(name, dtype, rows, cols, at, address, use="input", splat=splat)

    def output(
        self, name: str, dtype: DType, rows: int, cols: int, at: Slices, address: int = 0
    ) -> Tensor:
        """A tensor that is read after the end."""
        return self.tensor(name, dtype, rows, cols, at, address, use="output")

    def constant(
        self, name: str, values: Array, at: Slices, address: int = 0, splat: bool = False
    ) -> Tensor:
        """A tensor of known elements: ``values`` is ``[rows, cols]`` of one of the machine's types."""
        values = np.asarray(values)
        if values.ndim != 2 or values.dtype not in DTYPES:
            hint = f"give [rows, cols] of {', '.join(t.name for t in DTYPES)}"
            raise refuse(f"{name!r} is {values.dtype.name} {list(values.shape)}", hint)
        rows, cols = values.shape
        made = self.tensor(name, DTYPES[values.dtype], rows, cols, at, address, splat=splat)
        images = made.images(values)
        self._constants += [(s, a, i) for (s, a), i in zip(made.places, images, strict=True)]
        return made

    def earliest(self, tensor: Tensor, unit: Place, cycle: int = 0) -> int:
        """The first cycle in which a row can pass ``unit`` if no byte plane is read before ``cycle``."""
        goal, places = position(self.machine, unit), self.machine.queue_positions
        way = max(abs(goal - places[slice_]) for slice_, _ in tensor.places)
        return cycle + self.machine.timing("mem_read") + way * self.machine["streams.hop"]

    def load(
        self,
        tensor: Tensor,
        stream: Stream,
        at: Time,
        rows: range | None = None,
        chunk: int = 0,
        **how: Any,
    ) -> Issued:
        """Read rows of a tensor (all if None), byte planes side by side from ``stream`` on.

        ``x`` and ``step`` dispatch otherwise than once a row: ``rows=range(1), x=8`` repeats the first row 8 times.
        """
        return self._move("read", tensor, stream, [at] * len(tensor.places), rows, chunk, how)

    def store(
        self,
        tensor: Tensor,
        value: Stream | Issued,
        at: Time = None,
        rows: range | None = None,
        chunk: int = 0,
        **how: Any,
    ) -> Issued:
        """Write what passes on a stream group to rows of a tensor, as ``load`` reads them; ``at=None``: as it arrives."""
        times: list[Time] = [at] * len(tensor.places)
        if isinstance(value, Issued):
            homes = [self.machine.queue_positions[slice_] for slice_, _ in tensor.places]
            first, planes = value.stream(homes[0])
            if planes < len(homes):
                raise refuse(
                    f"{planes} byte planes flow to {tensor.name!r}, which has {len(homes)}"
                )
            if at is None:
                times = [value.passing(first + p, home) for p, home in enumerate(homes)]
            how = {"every": value.interval} | how
            n = self.machine.streams
            value = Stream("E" if first < n else "W", first % n)
        return self._move("write", tensor, value, times, rows, chunk, how)

    def _move(
        self,
        mnemonic: str,
        tensor: Tensor,
        stream: Stream,
        times: Sequence[Time],
        rows: range | None,
        chunk: int,
        how: dict[str, Any],
    ) -> Issued:
        """One burst a byte plane."""
        rows = range(tensor.rows) if rows is None else rows
        inside = len(rows) > 0 and min(rows) >= 0 and max(rows) < tensor.rows
        if not inside or not 0 <= chunk < tensor.chunks:
            raise refuse(f"{rows} of chunk {chunk} are not in {tensor.name!r}")
        step = rows.step if len(rows) > 1 else 0
        settings = {"x": len(rows), "every": 1, "step": step, "node": ""} | how
        unknown = settings.keys() - {"x", "every", "step", "node"}
        if unknown:
            raise refuse(f"no such argument: {', '.join(sorted(unknown))}")
        made: list[Issued] = []
        for plane, ((slice_, address), at) in enumerate(zip(tensor.places, times, strict=True)):
            word = address + chunk * tensor.rows + rows[0]
            given = {"address": word, "stream": Stream(stream.direction, stream.index + plane)}
            name = self.machine.queue_names[slice_]
            made.append(self.issue(mnemonic, given, name, at=at, **settings))
        return Issued(self.machine, tuple(b for issued in made for b in issued.bursts))

    def program(self) -> Program:
        """All of it, as a program that ``isa.verify`` may judge."""
        segments, data = pack_constants(self._constants, self.machine.lanes)
        bursts = sort_bursts(np.array([b.row() for b in self._bursts], BURST))
        tensors = self.tensors.values()
        ports = {
            use: tuple(t.port() for t in tensors if t.use == use) for use in ("input", "output")
        }
        known = symbols_entry((), tensors)
        nodes, meta = tuple(self._nodes), (known,) if known else ()
        return Program(
            self.machine, bursts, segments, data, ports["input"], ports["output"], nodes, meta
        )
