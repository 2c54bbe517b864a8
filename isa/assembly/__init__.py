"""Assembly: a ``Program`` as text and back, byte for byte, constants, inputs and outputs included.

The form of a line stands in ``isa/assembly.lark``. ``assemble`` reports every error of a text at once.
"""

from __future__ import annotations

from isa.assembly.assembler import assemble
from isa.assembly.errors import AssemblyError, AssemblyErrors
from isa.assembly.printer import disassemble, instruction_line, listing

__all__ = [
    "AssemblyError",
    "AssemblyErrors",
    "assemble",
    "disassemble",
    "instruction_line",
    "listing",
]
