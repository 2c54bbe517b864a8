"""Converters of ONNX operators, one file a family; importing this package registers them."""

from compiler.frontend.ops import contraction, elementwise, host, indexing, layout, normalization

__all__ = ["contraction", "elementwise", "host", "indexing", "layout", "normalization"]
