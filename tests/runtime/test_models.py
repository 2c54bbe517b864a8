from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from isa.errors import InputError
from runtime import models

CARRIED = sorted(path.stem for path in models.GRAPHS.glob("*.json"))


def write_safetensors(path: Path, header: object, data: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.fixture
def graphs(tmp_path: Path) -> Path:
    """A folder of one graph with two weights, the second of them published."""
    folder = tmp_path / "graphs"
    folder.mkdir()
    weights = [
        {"name": "a", "shape": [3, 2], "offset": 0, "mean": 1.0, "std": 0.5},
        {
            "name": "b",
            "shape": [2, 3],
            "offset": 64,
            "mean": 0.0,
            "std": 1.0,
            "source": "B",
            "transpose": True,
        },
    ]
    (folder / "small.json").write_text(json.dumps({"bytes": 128, "weights": weights}))
    (folder / "small.onnx").write_bytes(b"graph")
    return folder


@pytest.mark.parametrize("name", CARRIED)
def test_a_plan_lists_the_weights_that_a_graph_misses(name: str) -> None:
    import onnx

    graph = onnx.load(models.GRAPHS / f"{name}.onnx", load_external_data=False).graph
    size, weights = models.read_plan(name)
    missing = {
        t.name: tuple(t.dims)
        for t in graph.initializer
        if t.data_location == onnx.TensorProto.EXTERNAL
    }
    assert {w.name: w.shape for w in weights} == missing
    assert max(w.offset + 4 * int(np.prod(w.shape)) for w in weights) <= size


def test_weights_lie_where_the_plan_says(graphs: Path, tmp_path: Path) -> None:
    published = np.arange(6, dtype=np.float32).reshape(3, 2)
    model = models.materialize("small", tmp_path / "out", graphs, {"B": published})
    data = model.with_suffix(".bin").read_bytes()
    assert model.read_bytes() == b"graph"
    assert len(data) == 128
    assert np.array_equal(np.frombuffer(data, "<f4", 6, 64).reshape(2, 3), published.T)
    assert sorted(path.name for path in model.parent.iterdir()) == ["small.bin", "small.onnx"]


def test_seeded_weights_are_the_same_every_time(graphs: Path, tmp_path: Path) -> None:
    first, second = (models.materialize("small", tmp_path / name, graphs, {}) for name in "xy")
    assert first.with_suffix(".bin").read_bytes() == second.with_suffix(".bin").read_bytes()


def test_seeded_weights_have_the_mean_and_deviation_of_the_plan() -> None:
    drawn = models.Weight(3, "w", (400, 100), 0, mean=0.25, std=0.02).seeded()
    assert drawn.dtype == np.float32
    assert drawn.mean() == pytest.approx(0.25, abs=1e-3)
    assert drawn.std() == pytest.approx(0.02, rel=0.02)


def test_an_unknown_graph_is_refused_with_the_known_ones(graphs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"TSP190.*no graph 'big'(.|\n)*small"):
        models.materialize("big", tmp_path, graphs)


def test_a_published_tensor_of_another_shape_is_refused(graphs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="TSP191"):
        models.materialize("small", tmp_path, graphs, {"B": np.zeros((2, 2), np.float32)})
    assert not list(tmp_path.glob("*.bin"))


def test_safetensors_are_read(tmp_path: Path) -> None:
    value = np.arange(4, dtype="<f4")
    header = {
        "__metadata__": {"format": "pt"},
        "i": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]},
        "w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [8, 24]},
    }
    path = write_safetensors(tmp_path / "w", header, bytes(8) + value.tobytes())
    tensors = models.read_safetensors(path)
    assert list(tensors) == ["w"]
    assert np.array_equal(tensors["w"], value.reshape(2, 2))


@pytest.mark.parametrize(
    "header",
    [
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4096]}},
        {"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}},
        {"w": {"shape": [2]}},
        [1],
    ],
    ids=["past the end", "wrong size", "no type", "no object"],
)
def test_damaged_safetensors_are_refused(tmp_path: Path, header: object) -> None:
    with pytest.raises(InputError, match="TSP191"):
        models.read_safetensors(write_safetensors(tmp_path / "w", header, bytes(8)))


def test_the_command_fills_all_graphs_of_a_folder(
    graphs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert models.main([str(tmp_path / "out"), "--graphs", str(graphs)]) == 0
    assert "small.onnx: seeded weights" in capsys.readouterr().out
    assert models.main([str(tmp_path / "out"), "big", "--graphs", str(graphs)]) == 3
    assert "TSP190" in capsys.readouterr().err


def test_published_weights_have_the_statistics_of_the_plan(real_minilm: Path) -> None:
    size, weights = models.read_plan(real_minilm.stem)
    data = np.memmap(real_minilm.with_suffix(".bin"), "<f4", "r", shape=(size // 4,))
    for weight in weights[:8]:
        value = data[weight.offset // 4 :][: int(np.prod(weight.shape))]
        assert value.std() == pytest.approx(weight.std, rel=1e-3)
