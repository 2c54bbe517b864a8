"""One server for the tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runtime.lsp.client import Editor


@pytest.fixture(scope="package")
def editor() -> Iterator[Editor]:
    """A session that has begun."""
    session = Editor()
    yield session
    session.kill()


@pytest.fixture
def fresh() -> Iterator[Editor]:
    """A session of the test's own."""
    session = Editor()
    yield session
    session.kill()
