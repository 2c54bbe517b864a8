"""The source that defines an instruction: its own functions, and everything of ``isa.ops`` that they use."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from types import GenericAlias, ModuleType
from typing import Any, Final, NamedTuple

from isa.instruction import REGISTRY, Instruction
from isa.ops.vxm import VxmInstruction

PARTS: Final = ("execute", "compute", "exact", "bits")
Place = tuple[str, str]
"""A module and a name at its top level."""


class Definition(NamedTuple):
    """Where something stands in its module, its text, decorators included, and its tree."""

    line: int
    text: str
    tree: ast.stmt


def source(function: Callable[..., Any]) -> str:
    """A function's text, at the left margin."""
    return textwrap.dedent(inspect.getsource(function)).rstrip()


def meaning(cls: type[Instruction]) -> str:
    """The numpy source that defines an instruction; what all of a unit share stands with the unit."""
    shared = [getattr(VxmInstruction, name, None) for name in PARTS]
    found = [getattr(cls, name) for name in PARTS if hasattr(cls, name)]
    return "\n\n".join(source(function) for function in found if function not in shared)


def helpers(cls: type[Instruction]) -> str:
    """Functions, types and constants of ``isa.ops`` that the meaning uses, in the order in which they stand there."""
    return _helpers(cls.mnemonic)


@cache
def _helpers(mnemonic: str) -> str:
    cls = REGISTRY[mnemonic]
    found: set[Place] = set()
    _collect(ast.parse(meaning(cls)), sys.modules[cls.__module__], found)
    known = sorted((home, *_definitions(home)[name][:2]) for home, name in found)
    return "\n\n".join(text for _, _, text in known)


@cache
def _definitions(module: str) -> dict[str, Definition]:
    """What a module defines at its top level."""
    text = inspect.getsource(sys.modules[module])
    lines = text.splitlines()
    found: dict[str, Definition] = {}
    for node in ast.parse(text).body:
        names: list[str] = []
        first = node.lineno
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
            first = min([first, *(d.lineno for d in node.decorator_list)])
        elif isinstance(node, ast.Assign):
            names = [t.id for t in node.targets if isinstance(t, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        for name in names:
            found[name] = Definition(first, "\n".join(lines[first - 1 : node.end_lineno]), node)
    return found


def _collect(tree: ast.AST, module: ModuleType, found: set[Place]) -> None:
    """Add what ``tree``, which stands in ``module``, uses, and what that uses."""
    for home, name in _used(tree, module):
        value = getattr(sys.modules[home], name, None)
        instruction = isinstance(value, type) and issubclass(value, Instruction)
        if instruction or isinstance(value, GenericAlias):  # Types of arrays say nothing here.
            continue
        if (home, name) not in found and name in _definitions(home):
            found.add((home, name))
            _collect(_definitions(home)[name].tree, sys.modules[home], found)


def _used(tree: ast.AST, module: ModuleType) -> Iterator[Place]:
    """Names that a tree takes from modules of ``isa.ops``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = getattr(module, node.value.id, None)
            if isinstance(owner, ModuleType) and owner.__name__.startswith("isa.ops."):
                yield owner.__name__, node.attr
        elif isinstance(node, ast.Name) and hasattr(module, node.id):
            value = getattr(module, node.id)
            home = getattr(value, "__module__", module.__name__)
            if home.startswith("isa.ops."):
                yield home, node.id
            elif node.id in _definitions(module.__name__):
                yield module.__name__, node.id
