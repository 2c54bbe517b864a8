"""Writing LLVM IR as text: a function under construction, its names, loops and descriptor loads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

SIGNATURE = "ptr %desc, i64 %part, i64 %parts"


@dataclass(frozen=True, slots=True)
class Target:
    """What of the host decides the shape of kernels; the bits they compute do not depend on it.

    Attributes:
        lanes: lanes of the chip.
        per_superlane: lanes of a superlane.
        width: float32 elements of a host vector register.
        registers: host vector registers.
        fma: whether the host fuses multiply and add in hardware.
        half: whether the host converts float16 in hardware.
    """

    lanes: int
    per_superlane: int
    width: int = 16
    registers: int = 32
    fma: bool = True
    half: bool = True

    @property
    def step(self) -> int:
        """Lanes a vector loop takes at once: the largest power of two up to 16 that divides the lanes."""
        return next(n for n in (16, 8, 4, 2, 1) if self.lanes % n == 0)


@dataclass
class Fold:
    """A loop's counter and the value it carries."""

    index: str
    value: str


@dataclass
class Function:
    """A function being written. Values are strings (``%7``), types are LLVM's."""

    lines: list[str] = field(default_factory=list)
    declares: set[str] = field(default_factory=set)
    slots: list[str] = field(default_factory=list)
    names: int = 0
    block: str = "entry"

    def let(self, expression: str) -> str:
        """A fresh value defined by ``expression``."""
        self.names += 1
        self.lines.append(f"  %v{self.names} = {expression}")
        return f"%v{self.names}"

    def do(self, statement: str) -> None:
        """A statement without a value."""
        self.lines.append(f"  {statement}")

    def label(self, name: str) -> None:
        """Start a basic block."""
        self.lines.append(f"{name}:")
        self.block = name

    def fresh(self, stem: str) -> str:
        """A block name that is not in use."""
        self.names += 1
        return f"{stem}{self.names}"

    def slot(self, type_: str) -> str:
        """Stack space of the function, wherever in it this is asked for."""
        self.names += 1
        self.slots.append(f"  %v{self.names} = alloca {type_}")
        return f"%v{self.names}"

    def call(self, type_: str, name: str, *args: tuple[str, str]) -> str:
        """Call a declared function or intrinsic; ``args`` are ``(type, value)``."""
        types = ", ".join(t for t, _ in args)
        self.declares.add(f"declare {type_} @{name}({types})")
        return self.let(f"call {type_} @{name}({', '.join(f'{t} {v}' for t, v in args)})")

    def at(self, pointer: str, offset: str | int) -> str:
        """``pointer`` plus a byte offset."""
        if offset in (0, "0"):
            return pointer
        return self.let(f"getelementptr i8, ptr {pointer}, i64 {offset}")

    def word(self, index: int | str, base: str = "%desc") -> str:
        """Word ``index`` of the descriptor, as an i64."""
        where = self.let(f"getelementptr i64, ptr {base}, i64 {index}")
        return self.let(f"load i64, ptr {where}")

    def pointer(self, index: int | str, base: str = "%desc") -> str:
        """Word ``index`` of the descriptor, as a pointer."""
        where = self.let(f"getelementptr i64, ptr {base}, i64 {index}")
        return self.let(f"load ptr, ptr {where}")

    @contextmanager
    def fold(
        self, start: str | int, stop: str | int, type_: str, seed: str, step: int = 1
    ) -> Iterator[Fold]:
        """A counted loop that carries a value: set ``value`` in its body; behind it, it holds the last one."""
        before, position = self.block, 0
        with self.loop(start, stop, step) as index:
            carried = f"%f{index[1:]}"
            head = self.lines.index(f"{index[2:]}:")
            position = head + 2
            self.lines.insert(position, "")
            fold = Fold(index, carried)
            yield fold
            inside = self.block
        self.lines[position] = (
            f"  {carried} = phi {type_} [{seed}, %{before}], [{fold.value}, %{inside}]"
        )
        fold.value = carried

    @contextmanager
    def loop(self, start: str | int, stop: str | int, step: int = 1) -> Iterator[str]:
        """A counted loop over ``start <= i < stop``; yields ``i``."""
        head, body, done = self.fresh("head"), self.fresh("body"), self.fresh("done")
        index, after, before = f"%i{head}", f"%n{head}", self.block
        self.do(f"br label %{head}")
        self.label(head)
        position = len(self.lines)
        self.lines.append("")
        inside = self.let(f"icmp slt i64 {index}, {stop}")
        self.do(f"br i1 {inside}, label %{body}, label %{done}")
        self.label(body)
        yield index
        self.do(f"{after} = add i64 {index}, {step}")
        phi = f"  {index} = phi i64 [{start}, %{before}], [{after}, %{self.block}]"
        self.lines[position] = phi
        self.do(f"br label %{head}")
        self.label(done)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """A block executed when the i1 ``condition`` holds."""
        then, done = self.fresh("then"), self.fresh("done")
        self.do(f"br i1 {condition}, label %{then}, label %{done}")
        self.label(then)
        yield
        self.do(f"br label %{done}")
        self.label(done)

    def share(self, total: str, grain: int = 1) -> tuple[str, str]:
        """This call's share ``[start, stop)`` of ``total`` units, in multiples of ``grain``."""
        up = self.let("sub i64 %parts, 1")
        padded = self.let(f"add i64 {total}, {up}")
        part = self.let(f"udiv i64 {padded}, %parts")
        if grain > 1:
            part = self.let(f"add i64 {part}, {grain - 1}")
            part = self.let(f"udiv i64 {part}, {grain}")
            part = self.let(f"mul i64 {part}, {grain}")
        start = self.let(f"mul i64 %part, {part}")
        stop = self.let(f"add i64 {start}, {part}")
        return self.minimum(start, total), self.minimum(stop, total)

    def minimum(self, a: str, b: str) -> str:
        """The smaller of two i64."""
        return self.call("i64", "llvm.smin.i64", ("i64", a), ("i64", b))

    def text(self, name: str, signature: str = SIGNATURE, linkage: str = "") -> str:
        """The finished function, returning nothing."""
        body = "\n".join(self.slots + self.lines)
        return f"define {linkage} void @{name}({signature}) {{\nentry:\n{body}\n  ret void\n}}\n"


def module(functions: list[tuple[str, Function]], extra: str = "") -> str:
    """A module: kernel functions by name, and the declarations they need."""
    declares = sorted(set().union(*(f.declares for _, f in functions)))
    texts = [f.text(name) for name, f in functions]
    return "\n".join([extra, *texts, *declares]) + "\n"
