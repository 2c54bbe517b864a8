"""Kernels by shape: written as text, compiled or taken from the cache, loaded into this process, found by address."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from typing import Any, Protocol

from emulator.jit.cache import ObjectCache
from emulator.jit.host import Host, binding
from emulator.lowering.text import Target
from isa.errors import InternalError

BAD_KERNEL = 970


class Shape(Hashable, Protocol):
    """What decides a kernel's code on a given target."""

    def source(self, target: Target) -> str:
        """The LLVM module with the function ``kernel``."""


class Library:
    """All kernels of one run environment. Addresses stay valid as long as the library lives."""

    def __init__(self, host: Host, target: Target, cache: ObjectCache | None) -> None:
        self.host = host
        self.target = target
        self.cache = cache
        self.compiled = 0
        self._addresses: dict[Shape, int] = {}
        llvm = binding()
        self._machine = llvm.Target.from_triple(host.triple).create_target_machine(
            cpu=host.cpu, features=host.features, opt=2, codemodel="jitdefault"
        )
        self._linked: set[str] = set()
        self._engine: Any = self._new_engine()

    def load(self, shapes: Iterable[Shape]) -> None:
        """Make kernels callable."""
        wanted = [shape for shape in dict.fromkeys(shapes) if shape not in self._addresses]
        names = {}
        for shape in wanted:
            text = shape.source(self.target)
            names[shape] = "kernel_" + hashlib.sha256(text.encode()).hexdigest()[:24]
            if names[shape] not in self._linked:
                self._linked.add(names[shape])
                body = self._object(text.replace(" @kernel(", f" @{names[shape]}("))
                self._engine.add_object_file(binding().ObjectFileRef.from_data(body))
        if wanted:
            self._engine.finalize_object()
        for shape, name in names.items():
            self._addresses[shape] = int(self._engine.get_function_address(name))

    def address(self, shape: Shape) -> int:
        """Where a kernel is; compiles it if need be."""
        self.load([shape])
        return self._addresses[shape]

    def _object(self, text: str) -> bytes:
        """Machine code of a module."""
        key = "\0".join((text, self.host.triple, self.host.cpu, self.host.features, self.host.llvm))
        found = self.cache.get(key) if self.cache else None
        if found is not None:
            return found
        try:
            module = binding().parse_assembly(text)
            module.triple = self.host.triple
            module.verify()
        except RuntimeError as error:
            raise InternalError(BAD_KERNEL, f"a kernel is not valid LLVM IR: {error}") from None
        body: bytes = self._machine.emit_object(module)
        self.compiled += 1
        if self.cache:
            self.cache.put(key, body)
        return body

    def _new_engine(self) -> Any:
        """An empty execution engine, which objects are added to."""
        llvm = binding()
        empty = llvm.parse_assembly("")
        empty.triple = self.host.triple
        machine = llvm.Target.from_triple(self.host.triple).create_target_machine(opt=0)
        return llvm.create_mcjit_compiler(empty, machine)
