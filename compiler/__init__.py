"""ONNX in, `Program` out: see `compiler.pipeline` for the stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compiler.pipeline import Compilation, Report, compile_model

__all__ = ["Compilation", "Report", "compile_model"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from compiler import pipeline

        return getattr(pipeline, name)
    raise AttributeError(name)
