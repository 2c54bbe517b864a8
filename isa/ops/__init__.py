"""The instruction set: importing this package registers every instruction."""

from isa.ops import mem, mxm, vxm

__all__ = ["mem", "mxm", "vxm"]
