"""Every shipped kernel: verified, equal on both emulators, right against numpy, and of exactly so many cycles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from examples.kernels import attention, gelu, layernorm, saxpy, softmax
from isa.assembly import disassemble
from isa.assembly.format import format_text
from isa.program import Program
from runtime.pytest_plugin import TspKernel

Array = NDArray[Any]
KERNELS = Path(__file__).parents[2] / "examples" / "kernels"
ASM = sorted(KERNELS.glob("*.asm"))
f32 = np.float32


def drawn(draw: Callable[[np.random.RandomState], Array]) -> Callable[[int], Array]:
    """An input of a trial, from that trial's random numbers."""
    return lambda trial: draw(np.random.RandomState(trial))


def same(a: Program, b: Program) -> bool:
    """Whether two programs differ in nothing but the names that their authors gave."""
    return disassemble(replace(a, meta=())) == disassemble(replace(b, meta=()))


@pytest.mark.parametrize("path", ASM, ids=lambda path: path.name)
def test_texts_are_in_form(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert format_text(text) == text


@pytest.mark.parametrize(("n", "cols", "cycles"), [(128, 320, 171), (37, 5, 80), (1, 320, 44)])
def test_saxpy(tsp_kernel: TspKernel, n: int, cols: int, cycles: int) -> None:
    """Bit for bit what numpy's two operations give, in assembly and from Python: one program."""

    def reference(x: Array, y: Array) -> Array:
        return np.asarray(f32(2.5) * x + y)

    size = {"n": n, "cols": cols}
    text = tsp_kernel(KERNELS / "saxpy.asm", reference, parameters=size, cycles=cycles)
    made = tsp_kernel(saxpy.build(n, cols), reference, cycles=cycles)
    assert same(text.program, made.program)


def gelu_reference(x: Array) -> Array:
    wide = x.astype(np.float64)
    return np.asarray(wide / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3))))


@pytest.mark.parametrize(("n", "cols", "cycles"), [(128, 320, 182), (37, 5, 91), (1, 1, 55)])
def test_gelu(tsp_kernel: TspKernel, n: int, cols: int, cycles: int) -> None:
    """Within a few roundings of float64; far out it is 0 or x. In assembly and from Python: one program."""
    wide = drawn(lambda random: (random.standard_normal((n, cols)) * 8).astype(f32))
    text = tsp_kernel(
        KERNELS / "gelu.asm",
        gelu_reference,
        parameters={"n": n, "cols": cols},
        inputs={"x": wide},
        rtol=1e-6,
        atol=1e-6,
        cycles=cycles,
    )
    assert same(text.program, gelu.build(n, cols))


@pytest.mark.parametrize(("n", "cols", "cycles"), [(128, 320, 192), (37, 5, 101), (1, 1, 65)])
def test_saxpy_gelu(tsp_kernel: TspKernel, n: int, cols: int, cycles: int) -> None:
    """Two kernels in a chain: GELU's cycles, two ALUs more before it, and four slices more behind."""
    wide = drawn(lambda random: (random.standard_normal((n, cols)) * 8).astype(f32))
    tsp_kernel(
        KERNELS / "saxpy_gelu.asm",
        lambda x, y: gelu_reference(np.asarray(f32(2.5) * x + y)),
        parameters={"n": n, "cols": cols},
        inputs={"x": wide},
        rtol=1e-6,
        atol=1e-6,
        cycles=cycles,
    )


@pytest.mark.parametrize(
    ("m", "k", "n", "cycles"),
    [(128, 768, 64, 846), (37, 321, 5, 257), (3, 40, 320, 463), (1, 1, 1, 142)],
)
def test_matmul(tsp_kernel: TspKernel, m: int, k: int, n: int, cycles: int) -> None:
    """Bit for bit: products are exact in fp32 and summed in ascending order of k, each sum rounded."""

    def reference(x: Array, w: Array) -> Array:
        total = np.zeros((m, n), f32)
        for i in range(k):
            total += x[:, i, None].astype(f32) * w[None, :, i].astype(f32)
        return total

    size = {"m": m, "k": k, "n": n}
    tsp_kernel(KERNELS / "matmul.asm", reference, parameters=size, trials=2, cycles=cycles)


def softmax_reference(x: Array) -> Array:
    wide = x.astype(np.float64)
    power = np.exp(wide - wide.max(-1, keepdims=True))
    return np.asarray(power / power.sum(-1, keepdims=True))


@pytest.mark.parametrize(
    ("n", "cols", "cycles"), [(128, 320, 2298), (37, 101, 1021), (5, 2, 456), (3, 1, 447)]
)
def test_softmax(tsp_kernel: TspKernel, n: int, cols: int, cycles: int) -> None:
    """Rows of any height: the largest element is taken off before exp, so that nothing overflows."""
    high = drawn(lambda random: (random.standard_normal((n, cols)) * 50 + 500).astype(f32))
    kernel = softmax.build(n, cols)
    tsp_kernel(kernel, softmax_reference, trials=1, rtol=2e-5, atol=1e-7, cycles=cycles)
    tsp_kernel(kernel, softmax_reference, trials=1, inputs={"x": high}, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize(("n", "cols", "cycles"), [(128, 320, 911), (37, 101, 472), (1, 16, 400)])
def test_layernorm(tsp_kernel: TspKernel, n: int, cols: int, cycles: int) -> None:
    """As exact as fp32 is, although the sums go through fp16: two parts of a value carry 22 bits."""

    def reference(x: Array, gamma: Array, beta: Array) -> Array:
        wide = x.astype(np.float64)
        far = wide - wide.mean(-1, keepdims=True)
        return np.asarray(far / np.sqrt((far**2).mean(-1, keepdims=True) + 1e-5) * gamma + beta)

    shifted = drawn(lambda random: (random.standard_normal((n, cols)) * 3 + 5).astype(f32))
    tsp_kernel(
        layernorm.build(n, cols),
        reference,
        trials=2,
        inputs={"x": shifted},
        rtol=1e-5,
        atol=2e-5,
        cycles=cycles,
    )


@pytest.mark.parametrize(("rows", "cols", "cycles"), [(320, 320, 785), (37, 101, 283), (1, 1, 147)])
def test_transpose(tsp_kernel: TspKernel, rows: int, cols: int, cycles: int) -> None:
    def reference(x: Array) -> Array:
        return x.T

    given = drawn(lambda random: random.randint(-128, 128, (rows, cols)).astype(np.int8))
    tsp_kernel(
        KERNELS / "transpose.asm",
        reference,
        parameters={"rows": rows, "cols": cols},
        inputs={"x": given},
        trials=2,
        cycles=cycles,
    )


@pytest.mark.parametrize(
    ("n", "cols", "vocab", "cycles"), [(128, 320, 1000, 168), (37, 5, 8192, 77), (1, 1, 1, 41)]
)
def test_gather(tsp_kernel: TspKernel, n: int, cols: int, vocab: int, cycles: int) -> None:
    """Bit for bit; an id beyond the table takes its last row."""

    def reference(ids: Array, table: Array) -> Array:
        return np.asarray(table[np.minimum(ids[:, 0], vocab - 1)])

    some = drawn(lambda random: random.randint(0, vocab + 3, (n, 1)).astype(np.int16))
    tsp_kernel(
        KERNELS / "gather.asm",
        reference,
        parameters={"n": n, "cols": cols, "vocab": vocab},
        inputs={"ids": some},
        cycles=cycles,
    )


@pytest.mark.parametrize(("n", "cols", "cycles"), [(128, 320, 188), (37, 5, 97), (1, 1, 61)])
def test_requantise(tsp_kernel: TspKernel, n: int, cols: int, cycles: int) -> None:
    """Bit for bit, ties and values beyond both ends included."""

    def reference(acc: Array, scale: Array) -> Array:
        value = np.clip(acc.astype(f32) * scale, f32(-131), f32(124))
        return (np.rint(value) + 3).astype(np.int8)

    tsp_kernel(
        KERNELS / "requantise.asm",
        reference,
        parameters={"n": n, "cols": cols},
        inputs={
            "acc": lambda trial: (
                np.random.RandomState(trial)
                .randint(-(2**31), 2**31, (n, cols), np.int64)
                .astype(np.int32)
                >> (8 * trial)
            ),
            "scale": lambda trial: [0.5, 2.0**-20, 1e-4][trial] * np.ones((1, cols), f32),
        },
        cycles=cycles,
    )


@pytest.mark.parametrize(("s", "d", "cycles"), [(128, 64, 1583), (37, 24, 815), (1, 1, 498)])
def test_attention(tsp_kernel: TspKernel, s: int, d: int, cycles: int) -> None:
    """Within fp16's rounding of the probabilities, 2^-11 of each, against float64."""

    def reference(q: Array, k: Array, v: Array) -> Array:
        wide = [a.astype(np.float64) for a in (q, k, v)]
        return np.asarray(softmax_reference(wide[0] @ wide[1].T / np.sqrt(d)) @ wide[2])

    tsp_kernel(attention.build(s, d), reference, trials=2, rtol=1e-3, atol=1e-3, cycles=cycles)
