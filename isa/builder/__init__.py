"""Kernels from Python: the declared instructions as calls with typed operands."""

from __future__ import annotations

from isa.builder.issued import Issued
from isa.builder.kernel import KernelBuilder
from isa.builder.operands import Alu, E, Exchange, Late, Links, Plane, Reach, Slice, W

__all__ = [
    "Alu",
    "E",
    "Exchange",
    "Issued",
    "KernelBuilder",
    "Late",
    "Links",
    "Plane",
    "Reach",
    "Slice",
    "W",
]
