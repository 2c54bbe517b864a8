"""Putting off the search for cyclic garbage: nothing is lost by it, and nothing of the caller's is changed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest

from runtime.cli.collection import collection_put_off


class Ring:
    """Refers to itself."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture
def settings() -> Iterator[None]:
    """Collection as it was before the test."""
    enabled = gc.isenabled()
    yield
    gc.unfreeze()
    (gc.enable if enabled else gc.disable)()


@pytest.mark.usefixtures("settings")
def test_a_ring_lives_on_inside_and_is_found_afterwards() -> None:
    gc.enable()
    with suppress(KeyError), collection_put_off():
        assert not gc.isenabled()
        ring = weakref.ref(Ring())
        for _ in range(10 * gc.get_threshold()[0]):
            Ring()
        assert ring() is not None
        raise KeyError
    assert gc.isenabled()
    assert not gc.get_freeze_count()
    gc.collect()
    assert ring() is None


@pytest.mark.usefixtures("settings")
def test_who_has_collection_off_or_objects_frozen_keeps_them_so() -> None:
    gc.disable()
    with collection_put_off():
        pass
    assert not gc.isenabled()
    gc.enable()
    gc.freeze()
    count = gc.get_freeze_count()
    with collection_put_off():
        pass
    assert gc.isenabled()
    assert gc.get_freeze_count() == count
