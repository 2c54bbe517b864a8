"""Every read sees its own buffer's value; and a memory that gives words away too early is found out, though its programs are legal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from compiler import Compilation, compile_model
from compiler.scheduling.core import Core
from compiler.scheduling.liveness import mixed_up
from compiler.scheduling.memory import Fragment, Memory
from isa.ops.mem import Read, Write
from isa.verify import verify
from tests.claims.subjects import DEMO, LAYER, Subject, compiled, demo

SMALL = demo(2, 7)


def wrong(made: Compilation) -> list[str]:
    return mixed_up(made.tiles, made.placement, made.schedule)


@pytest.mark.parametrize("subject", [demo(1, 1), SMALL, demo(2, 16, "strict")], ids=str)
def test_the_shipped_model(subject: Subject) -> None:
    assert wrong(compiled(DEMO, subject)) == []


def test_an_encoder_layer(filled_model: Callable[[str], Path]) -> None:
    assert wrong(compiled(LAYER.model(filled_model), LAYER)) == []


def test_words_given_away_before_their_last_reader(
    filled_model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Legal as before, but that words may have another type now; which words they are only this notices."""
    used, release, given = Core.used, Memory.release, set[int]()

    def early(self: Core, fragment: Fragment, last: int) -> None:
        used(self, fragment, last)
        if fragment.users and not fragment.buffer.preloaded:
            self.memory.release(fragment)

    def once(self: Memory, fragment: Fragment) -> None:
        if id(fragment) not in given:
            given.add(id(fragment))
            release(self, fragment)

    monkeypatch.setattr(Core, "used", early)
    monkeypatch.setattr(Memory, "release", once)
    made = compile_model(LAYER.model(filled_model), dict(LAYER.dims), LAYER.chip)
    assert {r.number for r in verify(made.program, collect=True)} <= {342}
    found = wrong(made)
    assert found
    assert " sees " in found[0]


def test_a_write_that_comes_before_the_last_reader(filled_model: Callable[[str], Path]) -> None:
    """Of words that two buffers share, the second one's write is moved before the first one's last read."""
    made = compiled(LAYER.model(filled_model), LAYER)
    bursts = made.schedule.bursts.copy()
    queue, opcode, count = (bursts[n] for n in ("queue", "opcode", "count"))
    keys = list(zip(queue.tolist(), bursts["args"][:, 0].tolist(), count.tolist(), strict=True))
    writes: dict[tuple[int, int, int], list[int]] = {}
    for i in np.flatnonzero(opcode == Write.opcode).tolist():
        writes.setdefault(keys[i], []).append(i)
    read = {keys[i] for i in np.flatnonzero(opcode == Read.opcode).tolist()}
    first, second = next(
        sorted(w, key=lambda i: bursts["cycle"][i])[:2]
        for key, w in writes.items()
        if len(w) > 1 and key in read
    )
    bursts["cycle"][second] = bursts["cycle"][first] + 1
    plan = dataclasses.replace(made.schedule, bursts=bursts)
    assert mixed_up(made.tiles, made.placement, plan)


def test_words_that_nothing_wrote() -> None:
    made = compiled(DEMO, SMALL)
    plan = made.schedule
    kept = plan.bursts[plan.bursts["opcode"] != Write.opcode]
    found = mixed_up(made.tiles, made.placement, dataclasses.replace(plan, bursts=kept))
    assert found
    assert all("nothing wrote" in text for text in found)
