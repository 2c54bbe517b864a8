"""The loop that runs a program: kernels and their descriptors, one after the other, by one or several threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from emulator.lowering.text import Function, Target

ENTRY: Final = 3
"""Words of a table entry: kernel, descriptor, 1 if its work may be divided."""
STATE: Final = 2
"""Words of an entry's state, zero before a run: shares taken, shares done."""
MXCSR: Final = 0x1F80
"""All exceptions masked, round to nearest, subnormals kept."""
SPINS: Final = 1000
"""Looks at a state before a waiting thread offers its core to others."""


@dataclass(frozen=True)
class Driver:
    """``kernel(table, entries, threads, state, rest)``: run by every thread over the whole table.

    Threads take shares of an entry until none is left, and go on when all are done. So a thread that the system does not
    run holds up nobody, unless it stopped within a share. ``rest`` is the address of ``sched_yield``. ``spin_hint`` is
    the intrinsic for a waiting loop, if the host has one. With ``control``, a thread rounds to nearest and keeps
    subnormals while it runs kernels, however its MXCSR is set.
    """

    spin_hint: str
    control: bool = False

    def source(self, target: Target) -> str:
        """The module."""
        f = Function()
        caller = self._standard(f) if self.control else ""
        alone = f.let("icmp eq i64 %threads, 1")
        several = f.let(f"xor i1 {alone}, true")
        with f.loop(0, "%entries") as entry:
            row = f.at("%table", f.let(f"mul i64 {entry}, {8 * ENTRY}"))
            kernel, desc = f.pointer(0, row), f.pointer(1, row)
            with f.when(alone):
                f.do(f"call void {kernel}(ptr {desc}, i64 0, i64 1)")
            with f.when(several):
                divides = f.let(f"icmp ne i64 {f.word(2, row)}, 0")
                parts = f.let(f"select i1 {divides}, i64 %threads, i64 1")
                state = f.at("%state", f.let(f"mul i64 {entry}, {8 * STATE}"))
                self._take(f, kernel, desc, parts, state)
                self._wait(f, parts, f.at(state, 8))
        if caller:
            f.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {caller})")
        signature = "ptr %table, i64 %entries, i64 %threads, ptr %state, ptr %rest"
        return "\n".join([f.text("kernel", signature), *sorted(f.declares)]) + "\n"

    def _standard(self, f: Function) -> str:
        """Set MXCSR to its default; where the caller's is kept."""
        for name in ("stmxcsr", "ldmxcsr"):
            f.declares.add(f"declare void @llvm.x86.sse.{name}(ptr)")
        caller, standard = f.slot("i32"), f.slot("i32")
        f.do(f"call void @llvm.x86.sse.stmxcsr(ptr {caller})")
        f.do(f"store i32 {MXCSR}, ptr {standard}")
        f.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {standard})")
        return caller

    def _take(self, f: Function, kernel: str, desc: str, parts: str, state: str) -> None:
        """Do shares of an entry as long as there are any."""
        look, take, work, out = (f.fresh(n) for n in ("look", "take", "work", "out"))
        f.do(f"br label %{look}")
        f.label(look)
        taken = f.let(f"load atomic i64, ptr {state} monotonic, align 8")
        f.do(f"br i1 {f.let(f'icmp ult i64 {taken}, {parts}')}, label %{take}, label %{out}")
        f.label(take)
        part = f.let(f"atomicrmw add ptr {state}, i64 1 acq_rel")
        f.do(f"br i1 {f.let(f'icmp ult i64 {part}, {parts}')}, label %{work}, label %{out}")
        f.label(work)
        f.do(f"call void {kernel}(ptr {desc}, i64 {part}, i64 {parts})")
        f.let(f"atomicrmw add ptr {f.at(state, 8)}, i64 1 release")
        f.do(f"br label %{look}")
        f.label(out)

    def _wait(self, f: Function, parts: str, done: str) -> None:
        """Until all shares of an entry are done."""
        wait, look, rest, go = (f.fresh(n) for n in ("wait", "look", "rest", "go"))
        f.do(f"br label %{wait}")
        f.label(wait)
        f.do(f"br label %{look}")
        f.label(look)
        spin, again = f"%s{look}", f"%t{look}"
        f.do(f"{spin} = phi i64 [0, %{wait}], [{again}, %{look}], [0, %{rest}]")
        now = f.let(f"load atomic i64, ptr {done} acquire, align 8")
        if self.spin_hint:
            f.declares.add(f"declare void @{self.spin_hint}()")
            f.do(f"call void @{self.spin_hint}()")
        f.do(f"{again} = add i64 {spin}, 1")
        left = f.let(f"icmp ne i64 {now}, {parts}")
        patient = f.let(f"icmp ult i64 {again}, {SPINS}")
        state = f.let(f"select i1 {patient}, i32 1, i32 2")
        state = f.let(f"select i1 {left}, i32 {state}, i32 0")
        f.do(f"switch i32 {state}, label %{go} [i32 1, label %{look} i32 2, label %{rest}]")
        f.label(rest)
        f.let("call i32 %rest()")
        f.do(f"br label %{look}")
        f.label(go)
