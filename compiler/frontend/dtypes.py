"""ONNX element types: their numbers, fixed by the ONNX standard, and what they are here."""

from __future__ import annotations

from compiler.graph import DType
from isa.errors import InputError

ONNX_DTYPES: dict[int, DType] = {
    1: DType.F32,
    2: DType.U8,
    3: DType.I8,
    5: DType.I16,
    6: DType.I32,
    7: DType.I64,
    9: DType.BOOL,
    10: DType.F16,
    11: DType.F64,
}
_OTHER = {
    4: "uint16", 8: "string", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
}  # fmt: skip


def dtype_of(number: int, where: str) -> DType:
    """The element type with this ONNX number; `InputError` TSP122 names `where` if it is not supported."""
    found = ONNX_DTYPES.get(number)
    if found is None:
        name = _OTHER.get(number, f"number {number}")
        supported = ", ".join(dtype.value for dtype in ONNX_DTYPES.values())
        raise InputError(
            122, f"element type {name} is not supported", where=where, hint=f"one of {supported}"
        )
    return found
