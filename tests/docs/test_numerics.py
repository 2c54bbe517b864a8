"""The errors that docs/numerics.md states hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from compiler.reference import erf as reference_erf
from compiler.tiles import Buffer
from compiler.tiling import elementwise
from compiler.tiling.expr import Apply, Expr, Imm, Leaf
from isa.instruction import REGISTRY, DType, Kind
from tests.docs.pages import ROOT, cells, table
from tests.isa.ulp import rounded

Array = NDArray[Any]
Function = Callable[[Array], Array]
CHUNK: Final = 1 << 21


def numbers(first: float, last: float, stride: int) -> Iterator[Array]:
    """Float32 numbers from ``first`` to ``last``, every ``stride``-th."""
    low, high = (int(np.float32(x).view(np.uint32)) for x in (first, last))
    for start in range(low, high, CHUNK * stride):
        stop = min(high, start + CHUNK * stride)
        yield np.arange(start, stop, stride, dtype=np.uint32).view(np.float32)


def worst(function: Function, truth: Function, first: float, last: float, stride: int) -> float:
    """The largest error in units of the true result's last place."""
    found = 0.0
    with np.errstate(all="ignore"):
        for x in numbers(first, last, stride):
            exact = truth(x.astype(np.float64))
            place = np.spacing(np.abs(exact.astype(np.float32))).astype(np.float64)
            found = max(found, float((np.abs(function(x) - exact) / place).max()))
    return found


def stated(name: str, header: str) -> list[str]:
    """The row of a table of the page, without its name."""
    rows = [cells(line) for line in table(ROOT / "docs" / "numerics.md", header)[2:]]
    return next(row[1:] for row in rows if row[0] == name)


def test_the_page_states_the_errors_of_the_instructions() -> None:
    """``tests/isa/test_ulp.py`` measures them."""
    for mnemonic in {cls.mnemonic for cls, _ in rounded()}:
        ulp = REGISTRY[mnemonic].max_ulp
        assert stated(mnemonic, "function")[:2] == [f"{ulp[t]:.2f}" for t in (DType.F32, DType.F16)]


def evaluate(expr: Expr, x: Array, memo: dict[int, Array]) -> Array:
    """An expression of vector instructions by their declared meanings, ``x`` for its leaf."""
    if isinstance(expr, Leaf):
        return x
    if isinstance(expr, Imm):
        raw = np.array([expr.bits], "<u4").view(np.uint8)[: expr.dtype.planes]
        return np.full(x.shape, raw.view(expr.dtype.numpy)[0])
    if id(expr) not in memo:
        memo[id(expr)] = _apply(expr, [evaluate(a, x, memo) for a in expr.args])
    return memo[id(expr)]


def _apply(expr: Apply, args: list[Array]) -> Array:
    cls: Any = REGISTRY[expr.op]
    fields = {o.name: 0 for o in cls.operands if o.kind in (Kind.SOURCE, Kind.FLAG, Kind.DTYPE)}
    fields["dtype"] = int(expr.operand_dtype)
    if expr.to is not None:
        fields["to"] = int(expr.to)
    result: Array = cls(**fields).compute(*args)
    return result


def composed(make: Callable[[Expr], Expr]) -> Function:
    """What the compiler makes of an operator, as a function of numpy arrays."""
    expr = make(Leaf(Buffer("x", DType.F32, 1, 1), np.zeros(1, np.int64)))

    def function(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return evaluate(expr, x, {})

    return function


def gelu(x: Array) -> Array:
    """In float64."""
    return np.asarray(0.5 * x * (1 + reference_erf(x * np.sqrt(0.5))))


def gelu_tanh(x: Array) -> Array:
    """In float64."""
    return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


COMPOSED: Final[dict[str, tuple[Function, Function]]] = {
    "Erf": (composed(elementwise.erf), reference_erf),
    "Gelu": (composed(lambda x: elementwise.gelu(x, "none")), gelu),
    "Gelu, tanh form": (composed(lambda x: elementwise.gelu(x, "tanh")), gelu_tanh),
    "Sigmoid": (composed(elementwise.sigmoid), lambda x: np.asarray(1 / (1 + np.exp(-x)))),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_absolute_error_of_what_the_compiler_composes(name: str) -> None:
    """On a grid over [-20, 20]."""
    bound = float(stated(name, "operator")[0])
    x = np.linspace(-20, 20, 1_000_001).astype(np.float32)
    function, truth = COMPOSED[name]
    error = float(np.abs(function(x) - truth(x.astype(np.float64))).max())
    assert bound / 2 <= error <= bound


RELATIVE: Final[dict[str, tuple[Function, Function]]] = {
    "Reciprocal": (composed(elementwise.reciprocal), lambda x: np.asarray(1 / x)),
    "Sqrt": (composed(elementwise.sqrt), np.sqrt),
}


@pytest.mark.parametrize("name", RELATIVE)
def test_relative_error_of_what_the_compiler_composes(name: str) -> None:
    """In units of the last place, over two binades, in which both repeat themselves."""
    function, truth = RELATIVE[name]
    assert 0.5 < worst(function, truth, 1.0, 4.0, 7) <= float(stated(name, "composed")[0])
