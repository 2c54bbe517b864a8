"""What can be compiled, read off the registries: `tspc ops`."""

from __future__ import annotations

from compiler.graph import OPS, DType


def supported_ops() -> list[dict[str, object]]:
    """One row an ONNX operator, by name.

    Keys: `op`, `opsets` (first and last), `dtypes` (of tensors in the graph; f64 and i64 constants are
    folded, i64 inputs become i32), `limits` (what of it is not taken, "" if nothing).
    """
    from compiler.frontend import ops
    from compiler.frontend.registry import REGISTRY
    from compiler.frontend.validate import NEWEST_OPSET
    from compiler.tiling.context import MACHINE_DTYPES

    dtypes = [dtype.value for dtype in DType if dtype in MACHINE_DTYPES]
    rows: list[dict[str, object]] = [
        {
            "op": entry.name,
            "opsets": [entry.since, NEWEST_OPSET],
            "dtypes": _dtypes(entry.name, dtypes),
            "limits": _limits(entry.name, entry.limits),
        }
        for entry in REGISTRY.values()
    ]
    assert ops.__all__  # the import above fills the registry
    return sorted(rows, key=lambda row: str(row["op"]))


def _limits(op: str, limits: str) -> str:
    """The importer's limits, and whether the operation can be mapped when no fusion has taken it up."""
    from compiler.tiling import LOWERINGS
    from compiler.tiling.elementwise import RULES
    from compiler.tiling.values import MOVES

    spec = OPS.get(op)
    if spec is None or not spec.final or any(op in known for known in (LOWERINGS, RULES, MOVES)):
        return limits
    return "; ".join([limits] * bool(limits) + ["mapped only as part of Linear or Attention"])


def _dtypes(op: str, every: list[str]) -> list[str]:
    """Element types of the operands, from the rule of the operation that the operator becomes."""
    from compiler.graph import ShapeError, Tensor, infer

    spec = OPS.get(op)
    if spec is None or not spec.elementwise or op in ("Cast", "Where"):
        return every
    attrs = {"approximate": "none"}
    found = []
    for name in every:
        try:
            infer(op, attrs, [Tensor("x", (), DType(name))] * spec.low)
        except ShapeError:
            continue
        found.append(name)
    return found
