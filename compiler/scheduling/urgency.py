"""Which vector ops may wait: those whose results are wanted so late that their places are better given to others first."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

DEFER = 800
"""Cycles of priority below the most urgent op from which a vector op waits, found by trying MiniLM and BERT-base at 200 to 3,000."""


class Urgency:
    """Ready ops, most urgent kept track of: ``level`` is each op's priority, in estimated cycles to the end of the program."""

    def __init__(self, level: Sequence[int]) -> None:
        self.level = level
        self.order = sorted(range(len(level)), key=lambda i: -level[i])
        self.done = [False] * len(level)
        self.next = 0
        self.ready: list[int] = []
        self.waiting: list[tuple[int, int]] = []

    def offer(self, i: int) -> None:
        """Op ``i`` could be placed now."""
        if self.level[i] < self._threshold():
            heapq.heappush(self.waiting, (-self.level[i], i))
        else:
            heapq.heappush(self.ready, i)

    def finish(self, i: int) -> None:
        """Op ``i``, of whatever kind, has been placed."""
        self.done[i] = True

    def take(self, idle: bool) -> int | None:
        """The op to place next, in program order; one that waits if it has become urgent, or if ``idle``: nothing else is left."""
        while self.waiting and -self.waiting[0][0] >= self._threshold():
            heapq.heappush(self.ready, heapq.heappop(self.waiting)[1])
        if self.ready:
            return heapq.heappop(self.ready)
        return heapq.heappop(self.waiting)[1] if idle and self.waiting else None

    def _threshold(self) -> int:
        while self.next < len(self.order) and self.done[self.order[self.next]]:
            self.next += 1
        most = self.level[self.order[self.next]] if self.next < len(self.order) else 0
        return most - DEFER
