"""A kernel that does nothing but multiply and add: what the host's vector unit can do at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from emulator.lowering.text import Function, Target, module
from emulator.lowering.values import Lanes

CHAINS: Final = 12
"""Independent sums: enough to hide the latency of a step on hosts of today."""
STEPS: Final = 4


@dataclass(frozen=True)
class Peak:
    """``CHAINS`` sums of a host vector each, ``STEPS`` steps a turn. Descriptor: turns; a float32; then what the sums become."""

    def source(self, target: Target) -> str:
        """The kernel's module."""
        f = Function()
        v = Lanes(f, target.width)
        turns, out = f.word(0), f.at("%desc", 16)
        one = v.spread("float", f.let(f"load float, ptr {f.at('%desc', 8)}"))
        f.do("br label %loop")
        f.label("loop")
        k = f.let("phi i64 [0, %entry], [%next, %loop]")
        sums = [f.let(f"phi {v.floats} [{one}, %entry], [%last{n}, %loop]") for n in range(CHAINS)]
        for _ in range(STEPS):
            sums = [self._step(v, target, one, s) for s in sums]
        for n, s in enumerate(sums):
            f.do(f"%last{n} = bitcast {v.floats} {s} to {v.floats}")
        f.do(f"%next = add i64 {k}, 1")
        f.do(f"br i1 {f.let(f'icmp ult i64 %next, {turns}')}, label %loop, label %end")
        f.label("end")
        for n in range(CHAINS):
            f.do(f"store {v.floats} %last{n}, ptr {f.at(out, 4 * v.n * n)}, align 4")
        return module([("kernel", f)])

    def _step(self, v: Lanes, target: Target, one: str, total: str) -> str:
        if not target.fma:
            return v.arith("fadd", total, v.arith("fmul", one, one))
        t = v.floats
        return v.f.call(t, f"llvm.fma.v{v.n}f32", (t, one), (t, one), (t, total))

    def flops(self, target: Target, turns: int) -> int:
        """Multiplications and additions of a call."""
        return 2 * CHAINS * STEPS * target.width * turns
