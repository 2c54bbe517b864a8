"""The instruction set: importing this package registers every instruction."""

from isa.ops import c2c, icu, mem, mxm, sxm, vxm, vxm_extensions

__all__ = ["c2c", "icu", "mem", "mxm", "sxm", "vxm", "vxm_extensions"]
