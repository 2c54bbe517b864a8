"""Kernels by shape: written as text, compiled or taken from the cache, loaded into this process, found by address."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

from emulator.jit.cache import ObjectCache
from emulator.jit.host import Host, binding
from emulator.lowering.text import Target
from isa.errors import InternalError

BAD_KERNEL = 970


class Shape(Hashable, Protocol):
    """What decides a kernel's code on a given target."""

    def source(self, target: Target) -> str:
        """The LLVM module with the function ``kernel``."""


class Compiled(NamedTuple):
    """A kernel's function, and its object's key in the cache."""

    name: str
    key: str


class Library:
    """All kernels of one run environment. Addresses stay valid as long as the library lives.

    Compilation runs in a thread of its own, one kernel after the other, from when it is asked for on.
    """

    def __init__(self, host: Host, target: Target, cache: ObjectCache | None) -> None:
        self.host = host
        self.target = target
        self.cache = cache
        self.compiled = 0
        self._worker = ThreadPoolExecutor(1, "tspc-compile")
        self._wanted: dict[Shape, tuple[Compiled, Future[bytes]]] = {}
        self._linked: dict[str, int] = {}
        self._machine: Any = None
        self._engine: Any = None

    @property
    def stamp(self) -> str:
        """All that decides a kernel's code besides its text."""
        host = self.host
        return "\0".join((host.triple, host.cpu, host.features, host.llvm))

    def want(self, shape: Shape) -> Compiled:
        """Have a kernel compiled, unless it is in the cache."""
        if shape not in self._wanted:
            text = shape.source(self.target)
            name = "kernel_" + hashlib.sha256(text.encode()).hexdigest()[:24]
            key = hashlib.sha256(f"{text}\0{self.stamp}".encode()).hexdigest()
            found = self.cache.get(key) if self.cache else None
            made: Future[bytes] = Future()
            if found is not None:
                made.set_result(found)
            else:
                named = text.replace(" @kernel(", f" @{name}(")
                made = self._worker.submit(self._object, named, key)
            self._wanted[shape] = Compiled(name, key), made
        return self._wanted[shape][0]

    def address(self, shape: Shape) -> int:
        """Where a kernel is; compiles it if need be."""
        return self.addresses([self.want(shape)])[0]

    def addresses(self, kernels: Iterable[Compiled]) -> list[int]:
        """Where kernels are. Raises ``KeyError`` for one that was never wanted and is not in the cache any more."""
        kernels = list(kernels)
        made = dict(self._wanted.values())
        new = [k for k in dict.fromkeys(kernels) if k.name not in self._linked]
        bodies = [made[k].result() if k in made else self._cached(k) for k in new]
        if new:
            engine, llvm = self._linker(), binding()
            for body in bodies:
                engine.add_object_file(llvm.ObjectFileRef.from_data(body))
            engine.finalize_object()
            for k in new:
                self._linked[k.name] = int(engine.get_function_address(k.name))
        return [self._linked[k.name] for k in kernels]

    def _cached(self, kernel: Compiled) -> bytes:
        body = self.cache.get(kernel.key) if self.cache else None
        if body is None:
            raise KeyError(kernel.name)
        return body

    def _object(self, text: str, key: str) -> bytes:
        """Machine code of a module; put into the cache."""
        try:
            module = binding().parse_assembly(text)
            module.triple = self.host.triple
            module.verify()
        except RuntimeError as error:
            raise InternalError(BAD_KERNEL, f"a kernel is not valid LLVM IR: {error}") from None
        body: bytes = self._compiler().emit_object(module)
        self.compiled += 1
        if self.cache:
            self.cache.put(key, body)
        return body

    def _compiler(self) -> Any:
        """LLVM set up for the host; made when first used."""
        if self._machine is None:
            host = self.host
            self._machine = (
                binding()
                .Target.from_triple(host.triple)
                .create_target_machine(
                    cpu=host.cpu, features=host.features, opt=2, codemodel="jitdefault"
                )
            )
        return self._machine

    def _linker(self) -> Any:
        """The execution engine, to which objects are added."""
        if self._engine is None:
            llvm = binding()
            empty = llvm.parse_assembly("")
            empty.triple = self.host.triple
            machine = llvm.Target.from_triple(self.host.triple).create_target_machine(opt=0)
            self._engine = llvm.create_mcjit_compiler(empty, machine)
        return self._engine
