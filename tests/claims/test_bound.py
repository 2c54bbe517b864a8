"""Claim: BERT-base, fp16, batch 1, sequence 128 on ``tsp1-deep`` takes at most 1.85 times what its matrix products alone would."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from compiler import Compilation, compile_model
from isa.verify import verify
from tests.claims.subjects import LAYER, SMALL, Subject

LOG = logging.getLogger(__name__)
PEAK = 102_400
"""fp16 multiply-accumulates of a chip in a cycle."""
SEQUENCE, WIDTH, INNER, LAYERS = 128, 768, 3072, 12


def bert_products() -> int:
    """Multiply-accumulates by hand: four projections, scores and their use, two layers of the feed-forward part."""
    dense = 4 * WIDTH * WIDTH + 2 * WIDTH * INNER
    return LAYERS * (SEQUENCE * dense + 2 * SEQUENCE * SEQUENCE * WIDTH)


def told(name: str, made: Compilation) -> str:
    """The figures of a compilation in a line."""
    r = made.report
    text = f"{name}: {r.cycles:,} cycles, {r.cycles / r.mxm_bound_cycles:.3f} of {r.mxm_bound_cycles:,}"
    LOG.info("%s, pairs busy %s, %d bursts", text, r.matrix_busy, len(made.program.bursts))
    return text


def test_bert_base(materialized: Callable[[str], Path]) -> None:
    made = compile_model(materialized("bert.dynamo.static"), chip="tsp1-deep")
    text = told("BERT-base", made)
    bound, cycles = made.report.mxm_bound_cycles, made.report.cycles
    assert bound == -(-bert_products() // PEAK) == 109_118
    assert verify(made.program).cycles == cycles
    assert cycles <= 1.85 * bound, text


@pytest.mark.parametrize("subject", [SMALL, LAYER], ids=str)
def test_no_program_beats_the_bound(
    build: Callable[[Subject], Compilation], subject: Subject
) -> None:
    """The bound counts products alone; what the pairs are busy with is at least that."""
    made = build(subject)
    told(str(subject), made)
    assert made.report.cycles > max(made.report.matrix_busy)
    assert sum(made.report.matrix_busy) >= made.report.mxm_bound_cycles
    assert made.report.cycles >= made.report.mxm_bound_cycles


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["minilm.dynamo.static", "bert.dynamo.static.op23"])
def test_other_encoders(materialized: Callable[[str], Path], name: str) -> None:
    """Figures to look at; only their order is a claim."""
    made = compile_model(materialized(name), chip="tsp1-deep")
    told(name, made)
    assert verify(made.program).cycles == made.report.cycles >= made.report.mxm_bound_cycles
