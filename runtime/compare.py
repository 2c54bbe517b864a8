"""The judge: ``onnx.reference``, numpy throughout, on the model as it was given."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isa.errors import InputError

Array = NDArray[Any]


class Reference:
    """A model in ``onnx.reference``; its own dimensions follow from the arrays it is fed.

    ``source`` is a path or a ``ModelProto`` that the importer has accepted: its external data is read here without
    further checks.
    """

    def __init__(self, source: str | os.PathLike[str] | Any) -> None:
        import onnx
        from onnx.reference import ReferenceEvaluator

        model = onnx.load(source) if isinstance(source, str | os.PathLike) else source
        self.names: list[str] = [output.name for output in model.graph.output]
        self._evaluator = ReferenceEvaluator(model)

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Outputs by name. Raises InputError TSP710 where the reference cannot evaluate the model."""
        quiet = io.StringIO()
        try:
            with (
                warnings.catch_warnings(),
                np.errstate(all="ignore"),
                contextlib.redirect_stdout(quiet),
            ):
                warnings.simplefilter("ignore")
                found = self._evaluator.run(None, dict(feeds))
        except Exception as error:  # Each operator of the reference raises what numpy happens to.
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(710, f"onnx.reference cannot evaluate the model: {reason}") from error
        return dict(zip(self.names, (np.asarray(value) for value in found), strict=True))
