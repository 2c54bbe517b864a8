"""The JIT: a program resolved, fused and compiled at load, then run as one native call."""

from emulator.jit.kernel import Kernel

__all__ = ["Kernel"]
