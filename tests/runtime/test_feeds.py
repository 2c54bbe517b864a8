from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from isa.errors import InputError, UsageError
from isa.instruction import DType
from isa.program import PortTensor, Program
from runtime.feeds import random_feeds, read_feeds, read_tensor


def port(name: str, shape: tuple[int, ...], dtype: str, low: int = 0, high: int = 0) -> PortTensor:
    return PortTensor(name, shape, dtype, DType.I32, (), low, high)


def test_ids_lie_in_their_table() -> None:
    ids = random_feeds([port("ids", (4, 500), "int64", 3, 11)])["ids"]
    assert ids.dtype == np.int64
    assert (ids.min(), ids.max()) == (3, 11)


def test_values_are_those_that_the_chip_carries() -> None:
    """Bounds reach further than the types do."""
    wide = PortTensor("ids", (300,), "int64", DType.I16, (), -9, 1 << 62)
    ids = random_feeds([wide])["ids"]
    assert -9 <= ids.min() < ids.max() <= np.iinfo(np.int16).max
    unsigned = PortTensor("ids", (300,), "uint8", DType.I16, (), -300, 300)
    assert np.unique(random_feeds([unsigned])["ids"]).size > 100


def test_bounds_of_the_graph_go_before_those_of_the_port() -> None:
    ids = random_feeds([port("ids", (4, 50), "int64")], bounds={"ids": (0, 0)})["ids"]
    assert not ids.any()


@pytest.mark.parametrize(("name", "dtype"), [("attention_mask", "int64"), ("keep", "bool")])
def test_masks_keep_one_and_pad_the_tail(name: str, dtype: str) -> None:
    mask = random_feeds([port(name, (40, 9), dtype)], seed=1)[name]
    assert mask.dtype == np.dtype(dtype)
    assert (np.diff(mask.astype(int), axis=1) <= 0).all()
    assert set(mask.sum(axis=1).tolist()) == set(range(1, 10))


def test_a_seed_gives_the_same_inputs(tiny_program: Program) -> None:
    one, same, other = (random_feeds(tiny_program.inputs, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["x"], other["x"])


def test_scalars_and_empty_shapes() -> None:
    feeds = random_feeds([port("mask", (), "int64"), port("mask0", (2, 0), "bool")])
    assert feeds["mask"].shape == ()
    assert feeds["mask"] == 1
    assert feeds["mask0"].shape == (2, 0)


def test_files_come_back(tmp_path: Path) -> None:
    np.save(tmp_path / "a=b.npy", np.arange(3))
    assert read_feeds([f"x={tmp_path}/a=b.npy"])["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("text", ["x", "=a.npy", "x=", ""])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="TSP804: not an input"):
        read_feeds([text])


def test_bad_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "ok.npy", np.arange(300))
    (tmp_path / "short.npy").write_bytes((tmp_path / "ok.npy").read_bytes()[:-8])
    (tmp_path / "text.npy").write_text("1 2 3")
    np.save(tmp_path / "object.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "many.npz", a=np.arange(3))
    header = (tmp_path / "ok.npy").read_bytes()[:128].replace(b"(300,)", b"(9**9,")
    (tmp_path / "header.npy").write_bytes(header)
    os.mkfifo(tmp_path / "pipe.npy")
    for name in (
        "short.npy",
        "text.npy",
        "object.npy",
        "many.npz",
        "header.npy",
        "pipe.npy",
        "none.npy",
        ".",
    ):
        with pytest.raises(InputError, match="TSP650"):
            read_tensor(tmp_path / name)
