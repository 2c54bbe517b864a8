"""``calls.pyi`` from the registry: ``python -m isa.builder.stub`` writes it, a test compares it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from isa.builder.calls import call_operands, is_sampled, method_name
from isa.builder.operands import QUEUES
from isa.instruction import REGISTRY, Instruction, Kind

STUB: Final = Path(__file__).with_name("calls.pyi")
_TYPES: Final = {
    Kind.UINT: "int",
    Kind.INT: "int",
    Kind.STREAM: "Stream",
    Kind.DTYPE: "DType",
    Kind.SOURCE: "Source",
}
_HEAD: Final = '''"""Written by isa/builder/stub.py from the declarations under isa/ops/."""

from typing import Any

from isa.assembly.expressions import Stream
from isa.builder.issued import Issued
from isa.builder.operands import Alu, AnyQueue, Exchange, Late, Links, Plane, Slice, Time
from isa.instruction import DType, Instruction, Operand

Source = Stream | Issued | Late | Alu | int | float

SUFFIXES: tuple[str, ...]

def method_name(mnemonic: str) -> str: ...
def is_sampled(cls: type[Instruction], operand: Operand) -> bool: ...
def call_operands(cls: type[Instruction]) -> tuple[list[Operand], list[Operand]]: ...

class Calls:
    def issue(self, mnemonic: str, given: dict[str, Any], on: Any, **how: Any) -> Issued: ...
'''


def _method(cls: type[Instruction]) -> Iterator[str]:
    placed, named = call_operands(cls)
    queue = QUEUES[cls.unit].__name__ if cls.unit in QUEUES else "AnyQueue"
    yield f"    def {method_name(cls.mnemonic)}("
    yield "        self,"
    for o in placed:
        more = " | Issued" if is_sampled(cls, o) else ""
        yield f"        {o.name}: {_TYPES[o.kind]}{more},"
    yield "        *,"
    yield f"        on: {queue},"
    off = {Kind.FLAG: "bool = False", Kind.STREAM_OR_NONE: "Stream | None = None"}
    yield from (f"        {o.name}: {off[o.kind]}," for o in named)
    yield "        at: Time = None,"
    yield "        x: int = 1,"
    yield "        every: int = 1,"
    yield "        step: int = 0,"
    yield '        node: str = "",'
    yield "    ) -> Issued: ..."


def stub() -> str:
    """The text of ``calls.pyi``."""
    classes = [cls for cls in REGISTRY.values() if not cls.word_only]
    return _HEAD + "\n".join(line for cls in classes for line in _method(cls)) + "\n"


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
