"""The loop that runs a program: kernels and their descriptors, one after the other, by one or several threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from emulator.lowering.text import Function, Target

ENTRY: Final = 3
"""Words of a table entry: kernel, descriptor, 1 if all threads meet before it."""
BARRIER: Final = 24
"""Words of a barrier: arrivals (0), generation (8) and the address of ``sched_yield`` (16), a cache line each."""
MXCSR: Final = 0x1F80
"""All exceptions masked, round to nearest, subnormals kept."""
SPINS: Final = 1000
"""Looks at the generation before a waiting thread offers its core to others."""


@dataclass(frozen=True)
class Driver:
    """``kernel(table, entries, thread, threads, barrier)``: every thread walks the whole table.

    Each kernel takes its thread's share. Where an entry's flag is set, all threads wait for each other before it, so that it
    sees what the entries before it wrote. ``spin_hint`` is the intrinsic for a waiting loop, if the host has one. With
    ``control``, a thread rounds to nearest and keeps subnormals while it runs kernels, however its MXCSR is set.
    """

    spin_hint: str
    control: bool = False

    def source(self, target: Target) -> str:
        """The module."""
        f = Function()
        caller = self._standard(f) if self.control else ""
        several = f.let("icmp ugt i64 %threads, 1")
        with f.loop(0, "%entries") as entry:
            row = f.at("%table", f.let(f"mul i64 {entry}, {8 * ENTRY}"))
            kernel, desc, flag = f.pointer(0, row), f.pointer(1, row), f.word(2, row)
            meets = f.let(f"icmp ne i64 {flag}, 0")
            with f.when(f.let(f"and i1 {meets}, {several}")):
                self._meet(f)
            f.do(f"call void {kernel}(ptr {desc}, i64 %thread, i64 %threads)")
        if caller:
            f.do(f"call void @llvm.x86.sse.ldmxcsr(ptr {caller})")
        signature = "ptr %table, i64 %entries, i64 %thread, i64 %threads, ptr %barrier"
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

    def _meet(self, f: Function) -> None:
        """The last to arrive starts a new generation; the others wait for it."""
        where = f.at("%barrier", 64)
        old = f.let(f"load atomic i64, ptr {where} acquire, align 8")
        count = f.let("atomicrmw add ptr %barrier, i64 1 acq_rel")
        last = f.let(f"icmp eq i64 {f.let(f'add i64 {count}, 1')}, %threads")
        release, wait, look, rest, met = (
            f.fresh(n) for n in ("release", "wait", "look", "rest", "met")
        )
        f.do(f"br i1 {last}, label %{release}, label %{wait}")
        f.label(release)
        f.do("store atomic i64 0, ptr %barrier monotonic, align 8")
        new = f.let(f"add i64 {old}, 1")
        f.do(f"store atomic i64 {new}, ptr {where} release, align 8")
        f.do(f"br label %{met}")
        f.label(wait)
        f.do(f"br label %{look}")
        f.label(look)
        spin, again = f"%s{look}", f"%t{look}"
        f.do(f"{spin} = phi i64 [0, %{wait}], [{again}, %{look}], [0, %{rest}]")
        if self.spin_hint:
            f.declares.add(f"declare void @{self.spin_hint}()")
            f.do(f"call void @{self.spin_hint}()")
        now = f.let(f"load atomic i64, ptr {where} acquire, align 8")
        f.do(f"{again} = add i64 {spin}, 1")
        same = f.let(f"icmp eq i64 {now}, {old}")
        patient = f.let(f"icmp ult i64 {again}, {SPINS}")
        state = f.let(f"select i1 {patient}, i32 1, i32 2")
        state = f.let(f"select i1 {same}, i32 {state}, i32 0")
        f.do(f"switch i32 {state}, label %{met} [i32 1, label %{look} i32 2, label %{rest}]")
        f.label(rest)
        function = f.pointer(16, "%barrier")
        f.let(f"call i32 {function}()")
        f.do(f"br label %{look}")
        f.label(met)
