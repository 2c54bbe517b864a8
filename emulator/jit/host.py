"""The machine that runs kernels: its vector registers, and LLVM set up for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from emulator.lowering.text import Target
from isa.machine import Machine


@dataclass(frozen=True)
class Host:
    """A processor as LLVM names it; ``arch`` is the first part of the target triple."""

    triple: str
    cpu: str
    features: str
    llvm: str

    @property
    def arch(self) -> str:
        """``x86_64``, ``aarch64``, ..."""
        return self.triple.split("-")[0]

    def has(self, feature: str) -> bool:
        """Whether the processor has an LLVM target feature."""
        return f"+{feature}" in self.features.split(",")

    @property
    def spin_hint(self) -> str:
        """The LLVM intrinsic for a waiting loop, or nothing."""
        return "llvm.x86.sse2.pause" if self.arch == "x86_64" else ""

    def target(self, machine: Machine) -> Target:
        """What of this host and of ``machine`` decides the shape of kernels."""
        if self.arch == "x86_64":
            wide = self.has("avx512f") and self.has("avx512vl") and self.has("avx512bw")
            width, registers = (16, 32) if wide else (8, 16) if self.has("avx2") else (4, 16)
            fma, half = self.has("fma"), self.has("f16c")
        else:
            width, registers, fma, half = 4, 32, self.arch == "aarch64", self.arch == "aarch64"
        per = machine["lanes.per_superlane"]
        return Target(machine.lanes, per, width, registers, fma, half)


@cache
def binding() -> Any:
    """llvmlite's binding, ready to compile for the host; imported when first asked for."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@cache
def this_host() -> Host:
    """The processor this runs on."""
    import llvmlite

    llvm = binding()
    version = ".".join(str(v) for v in llvm.llvm_version_info)
    features = llvm.get_host_cpu_features().flatten()
    return Host(
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        features,
        f"{llvmlite.__version__}/{version}",
    )
