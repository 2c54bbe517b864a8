"""onnx_ir, onnx-shape-inference and onnxscript's optimizer: shapes inferred, constants folded, branches decided.

One walk over the nodes does both: a shape rule of onnx-shape-inference says how large a result is, then the optimizer
may compute it. The rest of that optimizer is not used: what its rewrite rules fuse, the passes fuse under their
equations and keep the names of. Nor is onnx's own shape inference, which ends the process on malformed models.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import onnx_ir as ir
from onnx_shape_inference import ShapeInferenceContext, registry
from onnxscript import optimizer
from onnxscript.optimizer._constant_folding import FoldConstantsPass, Replacement

from compiler.builder import EAGER_BYTES, FOLDED_BYTES, LIMIT_BYTES
from compiler.frontend.dtypes import ONNX_DTYPES
from compiler.frontend.isolate import TITLE, Isolated
from compiler.frontend.registry import REGISTRY, VALUE_ELEMENTS
from compiler.graph import Constant, DType, Tensor
from isa.errors import InputError, LimitError, TspcError

for _name in ("onnx_ir", "onnx_shape_inference", "onnxscript"):
    # What they warn of is not for stderr.
    logging.getLogger(_name).addHandler(logging.NullHandler())

PROPAGATED = 1024
"""The most elements of a tensor that a shape rule may look at as sizes."""

NEVER_FOLDED = {"Attention", "Softmax"}
"""Attention needs far more memory than its result; `onnx.reference` takes Softmax-11 for Softmax-13."""


class Held(ir.LazyTensor):
    """A tensor of the model as the libraries see it: read when they look, and only if it is small enough to decide something."""

    def __init__(self, constant: Constant, dtype: ir.DataType) -> None:
        tensor = constant.tensor
        super().__init__(self._load, dtype, ir.Shape(tensor.shape), name=tensor.name)
        self.constant = constant

    def _load(self) -> ir.TensorProtocol:
        if self.size > VALUE_ELEMENTS:
            raise ValueError(f"{self.name} has {self.size} elements")
        return ir.tensor(self.constant.value(), dtype=self.dtype)


def run_chain(isolated: Isolated) -> ir.Model:
    """The model without decided branches, with static shapes and constants where they can be known.

    A value that is known has a `const_value`: a `Held` for a tensor of the model.

    Raises:
        InputError: TSP105 the copy has a form that onnx_ir does not take, TSP120 a branch that does not fit its node.
        LimitError: TSP403 a result of more than `LIMIT_BYTES`.
    """
    try:
        model: ir.Model = ir.from_proto(isolated.model)
    except Exception as error:
        raise InputError(105, f"the model is malformed: {_first(error)}") from error
    names = [value.name for value in model.graph.inputs]
    _hold(model.graph, isolated.constants)
    with np.errstate(all="ignore"):
        _Fold(model).call(model)
    for value, name in zip(model.graph.inputs, names, strict=True):
        value.name = name  # A branch that gives back what it gets renames it.
    return model


def _first(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


def _hold(graph: ir.Graph, constants: Sequence[Constant]) -> None:
    """Put what the placeholders stand for in their place."""

    def held(tensor: ir.TensorProtocol) -> Held:
        return Held(constants[int(tensor.doc_string or "")], tensor.dtype)

    for part in (graph, *graph.subgraphs()):
        for value in part.initializers.values():
            assert value.const_value is not None
            value.const_value = held(value.const_value)
    for node in graph.all_nodes():
        for name, attribute in node.attributes.items():
            if attribute.type == ir.AttributeType.TENSOR:
                node.attributes[name] = ir.AttrTensor(name, held(attribute.as_tensor()))


class _Context(ShapeInferenceContext):  # type: ignore[misc]  # The package has no type information.
    """What a value is, folding tells: nothing is propagated beside it, no long tensor becomes a list, and a rule ends where
    it would give a size that is not known a name."""

    def set_symbolic_value(self, value: ir.Value, data: list[int | ir.SymbolicDim]) -> None:
        pass

    def get_symbolic_value(self, value: ir.Value) -> list[int | ir.SymbolicDim] | None:
        tensor = static(value)
        if tensor is None or tensor.size > PROPAGATED:
            return None
        found: list[int | ir.SymbolicDim] | None = super().get_symbolic_value(value)
        return found

    def new_symbolic_dim(self) -> ir.SymbolicDim:
        raise ValueError("a size is not known")


class _Fold(FoldConstantsPass):
    """Constant folding of the optimizer, behind a shape rule for each node, and within bounds."""

    def __init__(self, model: ir.Model) -> None:
        super().__init__(
            shape_inference=False,
            input_size_limit=VALUE_ELEMENTS,
            output_size_limit=VALUE_ELEMENTS,
            should_fold=self._may_fold,
        )
        registry.collect()
        self._opset = model.opset_imports.get("", 0)
        self._context = _Context(model.opset_imports)
        self._left = FOLDED_BYTES

    def visit_attribute(self, attr: ir.Attr) -> None:
        """Branches are visited when they are taken: they have become part of the graph then."""

    def visit_node(self, node: ir.Node, root: ir.Graph | ir.Function) -> None:
        if node.domain or node.op_type not in REGISTRY:
            return
        self._infer(node)
        try:
            super().visit_node(node, root)
        except TspcError:
            raise
        except Exception as error:
            reason = (
                f"{node.name}: {node.op_type} (opset {self._opset}): malformed: {_first(error)}"
            )
            raise InputError(120, f"1 node(s) cannot be compiled:\n  {reason}") from error
        if node.op_type == "If":
            node.attributes.clear()  # Nobody looks at branches that were not taken.

    def process_node(self, node: ir.Node, is_function: bool) -> Replacement | None:
        try:
            found = super().process_node(node, is_function)
        except TspcError:
            raise
        except Exception:
            return None  # It is not folded; the node's converter says what is wrong.
        for old, new in zip(node.outputs, found.new_outputs if found else (), strict=False):
            expected, computed = static(old), static(new)
            if expected and computed and expected.shape != computed.shape:
                return None
        return found

    def replace_node(
        self, node: ir.Node, replacement: Replacement, root: ir.Graph | ir.Function
    ) -> None:
        for new in replacement.new_nodes:
            new.metadata_props.update({**node.metadata_props, **new.metadata_props})
        super().replace_node(node, replacement, root)
        for value in replacement.new_outputs:  # Where it was folded from grows with every step.
            value.meta.pop(optimizer.FOLDED_FROM_KEY, None)
            value.metadata_props.pop(optimizer.FOLDED_FROM_KEY, None)

    def _infer(self, node: ir.Node) -> None:
        """Shapes of the results: static, or unknown."""
        rule = registry.get("", node.op_type, version=self._opset)
        if rule is not None:
            # Where the rule fails the shape stays unknown; the node's converter says what is wrong.
            with suppress(Exception):
                rule(self._context, node)
        for value in node.outputs:
            tensor = static(value)
            if tensor is None:
                value.shape = None
            elif tensor.nbytes > LIMIT_BYTES:
                raise LimitError(
                    403,
                    f"tensor '{tensor.name}' of shape {list(tensor.shape)} takes {tensor.nbytes} bytes",
                    hint=f"no tensor may take more than {LIMIT_BYTES}",
                )

    def _may_fold(self, node: ir.Node) -> bool:
        """Whether operands and results are small enough to compute now; a `Graph` computes others when somebody asks."""
        if node.op_type in NEVER_FOLDED:
            return False
        results = (
            [_listed(node.inputs[0])] if node.op_type == "NonZero" else map(static, node.outputs)
        )
        tensors = [*results, *(static(value) for value in node.inputs if value is not None)]
        if any(tensor is None or tensor.size > VALUE_ELEMENTS for tensor in tensors):
            return False
        inputs = (value.const_value for value in node.inputs if value is not None)
        held = [tensor.nbytes for tensor in inputs if isinstance(tensor, Held)]
        only_here = REGISTRY[node.op_type].folded
        if not only_here and max(held, default=0) > EAGER_BYTES:
            return False
        self._left -= sum(tensor.nbytes for tensor in tensors if tensor is not None)
        if only_here and self._left < 0:
            name = node.outputs[0].name
            raise LimitError(
                403,
                f"constant '{name}' is one too many to compute: all take more than {FOLDED_BYTES} bytes",
            )
        return self._left >= 0


def _listed(value: ir.Value | None) -> Tensor | None:
    """The largest result of NonZero."""
    tensor = static(value) if value is not None else None
    return tensor and Tensor(tensor.name, (len(tensor.shape), tensor.size), DType.I64)


def static(value: ir.Value) -> Tensor | None:
    """The name, shape and element type of a value, None if they are not known yet."""
    dtype = ONNX_DTYPES.get(value.dtype.value) if value.dtype is not None else None
    if dtype is None or value.shape is None or not value.shape.is_static():
        return None
    shape = tuple(value.shape.numpy())
    return Tensor(value.name or "", shape, dtype) if min(shape, default=0) >= 0 else None


def title_of(node: ir.Node) -> str:
    """The name of the model's node that this is or stands for, behind the names of the calls that lead to it."""
    return node.metadata_props.get(TITLE) or node.name or ""
