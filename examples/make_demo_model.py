"""Write the transformer that ``tspc demo`` compiles: ``python examples/make_demo_model.py [FILE] [--layers N ...]``.

A BERT-style encoder of two layers, 32 wide, two heads of 16, feed-forward 64, in the form in which exporters write one:
opset 17, float32, dynamic batch and sequence, learned positions, an additive mask, erf-GELU, LayerNormalization. Its
weights are drawn from a frozen random stream and scaled so that activations stay near 1 and attention is far from
uniform. The same bytes come out on every machine; without FILE they go to ``runtime/data/demo.onnx``. Options make it larger:
``make bench-scale`` asks for the layers of BERT-base.

Inputs ``input_ids`` and ``attention_mask``: int64 [batch, seq], ids below 64, at most 32 positions.
Output ``last_hidden_state``: float32 [batch, seq, 32]. The sizes are those without options.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

TARGET = Path(__file__).parents[1] / "runtime" / "data" / "demo.onnx"

Array = NDArray[np.float32] | NDArray[np.int64]


@dataclass(frozen=True)
class Sizes:
    """What an encoder is made of."""

    vocabulary: int = 64
    positions: int = 32
    hidden: int = 32
    heads: int = 2
    feed_forward: int = 64
    layers: int = 2


class Builder:
    """Nodes and weights in the order in which they are asked for."""

    def __init__(self, sizes: Sizes, seed: int) -> None:
        self.sizes, self.hidden = sizes, sizes.hidden
        self.head = sizes.hidden // sizes.heads
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.random = np.random.RandomState(seed)

    def op(self, op: str, *inputs: str, name: str, output: str = "", **attributes: Any) -> str:
        """Append a node and return its only output, which bears the node's name if given none."""
        output = output or name
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output

    def constant(self, name: str, value: Array) -> str:
        """Append an initializer, once."""
        if all(name != known.name for known in self.initializers):
            self.initializers.append(numpy_helper.from_array(value, name))
        return name

    def integers(self, name: str, *values: int) -> str:
        """An int64 vector."""
        return self.constant(name, np.array(values, np.int64))

    def scalar(self, name: str, value: float) -> str:
        """A float32 scalar."""
        return self.constant(name, np.array(value, np.float32))

    def weight(self, name: str, *shape: int, scale: float, mean: float = 0.0) -> str:
        """Normal random numbers of the given deviation and mean."""
        drawn = self.random.standard_normal(shape) * scale + mean
        return self.constant(name, drawn.astype(np.float32))

    def linear(self, x: str, name: str, width: int, out: int, gain: float = 1.0) -> str:
        """``x @ weight + bias``, of deviation ``gain`` where that of ``x`` is 1."""
        weight = self.weight(f"{name}.weight", width, out, scale=gain / width**0.5)
        bias = self.weight(f"{name}.bias", out, scale=0.1)
        product = self.op("MatMul", x, weight, name=f"{name}.matmul")
        return self.op("Add", bias, product, name=name)

    def norm(self, x: str, name: str, output: str = "") -> str:
        """Layer normalization over the last axis."""
        gamma = self.weight(f"{name}.weight", self.hidden, scale=0.1, mean=1.0)
        beta = self.weight(f"{name}.bias", self.hidden, scale=0.1)
        return self.op(
            "LayerNormalization", x, gamma, beta, name=name, output=output, axis=-1, epsilon=1e-12
        )

    def embedding(self) -> str:
        """Words plus the first ``seq`` positions, normalized: [batch, seq, hidden]."""
        words = self.weight("word_embeddings", self.sizes.vocabulary, self.hidden, scale=1.0)
        places = self.weight("position_embeddings", self.sizes.positions, self.hidden, scale=0.5)
        word = self.op("Gather", words, "input_ids", name="embeddings.word", axis=0)
        shape = self.op("Shape", "input_ids", name="embeddings.shape")
        length = self.op("Gather", shape, self.integers("one", 1), name="embeddings.length", axis=0)
        zero = self.integers("zero", 0)
        place = self.op("Slice", places, zero, length, zero, name="embeddings.position")
        return self.norm(self.op("Add", word, place, name="embeddings.sum"), "embeddings.norm")

    def mask(self) -> str:
        """0 where a position is kept and the lowest float32 where it is padding: [batch, 1, 1, seq]."""
        kept = self.op("Cast", "attention_mask", name="mask.kept", to=TensorProto.BOOL)
        kept = self.op("Unsqueeze", kept, self.integers("one_two", 1, 2), name="mask.broadcast")
        lowest = self.scalar("lowest", float(np.finfo(np.float32).min))
        return self.op("Where", kept, self.scalar("nothing", 0.0), lowest, name="mask.bias")

    def heads(self, x: str, name: str, perm: tuple[int, ...]) -> str:
        """[batch, seq, hidden] cut into heads and permuted."""
        shape = self.integers("split_shape", 0, 0, self.sizes.heads, self.head)
        cut = self.op("Reshape", x, shape, name=f"{name}.reshape")
        return self.op("Transpose", cut, name=f"{name}.heads", perm=perm)

    def attention(self, x: str, mask: str, name: str) -> str:
        """Multi-head self-attention; queries and keys each carry the root of the scale."""
        root = self.scalar("root_scale", self.head**-0.25)
        query, key, value = (
            self.heads(
                self.linear(x, f"{name}.{part}", self.hidden, self.hidden, gain),
                f"{name}.{part}",
                perm,
            )
            for part, gain, perm in (
                ("query", 1.5, (0, 2, 1, 3)),
                ("key", 1.5, (0, 2, 3, 1)),
                ("value", 1.0, (0, 2, 1, 3)),
            )
        )
        query = self.op("Mul", query, root, name=f"{name}.query.scaled")
        key = self.op("Mul", key, root, name=f"{name}.key.scaled")
        scores = self.op("MatMul", query, key, name=f"{name}.scores")
        masked = self.op("Add", scores, mask, name=f"{name}.masked")
        weights = self.op("Softmax", masked, name=f"{name}.softmax", axis=-1)
        mixed = self.op("MatMul", weights, value, name=f"{name}.mixed")
        joined = self.op("Transpose", mixed, name=f"{name}.joined", perm=(0, 2, 1, 3))
        shape = self.integers("join_shape", 0, 0, self.hidden)
        flat = self.op("Reshape", joined, shape, name=f"{name}.context")
        return self.linear(flat, f"{name}.output", self.hidden, self.hidden)

    def gelu(self, x: str, name: str) -> str:
        """``x * (1 + erf(x / sqrt 2)) / 2``, in the five nodes that exporters write."""
        scaled = self.op("Div", x, self.scalar("root_two", 2**0.5), name=f"{name}.scaled")
        erf = self.op("Erf", scaled, name=f"{name}.erf")
        raised = self.op("Add", erf, self.scalar("unit", 1.0), name=f"{name}.raised")
        product = self.op("Mul", x, raised, name=f"{name}.product")
        return self.op("Mul", product, self.scalar("half", 0.5), name=name)

    def layer(self, x: str, mask: str, name: str, output: str) -> str:
        """One encoder layer, normalized behind each of its two residual sums."""
        mixed = self.attention(x, mask, f"{name}.attn")
        x = self.norm(self.op("Add", mixed, x, name=f"{name}.attn.sum"), f"{name}.attn.norm")
        wide = self.linear(x, f"{name}.wide", self.hidden, self.sizes.feed_forward)
        narrow = self.linear(
            self.gelu(wide, f"{name}.gelu"), f"{name}.narrow", self.sizes.feed_forward, self.hidden
        )
        return self.norm(self.op("Add", narrow, x, name=f"{name}.sum"), f"{name}.norm", output)


def demo_model(sizes: Sizes = Sizes()) -> ModelProto:
    """The model, complete with weights."""
    build = Builder(sizes, seed=2026)
    x, mask = build.embedding(), build.mask()
    for index in range(sizes.layers):
        output = "last_hidden_state" if index == sizes.layers - 1 else ""
        x = build.layer(x, mask, f"layer{index}", output)
    ids = ["batch", "seq"]
    graph = helper.make_graph(
        build.nodes,
        "demo",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ids)
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [*ids, sizes.hidden])],
        build.initializers,
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="tspc")


def main() -> None:
    """Write the model to the file named on the command line, or to its home."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=TARGET)
    for field in fields(Sizes):
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=field.default, metavar="N")
    options = vars(parser.parse_args())
    target = options.pop("file")
    target.parent.mkdir(parents=True, exist_ok=True)
    data = demo_model(Sizes(**options)).SerializeToString(deterministic=True)
    target.write_bytes(data)
    print(f"{target}: {len(data)} bytes")


if __name__ == "__main__":
    main()
