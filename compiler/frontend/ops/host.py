"""What is computed at compile time or not at all: the chain folds these, so that a converter sees only what is left."""

from __future__ import annotations

import numpy as np

from compiler.frontend.registry import (
    REGISTRY,
    VALUE_ELEMENTS,
    Call,
    OnnxOp,
    UnsupportedError,
    onnx_op,
)
from compiler.graph import Constant

_SINCE = {
    "Constant": 1, "Shape": 1, "Size": 1, "Range": 11, "NonZero": 9, "Trilu": 14, "CumSum": 11, "Mod": 10,
    "Sin": 7, "Cos": 7, "Log": 6, "Floor": 6, "Ceil": 6, "Round": 11, "Sign": 9,
}  # fmt: skip


def _refuse(call: Call) -> None:
    for index in range(len(call.inputs)):
        call.decides(index, "the operand" if len(call.inputs) == 1 else "an operand")
    raise UnsupportedError(f"is malformed, or of more than {VALUE_ELEMENTS} elements")


for _name, _since in _SINCE.items():
    _limits = {"Constant": "tensors and numbers", "Shape": "", "Size": ""}.get(
        _name, "of constants"
    )
    REGISTRY[_name] = OnnxOp(_name, _since, _limits, _refuse, folded=True)


@onnx_op("ConstantOfShape", since=9, limits="the shape is known at compile time")
def _constant_of_shape(call: Call) -> None:
    shape = call.result(0, "the shape")
    value = call.attrs.get("value")
    fill = value.value().reshape(()) if isinstance(value, Constant) else np.float32(0)
    call.done("Expand", [call.builder.literal(np.asarray(fill))], shape=shape)


@onnx_op("If", limits="the condition is known at compile time")
def _if(call: Call) -> None:
    call.decides(0, "the condition")
    raise UnsupportedError("the branch that is taken does not fit the node")
