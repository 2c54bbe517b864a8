"""What a compilation came to, as a few aligned lines and as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isa.machine import Machine

if TYPE_CHECKING:
    from compiler import Compilation
    from isa.verify import Certificate

MIB = 1 << 20


def aligned(rows: Iterable[tuple[str, ...]], indent: str = "  ") -> str:
    """Rows of cells in columns; a column of nothing but numbers stands right."""
    table = [list(row) for row in rows]
    columns = [
        [row[i] for row in table if i < len(row)]
        for i in range(max((len(row) for row in table), default=0))
    ]
    widths = [max(map(len, column)) for column in columns]
    right = [all(_is_number(cell) for cell in column) for column in columns]
    lines = (
        indent
        + "  ".join(
            cell.rjust(width) if numbers else cell.ljust(width)
            for cell, width, numbers in zip(row, widths, right, strict=False)
        )
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "", 1).isdigit()


def written_text(output: object) -> str:
    """The line that says where a program went."""
    return f"  wrote {output}" if output else "  not written: -o OUT.lpu writes it"


def sram_bytes(machine: Machine) -> int:
    """All memory of a chip, in bytes."""
    return 2 * machine.slices * machine.words * machine.lanes


def microseconds(cycles: int, machine: Machine) -> float:
    """A cycle count as time at the chip's clock."""
    return cycles / machine["chip.clock_hz"] * 1e6


@dataclass(frozen=True, slots=True)
class CompileSummary:
    """A compilation and its certificate, ready to print."""

    model: str
    compilation: Compilation
    certificate: Certificate
    precision: str
    output: str = ""

    @property
    def ratio(self) -> float:
        """Cycles over the MXM bound; 0 for a model without matrix products."""
        report = self.compilation.report
        return report.cycles / report.mxm_bound_cycles if report.mxm_bound_cycles else 0.0

    def to_dict(self) -> dict[str, object]:
        """Stable keys for ``--json``; ``sram_bytes`` is the peak, weights included."""
        report, machine = self.compilation.report, self.compilation.program.machine
        return {
            "model": self.model,
            "chip": machine.name,
            "precision": self.precision,
            "nodes": report.nodes,
            "instructions": report.instructions,
            "cycles": report.cycles,
            "microseconds": round(microseconds(report.cycles, machine), 3),
            "mxm_bound_cycles": report.mxm_bound_cycles,
            "ratio": round(self.ratio, 4),
            "sram_bytes": report.sram_peak_bytes,
            "sram_weight_bytes": report.sram_weight_bytes,
            "sram_total_bytes": sram_bytes(machine),
            "seconds": round(sum(report.seconds.values()), 4),
            "stages": self.stages(),
            "cached": False,
            "verified": self.certificate.digest,
            "output": self.output or None,
        }

    def stages(self) -> dict[str, dict[str, float]]:
        """Seconds and peak memory in bytes by stage."""
        report = self.compilation.report
        return {
            stage: {"seconds": round(seconds, 4), "peak_bytes": report.peak_bytes.get(stage, 0)}
            for stage, seconds in report.seconds.items()
        }

    def text(self, written: bool = True) -> str:
        """The report of ``tspc compile``; ``written`` adds where the program went."""
        report, machine = self.compilation.report, self.compilation.program.machine
        clock = machine["chip.clock_hz"] / 1e6
        bound = f"{self.ratio:.2f} x" if report.mxm_bound_cycles else "no matrix products"
        total = sram_bytes(machine) / MIB
        rows = [
            ("nodes", f"{report.nodes:,}"),
            ("instructions", f"{report.instructions:,}"),
            (
                "cycles",
                f"{report.cycles:,}",
                f"{microseconds(report.cycles, machine):,.1f} us at {clock:,.0f} MHz",
            ),
            ("MXM bound", f"{report.mxm_bound_cycles:,}", bound),
            ("SRAM weights", f"{report.sram_weight_bytes / MIB:,.1f}", "MiB"),
            ("SRAM peak", f"{report.sram_peak_bytes / MIB:,.1f}", f"MiB of {total:,.0f}"),
            ("compiled in", f"{sum(report.seconds.values()):,.1f}", "s"),
        ]
        lines = [f"{self.model}: chip {machine.name}, {self.precision}, verified", aligned(rows)]
        if written:
            lines.append(written_text(self.output))
        return "\n".join(lines)

    def timing_text(self) -> str:
        """Seconds and peak memory a stage, as a table."""
        rows = [
            (stage, f"{float(cost['seconds']):.2f}", "s", f"{cost['peak_bytes'] / MIB:,.0f}", "MiB")
            for stage, cost in self.stages().items()
        ]
        return "stages: seconds, peak memory\n" + aligned(rows)
