"""Fixtures of the claims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from compiler import Compilation
from tests.claims.subjects import Subject, compiled


@pytest.fixture
def build(filled_model: Any) -> Callable[[Subject], Compilation]:
    """``build(subject)``: its compilation, made once a process."""
    return lambda subject: compiled(subject.model(filled_model), subject)
